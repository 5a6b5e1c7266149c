"""The mounting how-tos, served by uvicorn as a reader would do it."""

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
from tests.docs import examples


def fetch(url: str, body: dict[str, Any] | None = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    document, module = request.param
    examples.start_project(document, tmp_path)
    for example in examples.examples_of(document):
        if example.file:
            examples.write(example, tmp_path)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"{module}:app", "--port", str(port), "--log-level", "error"]
    with serving(command, port, directory=tmp_path):
        yield port


async def receive_event(connection: ClientConnection, event: str) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = json.loads(await connection.recv())
        if frame.get("event") == event:
            return frame


@pytest.mark.parametrize("served", [("docs/howto/mount-in-starlette.md", "site_app")], indirect=True)
async def test_mounted_in_starlette(served: int) -> None:
    base = f"127.0.0.1:{served}"
    assert await anyio.to_thread.run_sync(fetch, f"http://{base}/") == "the site"
    assert "export const say" in await anyio.to_thread.run_sync(fetch, f"http://{base}/rt/live/chat.js")
    async with connect(f"ws://{base}/rt/ws", origin=f"http://{base}") as connection:  # type: ignore[arg-type]  # Origin is a str
        assert json.loads(await connection.recv())["type"] == "welcome"
        await connection.send('{"rpc":"chat/messages","id":"1","args":[],"stream":true}')
        assert (await receive_event(connection, "1"))["data"]["ok"] is True
        await connection.send('{"rpc":"chat/say","id":"2","args":["hello"]}')
        assert (await receive_event(connection, "said"))["data"] == "hello"


@pytest.mark.parametrize("served", [("docs/howto/mount-in-fastapi.md", "shop_app")], indirect=True)
async def test_mounted_in_fastapi(served: int) -> None:
    base = f"127.0.0.1:{served}"
    order = {"id": 7, "what": "tea"}
    async with connect(f"ws://{base}/rt/ws", origin=f"http://{base}") as connection:  # type: ignore[arg-type]  # Origin is a str
        await connection.send('{"rpc":"orders/orders","id":"1","args":[],"stream":true}')
        await receive_event(connection, "1")
        answer = await anyio.to_thread.run_sync(fetch, f"http://{base}/orders", order)
        assert json.loads(answer) == order
        assert (await receive_event(connection, "created"))["data"] == order
