"""The proof that an edit changed nothing but what it names. Spec: upgrade 3.5."""

from __future__ import annotations

import ast
import io
import tokenize
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING

from realtime_cli.codemods.splices import moved_offset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from realtime_cli.codemods.splices import Splice

__all__ = ["UnprovedEdit", "prove"]

_Key = tuple[object, ...]


class UnprovedEdit(Exception):
    """Something outside of the recorded replacements would change; the message says what."""


class _Side:
    """One of the two texts: which stretches of it are replaced, and where a byte of it is in the new text."""

    def __init__(self, data: bytes, splices: Sequence[Splice], *, after: bool) -> None:
        self.data, self.splices, self.after = data, splices, after
        self.starts = _line_starts(data)
        self.touched: list[tuple[int, int]] = []
        shift = 0
        for one in sorted(splices):
            start = one.start + shift if after else one.start
            self.touched.append((start, start + len(one.text) if after else one.end))
            shift += len(one.text) - (one.end - one.start)
        self.begins = [start for start, _ in self.touched]

    def at(self, line: int, col: int) -> int:
        return self.starts[line - 1] + col

    def is_touched(self, start: int, end: int) -> bool:
        index = bisect_right(self.begins, end)
        for begin, finish in self.touched[max(index - 1, 0) :: -1] if index else ():
            if begin == finish:
                if start < begin < end:
                    return True
            elif begin < end and start < finish:
                return True
        return False

    def at_edge_of(self, start: int) -> bool:
        return any(begin <= start <= finish for begin, finish in self.touched)

    def moved(self, start: int, end: int) -> tuple[int, int]:
        if self.after:
            return start, end
        return moved_offset(start, self.splices), moved_offset(end, self.splices, end=True)


def _line_starts(data: bytes) -> list[int]:
    starts = [0]
    at = 0
    while at < len(data):
        if data[at] == 13 and data[at + 1 : at + 2] == b"\n":
            at += 1
        if data[at] in (10, 13):
            starts.append(at + 1)
        at += 1
    return [*starts, len(data)]


def prove(before: bytes, after: bytes, splices: Sequence[Splice]) -> None:
    """Compare two UTF-8 texts of a Python file, the second made from the first by `splices`.

    Every node and comment that no replacement touches has to be there in both, in the same place below the same kind
    of node.

    Raises:
        UnprovedEdit: it is not, or the new text does not parse.
    """
    try:
        new = ast.parse(after)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        raise UnprovedEdit(f"the new text does not parse: {problem}") from None
    old = ast.parse(before)
    sides = _Side(before, splices, after=False), _Side(after, splices, after=True)
    gone = Counter(_nodes(old, sides[0]))
    gone.subtract(Counter(_nodes(new, sides[1])))
    differing = [key for key, count in gone.items() if count]
    if differing:
        raise UnprovedEdit(f"{differing[0][0]} at byte {differing[0][1]} would change")
    if list(_comments(sides[0])) != list(_comments(sides[1])):
        raise UnprovedEdit("a comment would change")


def _nodes(tree: ast.AST, side: _Side) -> Iterator[_Key]:
    stack: list[tuple[ast.AST, _Key]] = [(child, ("Module",)) for child in ast.iter_child_nodes(tree)]
    while stack:
        node, above = stack.pop()
        here = above
        if isinstance(node, ast.expr | ast.stmt | ast.arg | ast.keyword | ast.alias | ast.excepthandler):
            start = side.at(node.lineno, node.col_offset)
            end = side.at(node.end_lineno or node.lineno, node.end_col_offset or 0)
            kind = type(node).__name__
            block = getattr(node, "body", None)
            if isinstance(block, list) and block:
                # A block ends where its last statement does, and statements may be added: only its head counts.
                end = side.at(block[0].lineno, block[0].col_offset) if hasattr(block[0], "lineno") else start
            moved = side.moved(start, end)
            # What begins or ends exactly where something is inserted may be longer or shorter by it.
            at_edge = side.at_edge_of(start) or side.at_edge_of(end)
            if not side.is_touched(start, end) and not at_edge:
                place = (moved[0],) if isinstance(block, list) else moved
                yield (kind, *place, above, *_values(node))
            here = (kind, moved[0]) if not side.at_edge_of(start) else ("edited",)
        stack.extend((child, here) for child in ast.iter_child_nodes(node))


def _values(node: ast.AST) -> Iterator[object]:
    """Yield what a node says by itself, without the nodes below it."""
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST | list):
            continue
        yield name, type(value).__name__, repr(value)


def _comments(side: _Side) -> Iterator[str]:
    try:
        for token in tokenize.tokenize(io.BytesIO(side.data).readline):
            if token.type != tokenize.COMMENT:
                continue
            line = side.data[side.starts[token.start[0] - 1] :].split(b"\n", 1)[0]
            start = side.starts[token.start[0] - 1] + len(line.decode()[: token.start[1]].encode())
            if not side.is_touched(start, start + len(token.string.encode())):
                yield token.string
    except (tokenize.TokenError, SyntaxError, IndentationError):
        return
