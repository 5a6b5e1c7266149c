"""A thousand peers that connect and say nothing more: they are dropped on time and cost nothing lasting."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.core.connection import Connection
from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.server.fastpath.peer import FastPeer
from runtime.server.httpprotocol import BoundedHttp
from runtime.server.inbound import Inbound
from runtime.testing import FakeClock, eventually
from tests.server.rawpeer import client_frame, request
from tests.server.sockets import Served, call, served
from tests.server.test_websocket import project

COUNT = 1000
IDLE = 40.0
HALF_A_HEAD = b"GET /ws HTTP/1.1\r\nhost: "


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Allow both ends of every connection in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * COUNT + 500
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            pytest.skip(f"needs {wanted} descriptors, {hard} are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def connect_all(server: Served, stack: contextlib.ExitStack, sent: bytes) -> None:
    """Open `COUNT` connections that send `sent` and neither read nor leave."""
    loop = asyncio.get_running_loop()
    host, port = server.address.split(":")
    for _ in range(COUNT):
        peer = stack.enter_context(socket.socket())
        peer.setblocking(False)
        await loop.sock_connect(peer, (host, int(port)))
        if sent:
            await loop.sock_sendall(peer, sent)


def state(server: Served, clock: FakeClock) -> dict[str, Any]:
    """What a peer may leave behind."""
    gc.collect()
    runtime = server.runtime
    kinds = (Connection, Inbound, FastPeer, BoundedHttp)
    return {
        "objects": [sum(isinstance(item, kind) for item in gc.get_objects()) for kind in kinds],
        "connections": (len(runtime.connections), len(server.server.server_state.connections)),
        "subscriptions": (runtime.subscriptions.total, runtime.subscriptions.topics),
        "tasks": (runtime.tasks.running, len(asyncio.all_tasks())),
        "upgrading": runtime.upgrading,
        "timers": clock.pending,
    }


@pytest.mark.parametrize(
    ("sent", "is_upgraded"),
    [
        pytest.param(b"", False, id="silence"),
        pytest.param(HALF_A_HEAD, False, id="half-a-head"),
        pytest.param(b"", True, id="silence-behind-the-upgrade"),
        pytest.param(client_frame(1, b"x" * 1000)[:500], True, id="half-a-frame"),
    ],
)
@pytest.mark.usefixtures("descriptors")
async def test_a_thousand_half_open_connections_leave_nothing(
    tmp_path: Path, sent: bytes, is_upgraded: bool
) -> None:
    clock = FakeClock()
    options = Settings(
        server=ServerSettings(env="test", shutdown_timeout=1),
        websocket=WebSocketSettings(idle_timeout=IDLE, upgrade_rate_limit=None, text_keepalive=None),
    )
    async with served(project(tmp_path), options, clock=clock) as server, server.connect() as other:
        await call(other, "a/echo", 1)
        before = state(server, clock)
        with contextlib.ExitStack() as stack:
            head = request(server.address) if is_upgraded else b""
            await connect_all(server, stack, head + sent)
            here = server.runtime.connections if is_upgraded else server.server.server_state.connections
            await eventually(lambda: len(here) >= COUNT + 1)
            assert (await call(other, "a/echo", 2))["data"] == 2
            patience = IDLE if is_upgraded else options.server.header_timeout or 0
            for _ in range(8):
                await clock.advance(patience / 5)
                assert (await call(other, "a/echo", 3))["data"] == 3
            await eventually(lambda: len(here) == 1)
            assert (await call(other, "a/echo", 4))["data"] == 4
        await eventually(lambda: len(server.server.server_state.connections) == 1)
        assert state(server, clock) == before
