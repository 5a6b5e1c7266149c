"""Replacements in the bytes of a file, and where a place is after them. Spec: upgrade 3.1."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Splice", "apply_splices", "is_free", "moved_offset"]


@dataclass(frozen=True, slots=True, order=True)
class Splice:
    """What stands from `start` to `end` becomes `text`; an insertion has `start == end`."""

    start: int
    end: int
    text: bytes


def is_free(splices: Iterable[Splice], taken: Sequence[Splice]) -> bool:
    """Say whether none of `splices` touches what one of `taken` replaces. Two insertions at one place are fine."""
    return not any(
        (one.start < other.end and other.start < one.end)
        or (one.start == one.end and other.start < one.start < other.end)
        or (other.start == other.end and one.start < other.start < one.end)
        for one in splices
        for other in taken
    )


def apply_splices(data: bytes, splices: Iterable[Splice]) -> bytes:
    """Give back the bytes with every replacement made; insertions at one place come in their given order.

    Raises:
        ValueError: two of them overlap.
    """
    ordered = sorted(splices, key=lambda one: (one.start, one.end))
    for before, after in pairwise(ordered):
        if after.start < before.end:
            raise ValueError(f"replacements overlap at byte {after.start}")
    parts, at = [], 0
    for one in ordered:
        parts += [data[at : one.start], one.text]
        at = one.end
    return b"".join([*parts, data[at:]])


def moved_offset(offset: int, splices: Iterable[Splice], *, end: bool = False) -> int:
    """Give back where the byte at `offset` is after the replacements.

    A place inside a replaced stretch goes to its start. Where something is inserted exactly at `offset`, the place is
    behind it, or before it with `end`, as for the end of a stretch.
    """
    shift = 0
    for one in splices:
        if one.end < offset or (one.end == offset and (not end or one.start < one.end)):
            shift += len(one.text) - (one.end - one.start)
        elif one.start < offset < one.end:
            shift += one.start - offset
    return offset + shift
