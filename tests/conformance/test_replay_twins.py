"""What every history of topics does, in this process or shared: one suite. Spec: platform 7.5, cluster 17."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from runtime.core.connection import Connection
from runtime.core.settings import SecuritySettings, Settings
from runtime.plugins import Gap, Replay, ReplayOutcome, ReplayProtocol
from tests.conformance.doubles.slow_replay import SlowReplay
from tests.conformance.twins import TURNS, Factory, settle
from tests.unit.core.parts import Core

TWINS: dict[str, Callable[..., ReplayProtocol]] = {"memory": Replay, "slow": SlowReplay}
pytestmark = pytest.mark.spec("PLAT-137")


@pytest.fixture(params=TWINS)
def factory(request: pytest.FixtureRequest) -> Factory[ReplayProtocol]:
    """`make(size=3)` gives an empty history beside the app `core`."""
    return Factory(TWINS[request.param])


async def publish(replay: ReplayProtocol, core: Core, topic: str, *values: Any) -> None:
    for value in values:
        await replay.publish(core.platform, topic, "created", value)


def kept(messages: list[Any]) -> list[tuple[int, Any]]:
    return [(message.seq, message.data) for message in messages]


def replayed(core: Core, connection: Connection) -> list[Any]:
    """Return what came on `__replay:` topics: (event, data)."""
    return [
        (event, data)
        for topic, event, data, seq in core.events(connection)
        if topic.startswith("__replay:") and seq is None
    ]


@pytest.mark.spec("WIRE-123")
async def test_one_number_counts_live_frames_and_kept_events(factory: Factory[ReplayProtocol]) -> None:
    replay = factory.make()
    connection = factory.core.connect("chat")
    assert await replay.seq("chat") == 0
    assert await replay.publish(factory.core.platform, "chat", "created", {"n": 1}) is True
    assert await replay.publish(factory.core.platform, "chat", "updated", {"n": 2}) is True
    assert await replay.publish(factory.core.platform, "chat", "deleted") is True
    assert await replay.seq("chat") == 3
    assert factory.core.events(connection) == [
        ("chat", "created", {"n": 1}, 1),
        ("chat", "updated", {"n": 2}, 2),
        ("chat", "deleted", None, 3),
    ]
    assert [(m.seq, m.topic, m.event, m.data) for m in await replay.since("chat", 1)] == [
        (2, "chat", "updated", {"n": 2}),
        (3, "chat", "deleted", None),
    ]


async def test_what_is_kept_is_a_copy(factory: Factory[ReplayProtocol]) -> None:
    replay, value = factory.make(), {"list": [1]}
    await publish(replay, factory.core, "chat", value)
    value["list"].append(2)
    first = (await replay.since("chat", 0))[0].data
    assert first == {"list": [1]}
    first["list"].append(3)
    assert (await replay.since("chat", 0))[0].data == {"list": [1]}


async def test_the_oldest_is_overwritten_and_that_is_told(factory: Factory[ReplayProtocol]) -> None:
    replay = factory.make(size=3)
    await publish(replay, factory.core, "chat", "a", "b", "c", "d", "e")
    assert kept(await replay.since("chat", 0)) == [(3, "c"), (4, "d"), (5, "e")]
    assert kept(await replay.since("chat", 4)) == [(5, "e")]
    assert await replay.since("chat", 5) == []
    assert await replay.gap("chat", 0) == Gap(truncated=True, missing_from=1)
    assert await replay.gap("chat", 1) == Gap(truncated=True, missing_from=2)
    assert await replay.gap("chat", 2) == Gap(truncated=False)
    assert await replay.gap("chat", 5) == Gap(truncated=False)


@pytest.mark.spec("WIRE-114", "PLAT-163")
async def test_a_number_above_the_current_one_is_of_another_time(factory: Factory[ReplayProtocol]) -> None:
    replay = factory.make()
    await publish(replay, factory.core, "chat", "a")
    assert (await replay.gap("chat", 2)).truncated
    assert (await replay.gap("chat", 2**70)).truncated
    assert (await replay.gap("never", 1)).truncated
    assert await replay.since("chat", 9) == []
    assert await replay.gap("never", 0) == Gap(truncated=False)


@pytest.mark.parametrize("bad", [-1, 1.5, float("nan"), True, "1", None])
@pytest.mark.spec("PLAT-114")
async def test_a_bad_number_reads_nothing(factory: Factory[ReplayProtocol], bad: Any) -> None:
    replay = factory.make()
    await publish(replay, factory.core, "chat", "a")
    connection = factory.core.connect()
    assert await replay.since("chat", bad) == []
    with pytest.raises(ValueError, match="last_seen"):
        await replay.gap("chat", bad)
    assert await replay.replay(connection, "chat", bad, req_id=4) == ReplayOutcome("truncated")
    assert replayed(factory.core, connection) == [("end", {"reqId": 4})]


@pytest.mark.spec("WIRE-112")
async def test_a_replay_sends_what_was_missed_and_an_end(factory: Factory[ReplayProtocol]) -> None:
    replay = factory.make()
    await publish(replay, factory.core, "chat", {"t": "a"}, {"t": "b"})
    connection = factory.core.connect("chat")
    outcome = await replay.replay(connection, "chat", 1, factory.core.platform, 7)
    assert (outcome.state, outcome.count, outcome.code) == ("filled", 1, None)
    assert factory.core.texts(connection) == [
        '{"topic":"__replay:chat","event":"msg","data":{"reqId":7,"seq":2,"event":"created","data":{"t":"b"}}}',
        '{"topic":"__replay:chat","event":"end","data":{"reqId":7}}',
    ]


@pytest.mark.parametrize(
    ("since", "state", "sent"),
    [
        (5, "complete", [("end", None)]),
        (3, "filled", [4, 5, ("end", None)]),
        (2, "filled", [3, 4, 5, ("end", None)]),
        (1, "truncated", [3, 4, 5, ("end", {"truncated": True})]),
        (0, "truncated", [3, 4, 5, ("end", {"truncated": True})]),
        (6, "truncated", [("end", {"truncated": True})]),
        (2**70, "truncated", [("end", {"truncated": True})]),
    ],
)
@pytest.mark.spec("WIRE-112", "WIRE-114")
async def test_the_outcome_says_whether_everything_came(
    factory: Factory[ReplayProtocol], since: int, state: str, sent: list[Any]
) -> None:
    replay = factory.make(size=3)
    await publish(replay, factory.core, "chat", *"abcde")
    connection = factory.core.connect()
    outcome = await replay.replay(connection, "chat", since)
    assert outcome.state == state
    assert [
        data["seq"] if event == "msg" else (event, data) for event, data in replayed(factory.core, connection)
    ] == sent
    assert outcome.count == len(sent) - 1


async def test_a_topic_that_was_never_published_has_only_an_end(factory: Factory[ReplayProtocol]) -> None:
    connection = factory.core.connect()
    replay = factory.make()
    outcome = await replay.replay(connection, "never", 0, req_id="r")
    assert (outcome.state, outcome.count) == ("complete", 0)
    assert replayed(factory.core, connection) == [("end", {"reqId": "r"})]


@pytest.mark.spec("PLAT-114", "WIRE-112")
async def test_the_gate_is_asked_first(factory: Factory[ReplayProtocol]) -> None:
    replay = factory.make()
    await publish(replay, factory.core, "mine", 1)
    await publish(replay, factory.core, "yours", 2)

    async def subscribe(ws: Connection, topic: str) -> bool:
        await asyncio.sleep(0)
        return topic == "mine"

    factory.core.gate(subscribe=subscribe)
    connection = factory.core.connect()
    assert (await replay.replay(connection, "mine", 0)).state == "filled"
    denied = await replay.replay(connection, "yours", 0, req_id=2)
    assert (denied.state, denied.count, denied.code) == ("denied", 0, "FORBIDDEN")
    assert (await replay.replay(connection, "__presence:x", 0)).code == "INVALID_TOPIC"
    assert replayed(factory.core, connection)[2:] == [
        ("denied", {"code": "FORBIDDEN", "reqId": 2}),
        ("denied", {"code": "INVALID_TOPIC"}),
    ]


@pytest.mark.parametrize("by", ["instance", "setting"])
@pytest.mark.spec("PLAT-114")
async def test_the_gate_can_be_left_out(factory: Factory[ReplayProtocol], by: str) -> None:
    factory.core = Core(settings=Settings(security=SecuritySettings(replay_authorize=by != "setting")))
    factory.core.gate(subscribe=lambda ws, topic: False)
    replay = factory.make(authorize=by != "instance")
    await publish(replay, factory.core, "chat", 1)
    connection = factory.core.connect()
    assert (await replay.replay(connection, "chat", 0)).state == "filled"


@pytest.mark.spec("WIRE-113")
async def test_the_resume_hook_replays_every_valid_entry(factory: Factory[ReplayProtocol]) -> None:
    replay = factory.make()
    await publish(replay, factory.core, "a", 1, 2)
    await publish(replay, factory.core, "b", 1)
    factory.core.gate(subscribe=lambda ws, topic: topic != "secret")
    connection = factory.core.connect()
    seen = {"a": 1, "__x": 1, "b": -1, "half": 0.5, "secret": 1, "old": 5, 'bad"': 1}
    await replay.resume_hook()(ws=connection, last_seen_seqs=seen, platform=factory.core.platform)
    frames = [(topic, event, data) for topic, event, data, _ in factory.core.events(connection)]
    assert frames == [
        ("__replay:a", "msg", {"seq": 2, "event": "created", "data": 2}),
        ("__replay:a", "end", None),
        ("__replay:secret", "denied", {"code": "FORBIDDEN"}),
        ("__replay:old", "end", {"truncated": True}),
    ]


async def test_forgetting_leaves_the_numbers(factory: Factory[ReplayProtocol]) -> None:
    replay = factory.make()
    await publish(replay, factory.core, "a", 1, 2)
    await publish(replay, factory.core, "b", 1)
    await replay.clear_topic("a")
    assert (await replay.since("a", 0), await replay.seq("a")) == ([], 2)
    assert (await replay.gap("a", 1)).truncated
    assert not (await replay.gap("a", 2)).truncated
    assert not (await replay.gap("b", 0)).truncated
    await replay.clear()
    assert (await replay.gap("b", 0)).truncated
    await publish(replay, factory.core, "a", 3)
    assert kept(await replay.since("a", 0)) == [(3, 3)]
    assert not (await replay.gap("a", 2)).truncated


@pytest.mark.spec("WIRE-112", "WIRE-123")
async def test_nothing_live_slips_in_and_nothing_comes_twice_or_not_at_all(
    factory: Factory[ReplayProtocol],
) -> None:
    """Events are published at every turn that a replay may take."""
    for turns in range(TURNS // 3):
        core = factory.core = Core()
        replay = factory.make()
        await publish(replay, core, "chat", 1, 2)
        connection = core.connect("chat")
        task = asyncio.ensure_future(replay.replay(connection, "chat", 0, req_id=1))
        for _ in range(turns):
            await asyncio.sleep(0)
        await publish(replay, core, "chat", 3, 4)
        assert (await task).state == "filled"
        await settle()
        events = core.events(connection)
        end = next(index for index, (_, event, *_) in enumerate(events) if event == "end")
        begin = next(index for index, (topic, *_) in enumerate(events) if topic == "__replay:chat")
        assert {topic for topic, *_ in events[begin : end + 1]} == {"__replay:chat"}
        assert [data["data"] for _, event, data, _ in events[begin:end]] == list(range(1, end - begin + 1))
        # What was live before the replay is in it as well; what it does not hold comes live behind it.
        behind = [data for topic, _, data, _ in events[end + 1 :] if topic == "chat"]
        assert behind == list(range(end - begin + 1, 5))


async def test_a_replay_that_is_cancelled_gives_live_events_free(factory: Factory[ReplayProtocol]) -> None:
    for turns in range(TURNS // 3):
        core = factory.core = Core()
        replay = factory.make()
        await publish(replay, core, "chat", *range(250))
        connection = core.connect("chat")
        task = asyncio.ensure_future(replay.replay(connection, "chat", 0))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await settle()
        await publish(replay, core, "chat", "live")
        assert core.events(connection)[-1][:3] == ("chat", "created", "live")
        assert (await replay.replay(connection, "chat", 250)).state == "filled"
