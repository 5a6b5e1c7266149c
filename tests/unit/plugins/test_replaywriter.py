"""Long replays and slow peers: pages, what waits behind them, and what is told when something is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.connection import Connection
from runtime.core.tasks import TaskOwner
from runtime.plugins import Replay, ReplayOutcome
from runtime.plugins.replaywriter import DRAIN_TIMEOUT, MAX_READINGS, PAGE
from tests.unit.core.parts import Core

LONG = 3 * PAGE + 20


@pytest.fixture
def core() -> Core:
    capacity.configure({})
    return Core()


def filled(core: Core, count: int = LONG, *, data: Any = 0, **options: Any) -> Replay:
    replay = Replay(**{"size": None, **options})
    for index in range(count):
        replay.publish_nowait(core.platform, "t", "e", data or index)
    return replay


async def start(
    core: Core, replaying: Awaitable[ReplayOutcome], run: Callable[[asyncio.Task[Any]], Awaitable[None]]
) -> Any:
    """Run `run(task)` beside the replay and return its outcome."""
    tasks = TaskOwner("test")

    async def main() -> ReplayOutcome:
        return await replaying

    task = tasks.start(main(), name="replay")
    try:
        await run(task)
        return await task
    finally:
        await tasks.close()


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def numbered(core: Core, connection: Connection) -> list[Any]:
    """Return what came, in order: 5 for a live event, -5 for a replayed one, the name of everything else."""
    return [
        -data["seq"] if event == "msg" else event if seq is None else seq
        for _, event, data, seq in core.events(connection)
    ]


@pytest.mark.spec("WIRE-112", "PLAT-137")
async def test_the_loop_turns_between_pages_and_live_events_wait(core: Core) -> None:
    replay, connection = filled(core), core.connect("t")

    async def run(task: asyncio.Task[Any]) -> None:
        await asyncio.sleep(0)
        while not task.done():
            core.platform.publish("t", "live")
            await asyncio.sleep(0)

    outcome = await start(core, replay.replay(connection, "t", 0), run)
    assert (outcome.state, outcome.count) == ("filled", LONG)
    got = numbered(core, connection)
    live = got[got.index("end") + 1 :]
    assert got[: got.index("end")] == [-seq for seq in range(1, LONG + 1)]
    assert live == list(range(LONG + 1, core.sequence.current("t") + 1))
    assert len(live) >= LONG // PAGE
    assert core.subscriptions.holds.get("t") is None


@pytest.mark.spec("WIRE-112")
async def test_a_connection_that_gets_on_the_topic_meanwhile_misses_nothing(core: Core) -> None:
    replay, connection = filled(core), core.connect()

    async def run(task: asyncio.Task[Any]) -> None:
        await turns(1)
        core.platform.publish("t", "before it is on")
        connection.subscribe("t")
        core.platform.publish("t", "live")
        core.platform.publish("t", "live")

    outcome = await start(core, replay.replay(connection, "t", 0), run)
    assert (outcome.state, outcome.count) == ("filled", LONG + 1)
    assert numbered(core, connection) == [
        *(-seq for seq in range(1, LONG + 2)),
        "end",
        LONG + 2,
        LONG + 3,
    ]


async def test_one_that_is_not_on_the_topic_gets_what_came_meanwhile_too(core: Core) -> None:
    replay, connection = filled(core), core.connect()

    async def run(task: asyncio.Task[Any]) -> None:
        await turns(1)
        core.platform.publish("t", "meanwhile")

    outcome = await start(core, replay.replay(connection, "t", 0), run)
    assert (outcome.count, outcome.read_to) == (LONG + 1, LONG + 1)
    core.platform.publish("t", "later")
    assert numbered(core, connection)[-2:] == [-LONG - 1, "end"]


async def test_more_than_can_be_held_comes_live_from_the_history(core: Core) -> None:
    capacity.configure({"MAX_HELD_FRAMES": 5})
    replay, connection = filled(core), core.connect("t")

    async def run(task: asyncio.Task[Any]) -> None:
        await turns(1)
        for _ in range(9):
            core.platform.publish("t", "live")

    outcome = await start(core, replay.replay(connection, "t", 0), run)
    assert (outcome.state, outcome.count) == ("filled", LONG)
    assert numbered(core, connection) == [
        *(-seq for seq in range(1, LONG + 1)),
        "end",
        *range(LONG + 1, LONG + 10),
    ]
    capacity.configure({})


async def test_live_events_that_neither_are_held_nor_kept_are_told_as_missing(core: Core) -> None:
    capacity.configure({"MAX_HELD_FRAMES": 5})
    replay, connection = filled(core, 2 * PAGE, size=2 * PAGE), core.connect("t")

    async def run(task: asyncio.Task[Any]) -> None:
        await turns(1)
        for _ in range(2 * PAGE + 1):
            core.platform.publish("t", "live")

    outcome = await start(core, replay.replay(connection, "t", 0), run)
    assert (outcome.state, outcome.count) == ("truncated", 2 * PAGE)
    assert {"topic": "__replay:t", "event": "end", "data": {"truncated": True}} in core.frames(connection)
    assert numbered(core, connection)[-2 * PAGE :] == list(range(2 * PAGE + 2, 4 * PAGE + 2))
    capacity.configure({})


@pytest.mark.parametrize("rejoins", [False, True])
async def test_leaving_the_topic_meanwhile_ends_the_live_events(core: Core, rejoins: bool) -> None:
    replay, connection = filled(core), core.connect("t")

    async def run(task: asyncio.Task[Any]) -> None:
        await turns(1)
        core.platform.publish("t", "live")
        connection.unsubscribe("t")
        if rejoins:
            connection.subscribe("t")
            core.platform.publish("t", "live")

    await start(core, replay.replay(connection, "t", 0), run)
    core.platform.publish("t", "live")
    got = numbered(core, connection)
    live = [seq for seq in got if isinstance(seq, int) and seq > 0]
    assert live == ([LONG + 2, LONG + 3] if rejoins else [])
    assert got.index("end") < got.index(LONG + 2) if rejoins else got[-1] == "end"


async def test_a_stream_that_loads_meanwhile_keeps_its_frames_until_it_answers(core: Core) -> None:
    replay, connection = filled(core), core.connect()
    subscriptions = core.subscriptions

    async def run(task: asyncio.Task[Any]) -> None:
        await turns(1)
        connection.subscribe("t")
        assert not subscriptions.is_loading(connection, "t")
        hold = subscriptions.hold(connection, "t")
        assert subscriptions.is_loading(connection, "t")
        core.platform.publish("t", "live")
        await task
        core.platform.publish("t", "live")
        assert "end" in numbered(core, connection)
        assert LONG + 1 not in numbered(core, connection)
        core.platform.send(connection, "__rpc", "reply", {})
        subscriptions.release(connection, "t", hold)

    await start(core, replay.replay(connection, "t", 0), run)
    assert numbered(core, connection)[-4:] == ["end", "reply", LONG + 1, LONG + 2]


async def test_a_stream_that_answers_first_leaves_its_frames_to_the_replay(core: Core) -> None:
    replay, connection = filled(core), core.connect("t")
    subscriptions = core.subscriptions
    hold = subscriptions.hold(connection, "t")

    async def run(task: asyncio.Task[Any]) -> None:
        await turns(1)
        core.platform.publish("t", "live")
        core.platform.send(connection, "__rpc", "reply", {})
        subscriptions.release(connection, "t", hold)
        core.platform.publish("t", "live")

    await start(core, replay.replay(connection, "t", 0), run)
    got = numbered(core, connection)
    assert got.index("reply") < got.index("end")
    assert got[-3:] == ["end", LONG + 1, LONG + 2]


class Slow:
    """A peer that takes what it was sent only when `read` is called."""

    def __init__(self, core: Core, *topics: str) -> None:
        self.core = core
        self.connection = core.connect(*topics)
        self.sink = core.sink(self.connection)
        self.sink.is_stuck = True

    def read(self) -> None:
        self.sink.buffered = 0


@pytest.fixture
def small() -> Core:
    capacity.configure({})
    return Core(max_backpressure=4096)


@pytest.mark.spec("PLAT-137")
async def test_a_slow_peer_is_waited_for(small: Core) -> None:
    replay, slow = filled(small, 60, data="x" * 300), Slow(small, "t")

    async def run(task: asyncio.Task[Any]) -> None:
        while not task.done():
            await small.clock.advance(0.1)
            assert slow.sink.buffered <= 4096
            slow.read()
            small.platform.publish("t", "live")
            await turns()

    outcome = await start(small, replay.replay(slow.connection, "t", 0), run)
    assert (outcome.state, outcome.count) == ("filled", 60)
    assert slow.connection.dropped == 0
    got = numbered(small, slow.connection)
    assert got[got.index(-1) : got.index("end")] == [-seq for seq in range(1, 61)]


async def test_a_peer_that_reads_nothing_is_told_that_something_is_missing(small: Core) -> None:
    replay, slow = filled(small, 60, data="x" * 300), Slow(small)

    async def run(task: asyncio.Task[Any]) -> None:
        await turns()
        await small.clock.advance(DRAIN_TIMEOUT - 1)
        assert not task.done()
        await small.clock.advance(2)

    outcome = await start(small, replay.replay(slow.connection, "t", 0), run)
    assert outcome.state == "truncated"
    assert 0 < outcome.count < 60
    assert small.frames(slow.connection)[-1]["data"] == {"truncated": True}
    assert small.metrics.get("replay_truncations_total", "t") == 1
    assert small.metrics.get("replay_messages_replayed_total", "t") == outcome.count


async def test_a_peer_that_leaves_ends_the_replay(small: Core) -> None:
    replay, slow = filled(small, 60, data="x" * 300), Slow(small, "t")

    async def run(task: asyncio.Task[Any]) -> None:
        await turns()
        slow.connection.mark_closed("gone")
        small.subscriptions.remove_all(slow.connection)
        await small.clock.advance(0.1)

    outcome = await start(small, replay.replay(slow.connection, "t", 0), run)
    assert outcome.state == "truncated"
    assert small.subscriptions.holds.get("t") is None


async def test_a_replay_that_is_cancelled_says_so_and_lets_live_events_through(small: Core) -> None:
    replay, slow = filled(small, 60, data="x" * 300), Slow(small, "t")
    tasks = TaskOwner("test")
    task = tasks.start(replay.replay(slow.connection, "t", 0), name="replay")
    await turns()
    small.platform.publish("t", "live")
    await tasks.close()
    assert task.cancelled()
    assert small.frames(slow.connection)[-2:] == [
        {"topic": "__replay:t", "event": "end", "data": {"truncated": True}},
        {"topic": "t", "event": "live", "data": None, "seq": 61},
    ]


@pytest.mark.spec("WIRE-23", "WIRE-112")
async def test_live_events_that_nobody_keeps_any_more_are_told_to_be_missing(small: Core) -> None:
    """More than is held, and more than the history keeps, comes while a slow peer reads an answer."""
    capacity.configure({"MAX_HELD_FRAMES": 4})
    replay, slow = filled(small, 20, data="x" * 300, size=20), Slow(small, "t")

    async def run(task: asyncio.Task[Any]) -> None:
        await turns()
        for number in range(30):
            small.platform.publish("t", "live", number)
        while not task.done():
            slow.read()
            await small.clock.advance(0.1)
        slow.read()
        small.platform.publish("t", "live", "last")

    outcome = await start(small, replay.replay(slow.connection, "t", 0), run)
    small.platform.flush()
    assert outcome.state == "truncated"
    frames = small.frames(slow.connection)
    live = [frame["seq"] for frame in frames if frame["topic"] == "t"]
    assert live == list(range(live[0], 52))
    (lagged,) = [frame["data"] for frame in frames if frame["event"] == "lagged"]
    assert lagged["topics"]["t"] + lagged["dropped"] + 1 == live[0]
    assert [frame["event"] for frame in frames].index("lagged") < [frame["topic"] for frame in frames].index(
        "t"
    )


async def test_what_is_overwritten_while_a_slow_peer_reads_is_told(small: Core) -> None:
    replay, slow = filled(small, 20, data="x" * 300, size=20), Slow(small)

    async def run(task: asyncio.Task[Any]) -> None:
        await turns()
        for _ in range(30):
            small.platform.publish("t", "more")
        while not task.done():
            slow.read()
            await small.clock.advance(0.1)

    outcome = await start(small, replay.replay(slow.connection, "t", 0), run)
    assert outcome.state == "truncated"
    assert outcome.read_to == 50
    assert small.frames(slow.connection)[-1]["data"] == {"truncated": True}


async def test_a_topic_that_outruns_its_peer_ends_truncated(small: Core) -> None:
    replay, slow = filled(small, 10, data="x" * 300), Slow(small)

    async def run(task: asyncio.Task[Any]) -> None:
        for _ in range(100 * MAX_READINGS):
            if task.done():
                return
            slow.read()
            for _ in range(10):
                small.platform.publish("t", "e", "x" * 300)
            await small.clock.advance(0.1)

    outcome = await start(small, replay.replay(slow.connection, "t", 0), run)
    assert outcome.state == "truncated"


async def test_a_message_that_clients_would_drop_is_told_as_missing() -> None:
    core = Core(max_frame=500)
    replay, connection = filled(core, 2, data="x" * 430), core.connect()
    outcome = await replay.replay(connection, "t", 0)
    assert (outcome.state, outcome.count) == ("truncated", 0)
    assert numbered(core, connection) == ["end"]


async def test_an_event_larger_than_the_buffer_is_sent_alone(small: Core) -> None:
    replay, slow = filled(small, 3, data="x" * 5000), Slow(small)

    async def run(task: asyncio.Task[Any]) -> None:
        while not task.done():
            await small.clock.advance(0.1)
            slow.read()

    outcome = await start(small, replay.replay(slow.connection, "t", 0), run)
    assert (outcome.state, outcome.count) == ("filled", 3)


async def test_a_second_replay_of_the_same_topic_runs_beside_the_first(core: Core) -> None:
    replay, connection = filled(core), core.connect("t")
    first, second = await asyncio.gather(
        replay.replay(connection, "t", 0, req_id=1), replay.replay(connection, "t", 0, req_id=2)
    )
    assert (first.state, second.state) == ("filled", "filled")
    core.platform.publish("t", "live")
    assert numbered(core, connection)[-1] == LONG + 1


@pytest.mark.spec("WIRE-113")
async def test_a_gap_that_fits_is_closed_at_once(core: Core) -> None:
    replay = filled(core, 3)
    connection = core.connect("t")
    assert replay.fill(connection, "t", 3) is None
    assert core.frames(connection) == []
    assert replay.fill(connection, "t", 1) is None
    assert numbered(core, connection) == [-2, -3, "end"]


async def test_a_long_gap_holds_live_events_back_from_the_call_on(core: Core) -> None:
    replay, connection = filled(core), core.connect("t")
    step = replay.fill(connection, "t", 0)
    assert step is not None
    core.platform.publish("t", "live")
    await step
    assert numbered(core, connection) == [*(-seq for seq in range(1, LONG + 1)), "end", LONG + 1]


async def test_a_gap_that_is_no_longer_kept_is_told(core: Core) -> None:
    replay, connection = filled(core, 3, size=1), core.connect("t")
    assert replay.fill(connection, "t", 1) is None
    assert core.frames(connection)[-1]["data"] == {"truncated": True}
    assert numbered(core, connection) == [-3, "end"]


class Passing:
    """Time that goes on with every look at the clock, and events that grow too old between two looks."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.parametrize("looks", range(1, 6))
@pytest.mark.parametrize("way", ["replay", "fill"])
async def test_what_grows_too_old_while_it_is_read_is_told_to_be_missing(
    core: Core, way: str, looks: int
) -> None:
    time = Passing()
    replay = filled(core, 3, max_age=10.0, clock=time)
    peer = core.connect()
    time.step = 10.0 / looks + 0.001  # the look number `looks` finds nothing that is young enough
    if way == "replay":
        await replay.replay(peer, "t", 0)
    else:
        assert replay.fill(peer, "t", 0) is None
    *messages, end = core.frames(peer)
    assert end["event"] == "end"
    if not (end["data"] or {}).get("truncated"):
        assert [message["data"]["seq"] for message in messages] == [1, 2, 3]


@pytest.mark.parametrize("looks", range(1, 9))
async def test_what_grows_too_old_between_two_pages_is_told_to_be_missing(core: Core, looks: int) -> None:
    time = Passing()
    replay = filled(core, PAGE + 1, max_age=10.0, clock=time)
    peer = core.connect()

    async def publish_between(task: asyncio.Task[Any]) -> None:
        await turns(1)
        core.platform.publish("t", "e", "between")
        time.step = 10.0 / looks + 0.001

    outcome = await start(core, replay.replay(peer, "t", 0), publish_between)
    seqs = [frame["data"]["seq"] for frame in core.frames(peer) if frame["event"] == "msg"]
    assert seqs == list(range(1, PAGE + 3)) or outcome.state == "truncated"
