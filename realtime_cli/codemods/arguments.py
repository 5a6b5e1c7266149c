"""Arguments of calls: finding one, and adding a keyword in the call's own style. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["added_keyword", "argument", "has_stars", "without_argument"]


def argument(call: cst.Call, keyword: str, position: int | None = None) -> cst.Arg | None:
    """Return the argument given under a keyword, or at a position (from 0); None if it is not, or behind a star."""
    for at, one in enumerate(call.args):
        if one.star == "*":
            position = None
        elif one.keyword is not None:
            if one.keyword.value == keyword:
                return one
        elif not one.star and at == position:
            return one
    return None


def has_stars(call: cst.Call) -> bool:
    """Say whether a call hands on ``*args`` or ``**options``, in which anything may be."""
    return any(one.star for one in call.args)


def added_keyword(file: PythonFile, call: cst.Call, text: str) -> list[Splice]:
    """Return the replacements that make ``text``, as ``table="x"``, the last argument of a call.

    It gets a line of its own if the last argument has one. Empty if it cannot be added: the one argument is a generator
    without parentheses.
    """
    _, end = file.span(call)
    if not call.args:
        return [Splice(end - 1, end - 1, text.encode())]
    last = call.args[-1]
    if isinstance(last.value, cst.GeneratorExp) and not last.value.lpar:
        return []
    stop = file.span(last)[1]
    for (
        parenthesis
    ) in last.value.rpar:  # the place of an argument does not hold the parentheses around its value
        stop = max(stop, file.span(parenthesis)[1])
    start = file.span(last)[0]
    line = file.line_start(start)
    margin = file.data[line:start]
    comma = isinstance(last.comma, cst.Comma)
    if margin.strip() or line <= file.span(call)[0]:
        if comma:
            at = file.span(last.comma)[1]  # type: ignore[arg-type]  # a comma, no sentinel
            return [Splice(at, at, f" {text},".encode())]
        return [Splice(stop, stop, f", {text}".encode())]
    newline = file.newline(start)
    if comma:
        stop = max(stop, file.span(last.comma)[1])  # type: ignore[arg-type]  # a comma, no sentinel
    below = file.line_end(stop)
    if below > end - 1:  # the closing parenthesis stands on the line of the last argument
        lead = b"" if comma else b","
        return [Splice(stop, stop, lead + newline + margin + text.encode() + (b"," if comma else b""))]
    added = Splice(below, below, margin + text.encode() + (b"," if comma else b"") + newline)
    return [added] if comma else [Splice(stop, stop, b","), added]


def without_argument(file: PythonFile, call: cst.Call, gone: cst.Arg) -> Splice:
    """Return the replacement that takes an argument and its comma out of a call."""
    index = next(at for at, one in enumerate(call.args) if one is gone)
    start, end = file.span(gone)
    if index + 1 < len(call.args):
        return Splice(start, file.span(call.args[index + 1])[0], b"")
    if index:
        before = call.args[index - 1]
        start = file.span(before)[1]
        for parenthesis in before.value.rpar:
            start = max(start, file.span(parenthesis)[1])
        if isinstance(gone.comma, cst.Comma) and isinstance(before.comma, cst.Comma):
            start = file.span(before.comma)[1]
            end = max(end, file.span(gone.comma)[1])
        return Splice(start, end, b"")
    return Splice(
        start, max(end, file.span(gone.comma)[1] if isinstance(gone.comma, cst.Comma) else end), b""
    )
