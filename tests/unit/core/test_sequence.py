"""The number of each publish on its topic. Spec: wire 8.1 to 8.3."""

from __future__ import annotations

import json
import logging

import pytest

from runtime.core import capacity
from runtime.core.sequence import Sequence, clock_base


@pytest.mark.spec("WIRE-28")
def test_topics_count_on_their_own_from_the_base() -> None:
    sequence = Sequence(5000)
    assert [sequence.next("a"), sequence.next("a"), sequence.next("b")] == [5001, 5002, 5001]
    assert [sequence.current("a"), sequence.current("b"), sequence.current("c")] == [5002, 5001, 5000]


def test_a_shared_number_raises_the_counter_and_never_lowers_it() -> None:
    sequence = Sequence(10)
    sequence.raise_to("a", 41)
    sequence.raise_to("a", 12)
    assert sequence.next("a") == 42
    sequence.raise_to("new", 5)
    assert sequence.next("new") == 11


def test_a_later_start_counts_above_everything_before_it() -> None:
    assert clock_base(1_700_000_000.9) == 1_700_000_000_000
    assert clock_base(1_700_000_001.0) - clock_base(1_700_000_000.0) == 1000
    assert clock_base(2**33) < 2**53


def test_beyond_the_bound_known_topics_go_on_and_new_ones_get_no_number() -> None:
    sequence = Sequence()
    with capacity.capacity_override(MAX_TOPIC_SEQS=2):
        assert [sequence.next("a"), sequence.next("b"), sequence.next("c")] == [1, 1, None]
        sequence.raise_to("c", 7)
        assert sequence.next("c") is None
        sequence.raise_to("a", 7)
        assert sequence.next("a") == 8
    assert sequence.next("c") == 1


def test_many_topics_are_warned_about_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "_told", {})
    sequence = Sequence()
    with capacity.capacity_override(TOPIC_SEQS_WARN_THRESHOLD=2), caplog.at_level(logging.WARNING):
        for topic in ("a", "b"):
            sequence.next(topic)
        assert caplog.records == []
        for topic in ("c", "d", "c"):
            sequence.next(topic)
    assert [json.loads(record.args[0])["structure"] for record in caplog.records] == [
        "TOPIC_SEQS_WARN_THRESHOLD"
    ]
