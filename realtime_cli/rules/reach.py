"""Which functions a client's call leads to, across the files of a project, and what they are given on the way."""

from __future__ import annotations

import ast
from collections import deque
from typing import TYPE_CHECKING

from realtime_cli.rules.scopes import FunctionNode
from realtime_cli.rules.taint import SENT_TO_HOOKS, Flow, flow_of, handler_flow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

__all__ = ["flows_from_clients", "functions_in_loop"]

MAX_FLOWS = 20_000  # functions that are followed
#: What calls a function that it is given, in a thread or a task, with the arguments behind it.
CALLERS = {
    "asyncio.to_thread": 0,
    "anyio.to_thread.run_sync": 0,
    "starlette.concurrency.run_in_threadpool": 0,
    "functools.partial": 0,
    "asyncio.get_running_loop().run_in_executor": 1,
    "asyncio.get_event_loop().run_in_executor": 1,
}


def flows_from_clients(project: Project) -> list[Flow]:
    """Return where values go in every function that clients reach: handlers, hooks and what these call."""
    flows: dict[FunctionNode, Flow] = {}
    waiting: deque[Flow] = deque()

    def take(flow: Flow) -> None:
        flows[flow.node] = flow
        waiting.append(flow)

    for handler in project.handlers:
        take(handler_flow(handler))
    for _, source, node in project.hook_functions:
        if node not in flows:
            take(flow_of(source, node, SENT_TO_HOOKS & set(_parameters(node))))
    while waiting and len(flows) < MAX_FLOWS:
        flow = waiting.popleft()
        for call, source, node, sent, caller in _calls(project, flow):
            known = flows.get(node)
            if known is None:
                take(flow_of(source, node, sent, caller, calls=[(flow, call)], handler=flow.handler))
            elif known.node is not flow.node:
                if not any(one is call for _, one in known.calls):
                    known.calls.append((flow, call))
                if not (sent <= known.sent and caller <= known.caller):
                    merged = flow_of(
                        source, node, sent | known.sent, caller | known.caller, known.calls, known.handler
                    )
                    take(merged)
    return list(flows.values())


def _parameters(node: FunctionNode) -> list[str]:
    arguments = node.args
    return [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _calls(
    project: Project, flow: Flow
) -> Iterator[tuple[ast.Call, Source, FunctionNode, set[str], set[str]]]:
    """Yield the functions of the project that a function calls, with the parameters that get input or the caller."""
    for call in flow.calls_made:
        function, given = call.func, call.args
        skipped = CALLERS.get(flow.source.name(call.func) or "")
        if skipped is not None and len(call.args) > skipped:
            function, given = call.args[skipped], call.args[skipped + 1 :]
        found = project.function_of(flow.source, function)
        if found is None or not isinstance(found[1], FunctionNode) or found[1] is flow.node:
            continue
        source, node = found[0], found[1]
        sent, caller = set[str](), set[str]()
        for name, value in _bound(source, node, given, call.keywords):
            if flow.is_sent(value):
                sent.add(name)
            if flow.is_caller(value):
                caller.add(name)
        yield call, source, node, sent, caller


def _bound(
    source: Source, node: FunctionNode, given: list[ast.expr], keywords: list[ast.keyword]
) -> Iterator[tuple[str, ast.expr]]:
    """Yield the parameters of a function with what a call gives them."""
    names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
    static = any(source.name(one) == "builtins.staticmethod" for one in node.decorator_list)
    if isinstance(source.parent(node), ast.ClassDef) and not static:
        names = names[1:]
    for index, value in enumerate(given):
        if isinstance(value, ast.Starred):
            for name in names[index:]:
                yield name, value.value
            break
        if index < len(names):
            yield names[index], value
        elif node.args.vararg is not None:
            yield node.args.vararg.arg, value
    known = set(_parameters(node))
    for keyword in keywords:
        if keyword.arg in known and keyword.arg is not None:
            yield keyword.arg, keyword.value
        elif keyword.arg is None:
            for name in known:
                yield name, keyword.value
        elif node.args.kwarg is not None:
            yield node.args.kwarg.arg, keyword.value


def functions_in_loop(project: Project, in_threads: set[FunctionNode]) -> set[FunctionNode]:
    """Return the functions that run in the event loop: async ones, plain handlers and hooks, and what these call."""
    waiting: deque[tuple[Source, FunctionNode]] = deque()
    for source in project.code:
        if source.kind in {"live", "hooks"} or source.module.startswith("live."):
            waiting.extend((source, node) for node in source.nodes(ast.AsyncFunctionDef))
    waiting.extend((one.source, one.node) for one in project.handlers if one.node not in in_threads)
    waiting.extend((source, node) for _, source, node in project.hook_functions)
    found: set[FunctionNode] = set()
    while waiting and len(found) < MAX_FLOWS:
        source, node = waiting.popleft()
        if node in found or node in in_threads:
            continue
        found.add(node)
        for call in source.own(node):
            if not isinstance(call, ast.Call) or source.function(call) is not node or in_lambda(source, call):
                continue
            called = project.function_of(source, call.func)
            if called is not None and isinstance(called[1], FunctionNode):
                waiting.append((called[0], called[1]))
    return found


def in_lambda(source: Source, node: ast.AST) -> bool:
    """Return whether a call is made later, by whoever is handed a lambda."""
    for above in source.parents(node):
        if isinstance(above, ast.Lambda):
            return True
        if isinstance(above, FunctionNode):
            return False
    return False
