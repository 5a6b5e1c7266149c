"""What in a file is the Python client: connections, their status, their streams' values. Spec: live-api 26."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["CLIENT", "is_client_configure", "is_status", "is_stream_value"]

CLIENT = "runtime.client"
_CONNECTIONS = (
    f"{CLIENT}.connect()",
    f"{CLIENT}.Connection()",
    f"{CLIENT}.Client()",
    f"{CLIENT}.RealtimeClient()",
)


def is_client_configure(file: PythonFile, call: cst.Call) -> bool:
    """Say whether a call configures the client: of the module, or of a connection."""
    return file.names.is_a(call.func, f"{CLIENT}.configure", *(f"{one}.configure" for one in _CONNECTIONS))


def is_status(file: PythonFile, node: cst.CSTNode) -> bool:
    """Say whether an expression is the text of a connection's status.

    That is ``.status.value``, or the argument of a function that is given to ``.status.subscribe``.
    """
    status = (f"{CLIENT}.status", *(f"{one}.status" for one in _CONNECTIONS))
    if file.names.is_a(node, *(f"{one}.value" for one in status)):
        return True
    return isinstance(node, cst.Name) and _is_callback_value(
        file, node, tuple(f"{one}.subscribe" for one in status)
    )


def is_stream_value(file: PythonFile, node: cst.CSTNode) -> bool:
    """Say whether an expression is a value that a stream of a connection brought.

    The variable of ``async for value in conn.stream(...)``, ``.value`` of a stream, or the argument of a function that
    is given to its ``.subscribe``.
    """
    streams = tuple(f"{one}.stream()" for one in _CONNECTIONS)
    if file.names.is_a(node, *(f"{one}.value" for one in streams)):
        return True
    if not isinstance(node, cst.Name):
        return False
    scope = file.scope(node)
    for loop in file.nodes(cst.For):
        if isinstance(loop.target, cst.Name) and loop.target.value == node.value:
            start, end = file.span(loop)
            inside = start <= file.span(node)[0] < end and file.scope(loop.target) is scope
            if inside and file.names.is_a(loop.iter, *streams):
                return True
    return _is_callback_value(file, node, tuple(f"{one}.subscribe" for one in streams))


def _is_callback_value(file: PythonFile, node: cst.Name, subscribes: tuple[str, ...]) -> bool:
    """Say whether a name is the first parameter of a function that goes to one of these calls."""
    scope = file.scope(node)
    if scope is None or node.value not in scope:
        return False
    bindings = list(scope[node.value])
    if len(bindings) != 1:
        return False
    param = getattr(bindings[0], "node", None)
    if isinstance(param, cst.Name):
        param = file.parents.get(param)
    if not isinstance(param, cst.Param):
        return False
    function = next(
        (above for above in file.around(param) if isinstance(above, cst.FunctionDef | cst.Lambda)), None
    )
    if function is None or not function.params.params or function.params.params[0] is not param:
        return False
    for call in file.calls("subscribe"):
        if not call.args or not file.names.is_a(call.func, *subscribes):
            continue
        value = call.args[0].value
        if value is function:
            return True
        if isinstance(function, cst.FunctionDef) and isinstance(value, cst.Name):
            taken = file.scope(value)
            found = list(taken[value.value]) if taken is not None and value.value in taken else []
            if len(found) == 1 and getattr(found[0], "node", None) is function:
                return True
    return False
