"""A worker in which one thing is filled while somebody else goes on using it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runtime.core import capacity
from runtime.core.settings import DevSettings, PressureSettings, WebSocketSettings
from runtime.server.capacitysizes import sizes_of
from runtime.testing import FakeClock
from tests.server.peers import App, MemorySink, Peer, turns

HOOKS = """
    import asyncio

    go = asyncio.Event()
    messages = []

    async def subscribe(ws, topic):
        if topic.startswith("slow"):
            await go.wait()
        return True

    def message(ws, data, msg):
        messages.append((data, msg))
"""
LIVE = """
    import asyncio
    from runtime import LiveError, live

    go = asyncio.Event()
    loads = []

    @live.public
    @live
    async def echo(ctx, value=None):
        ctx.publish("news", "echoed", value)
        return value

    @live.public
    @live
    async def waits(ctx, value=None):
        await go.wait()

    @live.public
    @live.stream(lambda ctx, name: f"rows:{name}")
    async def rows(ctx, name):
        loads.append(name)
        if name == "slow":
            await go.wait()
        return []

    @live.public
    @live.binary()
    async def blob(ctx, data):
        return len(data)

    @live.public
    @live.idempotent()
    @live
    async def once(ctx, value=None):
        return value

    @live.public
    @live.rate_limit(points=2, window=60)
    @live
    async def limited(ctx):
        return "ok"

    @live.public
    @live
    async def throttled(ctx, key):
        ctx.publish_throttled("paced", "e", {"key": key}, 10)

    @live.public
    @live
    async def debounced(ctx, key):
        ctx.publish_debounced("paced", "e", {"key": key}, 10)

    @live.public
    @live
    async def skips(ctx, key):
        return ctx.skip(key, 10)

    @live.public
    @live
    async def signals(ctx, user_id):
        ctx.send_signal(user_id, "e", 1)

    @live.public
    @live
    async def pushes(ctx, user_id):
        return await live.push({"user_id": user_id}, "ask", 1, timeout=1)

    @live.public
    @live.upload()
    async def put(ctx):
        return sum([len(chunk) async for chunk in ctx.stream])

    @live.public
    @live.upload()
    async def held(ctx):
        await go.wait()
        return sum([len(chunk) async for chunk in ctx.stream])
"""


class World:
    """A worker, and somebody with a topic and calls of its own who must not notice anything."""

    def __init__(self, project: Path) -> None:
        self.clock = FakeClock()
        self.app = App(
            project,
            "dev",
            self.clock,
            websocket=WebSocketSettings(
                upload_pause=None, pressure=PressureSettings(topic_publish_rate=3, topic_publish_bytes=None)
            ),
            dev=DevSettings(publish_rate_warning={"threshold": 3, "interval": 1}),
        )
        self.app.write("hooks.py", HOOKS)
        self.app.write("live/m.py", LIVE)
        self.runtime = self.app.runtime
        self.platform = self.runtime.platform
        self.bystander: Peer
        self._asked = 0
        #: What is to live as long as this.
        self.kept: list[Any] = []

    async def start(self) -> None:
        await self.runtime.start()
        self.bystander = await self.app.connect({"id": "bystander"})
        self.bystander.connection.subscribe("quiet")

    async def stop(self) -> None:
        self.live.go.set()
        self.hooks.go.set()
        await turns()
        await self.runtime.stop(timeout=0)

    @property
    def live(self) -> Any:
        """The live module of the worker."""
        return self.runtime.live.registry.modules["m"].module

    @property
    def hooks(self) -> Any:
        """The module of its hooks."""
        hook: Any = self.runtime.hooks.get("message")
        return SimpleNamespace(**{name: hook._function.__globals__[name] for name in ("go", "messages")})

    async def peer(self, user: Any = None, **options: Any) -> Peer:
        return await self.app.connect(user, **options)

    async def publishes(self, *topics: str) -> None:
        for topic in topics:
            self.platform.publish(topic, "e", 1)
        await turns()

    def size(self, name: str) -> int:
        """Return the present gauge of a bound."""
        return sizes_of(self.runtime)[name]

    async def undisturbed(self) -> None:
        """Have the bystander called, answered and published to as ever."""
        self._asked += 1
        peer = self.bystander
        answer = await peer.request("m/echo", self._asked)
        assert answer["ok"], answer
        assert answer["data"] == self._asked
        self.platform.publish("quiet", "e", self._asked)
        await turns()
        assert peer.events("quiet")[-1] == ("e", self._asked)
        assert not peer.connection.closed
        assert isinstance(peer.sink, MemorySink)
        assert peer.sink.closed is None


@dataclass(frozen=True)
class Fill:
    """How one bound is met: fill it, and more, and look at what the one who does it sees.

    Attributes:
        action: what is counted.
        run: does it; the bound is lowered to `limit` meanwhile.
        limit: a number, or how many more than there are.
        slack: entries beyond the bound that are allowed for a while.
        is_usual: it is met all the time, so that the log has no line of it.
    """

    action: str
    run: Callable[[World], Awaitable[None]]
    limit: int = 2
    more: bool = False
    slack: int = 0
    is_usual: bool = False

    def bound(self, world: World, name: str) -> int:
        """Return the bound for this run."""
        return world.size(name) + self.limit if self.more else self.limit


def lines(messages: list[str]) -> list[dict[str, Any]]:
    """Return what the log says of bounds that were met."""
    head = "[realtime/capacity] "
    return [json.loads(text.removeprefix(head)) for text in messages if text.startswith(head)]


def met() -> Counter[tuple[str, str]]:
    """Return how often each bound was met so far."""
    return Counter(capacity.events)
