"""The endpoint over real sockets: upgrades, sizes, close codes, slow peers. Spec: wire 1, platform 1.5 to 1.9."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.testing import eventually
from tests.server.peers import write_file
from tests.server.sockets import TIMEOUT, call, receive, receive_until, served

pytestmark = [pytest.mark.usefixtures("write_path"), pytest.mark.spec("PLAT-158")]

LIVE = """
    from runtime import live

    @live
    async def echo(ctx, value): return value

    @live
    async def who(ctx): return [ctx.user, ctx.request_id]

    @live
    async def publish(ctx, topic: str, size: int, count: int):
        for _ in range(count):
            ctx.platform.publish(topic, "data", "x" * size)
"""


def project(tmp_path: Path, hooks: str = "") -> Path:
    write_file(tmp_path, "live/a.py", LIVE)
    if hooks:
        write_file(tmp_path, "hooks.py", hooks)
    return tmp_path


def settings(env: str = "test", **websocket: Any) -> Settings:
    server = ServerSettings(env=env, shutdown_timeout=1)
    return Settings(server=server, websocket=WebSocketSettings(**websocket))


async def refusal(server: Any, **options: Any) -> tuple[int, str]:
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with server.connect(**options):
            pass
    response = caught.value.response
    assert response.headers["content-type"].startswith("text/plain")
    return response.status_code, response.body.decode()


@pytest.mark.spec("WIRE-1")
async def test_the_first_frame_is_a_welcome_with_a_fresh_uuid4(tmp_path: Path) -> None:
    hooks = 'def open(ws): ws.send(\'{"topic":"early","event":"x","data":null}\')\n'
    async with served(project(tmp_path, hooks), settings()) as server:
        ids = set()
        for _ in range(2):
            async with server.connect() as ws:
                raw = await ws.recv()
                frame = json.loads(raw)
                assert raw == json.dumps(frame, separators=(",", ":"))
                assert list(frame) == ["type", "sessionId"]
                assert uuid.UUID(frame["sessionId"]).version == 4
                ids.add(frame["sessionId"])
                assert (await receive(ws))["topic"] == "early"
        assert len(ids) == 2


async def test_frames_sent_at_once_are_handled_after_the_open_hook(tmp_path: Path) -> None:
    hooks = """
        import asyncio
        async def upgrade(): return {"ready": False}
        async def open(ws):
            for _ in range(20): await asyncio.sleep(0)
            ws.user_data["ready"] = True
    """
    async with served(project(tmp_path, hooks), settings()) as server, server.connect() as ws:
        user, _ = (await call(ws, "a/who"))["data"]
        assert user["ready"] is True
        assert user["remote_address"] == "127.0.0.1"


@pytest.mark.spec("LIVE-193")
async def test_the_user_is_what_the_upgrade_hook_returned(tmp_path: Path) -> None:
    hooks = """
        from runtime import UpgradeResponse
        def upgrade(cookies, query, request_id, headers):
            if query == "none": return None
            user = {"sid": cookies.get("sid"), "agent": headers["x-agent"]}
            return UpgradeResponse(user, {"x-hello": "1", "set-cookie": ["a=1", "b=2"]})
    """
    async with served(project(tmp_path, hooks), settings()) as server:
        headers = {"cookie": 'sid="a%20b"; sid=second', "x-agent": "test", "x-request-id": "req-7"}
        async with server.connect(additional_headers=headers) as ws:
            user, request_id = (await call(ws, "a/who"))["data"]
            assert (user["sid"], user["agent"], request_id) == ("a b", "test", "req-7")
            assert ws.response.headers["x-hello"] == "1"
            assert ws.response.headers.get_all("set-cookie") == ["a=1", "b=2"]
        server.ws += "?none"
        async with server.connect(additional_headers={"x-agent": "t", "x-request-id": "not usable"}) as ws:
            user, request_id = (await call(ws, "a/who"))["data"]
            assert user is None
            assert uuid.UUID(request_id).version == 4


@pytest.mark.parametrize(
    ("hooks", "status", "body"),
    [
        ("def upgrade(): return False\n", 401, "Unauthorized"),
        ("async def upgrade(): raise RuntimeError('secret')\n", 500, "Internal Server Error"),
        ("import asyncio\nasync def upgrade(): await asyncio.Event().wait()\n", 504, "Upgrade timed out"),
    ],
)
async def test_an_upgrade_hook_refuses(tmp_path: Path, hooks: str, status: int, body: str) -> None:
    async with served(project(tmp_path, hooks), settings(upgrade_timeout=0.05)) as server:
        assert await refusal(server) == (status, body)
        assert server.runtime.connections == {}


async def test_a_refused_peer_is_no_error_of_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(project(tmp_path), settings()) as server:
        logging.getLogger("uvicorn.error").addHandler(caplog.handler)  # it does not propagate
        assert (await refusal(server, origin="https://evil.example"))[0] == 403
        await eventually(lambda: not server.server.server_state.tasks)
        logging.getLogger("uvicorn.error").removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_other_origins_and_crowds_are_refused(tmp_path: Path) -> None:
    async with served(project(tmp_path), settings(max_connections=1)) as server:
        assert await refusal(server, origin="https://evil.example") == (403, "Origin not allowed")
        assert await refusal(server, origin=None) == (403, "Origin not allowed")
        async with server.connect() as ws:
            await receive(ws)
            assert (await refusal(server))[0] == 503


@pytest.mark.spec("PLAT-2")
async def test_without_hooks_a_broken_hooks_file_never_opens_the_door(tmp_path: Path) -> None:
    async with served(project(tmp_path, "1 / 0\n"), settings("dev")) as server:
        assert await refusal(server) == (500, "WebSocket handler failed to load")


async def test_a_plain_request_to_the_endpoint_is_told_to_upgrade(tmp_path: Path) -> None:
    async with served(project(tmp_path), settings()) as server, httpx.AsyncClient() as client:
        response = await client.get(f"{server.http}/ws")
        assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")


async def test_a_frame_of_the_limit_is_handled_and_a_larger_one_closes_1009(tmp_path: Path) -> None:
    async with served(project(tmp_path), settings(max_payload_length=2048)) as server:
        empty = '{"rpc":"a/echo","id":"c1","args":[""]}'
        async with server.connect() as ws:
            await ws.send(empty.replace('""', f'"{"x" * (2048 - len(empty))}"'))
            assert (await receive_until(ws, event="c1"))["data"]["ok"] is True
            await ws.send(empty.replace('""', f'"{"é" * (1024 - len(empty) // 2 + 1)}"'))
            with pytest.raises(websockets.ConnectionClosed) as caught:
                await receive(ws)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009
        async with server.connect() as ws:
            await receive(ws)
            await ws.send("x" * 100_000)
            with pytest.raises(websockets.ConnectionClosed) as caught:
                await receive(ws)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009


@pytest.mark.spec("WIRE-17", "PLAT-38")
async def test_the_message_a_peer_gets_at_shutdown(tmp_path: Path) -> None:
    hooks = """
        async def shutdown(platform, reason):
            platform.publish("news", "maintenance", reason)
    """
    async with served(project(tmp_path, hooks), settings()) as server:
        ws = await server.connect()
        await ws.send('{"type":"subscribe","topic":"news","ref":1}')
        await receive_until(ws, type="subscribed")
        server.server.should_exit = True
        assert (await receive(ws))["event"] == "maintenance"
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await receive(ws)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "Server shutting down")


async def test_a_peer_that_does_not_read_loses_frames_and_nobody_else_does(tmp_path: Path) -> None:
    limits = settings(max_backpressure=64 * 1024)
    async with served(project(tmp_path), limits) as server:
        reading, stalled = await server.connect(), await server.connect(max_queue=1)
        for ws in (reading, stalled):
            await ws.send('{"type":"subscribe","topic":"t","ref":1}')
        await receive_until(reading, type="subscribed")
        stalled.transport.pause_reading()
        got = 0
        async with asyncio.timeout(TIMEOUT * 4):
            while server.runtime.metrics.get("ws_frames_dropped_total", "publish") == 0:
                await reading.send('{"rpc":"a/publish","id":"c1","args":["t",16000,4]}')
                frame = await receive(reading)
                while frame["topic"] != "__rpc":
                    got += 1
                    frame = await receive(reading)
        sent = server.runtime.sequence.current("t")
        assert got == sent
        stalled.transport.abort()
        assert (await call(reading, "a/echo", 5))["data"] == 5
        await reading.close()


async def test_a_connection_leaves_nothing_behind(tmp_path: Path) -> None:
    async with served(project(tmp_path), settings()) as server:
        async with server.connect() as ws:
            await ws.send('{"type":"subscribe","topic":"t","ref":1}')
            await receive_until(ws, type="subscribed")
            assert server.runtime.platform.connections == 1
        await eventually(lambda: not server.runtime.connections)
        assert server.runtime.subscriptions.topics == 0
        assert server.runtime.subscriptions.total == 0
        assert server.runtime.metrics.get("ws_connections") == 0
