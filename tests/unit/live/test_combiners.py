"""Combiners, and the ring of buckets that they combine. Spec: live-api 11.3 and 11.4."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core.assertions import InvariantViolation
from runtime.live.combiners import (
    associative,
    combine_counts,
    combine_max,
    combine_merge,
    combine_min,
    combine_sum,
    first_step_of,
)
from runtime.live.rings import Ring


@pytest.mark.spec("LIVE-121")
@pytest.mark.parametrize(
    ("combine", "buckets", "expected"),
    [
        (combine_sum, (), 0),
        (combine_sum, (None, None), 0),
        (combine_sum, (1, None, 2.5), 3.5),
        (combine_max, (), 0),
        (combine_max, (None,), 0),
        (combine_max, (-5, None, -7), -5),
        (combine_min, (), 0),
        (combine_min, (None,), 0),
        (combine_min, (5, None, 7), 5),
        (combine_counts, (), {}),
        (combine_counts, ({"a": 1, "b": 2}, None, {"a": 3, "c": 4}), {"a": 4, "b": 2, "c": 4}),
        (combine_merge, (), {}),
        (combine_merge, ({"a": 1, "b": 1}, None, {"a": 2}), {"a": 2, "b": 1}),
    ],
)
def test_combiners(combine: Any, buckets: tuple[Any, ...], expected: Any) -> None:
    before = repr(buckets)
    assert combine(*buckets) == expected
    assert repr(buckets) == before


def filled(count: int, values: list[Any]) -> Ring:
    """A ring whose buckets got `values`, one after each move."""
    ring = Ring(count, lambda: {"n": None})
    for index, value in enumerate(values):
        if index:
            ring.move(1)
        ring.current["n"] = value
    return ring


def test_buckets_are_combined_the_oldest_first() -> None:
    ring = filled(3, ["a", "b", "c", "d"])
    assert ring.combined("n", lambda *buckets: list(buckets)) == ["b", "c", "d"]
    assert filled(3, ["a", "b"]).combined("n", lambda *buckets: list(buckets)) == [None, "a", "b"]


@pytest.mark.parametrize("combine", [combine_sum, combine_max, combine_min])
@pytest.mark.parametrize(
    "values", [[], [-5], [None, -5], [-5, None], [None, None, None], [3, -1, 2, -9], [0, -1]]
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_two_steps_give_what_one_gives(combine: Any, values: list[Any], count: int) -> None:
    ring = filled(count, values)
    expected = combine(*([None] * count + values)[-count:])
    assert ring.combined("n", combine) == expected
    assert ring.combined("n", combine) == expected


def test_an_event_combines_two_values_however_many_buckets_there_are() -> None:
    calls: list[int] = []

    @associative
    def total(*buckets: int | None) -> int:
        calls.append(len(buckets))
        return sum(value or 0 for value in buckets)

    ring = Ring(1000, lambda: {"n": 0})
    for _ in range(5):
        ring.current["n"] += 1
        ring.combined("n", total)
    assert calls == [999, 2, 2, 2, 2, 2]
    ring.move(1)
    assert ring.combined("n", total) == 5
    assert calls[6:] == [999, 2]


def test_a_combiner_of_an_app_gets_all_buckets() -> None:
    ring = filled(4, [1, 2, 3, 4])
    assert first_step_of(max) is None
    assert ring.combined("n", lambda *buckets: sum(buckets) / len(buckets)) == 2.5


def test_a_round_empties_all_buckets() -> None:
    for steps in (3, 4, 10**9):
        ring = filled(3, [1, 2, 3])
        ring.move(steps)
        assert ring.combined("n", combine_sum) == 0
        assert len(ring) == 3
    ring = filled(3, [1, 2, 3])
    ring.move(2)
    assert ring.combined("n", combine_sum) == 3


def test_every_bucket_has_a_state_of_its_own() -> None:
    ring = Ring(3, lambda: {"n": []})
    ring.current["n"].append(1)
    ring.move(1)
    assert ring.combined("n", lambda *buckets: list(buckets)) == [[], [1], []]


def test_a_head_outside_of_the_ring_is_a_mistake_of_ours() -> None:
    ring = Ring(3, dict)
    ring._head = 7
    with pytest.raises(InvariantViolation, match=r"realtime/aggregate\.bucket-index"):
        ring.move(1)


def test_associative_needs_a_function() -> None:
    with pytest.raises(TypeError, match="associative: a function"):
        associative(3)  # type: ignore[type-var]
