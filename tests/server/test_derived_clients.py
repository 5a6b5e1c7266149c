"""Derived streams with the Python client, over real sockets. Spec: live-api 10.1 and 26."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runtime.client import ClientOptions, Realtime
from runtime.testing import FakeClock, RunningServer, eventually, running_server

LIVE = """
from runtime import live

orders = {"n": 1}
loads = []

@live.derived(["orders", "stock"])
async def total(ctx):
    if ctx.ws is not None: loads.append("total")
    return {"n": orders["n"]}

@live.derived(lambda org: [f"members:{org}"])
async def of_org(ctx, org: str):
    return f"{org} {orders['n']}"

@live.derived("orders", merge="crud")
async def rows(ctx):
    return [{"id": 1, "n": orders["n"]}]

@live
async def sell(ctx, topic: str, n: int):
    orders["n"] = n
    ctx.publish(topic, "created", {"n": n})
"""


@pytest.fixture(params=["auto", "off"], ids=["fast", "asgi"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningServer]:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "m.py").write_text(LIVE)
    (tmp_path / "realtime.toml").write_text(f'[websocket]\nfast_path = "{request.param}"\n')
    async with running_server(tmp_path) as running:
        yield running


@contextlib.asynccontextmanager
async def timed(server: RunningServer) -> AsyncIterator[tuple[Realtime, FakeClock]]:
    """A client that waits for reconnects on a clock of its own."""
    clock = FakeClock()
    client = Realtime(server.ws_url, ClientOptions(), clock=clock)
    client.start()
    try:
        await client.ready()
        yield client, clock
    finally:
        await client.close()


def module(server: RunningServer) -> Any:
    return server.runtime.live.registry.modules["m"].module


async def cut(server: RunningServer, rt: Realtime) -> None:
    for connection in list(server.runtime.connections.values()):
        connection.terminate()
    await eventually(lambda: rt.status.value == "disconnected")


async def come_back(rt: Realtime, clock: FakeClock, *streams: Any) -> None:
    await clock.advance(3.75)
    await eventually(lambda: rt.status.value == "open")
    await clock.advance(0.1)
    await eventually(lambda: all(stream.status == "connected" for stream in streams))


@pytest.mark.spec("LIVE-108", "LIVE-109", "WIRE-96", "LIVE-191")
async def test_values_come_live(server: RunningServer) -> None:
    async with (
        timed(server) as (rt, _),
        rt.stream("m/total") as total,
        rt.stream("m/of_org", "o1") as org,
        rt.stream("m/rows") as rows,
    ):
        for stream in (total, org, rows):
            await stream.ready()
        assert (total.value, org.value, rows.value) == ({"n": 1}, "o1 1", [{"id": 1, "n": 1}])
        assert org.topic == "m/of_org~o1"
        await rt.call("m/sell", "orders", 2)
        await eventually(lambda: total.value == {"n": 2} and rows.value == [{"id": 1, "n": 2}])
        assert org.value == "o1 1"
        await rt.call("m/sell", "members:o1", 3)
        await eventually(lambda: org.value == "o1 3")
    await eventually(lambda: "members:o1" not in server.runtime.platform.parts.publisher.watchers)


@pytest.mark.spec("LIVE-191")
async def test_a_client_that_missed_nothing_keeps_its_value(server: RunningServer) -> None:
    async with timed(server) as (rt, clock), rt.stream("m/total") as total:
        await total.ready()
        await rt.call("m/sell", "orders", 2)
        await eventually(lambda: total.value == {"n": 2})
        kept = total.value
        await cut(server, rt)
        module(server).orders["n"] = 77  # nobody has published that
        await come_back(rt, clock, total)
        assert total.value is kept
        assert len(module(server).loads) == 2
        await rt.call("m/sell", "stock", 3)
        await eventually(lambda: total.value == {"n": 3})


@pytest.mark.spec("LIVE-191")
async def test_a_client_that_was_away_gets_what_came_meanwhile(server: RunningServer) -> None:
    async with (
        timed(server) as (rt, clock),
        rt.stream("m/total") as total,
        rt.stream("m/of_org", "o1") as org,
    ):
        await total.ready()
        await org.ready()
        await rt.call("m/sell", "orders", 2)
        await eventually(lambda: total.value == {"n": 2})
        await cut(server, rt)
        module(server).orders["n"] = 9
        server.runtime.platform.publish("orders", "created")
        await eventually(lambda: server.runtime.platform.parts.publisher.sequence.current("m/total") == 2)
        await come_back(rt, clock, total, org)
        assert total.value == {"n": 9}
        assert org.value == "o1 9", "it has never heard of this topic, so it cannot know"


@pytest.mark.spec("LIVE-191")
async def test_whoever_left_and_comes_back_in_the_grace_time_gets_the_present_value(
    server: RunningServer,
) -> None:
    async with timed(server) as (rt, _):
        async with rt.stream("m/total") as total:
            await total.ready()
        await eventually(lambda: server.runtime.platform.subscribers("m/total") == 0)
        module(server).orders["n"] = 5
        async with rt.stream("m/total") as total:
            assert total.value == {"n": 1}, "the old one first"
            await eventually(lambda: total.value == {"n": 5})
