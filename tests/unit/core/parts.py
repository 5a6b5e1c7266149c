"""The core without a server: connections on sinks that keep what they are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.core.connection import Connection
from runtime.core.gate import Gate, Membership
from runtime.core.metrics import Metrics
from runtime.core.outbox import TurnOutbox
from runtime.core.platform import Platform, PlatformCore
from runtime.core.pressure import Sampler
from runtime.core.publisher import Publisher
from runtime.core.sequence import Sequence as Numbers
from runtime.core.settings import Settings
from runtime.core.sink import Frame
from runtime.core.subscriptions import Subscriptions
from runtime.core.turnbatch import TurnBatch
from runtime.testing import FakeClock

MIB = 1024 * 1024


class KeepingSink:
    """Keeps every write; a test raises `buffered`, or sets `is_stuck`, to play a peer that does not read."""

    def __init__(self) -> None:
        self.writes: list[list[str]] = []
        self.buffered = 0
        self.is_stuck = False
        self.ended: list[Any] = []

    @property
    def frames(self) -> list[str]:
        return [text for write in self.writes for text in write]

    def write(self, frames: Sequence[Frame]) -> None:
        self.writes.append([frame.text for frame in frames])
        if self.is_stuck:
            self.buffered += sum(frame.size for frame in frames)

    def close(self, code: int, reason: str) -> None:
        self.ended.append((code, reason))

    def terminate(self) -> None:
        self.ended.append("terminated")


@dataclass
class Core:
    """Every part of the core, wired as the server does it."""

    base: int = 0
    max_frame: int = 0
    max_backpressure: int = MIB
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.outbox = TurnOutbox()
        self.subscriptions = Subscriptions()
        self.sequence = Numbers(self.base)
        self.publisher = Publisher(self.subscriptions, self.sequence, self.metrics, self.max_frame)
        self.turn = TurnBatch(self.publisher)
        self.membership = Membership(self.subscriptions, Gate(self.metrics))
        self.unsubscribed: list[tuple[Connection, str]] = []
        self.parts = PlatformCore(
            subscriptions=self.subscriptions,
            publisher=self.publisher,
            turn=self.turn,
            membership=self.membership,
            metrics=self.metrics,
            settings=Settings(),
            sampler=Sampler(self.metrics, self.clock),
            on_unsubscribed=lambda connection, topic: self.unsubscribed.append((connection, topic)),
        )
        self.platform = Platform(self.parts, "worker-0")
        self.sinks: dict[Connection, KeepingSink] = {}

    def gate(self, **hooks: Any) -> Gate:
        self.membership.gate = Gate(self.metrics, **hooks)
        return self.membership.gate

    def connect(self, *topics: str, caps: Sequence[str] = (), user: Any = None, **fields: Any) -> Connection:
        """Make a connection that is on `topics`."""
        sink = KeepingSink()
        connection = Connection(
            id=f"c{len(self.sinks)}",
            sink=sink,
            outbox=self.outbox,
            subscriptions=self.subscriptions,
            platform=self.platform,
            metrics=self.metrics,
            max_backpressure=self.max_backpressure,
            opened_at=self.clock.monotonic(),
            user_data=user,
            **fields,
        )
        connection.caps = frozenset(caps)
        self.sinks[connection] = sink
        self.parts.connections[connection.id] = connection
        for topic in topics:
            self.subscriptions.add(connection, topic)
        return connection

    def sink(self, connection: Connection) -> KeepingSink:
        return self.sinks[connection]

    def texts(self, connection: Connection) -> list[str]:
        """Return the frames of `connection` so far, those of this turn included."""
        self.outbox.flush()
        return self.sinks[connection].frames

    def frames(self, connection: Connection) -> list[Any]:
        return [json.loads(text) for text in self.texts(connection)]

    def events(self, connection: Connection) -> list[tuple[Any, ...]]:
        """Return (topic, event, data, seq) of every envelope in order, batch frames opened."""
        found = []
        for frame in self.frames(connection):
            for envelope in frame["events"] if frame.get("type") == "batch" else [frame]:
                found.append((envelope["topic"], envelope["event"], envelope["data"], envelope.get("seq")))
        return found


CoreFactory = Callable[..., Core]
