"""Bounds by name: defaults, what the app sets, what a test sets, and what is said when one is met."""

from __future__ import annotations

import json
from typing import Any

import pytest

import runtime
from runtime.core import capacity
from runtime.testing import FakeClock


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "_effective", dict(capacity.DEFAULTS))
    monkeypatch.setattr(capacity, "_configured", dict(capacity.DEFAULTS))
    monkeypatch.setattr(capacity, "_told", {})
    monkeypatch.setattr(capacity, "_clocks", list(capacity._clocks))
    monkeypatch.setattr(capacity, "events", type(capacity.events)())


def test_every_bound_is_a_constant_with_its_default() -> None:
    names = {name for name in capacity.__all__ if name.isupper()} - {"COSTS", "DEFAULTS", "OF_ONE"}
    assert names == set(capacity.DEFAULTS)
    for name in names:
        assert getattr(capacity, name) == capacity.DEFAULTS[name] == capacity.get(name)
        assert getattr(runtime, name) == capacity.DEFAULTS[name]
    assert names > capacity.OF_ONE
    with pytest.raises(AttributeError):
        runtime.MAX_NOTHING  # noqa: B018 - only asked for
    with pytest.raises(KeyError):
        capacity.get("MAX_NOTHING")


def test_what_the_app_sets_stands_on_the_defaults() -> None:
    capacity.configure({"MAX_TOPICS": 5})
    capacity.configure({"MAX_HELD_FRAMES": 7})
    assert capacity.get("MAX_HELD_FRAMES") == 7
    assert capacity.get("MAX_TOPICS") == capacity.MAX_TOPICS


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MAX_TOPIC", 5, "unknown capacity 'MAX_TOPIC'; known: .*MAX_TOPICS"),
        ("MAX_TOPICS", 0, "capacity MAX_TOPICS must be at least 1, not 0"),
        ("MAX_TOPICS", -1, "capacity MAX_TOPICS must be at least 1, not -1"),
        ("MAX_TOPICS", 1.5, "capacity MAX_TOPICS must be a whole number, not 1.5"),
        ("MAX_TOPICS", True, "capacity MAX_TOPICS must be a whole number, not True"),
    ],
)
def test_a_wrong_bound_changes_nothing(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message), capacity.capacity_override(**{name: value}):
        pytest.fail("a block with a wrong bound runs")
    with pytest.raises(ValueError, match=message):
        capacity.configure({"MAX_HELD_FRAMES": 7, name: value})
    assert capacity.get("MAX_HELD_FRAMES") == capacity.MAX_HELD_FRAMES


def test_an_override_ends_with_its_block_and_nests() -> None:
    capacity.configure({"MAX_TOPICS": 5})
    with pytest.raises(RuntimeError), capacity.capacity_override(MAX_HELD_FRAMES=1):  # noqa: PT012 - two levels
        with capacity.capacity_override(MAX_HELD_FRAMES=2):
            assert (capacity.get("MAX_HELD_FRAMES"), capacity.get("MAX_TOPICS")) == (2, 5)
        assert capacity.get("MAX_HELD_FRAMES") == 1
        raise RuntimeError
    assert (capacity.get("MAX_HELD_FRAMES"), capacity.get("MAX_TOPICS")) == (capacity.MAX_HELD_FRAMES, 5)


def test_each_meeting_is_counted_and_the_first_one_logged(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        capacity.record("MAX_TOPICS", "reject", hint="fewer topics")
    capacity.record("MAX_TOPICS", "skip")
    assert capacity.events == {("MAX_TOPICS", "reject"): 3, ("MAX_TOPICS", "skip"): 1}
    (record,) = caplog.records
    head, _, line = record.getMessage().partition(" ")
    assert head == "[realtime/capacity]"
    assert json.loads(line) == {
        "structure": "MAX_TOPICS",
        "size": capacity.MAX_TOPICS,
        "limit": capacity.MAX_TOPICS,
        "action": "reject",
        "hint": "fewer topics",
    }


async def test_a_structure_has_a_line_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    capacity.configure({"MAX_TOPICS": 5}, clock)

    def lines() -> list[tuple[str, int, int]]:
        found = [json.loads(record.getMessage().partition(" ")[2]) for record in caplog.records]
        return [(line["structure"], line["size"], line["limit"]) for line in found]

    capacity.record("MAX_TOPICS", "reject")
    await clock.advance(3599)
    capacity.record("MAX_TOPICS", "reject")
    capacity.record("MAX_SESSIONS", "evict", size=12, limit=11)
    assert lines() == [("MAX_TOPICS", 5, 5), ("MAX_SESSIONS", 12, 11)]
    await clock.advance(1)
    capacity.record("MAX_TOPICS", "reject")
    assert lines()[2:] == [("MAX_TOPICS", 5, 5)]
    assert capacity.events["MAX_TOPICS", "reject"] == 3
    capacity.configure({}, FakeClock())  # another app of this process
    capacity.record("MAX_TOPICS", "reject")
    assert len(lines()) == 4


def test_an_override_outlasts_the_configuration_of_an_app() -> None:
    with capacity.capacity_override(MAX_TOPICS=3):
        capacity.configure({"MAX_HELD_FRAMES": 7})
        assert (capacity.get("MAX_TOPICS"), capacity.get("MAX_HELD_FRAMES")) == (3, 7)
    assert (capacity.get("MAX_TOPICS"), capacity.get("MAX_HELD_FRAMES")) == (capacity.MAX_TOPICS, 7)
