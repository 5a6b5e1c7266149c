"""A worker's core with connections on transports that only count what they are given."""

from __future__ import annotations

from typing import Any

from runtime.core.clock import SystemClock
from runtime.core.connection import Connection
from runtime.core.gate import Gate, Membership
from runtime.core.metrics import Metrics
from runtime.core.outbox import TurnOutbox
from runtime.core.platform import Platform, PlatformCore
from runtime.core.publisher import Publisher
from runtime.core.sequence import Sequence
from runtime.core.settings import Settings
from runtime.core.subscriptions import Subscriptions
from runtime.core.tasks import TaskOwner
from runtime.core.turnbatch import TurnBatch

__all__ = ["Crowd", "Meter"]

FRAME = 1024 * 1024


class Meter:
    """Counts writes and bytes of a peer that reads as fast as it is written to."""

    buffered = 0
    deflates = False

    def __init__(self) -> None:
        self.writes = 0
        self.bytes = 0
        self.transmit = self.take

    def take(self, data: bytes) -> None:
        """Take finished frames."""
        self.writes += 1
        self.bytes += len(data)

    def attach(self, connection: Connection) -> None:
        """There is nothing to tell it."""

    def watch(self) -> None:
        """Nothing ever waits."""

    def write(self, frames: Any) -> None:
        """Take frames one by one."""
        self.take(b"".join([frame.wire for frame in frames]))


class Crowd:
    """Connections of one worker."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.subscriptions = Subscriptions()
        self.outbox = TurnOutbox(self.subscriptions, self.metrics, SystemClock(), max_frame=FRAME)
        publisher = Publisher(self.subscriptions, self.outbox, Sequence(0), self.metrics, FRAME)
        turn = TurnBatch(publisher, self.metrics)
        core = PlatformCore(
            subscriptions=self.subscriptions,
            publisher=publisher,
            turn=turn,
            membership=Membership(self.subscriptions, Gate(self.metrics)),
            metrics=self.metrics,
            settings=Settings(),
            clock=SystemClock(),
            tasks=TaskOwner("bench"),
        )
        self.platform = Platform(core, "bench")
        self.meters: list[Meter] = []

    def come(self, key: str) -> Connection:
        """Connect a user of a usual size."""
        meter: Any = Meter()
        self.meters.append(meter)
        return Connection(
            id=key,
            sink=meter,
            outbox=self.outbox,
            subscriptions=self.subscriptions,
            platform=self.platform,
            metrics=self.metrics,
            max_backpressure=FRAME,
            opened_at=0.0,
            user_data={"id": key, "name": f"Somebody {key}", "color": "#1d4ed8"},
        )
