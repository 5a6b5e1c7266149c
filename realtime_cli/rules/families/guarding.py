"""Who may call: guards, public functions, and what they may not do. Spec: platform 8.4."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.meaning import text_of
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.scopes import FunctionNode
from realtime_cli.rules.source import LIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.handlers import Handler
    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

__all__ = ["BooleanGuard", "PublicWrite", "Undecorated", "Unguarded", "changes_without_user"]

ALLOW_PUBLIC = re.compile(r"#\s*realtime-allow-public\b")
WRITES = re.compile(
    r"^(insert|update|delete|remove|create|save|set|put|add|drop|truncate|write|publish|upsert|append|commit|bulk_create"
    r"|pop|clear|incr|hset|lpush|rpush|sadd|zadd)(_|$)"
)
RUNS_SQL = frozenset({"execute", "executemany", "executescript", "fetch", "fetchrow", "fetchval", "run"})
CHECKS = re.compile(
    r"(require|check|ensure|assert|verify|authorize|guard|allow|permission|login|auth)", re.IGNORECASE
)
MAX_DEPTH = 4  # calls that are followed from a function to what it calls
SQL_WRITES = re.compile(r"^\s*(insert|update|delete|replace|drop|alter|truncate|merge)\b", re.IGNORECASE)
OWN = ("@ctx.publish", "@platform.publish", "runtime.publish")


def has_guard(source: Source) -> bool:
    """Return whether a live module has `_guard`, defined there, assigned or imported."""
    if source.tree is None:
        return False
    top = source.bound.scopes[source.tree]
    made = [
        one
        for one in source.bindings("_guard", top)
        if not (isinstance(one.node, ast.AnnAssign) and one.value is None)
        and not (isinstance(one.value, ast.Constant) and one.value.value is None)
    ]
    return bool(made) or source.look_up("_guard", top) is not None


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
            open_to_all = [one for one in handlers if not one.is_public and not _has_own_check(project, one)]
            if open_to_all and not has_guard(source) and not allows_public(source):
                names = ", ".join(one.node.name for one in open_to_all[:3])
                more = f" and {len(open_to_all) - 3} more" if len(open_to_all) > 3 else ""
                message = f"no _guard: every client may call {names}{more}"
                yield self.at(source, open_to_all[0].node, message)


def _has_own_check(project: Project, handler: Handler) -> bool:
    """Return whether the function lets in by a rule of its own: of `live`, or by a decorator that looks at the user."""
    if any(handler.decorator(name) is not None for name in ("scoped", "gate")):
        return True
    return handler.option("access") is not None or any(
        _asks_who(project, handler.source, one) for one in handler.others
    )


def _asks_who(project: Project, source: Source, decorator: ast.expr) -> bool:
    """Return whether a decorator of the project looks at the user, in what it puts around the function."""
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    found = project.function_of(source, function)
    if found is None or not isinstance(found[1], FunctionNode):
        return False
    return _looks_at_user(project, found[0], found[1], MAX_DEPTH)


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
            found = _unchecked_write(project, handler)
            if found is not None:
                node, what = found
                message = f"{handler.node.name} is public and calls {what} without looking at ctx.user"
                yield self.at(handler.source, node, message)


def changes_without_user(project: Project, handler: Handler) -> bool:
    """Return whether a function is public and changes data without a look at the user."""
    return _unchecked_write(project, handler) is not None


def _unchecked_write(project: Project, handler: Handler) -> tuple[ast.Call, str] | None:
    if not handler.is_public or handler.kind in {"cron", "effect"} or _has_own_check(project, handler):
        return None
    if _looks_at_user(project, handler.source, handler.node, MAX_DEPTH):
        return None
    return _first_write(project, handler.source, handler.node, MAX_DEPTH)


def _looks_at_user(project: Project, source: Source, node: FunctionNode, depth: int) -> bool:
    """Return whether a function, or one that it hands its ctx, looks at who calls."""
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and (source.name(one) or "").startswith("@ctx.user"):
            return True
        if not isinstance(one, ast.Call) or not depth:
            continue
        if any(source.name(given) == "@ctx" for given in [*one.args, *(k.value for k in one.keywords)]):
            found = project.function_of(source, one.func)
            if found is None:
                if CHECKS.search(source.segment(one.func)):
                    return True
                continue
            where, inner = found
            is_other = isinstance(inner, FunctionNode) and inner is not node
            if (
                is_other
                and isinstance(inner, FunctionNode)
                and _looks_at_user(project, where, inner, depth - 1)
            ):
                return True
    return False


def _first_write(
    project: Project, source: Source, node: FunctionNode, depth: int
) -> tuple[ast.Call, str] | None:
    """Return the first call in a function that writes, itself or in what it calls, with the name of the write."""
    calls = [one for one in source.own(node) if isinstance(one, ast.Call)]
    for call in sorted(calls, key=lambda one: (one.lineno, one.col_offset)):
        what = written_by(project, source, call)
        if what is None and depth:
            found = project.function_of(source, call.func)
            if found is not None and isinstance(found[1], FunctionNode) and found[1] is not node:
                inner = _first_write(project, found[0], found[1], depth - 1)
                what = inner[1] if inner is not None else None
        if what is not None:
            return call, what
    return None


def written_by(project: Project, source: Source, call: ast.Call) -> str | None:
    """Return the name of the write that a call makes, None if it makes none that can be seen."""
    name = source.name(call.func)
    if name in OWN:
        return str(name).lstrip("@")
    if not isinstance(call.func, ast.Attribute):
        return None
    method = call.func.attr
    if method in RUNS_SQL and call.args:
        _, text = project.value(source, call.args[0])
        if isinstance(text, ast.Call) and text.args:  # text("...") of SQLAlchemy
            _, text = project.value(source, text.args[0])
        begins = text_of(text)
        return source.segment(call.func) if begins is not None and SQL_WRITES.match(begins) else None
    if not WRITES.match(method) or (name is not None and name.startswith(_HARMLESS)):
        return None
    if project.function_of(source, call.func) is not None:
        return None  # what it does is looked at itself
    return None if _is_local(source, call.func.value) else source.segment(call.func)


_HARMLESS = (
    "builtins.",
    "@ctx.skip",
    "asyncio.",
    "hashlib.",
    "hmac.",
    "logging.",
    "collections.",
    "io.",
    "datetime.",
    "itertools.",
    "dataclasses.",
    "random.",
    "time.",
    "re.",
    "json.",
    "msgspec.",
    "structlog.",
)


def _is_local(source: Source, node: ast.expr) -> bool:
    """Return whether an object is a value that the function made for itself, or that it was given."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript | ast.Await):
        node = node.func if isinstance(node, ast.Call) else node.value
    if not isinstance(node, ast.Name):
        return True  # a text, a list
    found = source.scope(node).find(node.id)
    if found is None or found[0].above is None:
        return False
    if any(isinstance(one.node, ast.arg) for one in found[1]):
        holder = source.function(node)
        return holder is not None and any(
            (source.name(one) or "").startswith(LIVE) for one in holder.decorator_list
        )
    made = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.Constant, ast.JoinedStr)
    return any(isinstance(one.value, made) or _makes_new(source, one.value) for one in found[1])


#: Methods of texts and containers that give a list, dict or set which nobody else has.
_NEW = frozenset(
    {
        "split",
        "rsplit",
        "splitlines",
        "partition",
        "rpartition",
        "copy",
        "union",
        "intersection",
        "difference",
    }
)


def _makes_new(source: Source, value: ast.expr | None) -> bool:
    """Return whether a value was made in this place: a builtin's, or by a method of a text or container."""
    if not isinstance(value, ast.Call):
        return False
    if (source.name(value.func) or "").startswith(("builtins.", "collections.", "copy.")):
        return True
    return isinstance(value.func, ast.Attribute) and value.func.attr in _NEW


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
                at_top = source.function(node) is None and not isinstance(source.parent(node), ast.ClassDef)
                if not at_top or node.name.startswith("_") or node in registered:
                    continue
                first = next(iter([*node.args.posonlyargs, *node.args.args]), None)
                if first is None or source.look_up(first.arg, source.bound.scopes[node]) != "@ctx":
                    continue
                if any(_may_register(project, source, one) for one in node.decorator_list):
                    continue
                if not _is_used(project, source, node):
                    yield self.at(source, node, f"{node.name} is not decorated: clients cannot call it")


def _may_register(project: Project, source: Source, decorator: ast.expr) -> bool:
    """Return whether a decorator may do what those of `live` do: one of theirs, or one that cannot be looked into."""
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = source.name(function) or ""
    if name.startswith(("functools.", "contextlib.", "typing.", "builtins.")):
        return False
    return project.function_of(source, function) is None


def _is_used(project: Project, source: Source, node: ast.AsyncFunctionDef) -> bool:
    """Return whether anything in the project reads the function."""
    name = f"{source.module}.{node.name}"
    if any(one.id == node.name and isinstance(one.ctx, ast.Load) for one in source.nodes(ast.Name)):
        return True
    for other in project.code:
        if other is source or node.name not in other.text:
            continue
        if any(other.name(one) == name for one in other.nodes(ast.Name, ast.Attribute)):
            return True
    return False


class BooleanGuard(Rule):
    """LIV016."""

    id = "LIV016"
    severity = Severity.WARNING
    title = "a guard that returns yes or no instead of raising"
    why = "Here no means no, but before 0.5 a guard let in whoever it did not raise for: there it lets everybody in."
    how = 'raise LiveError("UNAUTHENTICATED") or LiveError("FORBIDDEN")'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at functions that are the guard of a module, by their name or as a part of `guard(...)`."""
        told: set[ast.AST] = set()
        for source in project.live:
            for where, node in self._guards(project, source):
                found = _no(project, where, node)
                if found is not None and found not in told:
                    told.add(found)
                    yield self.at(where, found, "the guard returns a bool instead of raising")

    def _guards(self, project: Project, source: Source) -> Iterator[tuple[Source, FunctionNode | ast.Lambda]]:
        if source.tree is None:
            return
        top = source.bound.scopes[source.tree]
        found = project.meaning.function_named(source, "_guard", top)
        if found is not None:
            yield found
        for binding in source.bindings("_guard", top):
            if isinstance(binding.value, ast.Call) and source.name(binding.value.func) == "runtime.guard":
                for part in binding.value.args:
                    if (one := project.function_of(source, part)) is not None:
                        yield one


def _no(project: Project, source: Source, node: FunctionNode | ast.Lambda) -> ast.AST | None:
    """Return what says no in a guard without raising: a lambda itself, or a return of what may be False."""
    if isinstance(node, ast.Lambda):
        return node if _may_be_false(node.body) else None
    for one in source.own(node):
        if isinstance(one, ast.Return) and one.value is not None and source.function(one) is node:
            values = [one.value]
            if isinstance(one.value, ast.Name):
                bindings = source.bindings(one.value.id, source.scope(one.value), one.value)
                values = [binding.value for binding in bindings if binding.value is not None]
            if any(_may_be_false(value) for value in values):
                return one
    return None


def _may_be_false(value: ast.expr) -> bool:
    match value:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Constant(value=False):
            return True
        case ast.BoolOp(values=values):
            return any(_may_be_false(one) for one in values)
        case ast.IfExp(body=one, orelse=other):
            return _may_be_false(one) or _may_be_false(other)
        case ast.Call(func=ast.Name(id="bool" | "any" | "all" | "isinstance" | "hasattr")):
            return True
        case _:
            return False
