"""The proof that an edit changed nothing but what it names. Spec: upgrade 3.5."""

from __future__ import annotations

import ast
import io
import tokenize
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING

from realtime_cli.codemods.splices import moved_offset
from realtime_cli.codemods.syntax import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from realtime_cli.codemods.splices import Splice

__all__ = ["UnprovedEdit", "prove"]

_Key = tuple[object, ...]


class UnprovedEdit(Exception):
    """Something outside of the recorded replacements would change; the message says what."""


class _Side:
    """One of the two texts: which stretches of it are replaced, and where a byte of it is in the new text."""

    def __init__(self, before: bytes, after: bytes | None, splices: Sequence[Splice]) -> None:
        self.data = before if after is None else after
        self.splices, self.after = splices, after is not None
        self.starts = _line_starts(self.data)
        self.touched: list[tuple[int, int]] = []
        self.open_behind: list[tuple[int, int]] = []
        self.open_before: list[tuple[int, int]] = []
        shift = 0
        for one in sorted(splices, key=lambda one: (one.start, one.end)):
            start = one.start + shift if self.after else one.start
            finish = start + len(one.text) if self.after else one.end
            self.touched.append((start, finish))
            shift += len(one.text) - (one.end - one.start)
            texts = one.text, before[one.start : one.end]
            if not all(_is_blank(text) or text.endswith(_BREAKS) for text in texts):
                self.open_behind.append((start, finish))
            if not all(_is_blank(text) or text.startswith(_BREAKS) for text in texts):
                self.open_before.append((start, finish))
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

    def may_begin_earlier(self, start: int) -> bool:
        """Say whether what stands directly before a node may have become, or been, a part of it: no whole line."""
        return any(begin <= start <= finish for begin, finish in self.open_behind)

    def may_end_later(self, end: int) -> bool:
        """Say the same of what stands directly behind a node."""
        return any(begin <= end <= finish for begin, finish in self.open_before)

    def moved(self, start: int, end: int) -> tuple[int, int]:
        if self.after:
            return start, end
        return moved_offset(start, self.splices), moved_offset(end, self.splices, end=True)


_BREAKS = (b"\n", b"\r")


def _is_blank(text: bytes) -> bool:
    return not text.strip()


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
        new = parsed(after)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        raise UnprovedEdit(f"the new text does not parse: {problem}") from None
    old = parsed(before)
    sides = _Side(before, None, splices), _Side(before, after, splices)
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
            at_edge = side.may_begin_earlier(start) or side.may_end_later(end)
            if not side.is_touched(start, end) and not at_edge:
                place = (moved[0],) if isinstance(block, list) else moved
                yield (kind, *place, above, *_values(node))
            here = (kind, moved[0]) if not side.may_begin_earlier(start) else ("edited",)
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
        for token in tokenize.generate_tokens(io.StringIO(side.data.decode()).readline):
            if token.type != tokenize.COMMENT:
                continue
            line = side.data[side.starts[token.start[0] - 1] :].split(b"\n", 1)[0]
            start = side.starts[token.start[0] - 1] + len(line.decode()[: token.start[1]].encode())
            if not side.is_touched(start, start + len(token.string.encode())):
                yield token.string
    except (tokenize.TokenError, SyntaxError, IndentationError):
        return
