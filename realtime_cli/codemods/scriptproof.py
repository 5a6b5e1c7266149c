"""The proof that an edit of a script changed nothing but what it names. Spec: upgrade 3.5."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from typing import TYPE_CHECKING

from realtime_cli.codemods.proof import UnprovedEdit
from realtime_cli.codemods.splices import moved_offset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from realtime_cli.codemods.scriptfile import ScriptFile
    from realtime_cli.codemods.splices import Splice

__all__ = ["prove_script"]


class _Touched:
    """The stretches of one side that the replacements are about."""

    def __init__(self, splices: Sequence[Splice], *, after: bool) -> None:
        self.splices = None if after else list(splices)
        self.spans: list[tuple[int, int]] = []
        shift = 0
        for one in sorted(splices):
            start = one.start + (shift if after else 0)
            self.spans.append((start, start + len(one.text) if after else one.end))
            shift += len(one.text) - (one.end - one.start)
        self.starts = [start for start, _ in self.spans]
        self.ends = [end for _, end in self.spans]

    def meets(self, start: int, end: int) -> bool:
        """Say whether a stretch holds, overlaps or adjoins a replaced one."""
        return bisect_left(self.ends, start) < bisect_right(self.starts, end)

    def changes(self, start: int, end: int) -> bool:
        """Say whether a replaced stretch is inside, or overlaps."""
        for index in range(bisect_left(self.ends, start), bisect_right(self.starts, end)):
            begin, finish = self.spans[index]
            if (begin == finish and start < begin < end) or (
                begin < finish and begin < end and start < finish
            ):
                return True
        return False

    def moved(self, start: int, end: int) -> tuple[int, int]:
        if self.splices is None:
            return start, end
        return moved_offset(start, self.splices), moved_offset(end, self.splices, end=True)


def prove_script(before: ScriptFile, after: ScriptFile, splices: Sequence[Splice]) -> None:
    """Compare two versions of a script, the second made from the first by `splices`.

    Every token outside of the replacements has to be there in both, in the same order; every node that does not touch
    one, with the same kind, in the same place.

    Raises:
        UnprovedEdit: something else would change.
    """
    old, new = _Touched(splices, after=False), _Touched(splices, after=True)
    if _tokens(before, old) != _tokens(after, new):
        raise UnprovedEdit("a token would change")
    gone = Counter(_nodes(before, old))
    gone.subtract(Counter(_nodes(after, new)))
    for (kind, start, _), count in gone.items():
        if count:
            raise UnprovedEdit(f"{kind} at byte {start} would change")


def _tokens(file: ScriptFile, touched: _Touched) -> list[tuple[str, bytes]]:
    leaves = [node for node in file.scopes.nodes if node.child_count == 0 and node.start_byte < node.end_byte]
    leaves.sort(key=lambda node: node.start_byte)
    return [
        (node.type, file.data[node.start_byte : node.end_byte])
        for node in leaves
        if not touched.changes(node.start_byte, node.end_byte)
    ]


def _nodes(file: ScriptFile, touched: _Touched) -> list[tuple[str, int, int]]:
    return [
        (node.type, *touched.moved(node.start_byte, node.end_byte))
        for node in file.scopes.nodes
        if node.child_count and node.type != "program" and not touched.meets(node.start_byte, node.end_byte)
    ]
