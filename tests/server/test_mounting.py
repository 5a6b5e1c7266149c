"""The app inside other apps, under a prefix. Spec: platform 1.9."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fastapi
import httpx
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from runtime import create_app
from runtime.testing import eventually
from tests.server.peers import write_file
from tests.server.sockets import TIMEOUT, call

LIVE = "from runtime import live\n\n@live\nasync def hello(ctx, name: str): return f'hello {name}'\n"
PAGE = "<!doctype html><html><head><title>x</title></head><body></body></html>"


@contextlib.asynccontextmanager
async def hosted(app: Any) -> AsyncIterator[str]:
    """Serve a foreign app with plain uvicorn, as its author would."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="websockets-sansio"))
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    await eventually(lambda: server.started)
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await running


def starlette_app(realtime: Any) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await realtime.start()
        yield
        await realtime.stop()

    async def home(request: Any) -> PlainTextResponse:
        realtime.state.platform.publish("news", "visit", 1)
        return PlainTextResponse("their page")

    return Starlette(routes=[Route("/", home), Mount("/rt", app=realtime)], lifespan=lifespan)


def fastapi_app(realtime: Any) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
        await realtime.start()
        yield
        await realtime.stop()

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/", response_class=fastapi.responses.PlainTextResponse)
    async def home() -> str:
        realtime.state.platform.publish("news", "visit", 1)
        return "their page"

    app.mount("/rt", realtime)
    return app


@pytest.mark.spec("PLAT-43")
@pytest.mark.parametrize("host", [starlette_app, fastapi_app])
async def test_it_mounts_under_a_prefix(tmp_path: Path, host: Any) -> None:
    write_file(tmp_path, "live/greet.py", LIVE)
    write_file(tmp_path, "web/index.html", PAGE)
    realtime = create_app(tmp_path, lifespan="manual")
    async with hosted(host(realtime)) as address, httpx.AsyncClient(base_url=f"http://{address}") as client:
        assert (await client.get("/")).text == "their page"
        assert '{"imports":{"$live/":"/rt/live/"}}' in (await client.get("/rt/")).text
        assert '__rpc("greet/hello")' in (await client.get("/rt/live/greet.js")).text
        async with websockets.connect(f"ws://{address}/rt/ws", origin=f"http://{address}") as ws:
            assert (await call(ws, "greet/hello", "you"))["data"] == "hello you"
            await ws.send('{"type":"subscribe","topic":"news","ref":1}')
            await client.get("/")
            async with asyncio.timeout(TIMEOUT):
                while '"visit"' not in await ws.recv():
                    pass
