"""Statements taken out of a block and put into one, with the blank lines and comments that belong to them.

A file that a formatter leaves alone is one that it leaves alone afterwards.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import libcst as cst

from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["behind_comments", "behind_head", "needs_blank_after", "taken_out", "without_own_comments"]


def _is_blank(file: PythonFile, start: int) -> bool:
    return not file.data[start : file.line_end(start)].strip()


def _line_above(file: PythonFile, at: int) -> int:
    """Return where the line begins that is above the one that begins at a place."""
    return file.line_start(at - 1 - (file.data[at - 2 : at] == b"\r\n"))


def _blanks_above(file: PythonFile, at: int) -> int:
    """Return where the blank lines directly above a line begin."""
    while at:
        above = _line_above(file, at)
        if not _is_blank(file, above):
            break
        at = above
    return at


def _blanks_below(file: PythonFile, at: int) -> int:
    """Return where the blank lines that begin at a line end."""
    while at < len(file.data) and _is_blank(file, at):
        at = file.line_end(at)
    return at


def taken_out(
    file: PythonFile, function: cst.FunctionDef, lines: Sequence[cst.BaseStatement]
) -> list[Splice]:
    """Return the replacements that take statements out of a function's block, with the comments directly above them.

    Of the blank lines on both sides the more numerous stay; none at the start or end of the block. Something has to be
    left in the block.
    """
    places = [(file.comment_lines_above(one), file.line_end(file.span(one)[1])) for one in lines]
    runs: list[list[int]] = []
    for start, end in sorted(places):
        if runs and start <= _blanks_below(file, runs[-1][1]):
            runs[-1][1] = end
        else:
            runs.append([start, end])
    block_end = behind_comments(file, function)
    splices = []
    for start, end in runs:
        above, below = _blanks_above(file, start), _blanks_below(file, end)
        if end >= block_end:
            start = above
        elif above <= behind_head(file, function) or file.data[end:below].count(b"\n") <= file.data[
            above:start
        ].count(b"\n"):
            end = below
        else:
            start = above
        splices.append(Splice(start, end, b""))
    return splices


def behind_head(file: PythonFile, function: cst.FunctionDef) -> int:
    """Return where the line behind the head of a function with a block begins: before comments and blank lines."""
    at = file.comment_lines_above(function.body.body[0])
    while True:
        above = _blanks_above(file, at)
        comments = _comments_above(file, above)
        if comments == at:
            return at
        at = comments


def _comments_above(file: PythonFile, at: int) -> int:
    while at:
        above = _line_above(file, at)
        if not file.data[above:at].lstrip().startswith(b"#"):
            break
        at = above
    return at


def behind_comments(file: PythonFile, function: cst.FunctionDef) -> int:
    """Return where the lines of a function with a block end, with the comments at the block's end."""
    last = function.body.body[-1]
    margin = len(file.indent(last))
    end = at = file.line_end(file.span(last)[1])
    while at < len(file.data):
        line = file.data[at : file.line_end(at)]
        text = line.lstrip(b" \t\f")
        if text.strip() and not (text.startswith(b"#") and len(line) - len(text) >= margin):
            break
        at = file.line_end(at)
        if text.strip():
            end = at
    return end


def needs_blank_after(node: cst.CSTNode) -> bool:
    """Say whether formatters want a blank line between a statement and its neighbours: functions and classes."""
    return isinstance(node, cst.FunctionDef | cst.ClassDef)


def without_own_comments(file: PythonFile, function: cst.FunctionDef, gone: Iterable[Splice]) -> bool:
    """Say whether a function's block has no comment outside of what is taken out."""
    places = [(0, behind_head(file, function)), *sorted((one.start, one.end) for one in gone)]
    places.append((behind_comments(file, function), len(file.data)))
    return not any(b"#" in file.data[end:start] for (_, end), (start, _) in pairwise(places))
