"""How the buckets of a sliding window become one value. Spec: live-api 11.4.

A combiner gets the values of all buckets, the oldest first; a bucket without a value is `None` and is skipped. Where
combining in two steps gives the same as in one, a window combines its closed buckets once and then only what that gave
with the bucket that fills.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = [
    "Combiner",
    "associative",
    "combine_counts",
    "combine_max",
    "combine_merge",
    "combine_min",
    "combine_sum",
    "first_step_of",
]

Combiner = Callable[..., Any]
C = TypeVar("C", bound=Combiner)

_FIRST_STEP = "__realtime_first_step__"


def combine_sum(*buckets: Any) -> Any:
    """Return the sum, 0 for none."""
    total: Any = 0
    for value in buckets:
        if value is not None:
            total = total + value
    return total


def combine_max(*buckets: Any) -> Any:
    """Return the largest value, 0 when there is none."""
    found = _largest(*buckets)
    return 0 if found is None else found


def combine_min(*buckets: Any) -> Any:
    """Return the smallest value, 0 when there is none."""
    found = _smallest(*buckets)
    return 0 if found is None else found


def combine_counts(*buckets: Mapping[Any, Any] | None) -> dict[Any, Any]:
    """Return one mapping with the sum of each key."""
    total: dict[Any, Any] = {}
    for counts in buckets:
        if counts is not None:
            for key, value in counts.items():
                total[key] = total[key] + value if key in total else value
    return total


def combine_merge(*buckets: Mapping[Any, Any] | None) -> dict[Any, Any]:
    """Return one mapping, in which the newest value of a key counts."""
    merged: dict[Any, Any] = {}
    for mapping in buckets:
        if mapping is not None:
            merged.update(mapping)
    return merged


def associative(combine: C) -> C:
    """Say that a combiner of your own may combine in steps: `f(f(a, b), c)` is `f(a, b, c)`. Also a decorator.

    It gets two values per event then, however many buckets the window has, and not all of them. It must not change
    what it gets.

    Raises:
        TypeError: not a function.
    """
    if not callable(combine):
        raise TypeError(f"associative: a function (*buckets) is needed, not {combine!r}")
    setattr(combine, _FIRST_STEP, combine)
    return combine


def first_step_of(combine: Combiner) -> Combiner | None:
    """Return what combines the closed buckets to one that `combine` takes with a further one.

    `None`: it needs all of them at once.
    """
    return getattr(combine, _FIRST_STEP, None)


def _largest(*buckets: Any) -> Any:
    return max((value for value in buckets if value is not None), default=None)


def _smallest(*buckets: Any) -> Any:
    return min((value for value in buckets if value is not None), default=None)


for _combine in (combine_sum, combine_counts, combine_merge):
    associative(_combine)
# "No value" must stay that until the last step: 0 would win over -5.
setattr(combine_max, _FIRST_STEP, _largest)
setattr(combine_min, _FIRST_STEP, _smallest)
