"""`throttle` and `debounce`: what is published when, what waits, and what becomes of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from runtime.core import capacity, currentplatform
from runtime.core.errors import PlatformNotReady
from runtime.plugins import Debounce, Throttle, debounce, throttle
from tests.unit.core.parts import Core

pytestmark = pytest.mark.spec("PLAT-143")
BOTH = pytest.mark.parametrize("make", [throttle, debounce])


class Watch:
    """Notes what is published, each with the moment."""

    def __init__(self, core: Core, *topics: str) -> None:
        self._core = core
        self._peer = core.connect(*topics)
        self._count = 0

    def new(self) -> list[tuple[str, Any]]:
        """Return (topic, data) of what came since the last time."""
        found = [(topic, data) for topic, _, data, _ in self._core.events(self._peer)]
        fresh, self._count = found[self._count :], len(found)
        return fresh


@pytest.fixture
def core() -> Core:
    return Core()


@BOTH
@pytest.mark.parametrize("interval", [0, -1, float("inf"), float("nan"), "1", None, True])
def test_a_bad_interval_is_named(make: Any, interval: Any) -> None:
    with pytest.raises(ValueError, match=f"{make.__name__}: interval must be"):
        make(interval)


@BOTH
@pytest.mark.parametrize("option", ["max_topics", "max_topic_length"])
def test_a_bad_bound_is_named(make: Any, option: str) -> None:
    with pytest.raises(ValueError, match=f"{make.__name__}: {option} must be"):
        make(1, **{option: 0})


@BOTH
@pytest.mark.parametrize("topic", ["", None, 3, "x" * 11])
def test_a_bad_topic_is_refused(make: Any, core: Core, topic: Any) -> None:
    limiter = make(1, max_topic_length=10, clock=core.clock)
    with pytest.raises(ValueError, match="topic"):
        limiter.publish(core.platform, topic, "e")
    assert core.clock.pending == 0


@BOTH
async def test_a_mistake_in_the_data_is_raised_where_it_is_made(make: Any, core: Core) -> None:
    limiter = make(1, clock=core.clock)
    with pytest.raises(TypeError, match="no JSON form"):
        limiter.publish(core.platform, "t", "e", object())
    with pytest.raises(ValueError, match="event"):
        limiter.publish(core.platform, "t", "")
    assert core.clock.pending == 0


async def test_throttle_has_a_leading_and_a_trailing_edge(core: Core) -> None:
    limiter, watch = throttle(1, clock=core.clock), Watch(core, "t", "u")
    limiter.publish(core.platform, "t", "e", 1)
    assert watch.new() == [("t", 1)]
    limiter.publish(core.platform, "t", "e", 2)
    limiter.publish(core.platform, "u", "e", "other")
    assert watch.new() == [("u", "other")]
    await core.clock.advance(0.5)
    limiter.publish(core.platform, "t", "e", 3)
    assert watch.new() == []
    await core.clock.advance(0.5)
    assert watch.new() == [("t", 3)]  # the newest, at the end of the window, which begins the next
    limiter.publish(core.platform, "t", "e", 4)
    await core.clock.advance(0.9)
    assert watch.new() == []
    await core.clock.advance(0.1)
    assert watch.new() == [("t", 4)]
    await core.clock.advance(1)  # nothing waited: the topic is free
    assert core.clock.pending == 0
    limiter.publish(core.platform, "t", "e", 5)
    assert watch.new() == [("t", 5)]
    assert limiter.sizes() == {"MAX_THROTTLE_TOPICS": 1}


async def test_debounce_waits_for_silence(core: Core) -> None:
    limiter, watch = debounce(1, clock=core.clock), Watch(core, "t")
    for value in range(4):
        limiter.publish(core.platform, "t", "e", value)
        await core.clock.advance(0.75)
    assert watch.new() == []
    await core.clock.advance(0.25)
    assert watch.new() == [("t", 3)]
    await core.clock.advance(5)
    assert (watch.new(), core.clock.pending, limiter.sizes()) == ([], 0, {"MAX_THROTTLE_TOPICS": 0})


@BOTH
async def test_what_waits_is_a_copy(make: Any, core: Core) -> None:
    limiter, watch, data = make(1, clock=core.clock), Watch(core, "t"), {"n": [1]}
    limiter.publish(core.platform, "t", "e", 0)
    limiter.publish(core.platform, "t", "e", data)
    data["n"].append(2)
    await core.clock.advance(1)
    assert watch.new()[-1] == ("t", {"n": [1]})


@BOTH
@pytest.mark.parametrize("topic", ["t", None])
async def test_flush_publishes_now_and_begins_anew(make: Any, core: Core, topic: str | None) -> None:
    limiter, watch = make(1, clock=core.clock), Watch(core, "t", "u")
    for name in ("t", "u"):
        limiter.publish(core.platform, name, "e", 1)
        limiter.publish(core.platform, name, "e", 2)
    watch.new()
    limiter.flush(topic)
    limiter.flush("nobody's")
    assert watch.new() == ([("t", 2)] if topic else [("t", 2), ("u", 2)])
    limiter.publish(core.platform, "t", "e", 3)
    await core.clock.advance(3)
    assert ("t", 3) in watch.new()
    assert core.clock.pending == 0


@BOTH
@pytest.mark.parametrize("topic", ["t", None])
async def test_cancel_drops_what_waits(make: Any, core: Core, topic: str | None) -> None:
    limiter, watch = make(1, clock=core.clock), Watch(core, "t", "u")
    for name in ("t", "u"):
        limiter.publish(core.platform, name, "e", 1)
        limiter.publish(core.platform, name, "e", 2)
    watch.new()
    limiter.cancel(topic)
    limiter.cancel("nobody's")
    await core.clock.advance(5)
    assert watch.new() == ([("u", 2)] if topic else [])
    limiter.publish(core.platform, "t", "e", 3)
    limiter.clear()
    assert core.clock.pending == 0
    assert limiter.interval == 1


@BOTH
async def test_at_the_cap_the_oldest_topic_is_published_early(make: Any, core: Core) -> None:
    limiter, watch = make(1, max_topics=2, clock=core.clock), Watch(core, "a", "b", "c")
    for topic in ("a", "b"):
        limiter.publish(core.platform, topic, "e", 1)
        limiter.publish(core.platform, topic, "e", 2)
    watch.new()
    before = capacity.events["MAX_THROTTLE_TOPICS", "evict"]
    limiter.publish(core.platform, "c", "e", 1)
    assert watch.new()[0] == ("a", 2)
    assert capacity.events["MAX_THROTTLE_TOPICS", "evict"] == before + 1
    assert limiter.sizes() == {"MAX_THROTTLE_TOPICS": 2}
    await core.clock.advance(1)
    assert ("b", 2) in watch.new()
    with capacity.capacity_override(MAX_THROTTLE_TOPICS=1):
        other = make(1, clock=core.clock)
        other.publish(core.platform, "a", "e")
        other.publish(core.platform, "b", "e")
        assert other.sizes() == {"MAX_THROTTLE_TOPICS": 1}
        other.clear()
    limiter.clear()


@BOTH
async def test_the_end_of_the_app_publishes_what_waits(make: Any, core: Core) -> None:
    limiter, watch = make(1, clock=core.clock), Watch(core, "t")
    limiter.publish(core.platform, "t", "e", 1)
    limiter.publish(core.platform, "t", "e", 2)
    watch.new()
    core.parts.closing.flush()
    assert watch.new() == [("t", 2)]
    limiter.publish(core.platform, "t", "e", 3)
    await core.parts.closing.close(1)
    assert core.clock.pending == 0


@BOTH
async def test_a_reload_keeps_what_waits(make: Any, core: Core) -> None:
    old, watch = make(1, clock=core.clock), Watch(core, "t")
    old.publish(core.platform, "t", "e", 1)
    old.publish(core.platform, "t", "e", 2)
    watch.new()
    new = make(5, clock=core.clock)
    assert new.adopt(old)
    assert not (debounce if make is throttle else throttle)(1).adopt(new)
    await core.clock.advance(1)
    assert watch.new() == [("t", 2)]
    new.publish(core.platform, "t", "e", 3)
    await core.clock.advance(4.5)
    assert watch.new() == []
    await core.clock.advance(0.5)
    assert watch.new() == [("t", 3)]
    new.clear()


@BOTH
async def test_what_cannot_be_published_any_more_is_logged(
    make: Any, core: Core, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = make(1, clock=core.clock)
    limiter.publish(core.platform, "t", "e", 1)
    limiter.publish(core.platform, "t", "e", 2)

    def fail(event: Any) -> None:
        raise OSError("no")

    monkeypatch.setattr(core.publisher.__class__, "publish", lambda self, event: fail(event))
    with caplog.at_level(logging.ERROR):
        await core.clock.advance(1)
    assert "'e' on 't' could not be published" in caplog.text
    limiter.clear()


@BOTH
@pytest.mark.spec("PLAT-177")
async def test_without_a_platform_it_takes_the_process_s(make: Any, core: Core) -> None:
    limiter, watch = make(1), Watch(core, "t")
    with pytest.raises(PlatformNotReady, match=make.__name__):
        limiter.publish(None, "t", "e")
    currentplatform.set_platform(core.platform, core.settings)
    try:
        limiter.publish(None, "t", "e", 1)
        await core.clock.advance(1)  # the clock of the app
    finally:
        currentplatform.forget_platform(core.platform)
    assert watch.new() == [("t", 1)]
    await limiter.close()


def test_what_they_are_called() -> None:
    assert repr(throttle(0.5)) == "<throttle of 0.5 s, 0 topics>"
    assert isinstance(throttle(1), Throttle)
    assert isinstance(debounce(1), Debounce)
