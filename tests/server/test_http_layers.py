"""Limits, compression, shared renders, readiness and metrics on a real server, with routes of hooks.py."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.core.settings import MetricsSettings, ServerSettings, Settings
from runtime.server.app import create_app
from runtime.testing import RunningServer, eventually, running_server
from tests.server.peers import write_file

TIMEOUT = 10.0
HOOKS = """
    import asyncio
    from fastapi import FastAPI
    from starlette.responses import HTMLResponse, PlainTextResponse
    from starlette.routing import Mount, Route

    go, leave = asyncio.Event(), asyncio.Event()
    renders = []

    def init(app):
        app.state.go, app.state.leave, app.state.renders = go, leave, renders

    async def shutdown():
        await leave.wait()

    async def page(request):
        renders.append(request.url.hostname)
        number = len(renders)
        await go.wait()
        return HTMLResponse(f"<p>render {number}" + "x" * 2000)

    async def upload(request):
        return PlainTextResponse(str(len(await request.body())))

    below = FastAPI()

    @below.get("/items")
    async def items() -> list[str]:
        return ["item"] * 500

    routes = [Route("/page", page), Route("/upload", upload, methods=["POST"]), Mount("/api", below)]
"""
LIVE = """
    from runtime import live

    @live.public
    @live
    async def add(ctx, one: int, other: int) -> int:
        return one + other
"""

Serve = Callable[..., Awaitable[RunningServer]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(**sections: Any) -> RunningServer:
            project = tmp_path / "app"
            write_file(project, "hooks.py", HOOKS)
            write_file(project, "live/sums.py", LIVE)
            write_file(project, "web/a.txt", "x" * 2000)
            server = ServerSettings(**{"env": "test", "shutdown_timeout": 0.5, **sections.pop("server", {})})
            settings = Settings(server=server, **sections)
            running = await stack.enter_async_context(running_server(create_app(project, settings=settings)))
            stack.callback(running.app.state.leave.set)
            return running

        yield start


def client(running: RunningServer, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=running.url, headers=headers, timeout=TIMEOUT)


async def raw(running: RunningServer, request: bytes) -> bytes:
    """Send bytes and return what comes until the server closes."""
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        try:
            writer.write(request)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.mark.spec("PLAT-92")
async def test_a_large_body_is_refused_before_the_client_sends_it(serve: Serve) -> None:
    running = await serve()
    head = b"POST /upload HTTP/1.1\r\nhost: t\r\nconnection: close\r\nexpect: 100-continue\r\n"
    answer = await raw(running, head + b"content-length: 524289\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"\r\n\r\nContent Too Large")


@pytest.mark.spec("PLAT-92")
async def test_a_large_body_in_chunks_is_cut_off(serve: Serve) -> None:
    running = await serve(server={"body_limit": "1K"})

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 500

    async with client(running) as ask:
        answer = await ask.post("/upload", content=chunks())
        assert (answer.status_code, answer.text) == (413, "Content Too Large")
        assert (await ask.post("/upload", content=b"x" * 1024)).text == "1024"
        assert (await ask.post("/upload", content=b"x" * 1025)).status_code == 413


@pytest.mark.spec("PLAT-89", "PLAT-109")
async def test_routes_of_hooks_and_mounted_apps_are_compressed(serve: Serve) -> None:
    running = await serve()
    async with client(running, **{"accept-encoding": "gzip"}) as ask:
        async with ask.stream("GET", "/api/items") as answer:
            packed = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-length"] == str(len(packed))
        assert gzip.decompress(packed).startswith(b'["item","item"')
        head = await ask.head("/api/items", headers={"cookie": "a=b"})
        assert "content-encoding" not in head.headers
        assert "content-encoding" not in (await ask.get("/api/items", headers={"cookie": "a=b"})).headers
        assert "content-encoding" not in (await ask.get("/a.txt")).headers


@pytest.mark.spec("PLAT-90", "PLAT-112")
async def test_anonymous_requests_share_a_render_per_host(serve: Serve) -> None:
    running = await serve()
    state, metrics = running.app.state, running.runtime.metrics
    async with client(running) as ask:
        hosts = ["one.localhost", "One.LOCALHOST", "two.localhost", "one.localhost"]
        asked = [asyncio.create_task(ask.get("/page", headers={"host": host})) for host in hosts]
        forged = {"host": "one.localhost", "x-forwarded-host": "evil.test"}
        asked.append(asyncio.create_task(ask.get("/page", headers=forged)))
        asked.append(
            asyncio.create_task(ask.get("/page", headers={"host": "one.localhost", "cookie": "a=b"}))
        )
        await eventually(lambda: metrics.get("http_in_flight") == 6 and len(state.renders) == 3)
        state.go.set()
        one, also_one, two, again_one, not_forged, with_cookie = [(await task).text[:11] for task in asked]
    assert one == also_one == again_one == not_forged
    assert len({one, two, with_cookie}) == 3
    assert sorted(state.renders) == ["one.localhost", "one.localhost", "two.localhost"]
    assert metrics.get("page_dedup_total", "shared") == 3


@pytest.mark.spec("PLAT-87")
async def test_readiness_says_that_the_server_is_leaving(serve: Serve) -> None:
    running = await serve()
    async with client(running) as ask:
        assert (await ask.get("/readyz")).json() == {"ready": True}
        leaving = asyncio.create_task(running.runtime.drain("test"))
        await eventually(lambda: running.runtime.is_draining)
        answer = await ask.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "reason": "draining"})
        assert (await ask.get("/healthz")).text == "OK"
        running.app.state.leave.set()
        await leaving


@pytest.mark.spec("PLAT-87")
async def test_readiness_of_an_app_that_was_not_started_yet(tmp_path: Path) -> None:
    app = create_app(tmp_path, settings=Settings(server=ServerSettings(env="test")), lifespan="manual")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as ask:
        answer = await ask.get("/readyz")
        assert (answer.status_code, answer.text) == (503, '{"ready":false,"reason":"starting"}')
        assert (await ask.get("/healthz")).status_code == 200


@pytest.mark.spec("PLAT-88", "PLAT-172")
async def test_a_scrape_tells_what_happened(serve: Serve) -> None:
    running = await serve(metrics=MetricsSettings(enabled=True, listen="127.0.0.1:0"))
    scraping = running.runtime.scraping
    assert scraping is not None
    async with running.connect() as peer, client(running) as ask:
        assert await peer.call("sums/add", 1, 2) == 3
        await ask.get("/nothing")
        async with httpx.AsyncClient(timeout=TIMEOUT) as scraper:
            text = (await scraper.get(f"http://127.0.0.1:{scraping.port}/metrics")).text
        assert (await ask.get("/metrics")).status_code == 404
    found = {
        (sample.name.removeprefix("realtime_"), tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["rpc_total", ("sums/add", "ok")] == 1
    assert found["ws_connections", ()] == 1
    assert found["ws_subscriptions", ()] >= 1
    assert found["ws_upgrades_total", ("accepted",)] == 1
    assert found["http_requests_total", ("none", "GET", "404")] == 1  # labels by their names
    assert found["ws_bytes_in_total", ()] > 0


async def test_a_websocket_passes_none_of_the_layers(serve: Serve) -> None:
    running = await serve(server={"body_limit": 1})
    async with running.connect() as peer:
        assert await peer.call("sums/add", 2, 2) == 4
    assert "http_requests_total" not in running.runtime.metrics.snapshot()
    assert "page_dedup_total" not in running.runtime.metrics.snapshot()
