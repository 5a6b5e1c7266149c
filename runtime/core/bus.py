"""The one seam through which an app's bus hears of every publish of a worker. Spec: live-api 17.2.

A bus wraps the platform of this worker: what the wrapped platform publishes reaches the subscribers here, and then the
bus carries it to the others. What a bus has received it publishes with `relay=False`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from runtime.core.messages import collapsed
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runtime.core.messages import BatchMessage, Messages
    from runtime.core.platform import Platform
    from runtime.core.publisher import Event, Publisher

__all__ = ["Bus", "Outlet", "check_bus"]

logger = logging.getLogger("realtime.bus")

_NOTHING: frozenset[tuple[str, str]] = frozenset()


@runtime_checkable
class Bus(Protocol):
    """What carries the publishes of one worker to others."""

    def wrap(self, platform: Platform) -> Any:
        """Return a platform whose `publish`, `batch` and `publish_batched` publish here, and elsewhere too."""


class Outlet:
    """Where publishes leave while something wraps the platform."""

    __slots__ = ("_publisher", "bus", "wrapped")

    def __init__(self, wrapped: Any, publisher: Publisher, bus: Any = None) -> None:
        self._publisher = publisher
        self.bus = bus
        #: The platform that publishes here and elsewhere.
        self.wrapped = wrapped

    def publish(self, topic: str, event: str, data: Any, **options: Any) -> bool:
        """Publish one message; return whether anybody here was subscribed."""
        publisher = self._publisher
        if not publisher.watchers:
            return bool(self.wrapped.publish(topic, event, data, **options))
        before = publisher.unrelayed
        publisher.unrelayed = _NOTHING if options.get("relay", True) else frozenset({(topic, event)})
        try:
            return bool(self.wrapped.publish(topic, event, data, **options))
        finally:
            publisher.unrelayed = before

    def batch(self, messages: Sequence[BatchMessage]) -> list[bool]:
        """Publish each message on its own; return whether anybody here was subscribed to each."""
        batch = getattr(self.wrapped, "batch", None)
        if batch is not None:
            with self._unrelayed(messages):
                return list(batch(messages))
        return [self._publish(message) for message in messages]

    def publish_batched(self, messages: Messages) -> None:
        """Publish messages together, or each at once where the wrapped platform cannot do that."""
        together = getattr(self.wrapped, "publish_batched", None)
        if together is not None:
            with self._unrelayed(messages):
                together(messages)
        else:
            for _, message in collapsed(messages):
                self._publish(message)

    def each(self, events: Sequence[Event]) -> list[bool]:
        """Publish events that were checked and encoded already, each on its own."""
        return [self._publish(_message(event)) for event in events]

    def together(self, events: Sequence[Event]) -> None:
        """Publish events that were checked and encoded already together.

        Nobody waits for the outcome, so a failure of the bus is logged and harms nobody else.
        """
        try:
            self.publish_batched([_message(event) for event in events])
        except Exception:
            logger.exception("the bus failed; %d publishes may not have reached everybody", len(events))

    @contextlib.contextmanager
    def _unrelayed(self, messages: Messages | Sequence[BatchMessage]) -> Iterator[None]:
        """Let watchers see, of what comes back meanwhile, which messages were not meant for other workers."""
        publisher = self._publisher
        before = publisher.unrelayed
        publisher.unrelayed = frozenset(_unrelayed_names(messages)) if publisher.watchers else _NOTHING
        try:
            yield
        finally:
            publisher.unrelayed = before

    def _publish(self, message: BatchMessage) -> bool:
        fields: dict[str, Any] = {**message}
        for name in ("topic", "event"):
            if name not in fields:
                raise ValueError(f"{name!r} is missing in the message {fields!r}")
        fields.pop("coalesce_key", None)
        return self.publish(fields.pop("topic"), fields.pop("event"), fields.pop("data", None), **fields)


def check_bus(bus: object) -> None:
    """Raise unless `bus` is one, or `None`.

    Raises:
        TypeError: it has no `wrap(platform)`.
    """
    if bus is not None and not callable(getattr(bus, "wrap", None)):
        raise TypeError(f"bus: must have a method wrap(platform), as PubSubBus does, or be None; not {bus!r}")


def _unrelayed_names(messages: Iterable[object]) -> Iterator[tuple[str, str]]:
    """Yield topic and event of the messages without a relay; nobody has checked them yet."""
    for message in messages if isinstance(messages, list | tuple) else ():
        if not isinstance(message, Mapping) or message.get("relay", True):
            continue
        topic, event = message.get("topic"), message.get("event")
        if isinstance(topic, str) and isinstance(event, str):
            yield topic, event


def _message(event: Event) -> BatchMessage:
    message: BatchMessage = {
        "topic": event.topic,
        "event": event.event,
        "data": jsoncodec.decode(event.data),
    }
    if event.seq is not True:
        message["seq"] = event.seq
    if not event.relay:
        message["relay"] = False
    return message
