"""Frames that are lost, late or out of order on their way to test clients. Spec: platform 2.8."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime import LiveError, Platform, live
from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.testing import TestEnv, drop_outbound, ipc_reorder, slow_drain, worker_flap

ROWS: list[dict[str, int]] = []


@live.public
@live
async def add(ctx: Any, number: int) -> int:
    for one in range(number):
        ctx.publish("rows", "created", {"id": one})
        await asyncio.sleep(0)
    return number


@live.public
@live.stream("rows")
async def rows(ctx: Any) -> list[dict[str, int]]:
    return []


EXPORTS = {"add": add, "rows": rows}


@pytest.fixture
async def env() -> AsyncIterator[TestEnv]:
    async with TestEnv() as made:
        made.register("m", EXPORTS)
        yield made


@pytest.mark.spec("PLAT-78")
async def test_it_is_there_in_the_harness_only(env: TestEnv) -> None:
    assert not hasattr(Platform, "chaos")
    assert env.platform is env.runtime.platform
    view = env.platform.view("r-1")
    assert view.request_id == "r-1"
    view.chaos(None)
    for odd in (0.5, "drop-outbound", {"rate": 1}, drop_outbound):
        with pytest.raises(TypeError, match="give drop_outbound"):
            env.platform.chaos(odd)


@pytest.mark.spec("PLAT-78")
@pytest.mark.parametrize("number", [-0.1, 1.1, float("nan"), float("inf"), True, "1", None])
def test_a_bad_rate_is_refused(number: Any) -> None:
    with pytest.raises(ValueError, match="rate must be a number from 0 to 1"):
        drop_outbound(number)


@pytest.mark.spec("PLAT-78")
@pytest.mark.parametrize("number", [-1, float("nan"), float("inf"), False, "1", None])
def test_a_bad_time_is_refused(number: Any) -> None:
    with pytest.raises(ValueError, match="delay must be a finite number"):
        slow_drain(number)
    with pytest.raises(ValueError, match="max_jitter must be a number from 0 to 60"):
        ipc_reorder(number)


@pytest.mark.spec("PLAT-78")
def test_other_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="0 to 60"):
        ipc_reorder(60.1)
    assert ipc_reorder(60).max_jitter == 60
    assert drop_outbound(1).rate == 1
    assert slow_drain(0).delay == 0
    for code in (999, 5000, True, "1012", 1012.0):
        with pytest.raises(ValueError, match="close code"):
            worker_flap(code)  # type: ignore[arg-type]
    for reason in ("x" * 124, "\u00e9" * 62, 7):
        with pytest.raises(ValueError, match="123 bytes"):
            worker_flap(reason=reason)  # type: ignore[arg-type]
    for seed in ("a", 1.5, True):
        with pytest.raises(ValueError, match="seed"):
            drop_outbound(0.5, seed)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="seed"):
            ipc_reorder(1, seed)  # type: ignore[arg-type]


async def test_lost_frames_are_lost_replies_too(env: TestEnv) -> None:
    ann = env.connect("ann")
    assert await ann.call("m/add", 1) == 1
    env.platform.chaos(drop_outbound(1))
    call = asyncio.create_task(ann.call("m/add", 2, timeout=0.2))
    with pytest.raises(LiveError) as lost:
        await call
    assert lost.value.code == "TIMEOUT"
    assert len(env.published.on("rows")) == 3, "the server did all of it"
    env.platform.chaos(None)
    assert await ann.call("m/add", 0) == 0


async def arrived(env: TestEnv, scenario: Any) -> list[int]:
    watcher = env.connect("w")
    stream = watcher.subscribe("m/rows")
    await stream.ready()
    env.platform.chaos(scenario)
    for number in range(40):
        env.platform.publish("rows", "created", {"id": number})
        await env.tick(0)
    await env.tick(61)
    env.platform.chaos(None)
    await env.tick(0)
    await watcher.disconnect()
    return [event.data["id"] for event in stream.events if event.event == "created"]


async def test_a_share_is_lost_and_a_seed_loses_the_same(env: TestEnv) -> None:
    some = await arrived(env, drop_outbound(0.5, seed=7))
    assert 5 < len(some) < 35
    assert some == sorted(some)
    assert await arrived(env, drop_outbound(0.5, seed=7)) == some
    assert await arrived(env, drop_outbound(0)) == list(range(40))


async def test_late_frames_come_in_their_order_or_in_none(env: TestEnv) -> None:
    assert await arrived(env, slow_drain(30)) == list(range(40))
    mixed = await arrived(env, ipc_reorder(60, seed=3))
    assert sorted(mixed) == list(range(40))
    assert mixed != sorted(mixed)


async def test_a_slow_peer_has_bytes_waiting_until_they_have_gone_out() -> None:
    settings = Settings(server=ServerSettings(env="test"), websocket=WebSocketSettings(max_backpressure=2048))
    async with TestEnv(settings=settings) as env:
        env.register("m", EXPORTS)
        ann = env.connect("ann")
        stream = ann.subscribe("m/rows")
        await stream.ready()
        connection = ann.connection
        assert connection is not None
        env.platform.chaos(slow_drain(5))
        for number in range(20):
            env.platform.publish("rows", "created", {"id": number, "text": "x" * 200})
            await env.tick(0)
        assert 1000 < env.platform.buffered_amount(connection) <= 2048 + 300
        dropped = env.runtime.metrics.total("ws_frames_dropped_total")
        assert dropped > 0, "what does not fit is dropped, as behind a real line"
        assert len(stream.events) == 0
        await env.tick(5)
        await env.tick(5)  # what tells the client that it has missed something waits as well
        assert env.platform.buffered_amount(connection) == 0
        await env.eventually(lambda: len(stream.events) == 20 - dropped)


async def test_a_close_comes_behind_what_was_late_and_a_broken_line_loses_it(env: TestEnv) -> None:
    for end in ("close", "cut"):
        ann = env.connect("ann")
        stream = ann.subscribe("m/rows")
        await stream.ready()
        env.platform.chaos(slow_drain(5))
        env.platform.publish("rows", "created", {"id": 1})
        await env.tick(0)
        if end == "close":
            assert ann.connection is not None
            ann.connection.close_soon(4000, "done")
        else:
            env.chaos.disconnect(ann)
        await env.tick(6)
        await env.tick(0)
        assert len(stream.events) == (1 if end == "close" else 0), end
        env.platform.chaos(None)


async def test_a_worker_that_starts_anew_closes_everybody_once() -> None:
    ended: list[tuple[int, str]] = []

    def close(code: int, reason: str) -> None:
        ended.append((code, reason))

    async with TestEnv(hooks={"close": close}) as env:
        env.register("m", EXPORTS)
        ann, bob = env.connect("ann"), env.connect("bob")
        for one in (ann, bob):
            await one.call("m/add", 0)
        env.platform.chaos(slow_drain(0))
        env.platform.chaos(worker_flap())
        await env.eventually(lambda: len(ended) == 2)
        assert ended == [(1012, "worker restart")] * 2
        env.platform.chaos(None)
        late = env.connect("late")
        assert await late.call("m/add", 0) == 0
        await env.tick(1)
        assert len(ended) == 2, "it happens once"
        env.platform.chaos(worker_flap(4000, "moved"))
        await env.eventually(lambda: (4000, "moved") in ended)
