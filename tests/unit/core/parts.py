"""The core without a server: connections on sinks that keep what they are given."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.core.connection import Connection
from runtime.core.gate import Gate, Membership
from runtime.core.memory import Memory
from runtime.core.metrics import Metrics
from runtime.core.outbox import TurnOutbox
from runtime.core.platform import Platform, PlatformCore
from runtime.core.publisher import Publisher
from runtime.core.sequence import Sequence as Numbers
from runtime.core.settings import Settings
from runtime.core.sink import Frame
from runtime.core.subscriptions import Subscriptions
from runtime.core.tasks import TaskOwner
from runtime.core.turnbatch import TurnBatch
from runtime.testing import FakeClock

MIB = 1024 * 1024


class KeepingSink:
    """Keeps every write; a test raises `buffered`, or sets `is_stuck`, to play a peer that does not read."""

    def __init__(self, *, joins: bool = False, deflates: bool = False) -> None:
        """`joins`: take finished WebSocket frames, as our own protocol does."""
        self.writes: list[list[str]] = []
        self.buffered = 0
        self.is_stuck = False
        self.ended: list[Any] = []
        self.watches = 0
        self.pings: list[bytes] = []
        self.transmit: Callable[[bytes], object] | None = self._take if joins else None
        self.deflates = deflates
        #: The objects that were transmitted: equal ones are shared.
        self.transmitted: list[bytes] = []

    def attach(self, connection: Connection) -> None:
        self.connection = connection

    def watch(self) -> None:
        self.watches += 1

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)

    @property
    def frames(self) -> list[str]:
        return [text for write in self.writes for text in write]

    def write(self, frames: Sequence[Frame]) -> None:
        self.writes.append([frame.text for frame in frames])
        if self.is_stuck:
            self.buffered += sum(frame.size for frame in frames)

    def _take(self, data: bytes) -> None:
        self.transmitted.append(data)
        self.writes.append(messages(data))
        if self.is_stuck:
            self.buffered += len(data)

    def close(self, code: int, reason: str) -> None:
        self.ended.append((code, reason))

    def terminate(self) -> None:
        self.ended.append("terminated")


def messages(data: bytes) -> list[str]:
    """Return the messages in `data`, which holds whole text frames of a server."""
    found = []
    while data:
        first, size, start = data[0], data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        payload, data = data[start : start + size], data[start + size :]
        if first & 0x40:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        assert first & ~0x40 == 0x81
        found.append(payload.decode())
    return found


@dataclass
class Core:
    """Every part of the core, wired as the server does it."""

    base: int = 0
    max_frame: int = 0
    max_backpressure: int = MIB
    stall_limit: float = 0
    clock: FakeClock = field(default_factory=FakeClock)
    settings: Settings = field(default_factory=Settings)
    memory: Memory = field(default_factory=lambda: Memory(0))

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.subscriptions = Subscriptions()
        self.outbox = TurnOutbox(
            self.subscriptions,
            self.metrics,
            self.clock,
            max_frame=self.max_frame,
            stall_limit=self.stall_limit,
        )
        self.sequence = Numbers(self.base)
        self.publisher = Publisher(
            self.subscriptions, self.outbox, self.sequence, self.metrics, self.max_frame
        )
        self.turn = TurnBatch(self.publisher, self.metrics)
        self.membership = Membership(self.subscriptions, Gate(self.metrics))
        self.unsubscribed: list[tuple[Connection, str]] = []
        self.parts = PlatformCore(
            subscriptions=self.subscriptions,
            publisher=self.publisher,
            turn=self.turn,
            membership=self.membership,
            metrics=self.metrics,
            settings=self.settings,
            clock=self.clock,
            tasks=TaskOwner("core"),
            memory=self.memory,
            on_unsubscribed=lambda connection, topic: self.unsubscribed.append((connection, topic)),
        )
        self.platform = Platform(self.parts, "worker-0")
        self.sinks: dict[Connection, KeepingSink] = {}

    def gate(self, **hooks: Any) -> Gate:
        self.membership.gate = Gate(self.metrics, **hooks)
        return self.membership.gate

    def connect(
        self,
        *topics: str,
        caps: Sequence[str] = (),
        user: Any = None,
        joins: bool = False,
        deflates: bool = False,
        **fields: Any,
    ) -> Connection:
        """Make a connection that is on `topics`."""
        sink = KeepingSink(joins=joins, deflates=deflates)
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
        if caps:  # else it never said hello
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
