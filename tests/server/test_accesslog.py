"""The access log: a line for everything but health, and nothing in it that is secret. Spec: platform 3.9."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from runtime.core.settings import ServerSettings, Settings
from runtime.server.accesslog import shown_path
from runtime.testing import FakeClock, eventually
from tests.server.peers import write_file
from tests.server.sockets import Served, receive, served

SECRETS = {
    "cookie": "sid=hush-cookie",
    "authorization": "Bearer hush-token",
    "user-agent": "hush-agent",
    "referer": "http://x/?hush-referer",
}
HOOKS = """
    def upgrade(query): return query != "refuse=me"
"""


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def parsed(self) -> list[Any]:
        return [json.loads(text) for text in self.texts]


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger, handler = logging.getLogger("realtime.access"), Lines()
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO)
    yield handler
    logger.setLevel(before)
    logger.removeHandler(handler)


async def echo(request: Request) -> Response:
    body = await request.body()
    return PlainTextResponse(body.decode()[::-1], 201)


async def fail(request: Request) -> Response:
    raise RuntimeError("hush-error")


async def stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"part"

    return StreamingResponse(parts())


async def own_socket(ws: WebSocket) -> None:
    if ws.query_params.get("how") == "refused":
        await ws.close()
        return
    await ws.accept()
    text = await ws.receive_text()
    if text == "close":
        await ws.close(4000)


ROUTES = [
    Route("/echo/{rest:path}", echo, methods=["GET", "POST"]),
    Route("/fail", fail),
    Route("/stream", stream),
    WebSocketRoute("/own", own_socket),
]


@contextlib.asynccontextmanager
async def site(folder: Path, form: str, clock: FakeClock, **server: Any) -> AsyncIterator[Served]:
    write_file(folder, "hooks.py", HOOKS)
    write_file(folder, "web/a.txt", "0123456789")
    options = {"env": "test", "shutdown_timeout": 1, "access_log": form, **server}
    async with served(folder, Settings(server=ServerSettings(**options)), clock=clock, routes=ROUTES) as made:
        yield made


@pytest.mark.spec("PLAT-95")
async def test_a_line_of_text_per_request(tmp_path: Path, lines: Lines) -> None:
    async with site(tmp_path, "text", FakeClock()) as server, httpx.AsyncClient() as client:
        headers = {**SECRETS, "x-request-id": "r-1"}
        await client.post(f"{server.http}/echo/a%20b?token=hush-query", headers=headers, content="hush-body")
        await client.get(f"{server.http}/no%0Aline", headers={"x-request-id": "r-2"})
        assert lines.texts == [
            "2023-11-14T22:13:20.000Z 127.0.0.1 POST /echo/a%20b 201 9 0.0ms r-1",
            "2023-11-14T22:13:20.000Z 127.0.0.1 GET /no%0Aline 404 9 0.0ms r-2",
        ]
        for path in ("/healthz", "/readyz"):
            await client.get(server.http + path)
        assert len(lines.texts) == 2


@pytest.mark.spec("PLAT-95")
@pytest.mark.parametrize("form", ["text", "json"])
async def test_nothing_that_is_secret_is_written(tmp_path: Path, lines: Lines, form: str) -> None:
    async with site(tmp_path, form, FakeClock()) as server, httpx.AsyncClient() as client:
        for path in ("/echo/x", "/fail", "/nothing", "/ws", "/stream"):
            url = f"{server.http}{path}?password=hush-query"
            await client.post(url, headers=SECRETS, content="hush-body")
            await client.get(url, headers=SECRETS)
        url = server.ws + "?token=hush-query"
        async with websockets.connect(url, origin=server.http, additional_headers=SECRETS) as ws:
            await ws.send("hush-message")
            await receive(ws)
        await eventually(lambda: len(lines.texts) == 12)
        assert [text for text in lines.texts if "hush" in text] == []
    assert all(text.isascii() and text.isprintable() for text in lines.texts)


@pytest.mark.spec("PLAT-95")
async def test_json_has_the_fields_by_name(tmp_path: Path, lines: Lines) -> None:
    async with site(tmp_path, "json", FakeClock()) as server, httpx.AsyncClient() as client:
        ids = {"x-request-id": "r-1"}
        await client.get(f"{server.http}/a.txt", headers=ids)
        await client.head(f"{server.http}/a.txt", headers=ids)
        await client.get(f"{server.http}/stream", headers=ids)
        await client.get(f"{server.http}/fail", headers=ids)
        await client.get(f"{server.http}/nothing", headers=ids)
        seen = lines.parsed()
    assert seen[0] == {
        "time": "2023-11-14T22:13:20.000Z",
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/a.txt",
        "status": 200,
        "bytes": 10,
        "duration_ms": 0.0,
        "request_id": "r-1",
    }
    assert [(line["method"], line["path"], line["status"], line["bytes"]) for line in seen[1:]] == [
        ("HEAD", "/a.txt", 200, 0),
        ("GET", "/stream", 200, 12),
        ("GET", "/fail", 500, 21),
        ("GET", "/nothing", 404, 9),
    ]


@pytest.mark.usefixtures("write_path")
@pytest.mark.spec("PLAT-95")
async def test_a_connection_has_a_line_at_each_end(tmp_path: Path, lines: Lines) -> None:
    clock = FakeClock()
    async with site(tmp_path, "json", clock) as server:
        async with server.connect(additional_headers={"x-request-id": "r-1"}) as ws:
            await receive(ws)
            await clock.advance(12.5)
        await eventually(lambda: len(lines.texts) == 2)
        opened, closed = lines.parsed()
        assert (opened["method"], opened["path"], opened["status"]) == ("OPEN", "/ws", 101)
        assert (closed["method"], closed["code"], closed["duration_ms"]) == ("CLOSE", 1000, 12500.0)
        assert "status" not in closed
        for line in (opened, closed):
            assert (line["client"], line["bytes"], line["request_id"]) == ("127.0.0.1", None, "r-1")
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(server.ws + "?refuse=me", origin=server.http)
        with pytest.raises(websockets.InvalidStatus):
            await server.connect(origin="http://elsewhere.test")
        refused = lines.parsed()[2:]
    assert [(line["method"], line["path"], line["status"]) for line in refused] == [
        ("GET", "/ws", 401),
        ("GET", "/ws", 403),
    ]


@pytest.mark.spec("PLAT-95")
async def test_a_websocket_of_the_app_has_its_lines_too(tmp_path: Path, lines: Lines) -> None:
    async with site(tmp_path, "json", FakeClock()) as server:
        url = server.ws.replace("/ws", "/own")
        async with websockets.connect(url) as ws:
            await ws.send("close")
            await ws.wait_closed()
        await eventually(lambda: len(lines.texts) == 2)
        async with websockets.connect(url):
            pass
        await eventually(lambda: len(lines.texts) == 4)
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(url + "?how=refused")
        await eventually(lambda: len(lines.texts) == 5)
        seen = lines.parsed()
    assert [(line["method"], line.get("status", line.get("code"))) for line in seen] == [
        ("OPEN", 101),
        ("CLOSE", 4000),
        ("OPEN", 101),
        ("CLOSE", 1000),
        ("GET", 403),
    ]


@pytest.mark.spec("PLAT-95")
async def test_what_the_server_itself_refuses_has_a_line(tmp_path: Path, lines: Lines) -> None:
    async with site(tmp_path, "text", FakeClock()) as server:
        reader, writer = await asyncio.open_connection(*server.address.split(":"))
        writer.write(b"GET /hush?hush HTTP/nonsense\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        await writer.wait_closed()
    assert lines.texts == ["2023-11-14T22:13:20.000Z 127.0.0.1 - (malformed) 400 - - -"]


async def test_the_client_is_the_one_that_the_proxy_names(tmp_path: Path, lines: Lines) -> None:
    async with (
        site(tmp_path, "text", FakeClock(), address_header="x-forwarded-for") as server,
        httpx.AsyncClient() as client,
    ):
        for address in ("203.0.113.7", "evil line"):
            await client.get(f"{server.http}/a.txt", headers={"x-forwarded-for": address})
    assert [text.split()[1] for text in lines.texts] == ["203.0.113.7", "127.0.0.1"]


async def test_off_is_off(tmp_path: Path, lines: Lines) -> None:
    async with site(tmp_path, "off", FakeClock()) as server, httpx.AsyncClient() as client:
        await client.get(f"{server.http}/a.txt")
        async with server.connect() as ws:
            await receive(ws)
        assert server.app.access_log is None
    assert lines.texts == []


def test_a_path_has_a_bounded_length() -> None:
    assert shown_path("/ä" + "x" * 5000) == "/%C3%A4" + "x" * 1017
    assert shown_path("/\ud800") == "/%3F"
