"""The quick start and the manual setup, done as a reader does them."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from websockets.asyncio.client import ClientConnection, connect

from bench.processes import free_port, serving
from runtime.testing import running_server
from runtime.testing.server import RunningServer
from tests.docs import examples

MANUAL = "docs/manual-setup.md"
QUICK = "docs/quick-start.md"


def post(url: str) -> str:
    request = urllib.request.Request(url, b"", method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Serve the project of the page with uvicorn; the port."""
    for example in examples.examples_of(MANUAL):
        if example.file:
            examples.write(example, tmp_path)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", request.param, "--port", str(port), "--log-level", "error"]
    with serving(command, port, directory=tmp_path):
        yield port


def tab(server: RunningServer) -> connect:
    """A connection of a page."""
    return connect(server.ws_url, origin=server.url)  # type: ignore[arg-type]  # Origin is a str


async def receive(connection: ClientConnection, event: str) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = json.loads(await connection.recv())
        if frame.get("event") == event:
            return frame


@pytest.mark.spec("UPGC-85")
@pytest.mark.parametrize(
    "served", ["site_starlette:app", "site_fastapi:app", "config.asgi:app"], indirect=True
)
async def test_each_site_publishes_to_the_pages_of_the_mounted_app(served: int) -> None:
    base = f"127.0.0.1:{served}"
    async with connect(f"ws://{base}/rt/ws", origin=f"http://{base}") as connection:  # type: ignore[arg-type]  # Origin is a str
        await connection.send('{"rpc":"chat/messages","id":"1","args":[],"stream":true}')
        assert (await receive(connection, "1"))["data"]["ok"] is True
        assert "thank you" in await anyio.to_thread.run_sync(post, f"http://{base}/order")
        assert (await receive(connection, "said"))["data"] == "somebody ordered"


@pytest.mark.spec("UPGC-85")
async def test_the_bare_folder_serves_its_page_and_its_calls(tmp_path: Path) -> None:
    for example in list(examples.examples_of(MANUAL))[:5]:
        if example.file:
            examples.write(example, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["chat.py", "index.html", "realtime.toml"]
    async with running_server(tmp_path) as server, tab(server) as connection:
        await connection.send('{"rpc":"chat/messages","id":"1","args":[],"stream":true}')
        assert (await receive(connection, "1"))["data"]["ok"] is True
        await connection.send('{"rpc":"chat/say","id":"2","args":["hello"]}')
        assert (await receive(connection, "said"))["data"] == "hello"


@pytest.mark.spec("UPGC-85")
async def test_the_quick_start_adds_ten_for_everybody(tmp_path: Path) -> None:
    examples.start_project(QUICK, tmp_path)
    seen: list[Any] = []
    for edit in (None, *(example for example in examples.examples_of(QUICK) if example.file)):
        if edit is not None:
            examples.write(edit, tmp_path)
        async with (
            running_server(tmp_path) as server,
            tab(server) as one,
            tab(server) as two,
        ):
            await two.send('{"rpc":"counter/count","id":"1","args":[],"stream":true}')
            assert (await receive(two, "1"))["data"]["ok"] is True
            await one.send('{"rpc":"counter/add","id":"2","args":[1]}')
            seen.append((await receive(two, "set"))["data"])
    assert seen == [1, 10]


@pytest.mark.spec("UPGC-85")
def test_the_commands_of_the_quick_start_are_three() -> None:
    first = next(example for example in examples.examples_of(QUICK) if example.language == "bash")
    words = [line.split()[0] for line in first.text.splitlines()]
    assert words == ["uvx", "cd", "realtime"]
