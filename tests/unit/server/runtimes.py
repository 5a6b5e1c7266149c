"""A runtime without a project: its hooks are functions of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runtime.core.settings import SecuritySettings, ServerSettings, Settings, WebSocketSettings
from runtime.server.assembly import Handshake, Runtime, assemble
from runtime.server.hooks import Hook, HookSet
from runtime.testing import FakeClock
from tests.server.peers import MemorySink, Peer, turns


class Bare:
    """A started runtime and peers without sockets."""

    def __init__(
        self,
        hooks: dict[str, Callable[..., Any]],
        websocket: dict[str, Any],
        security: dict[str, Any],
        capacity: dict[str, int],
        env: str = "test",
    ) -> None:
        settings = Settings(
            server=ServerSettings(env=env, shutdown_timeout=0.2),
            websocket=WebSocketSettings(**websocket),
            security=SecuritySettings(**security),
            capacity=capacity,
        )
        self.clock = FakeClock()
        self.runtime: Runtime = assemble(None, settings, clock=self.clock)
        self.runtime.set_hooks(HookSet({name: Hook(name, function) for name, function in hooks.items()}))

    def connect(self, user: Any = None, *, opened: bool = True, **handshake: Any) -> Peer:
        """Make a connection; `opened=False` leaves it in its `open` hook."""
        sink = MemorySink()
        inbound = self.runtime.connect(
            sink, Handshake(user_data=user, has_user=user is not None, **handshake)
        )
        if opened:
            inbound.opened()
        return Peer(sink, inbound)


BareFactory = Callable[..., Any]


def answers(peer: Peer) -> list[Any]:
    """Return (type, topic, ref, reason) of what came behind the welcome."""
    return [_short(frame) for frame in peer.parsed()[1:]]


def _short(frame: dict[str, Any]) -> Any:
    kind = frame.get("type")
    if kind == "subscribed":
        return ("+", frame["topic"], frame["ref"])
    if kind == "subscribe-denied":
        return ("-", frame["topic"], frame["ref"], frame["reason"])
    return kind or (frame["topic"], frame["event"])


def subscribe(topic: Any, ref: Any = 1) -> dict[str, Any]:
    return {"type": "subscribe", "topic": topic, "ref": ref}


def batch(*topics: Any, ref: Any = 1) -> dict[str, Any]:
    return {"type": "subscribe-batch", "topics": list(topics), "ref": ref}


class Gates:
    """A slow hook that notes what it is asked and waits until the test lets it go."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.events: dict[str, asyncio.Event] = {}

    def of(self, name: str) -> asyncio.Event:
        return self.events.setdefault(name, asyncio.Event())

    async def pass_(self, name: str) -> None:
        self.log.append(f"{name} begins")
        await self.of(name).wait()
        self.log.append(f"{name} ends")

    async def open(self, name: str) -> None:
        self.of(name).set()
        await turns(10)
