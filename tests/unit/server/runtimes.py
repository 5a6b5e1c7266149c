"""A runtime without a project: its hooks are functions of the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.core.settings import SecuritySettings, ServerSettings, Settings, WebSocketSettings
from runtime.server.assembly import Handshake, Runtime, assemble
from runtime.server.hooks import Hook, HookSet
from runtime.testing import FakeClock
from tests.server.peers import MemorySink, Peer


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
