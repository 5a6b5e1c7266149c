"""The rings of a history: their bounds, and what they may vouch for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core import capacity
from runtime.plugins.history import ENTRY_BYTES, History, Limits


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def history(
    size: int | None = None,
    topics: int | None = None,
    size_in_bytes: int | None = None,
    age: float | None = None,
) -> tuple[History, Time]:
    time = Time()
    one = History(time)
    one.limit(Limits(size, topics, size_in_bytes, age))
    return one, time


def numbers(one: History, topic: str = "t", since: int = 0) -> list[int]:
    return [kept.seq for kept in one.after(topic, since)]


def test_without_bounds_everything_is_kept() -> None:
    one, _ = history()
    for seq in range(1, 2001):
        assert one.add("t", "e", b"1", seq, seq - 1) == seq
    assert numbers(one) == list(range(1, 2001))
    assert one.safe_from("t", 2000) == 0
    assert numbers(one, since=1998) == [1999, 2000]


def test_a_topic_can_have_a_bound_of_its_own() -> None:
    one, _ = history(size=5)
    for seq in range(1, 10):
        one.add("t", "e", b"", seq, seq - 1, 2)
        one.add("u", "e", b"", seq, seq - 1)
    assert numbers(one) == [8, 9]
    assert numbers(one, "u") == [5, 6, 7, 8, 9]


def test_bytes_are_bounded_over_all_topics() -> None:
    one, _ = history(size_in_bytes=3 * (ENTRY_BYTES + 11))
    for topic, seq in (("a", 1), ("a", 2), ("b", 1)):
        one.add(topic, "e", b"0123456789", seq, seq - 1)
    assert (numbers(one, "a"), numbers(one, "b")) == ([1, 2], [1])
    one.add("b", "e", b"0123456789", 2, 1)
    assert (numbers(one, "b"), numbers(one, "a")) == ([1, 2], [2])
    assert one.safe_from("a", 2) == 1
    one.add("a", "e", b"0" * 4 * ENTRY_BYTES, 3, 2)
    assert (len(one), one.size) == (0, 0)
    assert (one.safe_from("a", 3), one.safe_from("b", 2)) == (3, 2)
    assert capacity.events["MAX_REPLAY_BYTES", "evict"] > 0


def test_old_events_are_not_given_out() -> None:
    one, time = history(age=10)
    one.add("t", "e", b"", 1, 0)
    time.now = 6.0
    one.add("t", "e", b"", 2, 1)
    time.now = 10.0
    assert numbers(one) == [1, 2]
    time.now = 10.5
    assert numbers(one) == [2]
    assert one.safe_from("t", 2) == 1
    time.now = 100.0
    assert one.safe_from("t", 2) == 2
    assert one.size == 0


def test_a_number_that_leaves_some_out_makes_the_earlier_ones_useless() -> None:
    one, _ = history()
    one.add("t", "e", b"", 1, 0)
    one.add("t", "e", b"", 2, 1)
    assert one.add("t", "e", b"", 41, 2) == 41
    assert numbers(one) == [41]
    assert one.safe_from("t", 41) == 40


@pytest.mark.parametrize("evicted", [False, True])
def test_a_number_that_is_not_above_the_last_counts_as_a_lost_one(evicted: bool) -> None:
    one, _ = history()
    if not evicted:
        one.add("t", "e", b"", 50, 49)
    assert one.add("t", "late", b"", 41, 50) == 51
    assert numbers(one) == []
    assert one.safe_from("t", 51) == 51
    assert one.add("t", "e", b"", 52, 51) == 52
    assert numbers(one) == [52]
    assert one.safe_from("t", 52) == 51


def test_a_ring_that_missed_the_last_publishes_vouches_for_nothing() -> None:
    one, _ = history()
    one.add("t", "e", b"", 1, 0)
    assert one.safe_from("t", 3) == 3


def test_forgetting_a_topic_gives_its_bytes_back() -> None:
    one, _ = history()
    one.add("t", "e", b"12", 1, 0)
    one.add("u", "e", b"12", 1, 0)
    one.forget("t")
    one.forget("never")
    assert one.size == ENTRY_BYTES + 3
    one.clear()
    assert (one.size, len(one)) == (0, 0)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["add", "skip", "late", "read", "forget", "wait"]),
        st.integers(0, 9),
    ),
    max_size=60,
)


@given(
    OPERATIONS,
    st.sampled_from([None, 1, 3]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, 500, 900]),
    st.sampled_from([None, 3.0]),
)
def test_what_it_vouches_for_is_all_there(
    operations: Any, size: Any, topics: Any, in_bytes: Any, age: Any
) -> None:
    """Whatever the bounds: behind `safe_from` every event is kept, in order, and no bound is exceeded."""
    one, time = history(size, topics, in_bytes, age)
    published: dict[str, list[int]] = {name: [] for name in "abc"}
    current = dict.fromkeys("abc", 0)
    total = 0
    for topic, operation, amount in operations:
        if operation in ("add", "skip"):
            seq = current[topic] + 1 + (amount if operation == "skip" else 0)
            current[topic] = one.add(topic, "e", b"x" * amount * 10, seq, current[topic])
            # Numbers that were left out may have been events that nobody here has seen.
            published[topic] += range(
                current[topic] - (amount if operation == "skip" else 0), current[topic] + 1
            )
        elif operation == "late" and current[topic]:
            current[topic] = one.add(topic, "e", b"", max(1, current[topic] - amount - 1), current[topic])
            published[topic].append(current[topic])
        elif operation == "read":
            one.after(topic, amount)
        elif operation == "forget":
            one.forget(topic)
        elif operation == "wait":
            time.now += amount / 4
        for name in "abc":
            safe = one.safe_from(name, current[name])
            assert numbers(one, name, safe) == [seq for seq in published[name] if seq > safe]
            assert size is None or len(one.after(name, 0)) <= size
        assert topics is None or len(one) <= topics
        assert in_bytes is None or one.size <= in_bytes
        total = sum(kept.size for name in "abc" for kept in one.after(name, 0))
        assert one.size == total
