"""Calls that give a coroutine, and are not awaited. Spec: platform 8.4."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

__all__ = ["AsyncFilter", "BypassedGate", "NeverAwaited", "awaited", "is_left", "is_old_answer"]

COROUTINES = (
    "@platform.subscribe",
    "@platform.check_subscribe",
    "@platform.request",
    "runtime.live.push",
    "runtime.Lock().with_lock",
    "runtime.DistributedLock().with_lock",
)
#: Where a coroutine may go without `await`: whoever takes it awaits it.
TAKERS = frozenset(
    {
        "asyncio.gather",
        "asyncio.wait_for",
        "asyncio.shield",
        "asyncio.create_task",
        "asyncio.ensure_future",
        "asyncio.run",
        "asyncio.wait",
        "asyncio.timeout",
    }
)


def is_left(source: Source, call: ast.Call) -> bool:
    """Return whether what a call gives is neither awaited nor handed on to be awaited."""
    parent = source.parent(call)
    if isinstance(parent, ast.Await | ast.Return | ast.Yield | ast.Lambda):
        return False
    if isinstance(parent, ast.Call):
        name = source.name(parent.func) or ""
        method = parent.func.attr if isinstance(parent.func, ast.Attribute) else ""
        return not (name in TAKERS or method in {"create_task", "start", "start_soon", "append", "add"})
    if isinstance(parent, ast.List | ast.Tuple | ast.Starred | ast.ListComp | ast.GeneratorExp):
        return False
    if isinstance(parent, ast.Assign | ast.AnnAssign | ast.NamedExpr):
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        function = source.function(call)
        inside = ast.walk(function) if function is not None else iter(())
        later = [node for node in inside if isinstance(node, ast.Name) and node.id in names]
        return not any(_is_taken(source, node) for node in later)
    return True


def is_old_answer(source: Source, call: ast.Call) -> bool:
    """Return whether a call that is not awaited is used as in 0.4, where `subscribe` and `check_subscribe` answered."""
    if source.name(call.func) not in {"@platform.subscribe", "@platform.check_subscribe"}:
        return False
    return not isinstance(source.parent(call), ast.Expr)


def _is_taken(source: Source, node: ast.Name) -> bool:
    parent = source.parent(node)
    return isinstance(parent, ast.Await | ast.Return | ast.Yield | ast.Call | ast.List | ast.Tuple)


def awaited(source: Source, call: ast.Call) -> tuple[Edit, ...]:
    """Return the edits that put `await` in front of a call, where that may stand: in an async function."""
    function = source.function(call)
    if not isinstance(function, ast.AsyncFunctionDef):
        return ()
    parent = source.parent(call)
    tight = isinstance(parent, ast.Attribute | ast.Subscript | ast.BinOp | ast.Call) and not (
        isinstance(parent, ast.Call) and call is not parent.func
    )
    span = source.span(call)
    start = Edit(
        source.path, Span(span.line, span.col, span.line, span.col), "(await " if tight else "await "
    )
    end = Span(span.end_line, span.end_col, span.end_line, span.end_col)
    return (start, Edit(source.path, end, ")")) if tight else (start,)


class NeverAwaited(Rule):
    """LIV014."""

    id = "LIV014"
    severity = Severity.ERROR
    title = "a coroutine that is never awaited"
    why = (
        "Nothing happens: nobody is subscribed, pushed to or asked. As a condition it is always true, so that a check "
        "lets everybody in."
    )
    how = "await it"
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at calls of what is known to be async."""
        for source in project.code:
            for call in source.calls_of(*COROUTINES):
                if is_left(source, call) and not is_old_answer(source, call):
                    name = (
                        (source.name(call.func) or "")
                        .replace("@", "")
                        .replace("runtime.", "")
                        .replace("()", "")
                    )
                    message = f"coroutine of {name} is never awaited"
                    yield self.at(source, call, message, edits=awaited(source, call))


class AsyncFilter(Rule):
    """LIV015."""

    id = "LIV015"
    severity = Severity.WARNING
    title = "a filter of send_to that is async"
    why = "A filter is asked for each connection in the middle of a send and cannot wait: an async one matches nobody."
    how = "put what the filter needs into the user in the upgrade hook, and compare that"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at what `send_to` is given."""
        for source in project.code:
            for call in source.calls_of("@platform.send_to", "runtime.send_to"):
                given = (
                    call.args[0]
                    if call.args
                    else next((k.value for k in call.keywords if k.arg == "filter"), None)
                )
                if given is not None and self._is_async(project, source, given):
                    yield self.at(
                        source, given, f"{source.segment(given)[:60]} is async: send_to cannot wait for it"
                    )

    def _is_async(self, project: Project, source: Source, given: ast.expr) -> bool:
        if isinstance(given, ast.Lambda):
            return any(isinstance(node, ast.Await) for node in ast.walk(given)) or (
                isinstance(given.body, ast.Call) and self._is_async(project, source, given.body.func)
            )
        if isinstance(given, ast.Name):
            found = source.scope(given).find(given.id)
            if found and any(isinstance(one.node, ast.AsyncFunctionDef) for one in found[1]):
                return True
        name = source.name(given)
        defined = project.definition(name) if name else None
        return defined is not None and isinstance(defined[1], ast.AsyncFunctionDef)


class BypassedGate(Rule):
    """LIV018."""

    id = "LIV018"
    severity = Severity.WARNING
    title = "a subscription that asks nobody"
    why = "ws.subscribe does not ask the subscribe hook, so that whoever calls this gets any topic."
    how = "await platform.subscribe(ws, topic)"
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for `ws.subscribe` with a topic that is no fixed text."""
        for source in project.code:
            for call in source.calls_of("@ws.subscribe"):
                topic = call.args[0] if call.args else None
                if topic is None or isinstance(topic, ast.Constant):
                    continue
                yield self.at(
                    source,
                    call,
                    f"{source.segment(call.func)} does not ask the subscribe hook",
                    edits=self._edits(source, call),
                )

    def _edits(self, source: Source, call: ast.Call) -> tuple[Edit, ...]:
        """Write it over platform, where the ctx is at hand and the call is a statement of its own."""
        function, parent = source.function(call), source.parent(call)
        statement = parent if isinstance(parent, ast.Expr) else source.parent(parent) if parent else None
        is_alone = isinstance(parent, ast.Expr | ast.Await) and isinstance(statement, ast.Expr)
        whole = source.segment(call.func)
        if (
            not isinstance(function, ast.AsyncFunctionDef)
            or not is_alone
            or not whole.endswith(".ws.subscribe")
        ):
            return ()
        ctx = whole.removesuffix(".ws.subscribe")
        start = "" if isinstance(parent, ast.Await) else "await "
        text = f"{start}{ctx}.platform.subscribe({ctx}.ws, "
        span, first = source.span(call), source.span(call.args[0])
        return (Edit(source.path, Span(span.line, span.col, first.line, first.col), text),)
