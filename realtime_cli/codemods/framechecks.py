"""Comparisons of the event and the data of a frame, as hand-written consumers make them. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from realtime_cli.codemods.definitions import body_nodes
from realtime_cli.codemods.literals import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["compared_with_none", "event_comparisons", "is_field"]


def is_field(node: cst.CSTNode, name: str) -> bool:
    """Say whether an expression reads a field of a frame: by a name, attribute, key or ``get``."""
    if isinstance(node, cst.Name):
        return node.value == name
    if isinstance(node, cst.Attribute):
        return node.attr.value == name
    if isinstance(node, cst.Subscript) and len(node.slice) == 1:
        index = node.slice[0].slice
        return isinstance(index, cst.Index) and text_of(index.value) == name
    return (
        isinstance(node, cst.Call)
        and isinstance(node.func, cst.Attribute)
        and node.func.attr.value == "get"
        and bool(node.args)
        and text_of(node.args[0].value) == name
    )


def event_comparisons(file: PythonFile, event: str) -> Iterator[cst.CSTNode]:
    """Yield what compares the event of a frame with a name: ``event == "end"``, ``in (...)``, ``case "end":``."""
    for node in file.nodes(cst.Comparison):
        if not is_field(node.left, "event") or len(node.comparisons) != 1:
            continue
        right = node.comparisons[0].comparator
        named = (
            [one.value for one in right.elements]
            if isinstance(right, cst.Tuple | cst.List | cst.Set)
            else [right]
        )
        if any(text_of(one) == event for one in named):
            yield node
    for case in file.nodes(cst.MatchCase):
        block = file.parents.get(case)
        if (
            isinstance(block, cst.Match)
            and is_field(block.subject, "event")
            and isinstance(case.pattern, cst.MatchValue)
            and text_of(case.pattern.value) == event
        ):
            yield case


def compared_with_none(file: PythonFile, holder: cst.CSTNode, field: str) -> cst.CSTNode | None:
    """Return the comparison of a field with None in a branch: in its condition, or below it."""
    places = [holder.test, holder.body] if isinstance(holder, cst.If | cst.IfExp) else [holder]
    for place in places:
        for node in body_nodes(file, place, cst.Comparison):
            if (
                isinstance(node, cst.Comparison)
                and is_field(node.left, field)
                and len(node.comparisons) == 1
                and isinstance(node.comparisons[0].operator, cst.Is | cst.Equal)
                and isinstance(node.comparisons[0].comparator, cst.Name)
                and node.comparisons[0].comparator.value == "None"
            ):
                return node
    return None
