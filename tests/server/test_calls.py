"""Wrapped handlers and the helpers of ctx over real sockets, on both write paths. Spec: live-api 2, 3 and 5."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from runtime.client import RpcError
from runtime.testing import RunningServer, eventually, running_server

LIVE = """
import asyncio
from typing import Annotated, Any
import msgspec
from runtime import LiveError, Rule, live
from runtime.plugins import CircuitBreaker

live.rate_limits(overrides={"calls/registry": Rule(1, 60)})

RAN = []
DOOR = asyncio.Event()

class Order(msgspec.Struct):
    id: str
    qty: Annotated[int, msgspec.Meta(ge=1)]

@live.scoped(live.access.owner("name"))
@live.rate_limit(points=50, window=60)
@live.idempotent(key_from=lambda ctx, order: f"{ctx.user['name']}:{order['id']}")
@live.lock(lambda ctx, order: f"order:{order['id']}", max_wait=5)
@live.breaker(CircuitBreaker())
@live.validated(Order)
@live
async def order(ctx, order):
    RAN.append(order.id)
    ctx.publish("orders", "created", order)
    if order.id == "slow":
        await DOOR.wait()
    return {"id": order.id, "run": len(RAN)}

@live.rate_limit(points=1, window=60)
@live
async def own(ctx):
    return True

@live
async def registry(ctx):
    return True

@live.idempotent()
@live
async def once(ctx, door: bool = False):
    RAN.append("once")
    if door:
        await DOOR.wait()
    return len(RAN)

@live
async def open_door(ctx):
    DOOR.set()

@live
async def request_id(ctx):
    return ctx.request_id

@live
async def burst(ctx, count: int):
    for n in range(count):
        ctx.publish("orders", "tick", n)
    ctx.publish_throttled("orders", "tick", count, 60)
    ctx.batch([{"topic": "orders", "event": "tick", "data": n} for n in range(count + 1, count + 11)])
    return "done"

@live
async def typing(ctx, text: str):
    ctx.publish_debounced("orders", "typed", text, 0.4)
    ctx.publish_throttled("orders", "moved", text, 0.4)

@live
async def wait_for_end(ctx):
    ctx.publish_debounced("orders", "typed", "at the end", 3600)
"""
HOOKS = """
def upgrade(headers):
    return {"name": headers.get("x-name", "nobody")}
"""


@pytest.fixture(params=["auto", "off"], ids=["fast", "asgi"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningServer]:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "calls.py").write_text(LIVE)
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "realtime.toml").write_text(f'[websocket]\nfast_path = "{request.param}"\n')
    async with running_server(tmp_path) as running:
        yield running


def ran(server: RunningServer) -> list[str]:
    found: list[str] = server.runtime.live.registry.modules["calls"].module.RAN
    return found


async def refusal(call: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call
    return caught.value


@pytest.mark.spec("LIVE-54")
async def test_when_to_come_back_reaches_the_client_from_both_limiters(server: RunningServer) -> None:
    async with server.connect() as rt:
        for path in ("calls/own", "calls/registry"):
            assert await rt.call(path) is True
            error = await refusal(rt.call(path))
            assert error.code == "RATE_LIMITED"
            assert error.retry_after is not None
            assert 50 < error.retry_after <= 60


@pytest.mark.spec("LIVE-48", "LIVE-55", "LIVE-60")
async def test_all_wrappers_together(server: RunningServer) -> None:
    async with server.connect(headers={"x-name": "ann"}) as ann, server.connect() as bob:
        first = await ann.call("calls/order", {"id": "o1", "qty": 1})
        assert first == {"id": "o1", "run": 1}
        assert await ann.call("calls/order", {"id": "o1", "qty": 1}) == first
        assert await bob.call("calls/order", {"id": "o1", "qty": 1}) == {"id": "o1", "run": 2}
        error = await refusal(ann.call("calls/order", {"id": "o2", "qty": 0}))
        assert (error.code, error.issues) == (
            "VALIDATION",
            [{"path": ["qty"], "message": "Expected `int` >= 1"}],
        )
        # What was refused was not kept.
        assert (await ann.call("calls/order", {"id": "o2", "qty": 2}))["run"] == 3
    assert ran(server) == ["o1", "o1", "o2"]


@pytest.mark.spec("WIRE-74", "LIVE-57")
async def test_two_connections_with_one_key_get_one_result(server: RunningServer) -> None:
    async with server.connect() as one, server.connect() as two:
        calls = [
            asyncio.ensure_future(rt.call("calls/once", True, idempotency_key="k")) for rt in (one, two, one)
        ]
        await eventually(lambda: ran(server))
        # The others wait: one more call of each connection is answered before them.
        await two.call("calls/own")
        await one.call("calls/open_door")
        assert await asyncio.gather(*calls) == [1, 1, 1]
        assert await two.call("calls/once", False, idempotency_key="k") == 1
        assert (await refusal(one.call("calls/once", idempotency_key="k" * 257))).code == "INVALID_REQUEST"
        assert await one.call("calls/once") == 2


@pytest.mark.spec("LIVE-23")
async def test_the_request_id_is_the_connections(server: RunningServer) -> None:
    async with server.connect(headers={"x-request-id": "trace-7"}) as known, server.connect() as other:
        assert await known.call("calls/request_id") == await known.call("calls/request_id") == "trace-7"
        own = await other.call("calls/request_id")
        assert own
        assert own != "trace-7"
        assert await other.call("calls/request_id") == own


async def frames_until(websocket: Any, id: str) -> list[Any]:
    """Return the frames up to the reply to `id`."""
    found: list[Any] = []
    async with asyncio.timeout(5):
        while not found or found[-1].get("event") != id:
            found.append(json.loads(await websocket.recv()))
    return found


@pytest.mark.spec("LIVE-12", "LIVE-13")
async def test_a_handler_that_publishes_often_costs_one_frame_per_peer(server: RunningServer) -> None:
    async with connect(server.ws_url) as caller, connect(server.ws_url) as watcher:
        for websocket in (caller, watcher):
            await websocket.send('{"type":"hello","caps":["batch"]}')
            await websocket.send('{"type":"subscribe","topic":"orders","ref":1}')
            while "subscribed" not in await websocket.recv():
                pass
        await caller.send('{"rpc":"calls/burst","id":"b1","args":[100]}')
        frames = await frames_until(caller, "b1")
        assert [frame.get("type") or frame["data"]["data"] for frame in frames] == ["batch", "done"]
        assert [event["data"] for event in frames[0]["events"]] == list(range(111))
        async with asyncio.timeout(5):
            assert json.loads(await watcher.recv()) == frames[0]


@pytest.mark.spec("LIVE-15", "LIVE-17")
async def test_calls_of_all_connections_share_the_time(server: RunningServer) -> None:
    async with server.connect() as one, server.connect() as two:
        got: list[tuple[str, Any]] = []
        done = asyncio.Event()

        def keep(event: Any) -> None:
            got.append((event["event"], event["data"]))
            if len(got) == 3:
                done.set()

        async with connect(server.ws_url) as watcher:
            await watcher.send('{"type":"subscribe","topic":"orders","ref":1}')
            while "subscribed" not in await watcher.recv():
                pass
            await asyncio.gather(*(rt.call("calls/typing", text) for rt, text in ((one, "a"), (two, "b"))))
            await one.call("calls/typing", "c")
            async with asyncio.timeout(5):
                while not done.is_set():
                    keep(json.loads(await watcher.recv()))
        assert got[0] == ("moved", "a")
        assert sorted(got[1:]) == [("moved", "c"), ("typed", "c")]


async def test_what_waits_is_published_when_the_server_stops(server: RunningServer) -> None:
    async with connect(server.ws_url) as watcher:
        await watcher.send('{"type":"subscribe","topic":"orders","ref":1}')
        while "subscribed" not in await watcher.recv():
            pass
        await watcher.send('{"rpc":"calls/wait_for_end","id":"w","args":[]}')
        await frames_until(watcher, "w")
        server.runtime.platform.parts.closing.flush()
        async with asyncio.timeout(5):
            assert json.loads(await watcher.recv())["data"] == "at the end"
