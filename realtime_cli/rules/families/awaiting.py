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
    "runtime.default_lock().with_lock",
    "runtime.get_platform().subscribe",
    "runtime.get_platform().check_subscribe",
    "runtime.get_platform().request",
)
#: Builtins that hand on what is in a container; the others, and what the framework offers, await nothing.
HANDS_ON = frozenset(
    f"builtins.{name}()"
    for name in (
        "list",
        "tuple",
        "set",
        "iter",
        "map",
        "zip",
        "enumerate",
        "reversed",
        "sorted",
        "dict",
        "filter",
    )
)
_CONTAINERS = (
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.Starred,
    ast.ListComp,
    ast.SetComp,
    ast.GeneratorExp,
    ast.DictComp,
    ast.Dict,
)


def is_left(source: Source, node: ast.expr) -> bool:
    """Return whether what an expression gives is neither awaited nor handed on to somebody who may await it."""
    parent = source.parent(node)
    match parent:
        case (
            ast.Await()
            | ast.Return()
            | ast.Yield()
            | ast.YieldFrom()
            | ast.Lambda()
            | ast.withitem()
            | ast.AugAssign()
        ):
            return False
        case ast.keyword():
            call = source.parent(parent)
            return isinstance(call, ast.Call) and _awaits_nothing(source, call)
        case ast.Call():
            if node is parent.func:
                return True
            if (source.name(parent) or "") in HANDS_ON:
                return is_left(source, parent)
            return _awaits_nothing(source, parent)
        case ast.BoolOp(values=values) if node is values[-1]:
            return is_left(source, parent)
        case ast.IfExp(test=test) if node is not test:
            return is_left(source, parent)
        case ast.Dict() | ast.List() | ast.Tuple() | ast.Set() | ast.Starred():
            return is_left(source, parent)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            return is_left(source, parent)
        case ast.NamedExpr(target=target):
            return is_left(source, parent) and not _is_read(source, parent, [target])
        case ast.Assign(targets=targets):
            return not _is_read(source, parent, targets)
        case ast.AnnAssign(target=target):
            return not _is_read(source, parent, [target])
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            return isinstance(node, ast.Call)
        case _:
            return True


def _awaits_nothing(source: Source, call: ast.Call) -> bool:
    """Return whether what is called is known to leave alone what it is given: `any`, `print`, `ctx.publish`."""
    name = source.name(call.func) or ""
    method = name.rpartition(".")[2]
    return name.startswith(("builtins.", "json.")) or (
        name.startswith(("@ctx.publish", "@platform.publish", "@ctx.send", "@platform.send"))
        and method not in {"spawn", "create_task"}
    )


def _is_read(source: Source, statement: ast.AST, targets: list[ast.expr]) -> bool:
    """Return whether somebody may await what was assigned: by its name in the function, or from elsewhere."""
    function = source.function(statement)
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    if function is None or len(names) < len(targets):
        return True
    later = [one for one in source.own(function) if isinstance(one, ast.Name) and one.id in names]
    return any(
        isinstance(one.ctx, ast.Load) and not is_left(source, one) and not _is_tested(source, one)
        for one in later
    )


def _is_tested(source: Source, node: ast.Name) -> bool:
    return isinstance(source.parent(node), ast.If | ast.While | ast.Compare | ast.UnaryOp)


def is_old_answer(source: Source, call: ast.Call) -> bool:
    """Return whether a call that is not awaited is used as in 0.4, where `subscribe` and `check_subscribe` answered."""
    if (source.name(call.func) or "").rpartition(".")[2] not in {"subscribe", "check_subscribe"}:
        return False
    parent = source.parent(call)
    while isinstance(parent, _CONTAINERS):
        parent = source.parent(parent)
    return not isinstance(parent, ast.Expr)


def awaited(source: Source, call: ast.Call) -> tuple[Edit, ...]:
    """Return the edits that put `await` in front of a call, where that may stand: in an async function."""
    if not may_await(source, call) or source.in_text(call):
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


def may_await(source: Source, node: ast.AST) -> bool:
    """Return whether `await` may stand at a node: in an async function, and not in what runs later or elsewhere."""
    for above in source.parents(node):
        if isinstance(above, ast.Lambda | ast.GeneratorExp):
            return False
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return source.function(node) is above and isinstance(above, ast.AsyncFunctionDef)
    return False


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
                given = call.args[0] if call.args else None
                given = given or next((k.value for k in call.keywords if k.arg == "filter"), None)
                if given is not None and self._is_async(project, source, given):
                    text = source.segment(given)[:60]
                    yield self.at(source, given, f"{text} is async: send_to cannot wait for it")

    def _is_async(self, project: Project, source: Source, given: ast.expr) -> bool:
        found = project.function_of(source, given)
        if found is None:
            return False
        where, function = found
        if not isinstance(function, ast.Lambda):
            return isinstance(function, ast.AsyncFunctionDef)
        calls = isinstance(function.body, ast.Call) and self._is_async(project, where, function.body.func)
        return calls or any(isinstance(node, ast.Await) for node in ast.walk(function.body))


def _is_sent_to_hook(project: Project, source: Source, call: ast.Call, topic: ast.expr) -> bool:
    function = source.function(call)
    flow = project.flow_by_node.get(function) if function is not None else None
    return flow is not None and flow.is_sent(topic)


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
                topic = next(iter([*call.args, *(k.value for k in call.keywords if k.arg == "topic")]), None)
                if topic is None or isinstance(project.value(source, topic)[1], ast.Constant):
                    continue
                if source.kind == "hooks" and not _is_sent_to_hook(project, source, call, topic):
                    continue  # what the app itself chose for a connection
                yield self.at(
                    source,
                    call,
                    f"{source.segment(call.func)} does not ask the subscribe hook",
                    edits=self._edits(source, call),
                )

    def _edits(self, source: Source, call: ast.Call) -> tuple[Edit, ...]:
        """Write it over platform, where the ctx is at hand and the call is a statement of its own."""
        parent = source.parent(call)
        statement = parent if isinstance(parent, ast.Expr) else source.parent(parent) if parent else None
        is_alone = isinstance(parent, ast.Expr | ast.Await) and isinstance(statement, ast.Expr)
        whole = source.segment(call.func)
        if (
            not may_await(source, call)
            or not is_alone
            or not call.args
            or "\n" in whole
            or not whole.endswith(".ws.subscribe")
        ):
            return ()
        ctx = whole.removesuffix(".ws.subscribe")
        start = "" if isinstance(parent, ast.Await) else "await "
        text = f"{start}{ctx}.platform.subscribe({ctx}.ws, "
        span, first = source.span(call), source.span(call.args[0])
        return (Edit(source.path, Span(span.line, span.col, first.line, first.col), text),)
