"""The parts of one worker that all views of its platform share, and what they do together. Spec: platform 2.

Whatever is sent goes behind what live functions published in the same turn, so every method here flushes that first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.core import coalesce, messages
from runtime.core.assertions import assertion_counters, extension_counters
from runtime.core.bus import Outlet
from runtime.core.clock import Clock
from runtime.core.closing import Closing
from runtime.core.connection import Connection, SendResult
from runtime.core.departures import Departures
from runtime.core.devchecks import DevChecks
from runtime.core.directframe import direct_frame
from runtime.core.gate import Membership
from runtime.core.health import Health
from runtime.core.memory import Memory, worker_limit
from runtime.core.metrics import Metrics
from runtime.core.pressure import Sampler
from runtime.core.publisher import Event, Publisher, make_event
from runtime.core.redactor import Redactor
from runtime.core.requests import Requests
from runtime.core.resumes import Resumes
from runtime.core.settings import Settings
from runtime.core.subscriptions import Subscriptions
from runtime.core.tasks import TaskOwner
from runtime.core.threadsafe import ThreadDoor
from runtime.core.turnbatch import TurnBatch
from runtime.core.unread import drop_pending, lets_pending_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runtime.core.messages import BatchMessage, Messages
    from runtime.core.sink import Frame

__all__ = ["PlatformCore"]

logger = logging.getLogger("realtime.platform")


@dataclass(slots=True)
class PlatformCore:
    """One worker's parts. `memory` is the process's own unless a test gives another."""

    subscriptions: Subscriptions
    publisher: Publisher
    turn: TurnBatch
    membership: Membership
    metrics: Metrics
    settings: Settings
    clock: Clock
    tasks: TaskOwner
    connections: dict[str, Connection] = field(default_factory=dict)
    on_unsubscribed: Callable[[Connection, str], object] = lambda connection, topic: None
    memory: Memory | None = None
    #: The app's default plugins and Redis client; `None` until something sets them.
    replay: Any = None
    presence: Any = None
    redis: Any = None
    #: The app's own lock and idempotency store; see `runtime.plugins.defaults`.
    locks: Any = None
    idempotency: Any = None
    #: The live side's wiring; see `runtime.live.wiring`.
    wiring: Any = None
    #: Where publishes leave while a bus is set; see `runtime.core.bus`.
    outlet: Outlet | None = None
    requests: Requests = field(init=False)
    sampler: Sampler = field(init=False)
    health: Health = field(init=False)
    threads: ThreadDoor = field(init=False, default_factory=ThreadDoor)
    resumes: Resumes = field(init=False, default_factory=Resumes)
    #: The plugins that were used with this worker and end with it.
    closing: Closing = field(init=False, default_factory=Closing)
    departures: Departures = field(init=False, default_factory=Departures)
    #: Hides the secrets of the settings.
    redactor: Redactor = field(init=False)
    #: What only dev looks at.
    dev: DevChecks | None = field(init=False, default=None)
    _told_of_async: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.redactor = Redactor(settings)
        self.requests = Requests(self.clock, self.publisher.max_frame, self.turn.flush)
        self.turn.through = self._through
        self.health = Health(self.publisher, self.turn, self.clock)
        self.sampler = Sampler(
            settings.websocket.pressure,
            self.clock,
            publisher=self.publisher,
            subscriptions=self.subscriptions,
            connections=self.connections,
            memory=self.memory or Memory(worker_limit(settings.server.memory_limit, 1)),
            metrics=self.metrics,
            tasks=self.tasks,
        )
        self.metrics.watch("assertion_violations_total", lambda: _series(assertion_counters()))
        self.metrics.watch("extensions_assertion_violations_total", lambda: _series(extension_counters()))
        if settings.is_dev:
            self.dev = DevChecks(self.threads.is_foreign)

    def _through(self) -> Outlet | None:
        return self.outlet

    def event(self, topic: str, event: str, data: Any, seq: bool | int, relay: bool = True) -> Event:
        """Return a checked and encoded publish.

        Raises:
            ValueError, TypeError, PayloadTooLarge: as `make_event`.
        """
        if self.dev is not None:
            self.dev.payload(topic, data)
        return make_event(topic, event, data, seq, self.publisher.max_frame, relay=relay)

    def events(self, numbered: list[tuple[int, BatchMessage]]) -> list[Event]:
        """Return the publishes of numbered messages.

        Raises:
            ValueError, TypeError: with the number of the bad one.
        """
        return messages.read(numbered, self._checked)

    def events_together(self, batch: Messages) -> list[Event]:
        """Return the publishes of `batch`, of those with an equal `coalesce_key` only the last.

        Raises:
            ValueError, TypeError: with the number of the bad one; TypeError also for what is no list or tuple.
        """
        return self.events(messages.collapsed(batch))

    def _checked(self, topic: str, event: str, data: Any, seq: bool | int, relay: bool) -> Event:
        made = self.event(topic, event, data, seq, relay)
        self.publisher.check(made)
        return made

    def publish(self, event: Event) -> bool:
        """Publish one event; return whether anybody was subscribed."""
        if self.outlet is not None:
            return self.outlet.each([event])[0]
        return self.deliver(event)

    def publish_each(self, events: list[Event]) -> list[bool]:
        """Publish each event in a frame of its own."""
        return self.deliver_each(events) if self.outlet is None else self.outlet.each(events)

    def publish_together(self, events: list[Event]) -> None:
        """Publish events as one frame per subscriber where the peer understands that."""
        if self.outlet is None:
            self.deliver_together(events)
        elif events:
            self.outlet.together(events)

    def deliver(self, event: Event) -> bool:
        """Do what `publish` does, in this worker only. `Platform.publish` does this without the call."""
        self.turn.flush()
        reached = self.publisher.publish(event)
        self.metrics.add("publish_total", "platform")
        return reached

    def deliver_each(self, events: Iterable[Event]) -> list[bool]:
        """Do what `publish_each` does, in this worker only."""
        self.turn.flush()
        reached = [self.publisher.publish(event) for event in events]
        self.metrics.add("publish_total", "batch", amount=len(reached))
        return reached

    def deliver_together(self, events: list[Event]) -> None:
        """Do what `publish_together` does, in this worker only."""
        if events:
            self.turn.flush()
            self.publisher.publish_many(events)
            self.metrics.add("publish_total", "publish_batched", amount=len(events))

    def direct(self, topic: str, event: str, data: Any) -> Frame:
        """Return an envelope for single peers.

        Raises:
            ValueError, TypeError, PayloadTooLarge: as `make_event`.
        """
        if self.dev is not None:
            self.dev.payload(topic, data)
        return direct_frame(topic, event, data, self.publisher.max_frame)

    def send(self, ws: Connection, frame: Frame) -> SendResult:
        """Send a frame to one peer."""
        self.turn.flush()
        return ws.write(frame)

    def send_to(self, where: Callable[[Any], bool], frame: Frame) -> int:
        """Send a frame to every peer for whose user data `where` is true; return how many that were."""
        self.turn.flush()
        matched = self._matching(where)
        for connection in matched:
            connection.write(frame)
        return len(matched)

    def send_coalesced(self, ws: Connection, key: str, topic: str, event: str, data: Any) -> None:
        """Send the value of a key to one peer, or let it wait for the peer.

        Raises:
            ValueError, TypeError, PayloadTooLarge: as `coalesce.send`.
        """
        if self.dev is not None:
            self.dev.payload(topic, data)
        self.turn.flush()
        coalesce.send(ws, key, topic, event, data, metrics=self.metrics, max_frame=self.publisher.max_frame)

    def _matching(self, where: Callable[[Any], bool]) -> list[Connection]:
        """Ask `where` about every connection before anything is sent; what cannot be decided does not match."""
        matched = []
        failed = False
        for connection in list(self.connections.values()):
            try:
                answer = where(connection.user_data)
            except Exception:
                if not failed:
                    logger.exception("send_to: the predicate raised; counted as no match")
                failed = True
                continue
            is_pending = drop_pending(answer)
            if is_pending and not lets_pending_in(self.settings):
                self._tell_of_async()
            elif is_pending or answer:
                matched.append(connection)
        return matched

    def _tell_of_async(self) -> None:
        if not self._told_of_async:
            self._told_of_async = True
            logger.error("send_to: the predicate is asynchronous; counted as no match. Use a plain function")


def _series(counters: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(category,): count for category, count in counters.items()}
