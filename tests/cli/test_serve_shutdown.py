"""How `realtime serve` ends: the order of its shutdown, seen from outside. Spec: platform 1.9."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from runtime.testing import eventually
from tests.cli.apps import write_project
from tests.cli.commands import TIMEOUT, serving

HOOKS = """
    import asyncio
    from pathlib import Path
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    FOLDER = Path(__file__).parent
    steps = FOLDER / "steps"

    def note(step):
        with steps.open("a") as file:
            file.write(step + "\\n")

    async def told(name):
        while not (FOLDER / name).exists():
            await asyncio.sleep(0.01)

    async def slow(request):
        note("request begun")
        await told("go")
        note("request ended")
        return PlainTextResponse("at last")

    async def stream(request):
        async def body():
            yield b"first"
            await told("never")
        return StreamingResponse(body())

    async def shutdown(reason):
        note(f"hook {reason}")
        await told("hook")

    async def close(code, reason):
        note(f"close {code} {reason}")

    routes = [Route("/slow", slow), Route("/stream", stream)]
"""


def make(tmp_path: Path, **server: Any) -> Path:
    lines = [f"{name} = {value}" for name, value in {"allowed_hosts": "['127.0.0.1']", **server}.items()]
    toml = "\n".join(["[server]", *lines])
    return write_project(tmp_path / "app", {"realtime.toml": toml, "hooks.py": HOOKS, "live/app.py": ""})


def steps(project: Path) -> list[str]:
    file = project / "steps"
    return file.read_text().splitlines() if file.exists() else []


def is_refused(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), TIMEOUT).close()
    except ConnectionRefusedError:
        return True
    return False


def ws_of(url: str) -> Any:
    origin: Any = url
    return connect(url.replace("http", "ws") + "/ws", origin=origin)


async def rest_of(child: subprocess.Popen[str]) -> str:
    """Return what the server says until it has ended."""
    assert child.stderr is not None
    said = await asyncio.to_thread(child.stderr.read)
    await asyncio.to_thread(child.wait, TIMEOUT)
    return said


@pytest.mark.spec("PLAT-38", "PLAT-40")
async def test_hook_then_listener_then_sockets_then_requests(tmp_path: Path) -> None:
    project = make(tmp_path)
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        with serving(project) as (child, url):
            ws = await ws_of(url)
            asked = asyncio.ensure_future(client.get(f"{url}/slow"))
            await eventually(lambda: steps(project) == ["request begun"])
            child.send_signal(signal.SIGTERM)
            # The hook runs: the port is open, and nobody has been told to go.
            await eventually(lambda: steps(project)[-1] == "hook SIGTERM")
            ready = await client.get(f"{url}/readyz")
            assert (ready.status_code, ready.json()["reason"]) == (503, "draining")
            assert ws.close_code is None
            (project / "hook").touch()
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (1001, "Server shutting down")
            await eventually(lambda: is_refused(url))
            assert child.poll() is None  # it waits for the request
            (project / "go").touch()
            answer = await asked
            assert (answer.status_code, answer.text) == (200, "at last")
            said = await rest_of(child)
    assert child.returncode == 0
    assert "WARNING realtime.serving" not in said
    assert sorted(steps(project)[2:]) == ["close 1001 Server shutting down", "request ended"]


@pytest.mark.spec("PLAT-39", "PLAT-38")
async def test_the_delay_accepts_and_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    project = make(tmp_path, shutdown_delay=3600)
    (project / "go").touch()
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        with serving(project) as (child, url):
            child.send_signal(signal.SIGINT)

            async def drains() -> bool:
                return (await client.get(f"{url}/readyz")).status_code == 503

            await eventually(drains)
            assert (await client.get(f"{url}/slow")).text == "at last"
            async with ws_of(url) as ws:
                assert '"welcome"' in await ws.recv()
                assert not [step for step in steps(project) if step.startswith("hook")]
                child.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(child.wait, TIMEOUT) == 130


@pytest.mark.spec("PLAT-40")
async def test_what_outlasts_the_shutdown_is_answered_or_cut(tmp_path: Path) -> None:
    project = make(tmp_path, shutdown_timeout=0.2)
    (project / "hook").touch()
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        with serving(project) as (child, url):
            asked = asyncio.ensure_future(client.get(f"{url}/slow"))
            await eventually(lambda: steps(project) == ["request begun"])
            async with client.stream("GET", f"{url}/stream") as streamed:
                chunks = streamed.aiter_raw()
                assert await anext(chunks) == b"first"
                child.send_signal(signal.SIGTERM)
                with pytest.raises(httpx.TransportError):  # no clean end
                    await anext(chunks)
            answer = await asked
            assert (answer.status_code, answer.text) == (503, "Service Unavailable")
            said = await rest_of(child)
    assert child.returncode == 0
    assert "WARNING realtime.serving: 2 requests were still running at the shutdown timeout" in said
    assert "Traceback" not in said
