"""Start and stop as the network sees them, under our server and under others. Spec: platform 1.3 and 1.9."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.routing import Mount

from runtime import create_app
from runtime.core.settings import ServerSettings, Settings
from runtime.server.assembly import StartupError
from runtime.server.serving import RealtimeServer
from runtime.testing import eventually
from tests.server.conftest import AppFactory
from tests.server.peers import write_file
from tests.server.sockets import TIMEOUT, call, receive, receive_until, served

LIVE = """
    from pathlib import Path
    from runtime import live
    with (Path(__file__).parent.parent / "steps.txt").open("a") as steps: steps.write("live\\n")

    @live
    async def echo(ctx, value): return value
"""

HOOKS = """
    import asyncio
    from pathlib import Path
    from runtime import get_platform, settings

    steps = Path(__file__).parent / "steps.txt"
    gate = asyncio.Event()

    def note(*what):
        with steps.open("a") as file: file.write(" ".join(map(str, what)) + "\\n")

    note("hooks", settings().server.env, get_platform() is not None)

    async def init(platform):
        note("init", platform.publish("t", "e"))
        while not (steps.parent / "go").exists(): await asyncio.sleep(0.01)
        note("init ends")

    async def shutdown(reason, platform):
        note("shutdown", reason, platform.connections)

    def open(): note("open")
    def close(code, reason): note("close", code, reason)
"""


def project(folder: Path, hooks: str = HOOKS, *, go: bool = True) -> Path:
    write_file(folder, "live/a.py", LIVE)
    write_file(folder, "hooks.py", hooks)
    if go:
        (folder / "go").touch()
    return folder


def steps(folder: Path) -> list[str]:
    return (folder / "steps.txt").read_text().splitlines()


def settings(env: str = "test", **server: Any) -> Settings:
    return Settings(server=ServerSettings(**{"env": env, "shutdown_timeout": 1, **server}))


@contextlib.asynccontextmanager
async def foreign(app: Any, **options: Any) -> AsyncIterator[str]:
    """Serve an app with plain uvicorn, as somebody who does not know us would."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_level="warning", ws="websockets-sansio", **options)
        server = uvicorn.Server(config)
        running = asyncio.ensure_future(server.serve(sockets=[listening]))
        await eventually(lambda: server.started)
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await running


@pytest.mark.spec("PLAT-37", "PLAT-6")
async def test_the_code_of_a_project_runs_in_its_order_and_then_the_port_opens(tmp_path: Path) -> None:
    app = create_app(project(tmp_path, go=False), settings=settings(), lifespan="manual")
    server = RealtimeServer(app, host="127.0.0.1", port=0)
    running = asyncio.ensure_future(server.serve())
    await eventually(lambda: (tmp_path / "steps.txt").exists() and len(steps(tmp_path)) == 3)
    assert steps(tmp_path) == ["hooks test True", "live", "init False"]
    assert not server.started
    assert not app.runtime.is_ready
    (tmp_path / "go").touch()
    await asyncio.wait_for(server.ready.wait(), TIMEOUT)
    assert app.runtime.is_ready
    port = server.servers[0].sockets[0].getsockname()[1]
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws", origin=f"http://127.0.0.1:{port}") as ws:
        assert (await call(ws, "a/echo", 1))["data"] == 1
    server.should_exit = True
    await running
    assert steps(tmp_path)[3:] == ["init ends", "open", "close 1000 ", "shutdown shutdown 0"]


@pytest.mark.spec("PLAT-6", "PLAT-43")
async def test_while_a_mounted_app_starts_nobody_is_let_in(tmp_path: Path) -> None:
    app = create_app(project(tmp_path, go=False), settings=settings(), lifespan="manual")
    async with (
        foreign(Starlette(routes=[Mount("/rt", app=app)])) as address,
        httpx.AsyncClient(base_url=f"http://{address}/rt") as client,
    ):
        starting = asyncio.ensure_future(app.start())
        await eventually(lambda: (tmp_path / "steps.txt").exists() and len(steps(tmp_path)) == 3)
        response = await client.get("/readyz")
        assert (response.status_code, response.json()) == (503, {"ready": False, "reason": "starting"})
        assert (await client.get("/healthz")).status_code == 200
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(f"ws://{address}/rt/ws", origin=f"http://{address}")
        assert caught.value.response.status_code == 503
        (tmp_path / "go").touch()
        await starting
        assert (await client.get("/readyz")).json() == {"ready": True}
        ws = await websockets.connect(f"ws://{address}/rt/ws", origin=f"http://{address}")
        assert (await call(ws, "a/echo", 1))["data"] == 1
        await app.stop("SIGTERM")
        assert steps(tmp_path)[-3:] == ["open", "shutdown SIGTERM 1", "close 1001 Server shutting down"]
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await receive(ws)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert (await client.get("/readyz")).status_code == 503


@pytest.mark.spec("PLAT-43")
async def test_under_a_foreign_server_the_lifespan_starts_and_stops_it(tmp_path: Path) -> None:
    app = create_app(project(tmp_path), settings=settings())
    async with foreign(app, lifespan="on") as address:
        ws = await websockets.connect(f"ws://{address}/ws", origin=f"http://{address}")
        assert (await call(ws, "a/echo", 1))["data"] == 1
    # That server closes its connections before it tells us, with a code of its own.
    assert steps(tmp_path)[-1] == "shutdown lifespan 0"
    assert steps(tmp_path)[-2].startswith("close 10")
    await ws.close()


@pytest.mark.spec("PLAT-43", "PLAT-8")
async def test_a_start_that_fails_ends_the_foreign_server(tmp_path: Path) -> None:
    app = create_app(
        project(tmp_path, "async def init(): raise OSError('no database')\n"), settings=settings()
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))
        with pytest.raises(SystemExit) as caught:
            await server.serve(sockets=[listening])
        assert caught.value.code == 3
    assert not server.started


@pytest.mark.spec("PLAT-2")
async def test_hooks_that_do_not_load_end_the_start_and_in_dev_every_upgrade(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project(tmp_path, "import no_such_module\n")
    app = create_app(
        tmp_path, settings=settings("production", allowed_hosts=["127.0.0.1"]), lifespan="manual"
    )
    with pytest.raises(StartupError, match=r"hooks\.py:1: ModuleNotFoundError"):
        await app.start()
    async with served(tmp_path, settings("dev")) as server, httpx.AsyncClient() as client:
        for _ in range(2):
            with pytest.raises(websockets.InvalidStatus) as caught:
                await server.connect()
            response = caught.value.response
            assert (response.status_code, response.body) == (500, b"WebSocket handler failed to load")
        assert (await client.get(f"{server.http}/healthz")).text == "OK"
        (problem,) = server.runtime.problems
        assert "no_such_module" in str(problem)


SLOW_SHUTDOWN = """
    import asyncio
    from pathlib import Path

    folder = Path(__file__).parent

    async def shutdown(platform):
        platform.publish("news", "maintenance", platform.connections)
        while not (folder / "done").exists(): await asyncio.sleep(0.01)
        raise RuntimeError("it cannot be refused")
"""


@pytest.mark.spec("PLAT-9", "PLAT-38")
async def test_while_the_shutdown_hook_runs_the_port_is_open_and_everybody_is_served(tmp_path: Path) -> None:
    async with (
        served(project(tmp_path, SLOW_SHUTDOWN), settings()) as server,
        httpx.AsyncClient(base_url=server.http) as client,
    ):
        ws = await server.connect()
        await ws.send('{"type":"subscribe","topic":"news","ref":1}')
        await receive_until(ws, type="subscribed")
        server.server.should_exit = True
        assert (await receive_until(ws, topic="news"))["data"] == 1
        response = await client.get("/readyz")
        assert (response.status_code, response.json()["reason"]) == (503, "draining")
        assert (await call(ws, "a/echo", 5))["data"] == 5
        with pytest.raises(websockets.InvalidStatus) as caught:
            await server.connect()
        assert caught.value.response.status_code == 503
        (tmp_path / "done").touch()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await receive(ws)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "Server shutting down")


@pytest.mark.spec("PLAT-39")
async def test_during_the_delay_the_balancer_is_told_and_peers_are_let_in(tmp_path: Path) -> None:
    slow = settings(shutdown_delay=0.4)
    async with (
        served(project(tmp_path), slow) as server,
        httpx.AsyncClient(base_url=server.http) as client,
    ):
        server.server.stop_reason = "SIGTERM"
        server.server.should_exit = True
        await eventually(lambda: server.runtime.is_draining)
        response = await client.get("/readyz")
        assert (response.status_code, response.json()["reason"]) == (503, "draining")
        ws = await server.connect()
        assert (await call(ws, "a/echo", 5))["data"] == 5
        assert not any(step.startswith("shutdown") for step in steps(tmp_path))
        with pytest.raises(websockets.ConnectionClosed):
            await receive(ws)
        assert steps(tmp_path)[-2:] == ["shutdown SIGTERM 1", "close 1001 Server shutting down"]


@pytest.mark.spec("PLAT-19", "WIRE-1")
@pytest.mark.usefixtures("write_path")
async def test_what_a_peer_sends_during_its_open_hook_waits_for_it(tmp_path: Path) -> None:
    hooks = """
        import asyncio
        async def open(ws):
            for n in range(30): await asyncio.sleep(0)
            ws.send_event("opened", "now", 1)
            if ws.user_data["broken"]: raise RuntimeError("broken hook")
        def upgrade(query): return {"broken": query == "broken"}
    """
    async with served(project(tmp_path, hooks), settings()) as server:
        async with server.connect() as ws:
            await ws.send('{"rpc":"a/echo","id":"1","args":[1]}')
            await ws.send('{"type":"subscribe","topic":"t","ref":1}')
            frames = [await receive(ws) for _ in range(4)]
            assert [frame.get("type") or frame["topic"] for frame in frames[:2]] == ["welcome", "opened"]
            assert {frame.get("type") or frame["topic"] for frame in frames[2:]} == {"subscribed", "__rpc"}
        server.ws += "?broken"
        async with server.connect() as ws:
            await ws.send('{"rpc":"a/echo","id":"1","args":[1]}')
            assert [(await receive(ws)).get("topic") for _ in range(2)] == [None, "opened"]
            with pytest.raises(websockets.ConnectionClosed) as caught:
                await receive(ws)
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1011, "open failed")


async def test_an_app_that_was_only_loaded_leaves_nothing_in_the_process(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": "ONE = 1\n"}, start=False)
    app.runtime.load()
    assert importlib.import_module("live.m").ONE == 1
    await app.runtime.stop()
    assert "live" not in sys.modules
    with pytest.raises(StartupError, match="was stopped"):
        await app.runtime.start()
