"""Awaiting a call: whether it is done already, and how to write it where it stands. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from realtime_cli.codemods.pythonfile import PythonFile
    from realtime_cli.codemods.splices import Splice

__all__ = ["awaited_splices", "is_awaited"]


def is_awaited(file: PythonFile, call: cst.Call) -> bool:
    """Say whether the value of a call is awaited: there, or through the name that it is given."""
    parent = file.parents.get(call)
    if isinstance(parent, cst.Await):
        return True
    if isinstance(parent, cst.IfExp) and parent.test is not call:
        return isinstance(file.parents.get(parent), cst.Await)
    if not isinstance(parent, cst.Assign) or len(parent.targets) != 1:
        return False
    target = parent.targets[0].target
    scope = file.scope(target)
    if not isinstance(target, cst.Name) or scope is None or target.value not in scope:
        return False
    return any(
        isinstance(file.parents.get(access.node), cst.Await)
        for binding in scope[target.value]
        for access in binding.references
    )


def awaited_splices(file: PythonFile, call: cst.Call) -> list[Splice]:
    """Return the replacements that put ``await`` in front of a call, in parentheses where more is done with it."""
    parent = file.parents.get(call)
    needs = not call.lpar and (
        (isinstance(parent, cst.Attribute | cst.Subscript) and parent.value is call)
        or (isinstance(parent, cst.Call) and parent.func is call)
    )
    if needs:
        return [file.before(call, "(await "), file.after(call, ")")]
    return [file.before(call, "await ")]
