"""The platform: what apps call from hooks, live functions and HTTP handlers. A thin face; the parts do the work.

Spec: platform 2.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from runtime.core.connection import Connection
from runtime.core.gate import Membership
from runtime.core.metrics import Metrics
from runtime.core.pressure import Sampler
from runtime.core.publisher import Event, Publisher, make_event
from runtime.core.settings import Settings
from runtime.core.sink import Frame
from runtime.core.subscriptions import Subscriptions
from runtime.core.turnbatch import TurnBatch
from runtime.wire import envelope

if TYPE_CHECKING:
    from runtime.core.connection import SendResult
    from runtime.core.pressure import PressureSnapshot

__all__ = ["BatchMessage", "Platform", "PlatformCore", "ScopedTopic"]

logger = logging.getLogger("realtime.platform")


class BatchMessage(TypedDict, total=False):
    """One publish of a batch; `topic` and `event` are required. `seq`, `volatile` as in `publish`."""

    topic: str
    event: str
    data: Any
    coalesce_key: str
    seq: bool | int
    volatile: bool


@dataclass(slots=True)
class PlatformCore:
    """The parts that all views of one worker's platform share."""

    subscriptions: Subscriptions
    publisher: Publisher
    turn: TurnBatch
    membership: Membership
    metrics: Metrics
    settings: Settings
    sampler: Sampler
    connections: dict[str, Connection] = field(default_factory=dict)
    on_unsubscribed: Callable[[Connection, str], object] = lambda connection, topic: None


class Platform:
    """Publish, send, subscribe and look around. Usable in the loop's thread only.

    Views of one worker differ in `request_id` alone: a connection's view carries the connection's.
    """

    __slots__ = ("_core", "request_id")

    def __init__(self, core: PlatformCore, request_id: str) -> None:
        self._core = core
        #: Correlation id of the connection or HTTP request this view belongs to; `worker-<n>` on the shared one.
        self.request_id = request_id

    def view(self, request_id: str) -> Platform:
        """Return the same platform under another request id."""
        return Platform(self._core, request_id)

    def publish(
        self, topic: str, event: str, data: Any = None, *, seq: bool | int = True, volatile: bool = False
    ) -> bool:
        r"""Send one envelope to every subscriber of `topic`; return whether there was one.

        The data is encoded once, and a peer that is too far behind misses the frame (platform 2.1). Topics that
        begin with `__` are allowed here: this is the framework's own door.

        Args:
            topic: any text of 1 to 256 characters without controls, `"` and `\\`.
            event: the same rule.
            data: anything with a JSON form; `None` travels as `null`.
            seq: stamp with the topic's next number, leave the number out, or carry exactly this one.
            volatile: as `seq=False`, and never replayed.

        Raises:
            ValueError: a bad name or number. TypeError: data without a JSON form.
            PayloadTooLarge: the envelope is larger than clients accept.
        """
        core = self._core
        made = make_event(topic, event, data, False if volatile else seq, core.publisher.max_frame)
        core.turn.flush()
        core.metrics.add("publish_total", "platform")
        return core.publisher.publish(made)

    def send(self, ws: Connection, topic: str, event: str, data: Any = None) -> SendResult:
        """Send one envelope without a number to one connection, subscribed or not."""
        frame = self._direct(topic, event, data)
        return ws.write(frame)

    def send_to(self, where: Callable[[Any], bool], topic: str, event: str, data: Any = None) -> int:
        """Send one envelope to every connection for whose user data `where` is true; return how many that were.

        `where` must be synchronous: an awaitable counts as no match, and so does an exception, which is logged.
        Walks all connections: publish to a topic instead where the audience is known.
        """
        frame = self._direct(topic, event, data)
        matched = 0
        failed = False
        for connection in list(self._core.connections.values()):
            try:
                answer = where(connection.user_data)
            except Exception:
                if not failed:
                    logger.exception("send_to: the predicate raised; counted as no match")
                failed = True
                continue
            if inspect.isawaitable(answer):
                if inspect.iscoroutine(answer):
                    answer.close()
                if not failed:
                    logger.error(
                        "send_to: the predicate is asynchronous; counted as no match. Use a plain function"
                    )
                failed = True
            elif answer:
                connection.write(frame)
                matched += 1
        return matched

    def batch(self, messages: Iterable[BatchMessage]) -> list[bool]:
        """Publish each message on its own; nothing is sent when one is invalid. Returns one bool each.

        Raises:
            ValueError, TypeError: with the index of the bad message.
        """
        made = self._events(list(enumerate(messages)))
        core = self._core
        core.turn.flush()
        core.metrics.add("publish_total", "batch", amount=len(made))
        return [core.publisher.publish(event) for event in made]

    def publish_batched(self, messages: list[BatchMessage] | tuple[BatchMessage, ...]) -> None:
        """Publish several messages as one frame per subscriber where the peer understands that.

        Of messages with an equal `coalesce_key` only the last survives, at its own place. A subscriber gets only
        events of its topics, in order. Nothing is sent when one message is invalid. Spec: platform 2.5, wire 2.3.

        Raises:
            TypeError: not a list or tuple, or data without a JSON form.
            ValueError: with the index of the bad message.
        """
        if not isinstance(messages, list | tuple):
            raise TypeError(
                f"publish_batched takes a list or tuple of messages, not {type(messages).__name__}"
            )
        made = self._events(_collapsed(messages))
        core = self._core
        core.turn.flush()
        core.metrics.add("publish_total", "publish_batched", amount=len(made))
        core.publisher.publish_many(made)

    def flush(self) -> None:
        """Publish now what live functions published in this turn of the loop; direct sends do this by themselves."""
        self._core.turn.flush()

    async def subscribe(self, ws: Connection, topic: str) -> str | None:
        """Subscribe a connection through the gate; `None` when done, else the reason of the denial."""
        return await self._core.membership.join(ws, topic)

    async def check_subscribe(self, ws: Connection, topic: str) -> str | None:
        """Return what the gate would say, without subscribing."""
        return await self._core.membership.check(ws, topic)

    def unsubscribe(self, ws: Connection, topic: str) -> bool:
        """Take a connection off `topic` and schedule the `unsubscribe` hook; `False` if it was not on it."""
        if not ws.unsubscribe(topic):
            return False
        self._core.on_unsubscribed(ws, topic)
        return True

    def topic(self, name: str) -> ScopedTopic:
        """Return a face of this platform that publishes to `name`."""
        return ScopedTopic(self, name)

    def subscribers(self, topic: str) -> int:
        """Return how many connections of this worker are on `topic`."""
        return self._core.subscriptions.count(topic)

    @property
    def connections(self) -> int:
        """Number of open connections of this worker."""
        return len(self._core.connections)

    @property
    def topics(self) -> int:
        """Number of topics with a subscriber on this worker."""
        return self._core.subscriptions.topics

    @property
    def pressure(self) -> PressureSnapshot:
        """The last sample of this worker's load; reading it costs nothing."""
        return self._core.sampler.snapshot

    @property
    def max_payload_length(self) -> int:
        """Largest inbound frame in bytes."""
        return self._core.settings.websocket.max_payload_length

    @property
    def max_backpressure(self) -> int:
        """Bytes that may wait for one peer before it misses frames."""
        return self._core.settings.websocket.max_backpressure

    def buffered_amount(self, ws: Connection) -> int:
        """Return the bytes that wait for `ws`."""
        return ws.buffered_amount

    @property
    def settings(self) -> Settings:
        """The effective settings, read-only."""
        return self._core.settings

    def _direct(self, topic: str, event: str, data: Any) -> Frame:
        made = make_event(topic, event, data, False, self._core.publisher.max_frame)
        self._core.turn.flush()
        return Frame(envelope.encode_envelope(topic, event, made.data, None))

    def _events(self, messages: list[tuple[int, BatchMessage]]) -> list[Event]:
        limit = self._core.publisher.max_frame
        made: list[Event] = []
        for index, message in messages:
            if not isinstance(message, Mapping):
                raise TypeError(f"message {index}: a mapping with topic and event is needed, not {message!r}")
            try:
                seq = False if message.get("volatile") else message.get("seq", True)
                made.append(make_event(message["topic"], message["event"], message.get("data"), seq, limit))
            except KeyError as error:
                raise ValueError(f"message {index}: {error} is missing") from None
            except (ValueError, TypeError) as error:
                raise type(error)(f"message {index}: {error}") from error
        return made


def _collapsed(messages: list[BatchMessage] | tuple[BatchMessage, ...]) -> list[tuple[int, BatchMessage]]:
    """Return the messages with their indices; of those with an equal `coalesce_key` only the last."""
    last: dict[Any, int] = {}
    for index, message in enumerate(messages):
        key = message.get("coalesce_key") if isinstance(message, Mapping) else None
        try:
            last[index if key is None else (key,)] = index
        except TypeError:
            raise TypeError(f"message {index}: coalesce_key: {key!r} cannot be a key; use a string") from None
    return [(index, messages[index]) for index in sorted(last.values())]


class ScopedTopic:
    """One topic with a method for each common event. Every method returns what `publish` returns."""

    __slots__ = ("_platform", "name")

    def __init__(self, platform: Platform, name: str) -> None:
        self._platform = platform
        self.name = name

    def publish(
        self, event: str, data: Any = None, *, seq: bool | int = True, volatile: bool = False
    ) -> bool:
        """Publish `event` on this topic."""
        return self._platform.publish(self.name, event, data, seq=seq, volatile=volatile)

    def created(self, data: Any) -> bool:
        """Publish that an item came into being."""
        return self.publish("created", data)

    def updated(self, data: Any) -> bool:
        """Publish that an item changed."""
        return self.publish("updated", data)

    def deleted(self, data: Any) -> bool:
        """Publish that an item is gone; `data` holds its key."""
        return self.publish("deleted", data)

    def set(self, value: Any) -> bool:
        """Publish a new value."""
        return self.publish("set", value)

    def increment(self, amount: float = 1) -> bool:
        """Publish that a counter went up."""
        return self.publish("increment", amount)

    def decrement(self, amount: float = 1) -> bool:
        """Publish that a counter went down."""
        return self.publish("decrement", amount)
