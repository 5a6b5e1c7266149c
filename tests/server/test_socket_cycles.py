"""Sockets that open, subscribe, call and close, over and over: what a worker holds is as before. Spec: platform 6.1."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from runtime.core.memory import Memory
from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.server.assembly import Runtime
from runtime.server.capacitysizes import sizes_of
from runtime.testing import eventually, running_server
from tests.server.peers import write_file
from tests.server.rawpeer import client_frame, raw_peer

LIVE = """
    from runtime import live

    @live.public
    @live
    async def echo(ctx, value):
        ctx.publish("news", "echoed", value)
        return value
"""
HOOKS = "def subscribe(ws, topic): return True\n"
AT_ONCE = 50
MIB = 1024 * 1024
#: What the process may hold more of afterwards; less than a kilobyte of each socket would be more.
SPARE = 3 * MIB


async def cycle(address: str, n: int) -> None:
    async with raw_peer(address) as peer:
        frames = (
            f'{{"type":"subscribe","topic":"t{n % 50}","ref":"r"}}',
            f'{{"rpc":"m/echo","id":"e","args":[{n}]}}',
        )
        peer.write(*(client_frame(1, frame.encode()) for frame in frames))
        found = b""
        while b'"topic":"__rpc"' not in found:
            found = await peer.until(1)
        assert b'"data":%d' % n in found
        peer.write(client_frame(8, b"\x03\xe8"))
        assert await peer.closed_with() == 1000


def counts(runtime: Runtime) -> dict[str, int]:
    found = sizes_of(runtime)
    found["connections"] = len(runtime.connections)
    found["readers"] = len(runtime.inbounds)
    found["subscriptions"] = runtime.subscriptions.total
    found["tasks"] = runtime.tasks.running + runtime.sends.running + runtime.live.calls.running
    return found


@pytest.mark.spec("PLAT-160")
@pytest.mark.parametrize(("fast_path", "cycles"), [("on", 5_000), ("off", 1_000)])
async def test_sockets_that_come_and_go_leave_nothing(tmp_path: Path, fast_path: str, cycles: int) -> None:
    write_file(tmp_path, "live/m.py", LIVE)
    write_file(tmp_path, "hooks.py", HOOKS)
    settings = Settings(
        server=ServerSettings(env="test", shutdown_timeout=0.2),
        websocket=WebSocketSettings(fast_path=fast_path, upgrade_rate_limit=0),
    )
    async with running_server(tmp_path, settings=settings) as server:
        runtime, address = server.runtime, server.url.removeprefix("http://")

        async def run(count: int) -> None:
            for start in range(0, count, AT_ONCE):
                await asyncio.gather(*(cycle(address, n) for n in range(start, start + AT_ONCE)))
            await eventually(lambda: not runtime.connections)

        await run(1_000)  # caches fill, arenas grow
        gc.collect()
        before, memory = counts(runtime), Memory(0).resident()
        await run(cycles)
        gc.collect()
        assert Memory(0).resident() - memory < SPARE
        await eventually(lambda: counts(runtime) == before)
        assert runtime.metrics.get("ws_connections") == 0
