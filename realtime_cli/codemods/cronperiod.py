"""How often a cron schedule is due at most, in seconds. Spec: upgrade 3.4."""

from __future__ import annotations

from itertools import pairwise

__all__ = ["period_of"]

_LENGTHS = (1, 60, 3600, 86_400)
_SIZES = (60, 60, 24, 31)


def period_of(schedule: str) -> int | None:
    """Return the shortest time between two runs of a schedule of five or six fields; None if it is not known.

    Only the fields below the day are looked at: a job that is due once a day at most has a day.
    """
    fields = schedule.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        return None
    for field, length, size in zip(fields[:3], _LENGTHS, _SIZES, strict=False):
        step = _step(field, size)
        if step is None:
            return None
        if step:
            return step * length
    return _LENGTHS[3]


def _step(field: str, size: int) -> int | None:
    """Return the shortest step of a field; 0 if it is one fixed value, None if it cannot be read."""
    values: set[int] = set()
    for part in field.split(","):
        span, _, by = part.partition("/")
        first, _, last = span.partition("-")
        try:
            step = int(by) if by else 1
            if span == "*":
                low, high = 0, size - 1
            else:
                low = int(first)
                high = int(last) if last else (size - 1 if by else low)
        except ValueError:
            return None
        if step < 1 or high < low or high > size:
            return None
        values.update(range(low, high + 1, step))
    if len(values) < 2:
        return 0
    ordered = sorted(values)
    around = ordered[0] + size - ordered[-1]
    return min(around, *(b - a for a, b in pairwise(ordered)))
