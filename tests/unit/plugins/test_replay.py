"""The in-process history: its options, whom it belongs to, and what it does beside its protocol."""

from __future__ import annotations

import math
from typing import Any

import pytest

import runtime
from runtime.core import capacity, currentplatform
from runtime.core.errors import PlatformNotReady
from runtime.core.publisher import make_event
from runtime.plugins import Replay
from runtime.server.current import forget_platform, set_platform
from tests.unit.core.parts import Core


@pytest.fixture
def core() -> Core:
    capacity.configure({})
    return Core()


def seqs(replay: Replay, topic: str) -> list[int]:
    return [message.seq for message in replay.since_nowait(topic, 0)]


@pytest.mark.parametrize("option", ["size", "max_topics", "max_bytes", "max_age", "authorize"])
@pytest.mark.parametrize("value", [0, -1, "3", 1.5, True])
def test_a_bad_option_is_named(option: str, value: Any) -> None:
    if (option, value) in (("max_age", 1.5), ("authorize", True)):
        return
    with pytest.raises(ValueError, match=f"Replay: {option} must be"):
        Replay(**{option: value})


@pytest.mark.parametrize("nothing", [None, math.inf])
def test_no_bound_is_none_or_infinity(core: Core, nothing: Any) -> None:
    replay = Replay(size=nothing, max_topics=nothing, max_bytes=nothing, max_age=nothing)
    for index in range(1200):
        replay.publish_nowait(core.platform, "t", "e", index)
    assert len(seqs(replay, "t")) == 1200


def test_the_defaults_are_the_bounds_of_the_runtime(core: Core) -> None:
    replay = Replay()
    for index in range(capacity.MAX_REPLAY_SIZE + 5):
        replay.publish_nowait(core.platform, "t", "e", index)
    assert len(seqs(replay, "t")) == capacity.MAX_REPLAY_SIZE
    for index in range(capacity.MAX_REPLAY_TOPICS):
        replay.publish_nowait(core.platform, f"t{index}", "e")
    assert seqs(replay, "t") == []
    assert len(seqs(replay, "t0")) == 1


def test_a_new_history_knows_nothing() -> None:
    replay = Replay()
    assert replay.seq_nowait("t") == 0
    assert replay.since_nowait("t", 0) == []
    assert replay.gap_nowait("t", 0).truncated is False
    assert replay.gap_nowait("t", 3).truncated is True
    assert replay.fill(None, "t", 0) is None  # type: ignore[arg-type]


def test_without_an_app_there_is_no_platform(core: Core) -> None:
    replay = Replay()
    with pytest.raises(PlatformNotReady, match="Replay"):
        replay.publish_nowait(None, "t", "e")
    set_platform(core.platform, core.settings)
    try:
        assert replay.publish_nowait(None, "t", "e") is False
        assert runtime.get_platform() is core.platform
    finally:
        forget_platform(core.platform)
    assert seqs(replay, "t") == [1]


def test_a_name_that_cannot_travel_is_not_recorded(core: Core) -> None:
    replay = Replay()
    with pytest.raises(ValueError, match="topic"):
        replay.publish_nowait(core.platform, 'a"b', "e")
    with pytest.raises(ValueError, match="event"):
        replay.publish_nowait(core.platform, "t", "")
    assert not replay.is_recorded('a"b')
    assert core.publisher.recorders.keys() == {"t"}


def test_an_event_without_a_number_is_refused_where_events_are_kept(core: Core) -> None:
    replay = Replay()
    replay.record_topic("t", platform=core.platform)
    for options in ({"seq": False}, {"volatile": True}):
        with pytest.raises(ValueError, match="replay"):
            core.platform.publish("t", "e", **options)
    replay.release_topic("t")
    replay.release_topic("t")
    assert core.platform.publish("t", "e", seq=False) is False
    assert core.publisher.recorders == {}


async def test_what_waited_for_the_end_of_the_turn_is_counted_in(core: Core) -> None:
    replay = Replay()
    replay.record_topic("t", platform=core.platform)
    core.turn.add(make_event("t", "e", 1, True, 0))
    assert replay.seq_nowait("t") == 1
    core.turn.add(make_event("t", "e", 2, True, 0))
    assert seqs(replay, "t") == [1, 2]
    core.turn.add(make_event("t", "e", 3, True, 0))
    assert replay.gap_nowait("t", 2).truncated is False
    assert seqs(replay, "t") == [1, 2, 3]
    # What is not kept yet may go out without a number until then.
    core.turn.add(make_event("u", "e", 3, False, 0))
    replay.record_topic("u", platform=core.platform)
    core.turn.flush()


@pytest.mark.spec("WIRE-123")
async def test_a_given_number_is_kept_and_a_hole_is_told(core: Core) -> None:
    replay = Replay()
    connection = core.connect("t")
    replay.publish_nowait(core.platform, "t", "e", "a")
    core.platform.publish("t", "e", "b", seq=41)
    core.platform.publish("t", "e", "c")
    assert [seq for *_, seq in core.events(connection)] == [1, 41, 42]
    assert replay.gap_nowait("t", 1).truncated
    assert not replay.gap_nowait("t", 40).truncated
    assert seqs(replay, "t") == [41, 42]


def test_a_given_number_of_long_ago_is_never_passed_over(core: Core) -> None:
    replay = Replay()
    for _ in range(3):
        replay.publish_nowait(core.platform, "t", "e")
    core.platform.publish("t", "late", seq=2)
    assert replay.gap_nowait("t", 3).truncated  # whoever has 3 may not have the late one
    core.platform.publish("t", "e")
    assert replay.gap_nowait("t", 3).truncated
    assert not replay.gap_nowait("t", 5).truncated


def test_two_histories_may_keep_one_topic(core: Core) -> None:
    one, other = Replay(size=1), Replay(size=2)
    one.record_topic("t", platform=core.platform)
    other.record_topic("t", platform=core.platform)
    for _ in range(3):
        core.platform.publish("t", "e")
    assert (seqs(one, "t"), seqs(other, "t")) == ([3], [2, 3])
    one.release_topic("t")
    core.platform.publish("t", "e")
    assert (seqs(one, "t"), seqs(other, "t")) == ([], [3, 4])


def test_a_topic_may_have_a_bound_of_its_own(core: Core) -> None:
    replay = Replay(size=10)
    replay.record_topic("t", 2, core.platform)
    replay.record_topic("t", platform=core.platform)
    for _ in range(5):
        core.platform.publish("t", "e")
    assert seqs(replay, "t") == [4, 5]
    replay.record_topic("t", 3, core.platform)
    core.platform.publish("t", "e")
    assert seqs(replay, "t") == [4, 5, 6]


def test_recorded_topics_are_bounded(core: Core) -> None:
    capacity.configure({"MAX_REPLAY_RECORDED": 2})
    replay = Replay()
    for topic in ("a", "b", "a", "c"):
        replay.record_topic(topic, platform=core.platform)
    assert core.publisher.recorders.keys() == {"a", "c"}
    assert capacity.events["MAX_REPLAY_RECORDED", "evict"] > 0
    capacity.configure({})


def test_it_belongs_to_the_app_that_uses_it_last(core: Core) -> None:
    replay, other = Replay(), Core()
    replay.publish_nowait(core.platform, "t", "e")
    replay.publish_nowait(other.platform, "u", "e")
    assert core.publisher.recorders == {}
    assert seqs(replay, "t") == []
    assert seqs(replay, "u") == [1]


@pytest.mark.spec("PLAT-163")
def test_with_numbers_that_start_at_the_clock() -> None:
    core, replay = Core(base=1_700_000_000_000), Replay()
    assert replay.seq_nowait("t") == 0
    replay.record_topic("t", platform=core.platform)
    assert replay.seq_nowait("t") == 1_700_000_000_000
    assert not replay.gap_nowait("t", 1_700_000_000_000).truncated
    assert not replay.gap_nowait("t", 0).truncated  # nothing was ever published
    assert replay.gap_nowait("t", 41).truncated  # of the time before
    replay.publish_nowait(core.platform, "t", "e")
    assert seqs(replay, "t") == [1_700_000_000_001]
    assert replay.gap_nowait("t", 0).truncated
    assert replay.gap_nowait("t", 41).truncated
    assert not replay.gap_nowait("t", 1_700_000_000_000).truncated
    assert replay.gap_nowait("t", 1_700_000_000_002).truncated


def test_a_topic_that_got_no_counter_vouches_for_nothing(core: Core) -> None:
    capacity.configure({"MAX_TOPIC_SEQS": 1})
    replay = Replay()
    replay.publish_nowait(core.platform, "t", "e")
    replay.publish_nowait(core.platform, "u", "e")
    assert replay.gap_nowait("u", 0).truncated
    assert seqs(replay, "u") == []
    capacity.configure({})


def test_metrics_name_the_topic(core: Core) -> None:
    replay = Replay()
    replay.publish_nowait(core.platform, "t", "e")
    core.platform.publish("t", "e")
    assert core.metrics.get("replay_publishes_total", "t") == 2


@pytest.mark.parametrize("size", [0, -1, "3", 1.5, True])
def test_a_bad_size_of_one_topic_is_refused_before_it_is_recorded(core: Core, size: Any) -> None:
    replay = Replay()
    with pytest.raises(ValueError, match="Replay: size must be"):
        replay.record_topic("t", size, platform=core.platform)
    assert not replay.is_recorded("t")
    replay.record_topic("t", 2, platform=core.platform)
    with pytest.raises(ValueError, match="Replay: size must be"):
        replay.record_topic("t", size, platform=core.platform)
    for n in range(3):
        core.platform.publish("t", "e", n)
    assert seqs(replay, "t") == [2, 3]


@pytest.mark.spec("PLAT-137")
async def test_the_topic_unused_for_longest_goes_and_its_number_goes_on(core: Core) -> None:
    replay = Replay(max_topics=2)
    replay.publish_nowait(core.platform, "a", "e", 1)
    replay.publish_nowait(core.platform, "a", "e", 2)
    replay.publish_nowait(core.platform, "b", "e", 1)
    await replay.since("a", 0)  # a use
    replay.publish_nowait(core.platform, "c", "e", 1)
    assert seqs(replay, "b") == []
    assert (await replay.gap("b", 0)).truncated
    assert seqs(replay, "a") == [1, 2]
    replay.publish_nowait(core.platform, "b", "e", 2)
    assert await replay.seq("b") == 2
    assert seqs(replay, "b") == [2]
    assert (await replay.gap("b", 0)).truncated
    assert not (await replay.gap("b", 1)).truncated


@pytest.mark.spec("PLAT-137")
@pytest.mark.parametrize("use", ["publish", "seq", "since", "replay"])
async def test_publishing_and_reading_are_uses(core: Core, use: str) -> None:
    replay = Replay(max_topics=2)
    replay.publish_nowait(core.platform, "a", "e", 1)
    replay.publish_nowait(core.platform, "b", "e", 1)
    if use == "publish":
        replay.publish_nowait(core.platform, "a", "e", 2)
    elif use == "seq":
        await replay.seq("a")
    elif use == "since":
        await replay.since("a", 1)
    else:
        await replay.replay(core.connect(), "a", 0)
    replay.publish_nowait(core.platform, "c", "e", 1)
    assert not (await replay.gap("a", 0)).truncated
    assert (await replay.gap("b", 0)).truncated


@pytest.mark.spec("WIRE-123")
async def test_events_by_any_door_are_kept_under_their_numbers(core: Core) -> None:
    replay, connection = Replay(), core.connect("chat")
    await replay.publish(core.platform, "chat", "created", 1)
    core.platform.publish("chat", "updated", 2)
    await replay.publish(core.platform, "chat", "deleted")
    assert [seq for *_, seq in core.events(connection)] == [1, 2, 3]
    assert [(m.seq, m.event, m.data) for m in await replay.since("chat", 1)] == [
        (2, "updated", 2),
        (3, "deleted", None),
    ]


async def test_what_is_too_old_is_not_given_out_and_that_is_told(core: Core) -> None:
    replay = Replay(max_age=10, clock=core.clock)
    replay.publish_nowait(core.platform, "t", "e", 1)
    await core.clock.advance(6)
    replay.publish_nowait(core.platform, "t", "e", 2)
    await core.clock.advance(5)
    assert seqs(replay, "t") == [2]
    assert (await replay.gap("t", 0)).truncated
    assert not (await replay.gap("t", 1)).truncated


async def test_the_clock_may_be_a_function_or_that_of_the_app(core: Core) -> None:
    now = 0.0
    by_function, by_app = Replay(max_age=10, clock=lambda: now), Replay(max_age=10)
    for replay in (by_function, by_app):
        replay.publish_nowait(core.platform, "t", "e")
    now = 11.0
    assert (seqs(by_function, "t"), seqs(by_app, "t")) == ([], [2])
    await core.clock.advance(11)
    assert seqs(by_app, "t") == []


async def test_the_bounds_of_the_app_hold_without_options(core: Core) -> None:
    with capacity.capacity_override(MAX_REPLAY_SIZE=2):
        replay = Replay()
        for _ in range(3):
            replay.publish_nowait(core.platform, "t", "e")
        assert seqs(replay, "t") == [2, 3]
    assert replay.sizes()["MAX_REPLAY_TOPICS"] == replay.sizes()["MAX_REPLAY_RECORDED"] == 1
    assert replay.sizes()["MAX_REPLAY_BYTES"] > 0


async def test_a_reload_keeps_the_events_and_takes_the_new_bounds(core: Core) -> None:
    old = Replay(size=10)
    for value in range(5):
        old.publish_nowait(core.platform, "t", "e", value)
    new = Replay(size=2)
    assert new.adopt(old)
    assert seqs(new, "t") == [4, 5]
    new.publish_nowait(core.platform, "t", "e")
    core.platform.publish("t", "e")
    assert seqs(new, "t") == seqs(old, "t") == [6, 7]
    assert not new.gap_nowait("t", 5).truncated
    assert len(core.publisher.recorders) == 1


async def test_the_end_of_the_app_ends_the_recording(core: Core) -> None:
    replay = Replay()
    replay.publish_nowait(core.platform, "t", "e")
    await core.parts.closing.close(1)
    assert core.publisher.recorders == {}
    assert (replay.since_nowait("t", 0), replay.seq_nowait("t")) == ([], 0)
    other = Core()
    replay.publish_nowait(other.platform, "t", "e")
    assert seqs(replay, "t") == [1]
    await replay.close()
    assert other.publisher.recorders == {}


@pytest.mark.spec("PLAT-177")
async def test_without_a_platform_it_takes_the_process_s_or_the_connection_s(core: Core) -> None:
    replay = Replay()
    currentplatform.set_platform(core.platform, core.settings)
    try:
        await replay.publish(None, "t", "e", 1)
    finally:
        currentplatform.forget_platform(core.platform)
    assert (await replay.replay(core.connect(), "t", 0)).state == "filled"
