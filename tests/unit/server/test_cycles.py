"""Connections that come, use everything and go while half of it is unfinished: every structure is as before.

Spec: platform 6.1, 6.2 and 7.5.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import types
from collections import Counter, OrderedDict, deque
from pathlib import Path
from typing import Any

import pytest

from runtime.core.connection import Connection
from runtime.core.errors import ConnectionClosed
from runtime.core.memory import Memory
from runtime.core.settings import PressureSettings
from runtime.live.context import Ctx
from runtime.live.declare import Live
from runtime.live.registry import LiveModule, build_module
from runtime.server.assembly import Handshake
from runtime.server.capacitysizes import sizes_of
from runtime.testing import FakeClock
from tests.server.peers import MemorySink, Peer, turns
from tests.unit.server.runtimes import Bare, BareFactory

CYCLES = 2_000
AT_ONCE = 50
QUIET = PressureSettings(topic_publish_rate=None, topic_publish_bytes=None)
CONTAINERS = (dict, list, set, frozenset, deque, OrderedDict, Counter)
#: Not looked into; of the clock of the test the timers are counted that are to come.
SKIPPED = (type, types.ModuleType, types.FunctionType, asyncio.AbstractEventLoop, FakeClock)


def live_module(folder: Path) -> LiveModule:
    made = types.ModuleType("hand")
    live = Live()

    async def echo(ctx: Ctx, value: Any) -> Any:
        ctx.publish("news", "echoed", value)
        return value

    async def never(ctx: Ctx) -> None:
        assert ctx.ws is not None
        await ctx.ws.signal.wait()

    async def rows(ctx: Ctx, name: str) -> list[Any]:
        if name == "slow":
            await asyncio.sleep(0)
        return [{"id": 1}]

    for function in (echo, never, rows):
        function.__module__ = "hand"
    made.echo = live.public(live(echo))  # type: ignore[attr-defined]
    made.never = live.public(live(never))  # type: ignore[attr-defined]
    made.rows = live.public(live.stream(lambda ctx, name: f"rows:{name}", replay={"size": 5})(rows))  # type: ignore[attr-defined]
    return build_module(made, "hand", folder / "hand.py", folder)


def sizes(root: object) -> dict[str, int]:
    """Return how many elements every container has that can be reached from `root`, by the way to it."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    left: list[tuple[str, object]] = [("", root)]
    while left:
        path, thing = left.pop()
        if id(thing) in seen or isinstance(thing, SKIPPED):
            continue
        seen.add(id(thing))
        if isinstance(thing, CONTAINERS):
            found[path] = len(thing)
            values: list[Any] = list(thing.values()) if isinstance(thing, dict) else list(thing)
            left += [(f"{path}[{index}]", value) for index, value in enumerate(values)]
            continue
        if not type(thing).__module__.startswith("runtime."):
            continue
        names = list(getattr(thing, "__dict__", {}))
        for kind in type(thing).__mro__:
            names += list(getattr(kind, "__slots__", ()))
        left += [(f"{path}.{name}", getattr(thing, name)) for name in names if hasattr(thing, name)]
    return found


async def use(one: Bare, n: int) -> Peer:
    """Connect and begin everything that a peer can have open; what comes in meanwhile is what others publish."""
    runtime, platform = one.runtime, one.runtime.platform
    peer = one.connect({"id": n})
    connection = peer.connection
    peer.send('{"type":"hello","caps":["batch"]}')
    peer.send(
        f'{{"type":"resume","sessionId":"old","lastSeenSeqs":{{"rows:{n % 7}":{n},"kept":0,"t{n}":1}}}}'
    )
    peer.send(f'{{"type":"subscribe-batch","topics":["t{n}","news","kept","__no",7],"ref":"r"}}')
    peer.send(f'{{"rpc":"hand/rows","id":"s","args":["{n % 7}"],"stream":true}}')
    peer.send('{"rpc":"hand/rows","id":"l","args":["slow"],"stream":true}')
    peer.send('{"rpc":"hand/echo","id":"e","args":[{"deep":[1]}]}')
    peer.send('{"rpc":"hand/never","id":"n"}')
    peer.send('{"batch":[{"rpc":"hand/echo","id":"b","args":[1]},{"rpc":"no/thing","id":"c"},5]}')
    peer.send('{"type":"replay","topic":"kept","since":0,"reqId":1}')
    peer.send("of nobody")
    await turns(3)
    connection.subscribe("raw")
    platform.publish(f"rows:{n % 7}", "updated", {"id": 1})
    platform.publish("kept", "e", n)
    peer.sink.buffered = connection.max_backpressure
    for key in range(3):
        platform.send_coalesced(connection, key=f"k{key}", topic="c", event="e", data=n)
    peer.sink.buffered = 0
    runtime.tasks.start(ask(connection, n), name="ask")
    await turns(1)
    peer.send('{"type":"unsubscribe","topic":"news"}')
    peer.sink.buffered = 2 * connection.max_backpressure
    platform.publish("kept", "missed", n)
    await turns(1)
    return peer


async def ask(connection: Connection, n: int) -> None:
    with contextlib.suppress(ConnectionClosed):
        await connection.platform.request(connection, "confirm", n, timeout=1000)


@pytest.mark.spec("PLAT-160")
async def test_peers_that_leave_in_the_middle_of_everything_leave_nothing(
    bare: BareFactory, tmp_path: Path
) -> None:
    asked: Counter[str] = Counter()

    async def subscribe(topic: str) -> bool:
        asked[topic[:1]] += 1
        await asyncio.sleep(0)
        return topic != "kept" or bool(asked[topic[:1]] % 2)

    one = await bare(
        {"subscribe": subscribe, "drain": lambda: None, "close": lambda: None, "message": lambda: None},
        websocket={"close_on_backpressure_for": 60.0, "pressure": QUIET},
    )
    runtime = one.runtime
    runtime.live.register(live_module(tmp_path))
    runtime.platform.replay.record_topic("kept", 5, platform=runtime.platform)

    async def run(count: int) -> None:
        for start in range(0, count, AT_ONCE):
            peers = [await use(one, n) for n in range(start, start + AT_ONCE)]
            for index, peer in enumerate(peers):
                if index % 3 == 0:
                    await peer.connection.close(4000, "enough")
                elif index % 3 == 1:
                    peer.connection.terminate()
                await peer.inbound.closed(1006, "")
            await one.clock.advance(0.02)  # a replay looks now and then whether its peer has read
        await turns(20)

    async def state() -> dict[str, int]:
        await one.clock.advance(3)  # the load of this worker is that of an idle one
        await turns()
        gc.collect()
        found = sizes(runtime)
        found["open"] = sum(isinstance(thing, Connection) for thing in gc.get_objects())
        found["timers"] = one.clock.pending
        found["calls"] = runtime.live.calls.running
        found["tasks"] = runtime.tasks.running
        return found

    await run(10 * AT_ONCE)
    before = await state()
    assert (before["open"], before["calls"]) == (0, 0)
    await run(CYCLES)
    assert await state() == before
    assert runtime.metrics.get("ws_connections") == 0
    assert runtime.metrics.get("ws_coalesced_pending") == 0
    assert runtime.metrics.get("stream_subscriptions") == 0


MIB = 1024 * 1024
#: What the process may hold more of after as many cycles: less than a kilobyte of each would add up to.
SPARE = 4 * MIB


def resident() -> int:
    """Return the memory of the process, after everything that can be given back was."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    return Memory(0).resident()


@pytest.mark.spec("PLAT-160", "PLAT-124")
async def test_ten_thousand_that_come_subscribe_call_and_go_leave_no_memory_behind(
    bare: BareFactory, tmp_path: Path
) -> None:
    one = await bare({"open": lambda: None, "subscribe": lambda: True, "close": lambda: None})
    runtime = one.runtime
    runtime.live.register(live_module(tmp_path))

    async def cycle(n: int) -> None:
        sink = MemorySink()
        peer = Peer(sink, await runtime.open(sink, Handshake(user_data={"user_id": f"u{n}"})))
        peer.send(f'{{"type":"subscribe","topic":"t{n % 50}","ref":"r"}}')
        peer.send(f'{{"rpc":"hand/rows","id":"s","args":["{n % 7}"],"stream":true}}')
        assert (await peer.request("hand/echo", n))["data"] == n
        await peer.leave()

    async def cycles(count: int) -> None:
        for start in range(0, count, AT_ONCE):
            await asyncio.gather(*(cycle(n) for n in range(start, start + AT_ONCE)))
            await turns(2)

    await cycles(1_000)  # caches fill, arenas grow
    counts, before = sizes_of(runtime), resident()
    await cycles(10_000)
    assert resident() - before < SPARE
    await turns(20)
    assert sizes_of(runtime) == counts
    assert runtime.metrics.get("ws_connections") == 0
    assert runtime.subscriptions.total == 0
