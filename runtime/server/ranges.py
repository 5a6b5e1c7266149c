"""Which bytes a `Range` header asks for. Spec: platform 3.2, after RFC 9110 section 14."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["UNSATISFIABLE", "ByteRange", "Unsatisfiable", "parse_range"]

# More digits than any file has bytes are clipped by length alone, so that no huge number is ever made.
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
MAX_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes it holds, at least 1."""
        return self.last - self.first + 1


class Unsatisfiable:
    """The type of `UNSATISFIABLE`: a well-formed range that lies beyond the end."""


UNSATISFIABLE: Final = Unsatisfiable()


def parse_range(header: str, size: int) -> ByteRange | Unsatisfiable | None:
    """Return the one range that `header` asks of a body of `size` bytes; `None` means: send everything.

    Understood are `bytes=a-b`, `bytes=a-` and `bytes=-n`. Another unit, several ranges, `b` before `a`, `-0`
    and anything malformed are `None`. A range that begins beyond the end is `UNSATISFIABLE`.
    """
    match = _RANGE.fullmatch(header)
    if match is None or match[0] == "bytes=-":
        return None
    first_digits, last_digits = match[1], match[2]
    if not first_digits:
        count = _number(last_digits)
        if count == 0:
            return None
        return ByteRange(max(0, size - count), size - 1) if size else UNSATISFIABLE
    first = _number(first_digits)
    last = _number(last_digits) if last_digits else size - 1
    if last_digits and last < first:
        return None
    if first >= size:
        return UNSATISFIABLE
    return ByteRange(first, min(last, size - 1))


def _number(digits: str) -> int:
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= MAX_DIGITS else 10**MAX_DIGITS
