"""Publishes that are lost, late or out of order, and lines that break. Spec: live-api 20."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime import LiveError, live
from runtime.testing import ChaosConfig, TestClient, TestEnv, TestStream, eventually

ROWS: list[dict[str, Any]] = []


@live
async def add(ctx: Any, id: int) -> int:
    ROWS.append({"id": id})
    ctx.publish("numbers", "created", {"id": id})
    return id


@live
async def add_many(ctx: Any, ids: list[int]) -> None:
    for id in ids:
        await add(ctx, id)


@live
async def hang(ctx: Any) -> None:
    await asyncio.Event().wait()


@live.stream("numbers", replay=True)
async def numbers(ctx: Any) -> list[dict[str, Any]]:
    return list(ROWS)


@live.stream("log", merge="latest", max=100)
async def log(ctx: Any) -> list[Any]:
    return []


@pytest.fixture
def env(realtime: TestEnv) -> TestEnv:
    ROWS.clear()
    realtime.register("numbers", {"add": add, "add_many": add_many, "hang": hang, "all": numbers, "log": log})
    return realtime


async def watched(client: TestClient, path: str = "numbers/log") -> TestStream:
    stream = client.subscribe(path)
    await stream.ready()
    return stream


async def sent(env: TestEnv, count: int = 60) -> list[Any]:
    """Publish numbers and return those that arrived, in their order."""
    stream = await watched(env.connect())
    for number in range(count):
        env.platform.publish("log", "n", number)
    env.chaos.disable()
    env.platform.publish("log", "n", "end")
    return (await stream.wait_for(lambda value: value[-1:] == ["end"]))[:-1]


@pytest.mark.spec("LIVE-169")
async def test_the_same_seed_loses_the_same_publishes() -> None:
    arrived = []
    for seed in (7, 7, 8):
        async with TestEnv(chaos={"drop_rate": 0.5, "seed": seed}) as env:
            env.register("numbers", {"log": log})
            arrived.append(await sent(env))
            assert env.chaos.dropped == 60 - len(arrived[-1])
    assert arrived[0] == arrived[1] != arrived[2]
    assert 10 < len(arrived[0]) < 50


async def test_nothing_and_everything_can_be_lost_but_never_a_reply(env: TestEnv) -> None:
    client = env.connect()
    stream = await watched(client, "numbers/all")
    env.chaos.set(drop_rate=1, seed=1)
    assert [await client.call("numbers/add", id) for id in range(5)] == [0, 1, 2, 3, 4]
    await client.call("numbers/add_many", [5, 6])
    assert env.platform.publish("numbers", "created", {"id": 7}) is True
    assert (env.chaos.dropped, stream.events) == (8, [])
    env.chaos.reset_counter()
    assert env.chaos.dropped == 0
    env.chaos.set(drop_rate=0, seed=1)
    await client.call("numbers/add_many", [8, 9])
    assert [event.data["id"] for event in stream.events] == [8, 9]
    assert env.chaos.dropped == 0


async def test_what_was_lost_is_numbered_and_kept_for_who_comes_back(env: TestEnv) -> None:
    ann, bob = env.connect(), env.connect()
    stream = await watched(ann, "numbers/all")
    await bob.call("numbers/add", 1)
    await stream.wait_for(lambda rows: len(rows) == 1)
    loads = len(ROWS)
    env.chaos.set(drop_rate=1, seed=1)
    await bob.call("numbers/add_many", [2, 3])
    assert len(stream.value) == loads
    env.chaos.disable()
    env.chaos.disconnect(ann)
    await stream.wait_for(lambda rows: [row["id"] for row in rows] == [1, 2, 3])
    assert any('"replay":true' in frame for frame in ann.frames)


async def test_a_delay_is_one_of_the_servers_clock(env: TestEnv) -> None:
    stream = await watched(env.connect())
    env.chaos.set(delay=2, seed=1)
    env.platform.publish("log", "n", 1)
    await env.tick(1)
    env.platform.publish("log", "n", 2)
    await env.tick(0.5)
    assert stream.value == []
    await env.tick(0.5)
    assert await stream.wait_for(bool) == [1]
    env.platform.publish("log", "n", 3)
    env.chaos.disable()
    assert await stream.wait_for(lambda value: len(value) == 3) == [1, 2, 3]
    assert env.chaos.delayed == 3


async def test_some_are_overtaken_and_none_gets_lost(env: TestEnv) -> None:
    env.chaos.set(reorder=0.3, seed=3)
    arrived = await sent(env)
    assert arrived != sorted(arrived)
    assert sorted(arrived) == list(range(60))
    assert env.chaos.reordered > 5
    # The next one that is not held back overtakes it, not everything.
    assert max(abs(place - number) for place, number in enumerate(arrived)) < 10


async def test_one_that_nothing_overtakes_goes_out_after_a_second(env: TestEnv) -> None:
    stream = await watched(env.connect())
    env.chaos.set(reorder=1, seed=1)
    env.platform.publish("log", "n", 1)
    await env.tick(0.9)
    assert stream.value == []
    await env.tick(0.2)
    assert await stream.wait_for(bool) == [1]


async def test_a_broken_line_fails_calls_tells_the_hook_and_comes_back() -> None:
    closed: list[int] = []
    async with TestEnv(hooks={"close": lambda code: closed.append(code)}) as env:
        ROWS.clear()
        env.register("numbers", {"add": add, "hang": hang, "all": numbers})
        ann, bob = env.connect({"id": "a"}), env.connect({"id": "b"})
        stream = await watched(ann, "numbers/all")
        call = asyncio.ensure_future(ann.call("numbers/hang"))
        await eventually(lambda: env.runtime.live.calls.running == 1)
        old = ann.connection
        env.chaos.disconnect(ann)
        with pytest.raises(LiveError) as caught:
            await call
        assert caught.value.code == "DISCONNECTED"
        await bob.call("numbers/add", 5)
        await stream.wait_for(lambda rows: rows == [{"id": 5}])
        assert closed == [1006]
        assert ann.connection is not old
        assert (stream.status, env.chaos.disconnected) == ("connected", 1)
        env.chaos.disconnect()
        await eventually(lambda: closed == [1006, 1006, 1006] and env.platform.connections == 2)
        assert await ann.call("numbers/add", 6) == 6
        # Afterwards a client is as before: what the server closes stays closed.
        assert ann.connection is not None
        await ann.connection.close(1011, "")
        await eventually(lambda: env.platform.connections == 1)
        with pytest.raises(LiveError, match="1011"):
            await ann.call("numbers/add", 7)


async def test_what_is_on_its_way_is_lost_in_both_directions(env: TestEnv) -> None:
    client = env.connect()
    stream = await watched(client)
    env.platform.publish("log", "n", 1)
    env.runtime.outbox.flush()
    env.chaos.disconnect(client)
    client.fire_and_forget("numbers/add", 66)
    await client.ready()
    await eventually(lambda: stream.status == "connected")
    env.platform.publish("log", "n", 2)
    await stream.events.wait_for(where=lambda event: event.data == 2)
    assert [event.data for event in stream.events] == [2]
    assert {"id": 66} not in ROWS


async def test_streams_end_up_right_however_often_lines_break(env: TestEnv) -> None:
    streams = [await watched(env.connect({"id": number}), "numbers/all") for number in range(3)]
    env.chaos.set(reorder=0.2, delay=0.1, disconnect_rate=0.1, seed=11)
    for number in range(80):
        ROWS.append({"id": number})
        env.platform.publish("numbers", "created", {"id": number})
        await env.tick(0.05)
    env.chaos.disable()
    assert env.chaos.disconnected > 2
    for stream in streams:
        await stream.wait_for(lambda rows: sorted(row["id"] for row in rows) == list(range(80)))


async def test_what_the_framework_says_is_left_alone(env: TestEnv) -> None:
    client = env.connect()
    await client.call("numbers/add", 1)
    env.chaos.set(drop_rate=1, seed=1)
    env.platform.health.degrade("disk full")
    await env.tick(0)
    assert any("degraded" in frame for frame in client.frames)


async def test_options_are_checked_and_shown() -> None:
    async with TestEnv() as env:
        assert env.chaos.config is None
        for wrong in ({"drop_rate": 1.1}, {"reorder": -0.1}, {"disconnect_rate": 2}, {"delay": -1}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                env.chaos.set(**wrong)
        for odd in ({"drop_rate": "much"}, {"delay": True}, {"seed": 1.5}):
            with pytest.raises(TypeError, match=next(iter(odd))):
                env.chaos.set(**odd)  # type: ignore[arg-type]  # what is tested
        assert env.chaos.config is None
        env.chaos.set(drop_rate=0.5)
        chosen = env.chaos.config
        assert chosen is not None
        assert "drop_rate=0.5" in repr(env.chaos)
        async with TestEnv(chaos=chosen) as other:
            assert other.chaos.config == chosen == ChaosConfig(drop_rate=0.5, seed=chosen.seed)
        env.chaos.disable()
        assert env.chaos.config is None
