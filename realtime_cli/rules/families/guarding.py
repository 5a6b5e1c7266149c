"""Who may call: guards, public functions, and what they may not do. Spec: platform 8.4."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.handlers import Handler
    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

__all__ = ["BooleanGuard", "PublicWrite", "Undecorated", "Unguarded"]

ALLOW_PUBLIC = re.compile(r"#\s*realtime-allow-public\b")
WRITES = re.compile(
    r"^(insert|update|delete|remove|create|save|set|put|add|drop|truncate|write|publish|upsert|replace|append)(_|$)"
)
SQL_WRITES = re.compile(r"^\s*(insert|update|delete|replace|drop|alter|truncate|merge)\b", re.IGNORECASE)
OWN = ("@ctx.publish", "@platform.publish", "runtime.publish")


def has_guard(source: Source) -> bool:
    """Return whether a live module has `_guard`, defined there, assigned or imported."""
    if source.tree is None:
        return False
    scope = source.bound.scopes[source.tree]
    return "_guard" in scope.names or bool(scope.stars)


def allows_public(source: Source) -> bool:
    """Return whether a comment says that everybody may call the module."""
    return "realtime-allow-public" in source.text and any(ALLOW_PUBLIC.search(line) for line in source.lines)


class Unguarded(Rule):
    """LIV001."""

    id = "LIV001"
    severity = Severity.WARNING
    title = "a live module without a guard"
    why = "Every client that can connect may call its functions and subscribe to its streams."
    how = "write _guard = guard(authenticated=True), or @live.public over each function that is meant for everybody"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the reachable handlers of each module, once per module."""
        if project.settings.get("security.require_guard") == "off":
            return
        by_source: dict[Source, list[Handler]] = {}
        for handler in project.handlers:
            if handler.is_reachable and handler.kind != "action":
                by_source.setdefault(handler.source, []).append(handler)
        for source, handlers in by_source.items():
            open_to_all = [one for one in handlers if not one.is_public and not _has_own_check(one)]
            if open_to_all and not has_guard(source) and not allows_public(source):
                names = ", ".join(one.node.name for one in open_to_all[:3])
                more = f" and {len(open_to_all) - 3} more" if len(open_to_all) > 3 else ""
                message = f"no _guard: every client may call {names}{more}"
                yield self.at(source, open_to_all[0].node, message)


def _has_own_check(handler: Handler) -> bool:
    """Return whether the function lets in by a rule of its own."""
    return handler.decorator("scoped") is not None or handler.option("access") is not None


class PublicWrite(Rule):
    """LIV002."""

    id = "LIV002"
    severity = Severity.ERROR
    title = "a public function changes data"
    why = "Anybody who can reach the server may change it, without an account and as often as they like."
    how = "take @live.public away and guard the module, or look at ctx.user before the change"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for writes in public functions that never look at the user."""
        for handler in project.handlers:
            if not handler.is_public or handler.kind in {"cron", "effect"} or _looks_at_user(handler):
                continue
            for node in handler.nodes:
                if isinstance(node, ast.Call) and (what := written_by(handler.source, node)):
                    message = f"{handler.node.name} is public and calls {what} without looking at ctx.user"
                    yield self.at(handler.source, node, message)
                    break


def _looks_at_user(handler: Handler) -> bool:
    return any(
        isinstance(node, ast.Attribute) and (handler.source.name(node) or "").startswith("@ctx.user")
        for node in ast.walk(handler.node)
    )


def written_by(source: Source, call: ast.Call) -> str | None:
    """Return the name of the write that a call makes, None if it makes none that can be seen."""
    name = source.name(call.func)
    if name in OWN:
        return str(name).lstrip("@")
    if isinstance(call.func, ast.Attribute):
        method = call.func.attr
        text = call.args[0] if call.args else None
        is_text = isinstance(text, ast.Constant) and isinstance(text.value, str)
        if method in {"execute", "executemany", "fetch", "fetchrow", "fetchval"} and is_text:
            assert isinstance(text, ast.Constant)  # noqa: S101
            return source.segment(call.func) if SQL_WRITES.match(str(text.value)) else None
        own_kind = name is not None and name.startswith(("builtins.", "@ctx.skip", "asyncio."))
        local = isinstance(call.func.value, ast.Name) and _is_local_container(source, call.func.value)
        if WRITES.match(method) and not own_kind and not local:
            return source.segment(call.func)
    return None


def _is_local_container(source: Source, name: ast.Name) -> bool:
    """Return whether a name is a list, dict or set that the function made for itself, or that it was given."""
    found = source.scope(name).find(name.id)
    if found is None:
        return False
    scope, bindings = found
    if scope.above is None:
        return False
    made = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    return any(isinstance(one.value, made) or isinstance(one.node, ast.arg) for one in bindings)


class Undecorated(Rule):
    """LIV007."""

    id = "LIV007"
    severity = Severity.INFO
    title = "a public function of a live module that nobody can call"
    why = "It looks like a live function and is none: clients get NOT_FOUND."
    how = "put @live over it, or let its name begin with an underscore"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for async functions at the top of a module that take a ctx and that nothing registers or uses."""
        registered = {handler.node for handler in project.handlers}
        for source in project.live:
            for node in source.nodes(ast.AsyncFunctionDef):
                first = node.args.args[0].arg if node.args.args else None
                at_top = source.function(node) is None and source.parent(node) is source.tree
                if not at_top or node.name.startswith("_") or node in registered or first != "ctx":
                    continue
                if node.decorator_list or _is_used(source, node.name):
                    continue
                yield self.at(source, node, f"{node.name} is not decorated: clients cannot call it")


def _is_used(source: Source, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for node in source.nodes(ast.Name)
    )


class BooleanGuard(Rule):
    """LIV016."""

    id = "LIV016"
    severity = Severity.WARNING
    title = "a guard that returns yes or no instead of raising"
    why = "Here no means no, but before 0.5 a guard let in whoever it did not raise for: there it lets everybody in."
    how = 'raise LiveError("UNAUTHENTICATED") or LiveError("FORBIDDEN")'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at functions that are the guard of a module."""
        for source in project.live:
            for node in source.functions:
                if node.name != "_guard" or source.function(node) is not None:
                    continue
                for inner in source.own(node):
                    if isinstance(inner, ast.Return) and _is_boolean(inner.value):
                        yield self.at(source, inner, "the guard returns a bool instead of raising")
                        break


def _is_boolean(value: ast.expr | None) -> bool:
    match value:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Constant(value=bool()):
            return True
        case ast.BoolOp(values=values):
            return any(_is_boolean(one) for one in values)
        case ast.Call(func=ast.Name(id="bool")):
            return True
        case _:
            return False
