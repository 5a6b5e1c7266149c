"""Rows of wire 10 that need more than one frame: peers that leave, do not read, or answer what nobody asked.

After each the connection that is left answers a call, and the others never noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.testing import eventually
from tests.server.peers import write_file
from tests.server.sockets import TIMEOUT, Served, call, receive, receive_until, served

pytestmark = [pytest.mark.usefixtures("write_path"), pytest.mark.spec("WIRE-118", "PLAT-158")]

LIVE = """
    import asyncio
    from runtime import live

    gates, log = {}, []

    @live
    async def echo(ctx, value): return value

    @live
    async def slow(ctx, name: str):
        log.append(f"{name} begins")
        await gates.setdefault(name, asyncio.Event()).wait()
        log.append(f"{name} ends")
        return name

    @live
    async def open(ctx, name: str): gates.setdefault(name, asyncio.Event()).set()

    @live
    async def seen(ctx): return log

    @live
    async def ask(ctx, event: str):
        try:
            return {"answer": await ctx.platform.request(ctx.ws, event)}
        except Exception as error:
            return {"error": str(error)}

    @live
    async def flood(ctx, topic: str, size: int, count: int):
        for _ in range(count): ctx.platform.publish(topic, "data", "x" * size)
"""

HOOKS = """
    import asyncio
    from live.a import gates, log

    async def subscribe(topic):
        if topic.startswith("slow"):
            await gates.setdefault(topic, asyncio.Event()).wait()
        log.append(f"subscribed {topic}")

    def unsubscribe(topic): log.append(f"unsubscribed {topic}")
    def close(ws): log.append("closed")
    def authenticate(cookies): log.append("authenticated")
"""

LIMIT = 64 * 1024


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    write_file(tmp_path, "live/a.py", LIVE)
    write_file(tmp_path, "hooks.py", HOOKS)
    settings = Settings(
        server=ServerSettings(env="test", shutdown_timeout=1),
        websocket=WebSocketSettings(max_backpressure=LIMIT),
    )
    async with served(tmp_path, settings) as one:
        yield one


@contextlib.asynccontextmanager
async def undisturbed(server: Served) -> AsyncIterator[ClientConnection]:
    """Give a peer that must work before and after whatever happens to the others."""
    async with server.connect() as ws:
        assert (await call(ws, "a/echo", 1))["data"] == 1
        yield ws
        assert (await call(ws, "a/echo", 2))["data"] == 2


async def log_of(ws: ClientConnection) -> list[str]:
    log: list[str] = (await call(ws, "a/seen"))["data"]
    return log


def request(id: str, path: str, *args: Any) -> str:
    return json.dumps({"rpc": path, "id": id, "args": list(args)})


@pytest.mark.spec("WIRE-37", "PLAT-68")
async def test_row_33_an_answer_of_another_connection_is_ignored(server: Served) -> None:
    async with undisturbed(server) as other, server.connect() as ws:
        await ws.send(request("q", "a/ask", "sure?"))
        question = await receive_until(ws, type="request")
        await other.send(json.dumps({"type": "reply", "ref": question["ref"], "data": "foreign"}))
        assert (await call(other, "a/echo", 3))["data"] == 3
        await ws.send(json.dumps({"type": "reply", "ref": question["ref"], "data": "own"}))
        assert (await receive_until(ws, event="q"))["data"]["data"] == {"answer": "own"}


@pytest.mark.spec("WIRE-37")
async def test_row_34_a_second_answer_is_ignored(server: Served) -> None:
    async with undisturbed(server), server.connect() as ws:
        await ws.send(request("q", "a/ask", "sure?"))
        question = await receive_until(ws, type="request")
        for data in ("first", "second"):
            await ws.send(json.dumps({"type": "reply", "ref": question["ref"], "data": data}))
        assert (await receive_until(ws, event="q"))["data"]["data"] == {"answer": "first"}
        await ws.send(json.dumps({"type": "reply", "ref": question["ref"], "error": "third"}))
        assert (await call(ws, "a/echo", 3))["data"] == 3


@pytest.mark.spec("WIRE-36")
async def test_row_35_an_answer_with_data_and_error_is_an_error(server: Served) -> None:
    async with undisturbed(server), server.connect() as ws:
        await ws.send(request("q", "a/ask", "sure?"))
        question = await receive_until(ws, type="request")
        await ws.send(json.dumps({"type": "reply", "ref": question["ref"], "data": 1, "error": "no"}))
        assert (await receive_until(ws, event="q"))["data"]["data"] == {"error": "no"}
        assert (await call(ws, "a/echo", 3))["data"] == 3


@pytest.mark.spec("WIRE-23", "PLAT-45")
async def test_row_82_a_peer_that_never_reads_holds_up_nobody_and_grows_no_further(server: Served) -> None:
    size = 16_000
    async with undisturbed(server) as reading:
        stalled = await server.connect(max_queue=1)
        for ws in (reading, stalled):
            await ws.send('{"type":"subscribe","topic":"t","ref":1}')
        await receive_until(reading, type="subscribed")
        connections = list(server.runtime.connections.values())
        stalled.transport.pause_reading()
        largest = got = 0
        async with asyncio.timeout(TIMEOUT * 4):
            while server.runtime.metrics.get("ws_frames_dropped_total", "publish") < 50:
                await reading.send(request("c1", "a/flood", "t", size, 4))
                while (await receive(reading))["topic"] == "t":
                    got += 1
                largest = max(largest, *(one.buffered_amount for one in connections))
        assert got == server.runtime.sequence.current("t")
        # The limit, and the frame that reached it; a publish adds what is written around it.
        assert largest <= LIMIT + 2 * size
        stalled.transport.resume_reading()
        lagged = await receive_until(stalled, event="lagged")
        assert lagged["data"]["dropped"] >= 50
        assert (await call(stalled, "a/echo", 3))["data"] == 3
        await stalled.close()


async def test_row_83_a_thousand_subscribes_are_served(server: Served) -> None:
    async with undisturbed(server), server.connect() as ws:

        async def ask() -> None:
            for n in range(1000):
                await ws.send(json.dumps({"type": "subscribe", "topic": f"t{n}", "ref": n}))

        asking = asyncio.create_task(ask())
        await receive_until(ws, type="welcome")
        acks = [await receive(ws) for _ in range(1000)]
        await asking
        assert [(ack["type"], ack["topic"], ack["ref"]) for ack in acks] == [
            ("subscribed", f"t{n}", n) for n in range(1000)
        ]
        assert (await call(ws, "a/echo", 3))["data"] == 3


@pytest.mark.parametrize("how", ["closes", "vanishes"])
async def test_row_84_a_handler_whose_caller_leaves_runs_to_its_end(server: Served, how: str) -> None:
    async with undisturbed(server) as other:
        ws = await server.connect()
        await ws.send(request("q", "a/slow", "work"))
        await ws.send('{"type":"subscribe","topic":"t"}')
        await eventually(lambda: server.runtime.subscriptions.count("t") == 1)
        if how == "closes":
            await ws.close()
        else:
            ws.transport.abort()
        await eventually(lambda: len(server.runtime.connections) == 1)
        assert await log_of(other) == ["work begins", "subscribed t", "closed"]
        await call(other, "a/open", "work")
        await eventually(lambda: server.runtime.live.calls.running == 0)
        assert await log_of(other) == ["work begins", "subscribed t", "closed", "work ends"]
        assert server.runtime.subscriptions.count("t") == 0


async def test_row_85_a_close_during_a_subscribe_hook_subscribes_nothing(
    server: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with undisturbed(server) as other:
        ws = await server.connect()
        await ws.send('{"type":"subscribe","topic":"slow1","ref":1}')
        await ws.send('{"type":"subscribe","topic":"later","ref":2}')
        await eventually(lambda: server.runtime.live.calls.running == 1)
        await ws.close()
        await eventually(lambda: len(server.runtime.connections) == 1)
        await call(other, "a/open", "slow1")
        await eventually(lambda: server.runtime.live.calls.running == 0)
        assert await log_of(other) == ["closed", "subscribed slow1"]
        assert (server.runtime.subscriptions.count("slow1"), server.runtime.subscriptions.count("later")) == (
            0,
            0,
        )
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_row_89_an_upgrade_with_a_huge_cookie_is_refused(server: Served) -> None:
    async with undisturbed(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.address.rpartition(":")[2]))
        head = (
            f"GET /ws HTTP/1.1\r\nHost: {server.address}\r\nOrigin: {server.http}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        writer.write(head.encode() + b"Cookie: a=" + b"x" * 100_000 + b"\r\n\r\n")
        async with asyncio.timeout(TIMEOUT):
            status = await reader.readline()
        assert status.split()[1] == b"431"
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.spec("WIRE-14", "PLAT-108")
async def test_row_90_a_foreign_page_does_not_reach_the_authenticate_hook(server: Served) -> None:
    async with undisturbed(server) as other, httpx.AsyncClient(base_url=server.http) as client:
        foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site", "cookie": "sid=1"}
        response = await client.post("/__ws/auth", headers=foreign)
        assert (response.status_code, response.headers.get("set-cookie")) == (403, None)
        assert await log_of(other) == []
        own = {"origin": server.http, "cookie": "sid=1"}
        assert (await client.post("/__ws/auth", headers=own)).status_code == 204
        assert await log_of(other) == ["authenticated"]
