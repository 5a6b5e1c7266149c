"""Hooks that a project does not have, or that are near one and none. Spec: platform 8.2, 8.3."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from realtime_cli.rules.families.origin_policy import has_hook
from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.rule import Rule
from runtime.server.hooks import HOOKS, meant_hook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.scopes import FunctionNode
    from realtime_cli.rules.source import Source

__all__ = ["AnonymousConnections", "NearHook", "OpenTopics", "PassedAccess", "UnknownParameter"]


def _place(project: Project) -> str:
    return project.hooks.path if project.hooks else project.settings.text_of("server.hooks")


class OpenTopics(Rule):
    """SEC002."""

    id = "SEC002"
    severity = Severity.WARNING
    title = "any client may subscribe to any topic"
    why = "Without a subscribe hook nobody is asked: whoever can connect reads every topic whose name they guess."
    how = "write async def subscribe(ws, topic) in hooks.py, which returns an error code to refuse"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for either of the two hooks, in projects that have live code or hooks at all."""
        if has_hook(project, "subscribe") or has_hook(project, "subscribe_batch") or _broken(project):
            return
        if not project.settings.get("websocket.enabled"):
            return
        message = "no subscribe hook: any client may subscribe to any topic"
        yield self.on(_place(project), Span(), message)


class PassedAccess(Rule):
    """SEC034."""

    id = "SEC034"
    severity = Severity.ERROR
    title = "access= of a stream that a plain subscribe passes by"
    why = (
        "access= is asked where a page loads the stream. Its topic is a topic like any other: without a subscribe hook "
        "a client that names it in a plain subscribe hears every event of it."
    )
    how = "write async def subscribe(ws, topic) in hooks.py, which lets the same people in"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for streams and channels with a predicate, in projects where no hook is asked for topics."""
        if has_hook(project, "subscribe") or has_hook(project, "subscribe_batch") or _broken(project):
            return
        if not project.settings.get("websocket.enabled"):
            return
        for source, given, name in _predicates(project):
            if not isinstance(given, ast.Constant):
                message = f"{name} has access=, which nobody asks whoever subscribes to its topic by itself"
                yield self.at(source, given, message)


def _predicates(project: Project) -> Iterator[tuple[Source, ast.expr, str]]:
    for handler in project.handlers:
        given = handler.option("access")
        if given is not None and handler.kind in {"stream", "derived"}:
            yield handler.source, given, handler.node.name
    for source in project.live:
        for call in source.calls_of("runtime.live.channel", "runtime.live.room"):
            for option in call.keywords:
                if option.arg == "access":
                    yield source, option.value, source.segment(call.func)


class AnonymousConnections(Rule):
    """SEC003."""

    id = "SEC003"
    severity = Severity.WARNING
    title = "connections have no user"
    why = "Without an upgrade hook everybody is let in as nobody, and guards that ask for a user refuse all."
    how = "write async def upgrade(cookies) in hooks.py, or take this rule out in an app without accounts"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for the hook."""
        if has_hook(project, "upgrade") or _broken(project) or not project.settings.get("websocket.enabled"):
            return
        yield self.on(
            _place(project), Span(), "no upgrade hook: connections are anonymous, ctx.user is always None"
        )


def _broken(project: Project) -> bool:
    """Return whether the hooks cannot be read: then nothing is said of what is in them."""
    return project.hooks is not None and project.hooks.tree is None


def _functions(project: Project) -> Iterator[tuple[Source, ast.FunctionDef | ast.AsyncFunctionDef]]:
    hooks = project.hooks
    if hooks is not None and hooks.tree is not None:
        for node in hooks.functions:
            if hooks.function(node) is None and not isinstance(hooks.parent(node), ast.ClassDef):
                yield hooks, node


class NearHook(Rule):
    """CFG016."""

    id = "CFG016"
    severity = Severity.WARNING
    title = "a function with nearly the name of a hook"
    why = "It is no hook: nobody calls it, and what it should decide is not decided."
    how = "give it the name of the hook, or one that is further away"
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare the names of public functions with those of the hooks."""
        for source, node in _functions(project):
            if node.name.startswith("_") or node.name in HOOKS:
                continue
            meant = meant_hook(node.name, is_function=not _is_used(project, source, node.name))
            if meant is None:
                continue
            is_form = meant == node.name.lower() or node.name.replace("_", "").lower() == meant.replace(
                "_", ""
            )
            is_own = is_form and not _is_used_elsewhere(project, source, node.name)
            edits = self._edits(source, node, meant) if is_own else ()
            message = f"{node.name} is no hook; is {meant} meant?"
            yield self.at(source, node, message, f"rename it to {meant}", edits)

    def _edits(
        self, source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef, name: str
    ) -> tuple[Edit, ...]:
        """Rename the definition and whatever reads it in the file, unless that name is taken."""
        if source.tree is None or name in source.bound.scopes[source.tree].names:
            return ()
        if any(
            node.name in str(one.value) for one in source.nodes(ast.Constant) if isinstance(one.value, str)
        ):
            return ()  # such as a name in __all__
        line = source.lines[node.lineno - 1]
        column = line.find(node.name, line.find("def ", source.span(node).col - 1) + 4) + 1
        if not column:
            return ()
        edits = [Edit(source.path, Span(node.lineno, column, node.lineno, column + len(node.name)), name)]
        edits += [
            Edit(source.path, source.span(one), name)
            for one in source.nodes(ast.Name)
            if one.id == node.name and source.scope(one).find(one.id) == source.scope(node).find(node.name)
        ]
        return tuple(edits)


def _is_used(project: Project, source: Source, name: str) -> bool:
    """Return whether a function of the hooks is read, there or in another file."""
    return any(node.id == name for node in source.nodes(ast.Name)) or _is_used_elsewhere(
        project, source, name
    )


def _is_used_elsewhere(project: Project, source: Source, name: str) -> bool:
    wanted = f"{source.module}.{name}"
    return any(
        other.name(one) == wanted
        for other in project.sources.values()
        if other is not source and name in other.text
        for one in other.nodes(ast.Name, ast.Attribute)
    )


def _is_rewritten(source: Source, node: FunctionNode) -> bool:
    """Return whether a decorator may give a function other parameters."""
    names = [source.name(one) or "" for one in node.decorator_list]
    return any(not name.startswith(("functools.cache", "functools.lru_cache", "typing.")) for name in names)


class UnknownParameter(Rule):
    """CFG017."""

    id = "CFG017"
    severity = Severity.ERROR
    title = "a hook asks for something that it cannot get"
    why = "Parameters of hooks are filled by their names; with one that is unknown the server does not start."
    how = "take one of the names that the hook knows, or give the parameter a default"
    blocking = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare the parameters of hooks with those that each may have."""
        for name, source, node in project.hook_functions:
            known, arguments = HOOKS[name], node.args
            if _is_rewritten(source, node):
                continue
            every = [*arguments.posonlyargs, *arguments.args]
            required = every[: len(every) - len(arguments.defaults)]
            pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            required += [one for one, default in pairs if default is None]
            for argument in required:
                if argument.arg not in known and argument.arg != "ctx":
                    message = f"the hook {name} has no {argument.arg!r}"
                    names = ", ".join([*known, "ctx"])
                    yield self.at(source, argument, message, f"it may ask for {names}")
