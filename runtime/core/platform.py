"""The platform: what apps call from hooks, live functions and HTTP handlers. A thin face; the parts do the work.

Spec: platform 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.core.assertions import assertion_counters
from runtime.core.messages import BatchMessage
from runtime.core.platformcore import PlatformCore
from runtime.core.publisher import make_event
from runtime.core.requests import DEFAULT_TIMEOUT
from runtime.core.scopedtopic import ScopedTopic
from runtime.core.threadsafe import ThreadsafePlatform

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from runtime.core.connection import Connection, SendResult
    from runtime.core.devchecks import DevChecks
    from runtime.core.health import Health
    from runtime.core.messages import Messages
    from runtime.core.metrics import Metrics
    from runtime.core.pressure import PressureSnapshot, TopicRate
    from runtime.core.settings import Settings

__all__ = ["BatchMessage", "Platform", "PlatformCore", "ScopedTopic"]


class Platform:
    """Publish, send, subscribe and look around. Usable in the loop's thread only; `threadsafe` is for others.

    Views of one worker differ in `request_id` alone: a connection's view carries the connection's, an HTTP request's
    that of the request.
    """

    __slots__ = ("_core", "request_id")

    #: Whether what is published stays in this worker, whatever bus is set.
    is_local = False

    def __init__(self, core: PlatformCore, request_id: str) -> None:
        self._core = core
        #: Of the connection or HTTP request this view belongs to; `worker-<n>` on the shared one.
        self.request_id = request_id

    def view(self, request_id: str) -> Platform:
        """Return the same platform under another request id."""
        return type(self)(self._core, request_id)

    def publish(
        self,
        topic: str,
        event: str,
        data: Any = None,
        *,
        relay: bool = True,
        seq: bool | int = True,
        volatile: bool = False,
    ) -> bool:
        r"""Send one envelope to every subscriber of `topic`; return whether there was one.

        A peer that is too far behind misses the frame (platform 2.1). Topics that begin with `__` are allowed here.

        Args:
            topic: any text of 1 to 256 characters without controls, `"` and `\\`.
            event: the same rule.
            data: anything with a JSON form; `None` travels as `null`.
            relay: also to the other workers, if a bus connects them.
            seq: stamp with the topic's next number, leave it out, or carry this one. volatile: as `seq=False`.

        Raises:
            ValueError: a bad name or number, or no number on a topic that is kept for replay.
            TypeError: data without a JSON form.
            PayloadTooLarge: the envelope is larger than clients accept.
        """
        core = self._core
        outlet = core.outlet
        if outlet is not None and not self.is_local:
            return outlet.publish(topic, event, data, relay=relay, seq=seq, volatile=volatile)
        if core.dev is not None:
            core.dev.thread("publish")
            core.dev.payload(topic, data)
        made = make_event(
            topic, event, data, False if volatile else seq, core.publisher.max_frame, relay=relay
        )
        core.turn.flush()
        reached = core.publisher.publish(made)
        core.metrics.add("publish_total", "platform")
        return reached

    def send(self, ws: Connection, topic: str, event: str, data: Any = None) -> SendResult:
        """Send one envelope without a number to one connection, subscribed or not.

        Raises:
            ValueError, TypeError, PayloadTooLarge: as `publish`.
        """
        return self._core.send(ws, self._core.direct(topic, event, data))

    def send_to(self, where: Callable[[Any], bool], topic: str, event: str, data: Any = None) -> int:
        """Send one envelope to every connection for whose user data `where` is true; return how many that were.

        An awaitable or an exception counts as no match. Walks all connections: publish to a topic if you can.
        """
        return self._core.send_to(where, self._core.direct(topic, event, data))

    def send_coalesced(self, ws: Connection, *, key: str, topic: str, event: str, data: Any = None) -> None:
        """Send the latest value of `key` to one connection; while the peer is behind, newer ones replace it.

        What waits leaves in the order of the keys, and is encoded only then: do not change it after the call. At
        `MAX_COALESCED_KEYS_PER_CONNECTION` the oldest key goes.

        Raises:
            ValueError: an empty key, or a bad name.
            TypeError, PayloadTooLarge: data that cannot be sent, where it is sent at once; else that is logged.
        """
        self._core.send_coalesced(ws, key, topic, event, data)

    def batch(self, messages: Iterable[BatchMessage]) -> list[bool]:
        """Publish each message on its own; nothing is sent when one is invalid. Returns one bool each.

        Raises:
            ValueError, TypeError: with the index of the bad message.
        """
        core = self._core
        if core.outlet is not None and not self.is_local:
            return core.outlet.batch(list(messages))
        return core.deliver_each(core.events(list(enumerate(messages))))

    def publish_batched(self, messages: Messages) -> None:
        """Publish several messages as one frame per subscriber where the peer understands that.

        Of messages with an equal `coalesce_key` only the last survives, at its own place. Nothing is sent when one
        message is invalid. Spec: platform 2.5, wire 2.3.

        Raises:
            TypeError: not a list or tuple, or data without a JSON form.
            ValueError: with the index of the bad message.
        """
        core = self._core
        if core.outlet is not None and not self.is_local:
            core.outlet.publish_batched(messages)
        else:
            core.deliver_together(core.events_together(messages))

    def flush(self) -> None:
        """Publish now what live functions published in this turn of the loop; direct sends do this by themselves."""
        self._core.turn.flush()

    def subscribe(self, ws: Connection, topic: str) -> Coroutine[Any, Any, str | None]:
        """Subscribe a connection through the gate, unless it is on the topic; await it: `None`, or why it was not."""
        return self._watched(self._core.membership.join(ws, topic), "platform.subscribe(...)")

    def check_subscribe(self, ws: Connection, topic: str) -> Coroutine[Any, Any, str | None]:
        """Return what the gate would say, without subscribing; await it. No bound is looked at."""
        return self._watched(self._core.membership.check(ws, topic), "platform.check_subscribe(...)")

    def unsubscribe(self, ws: Connection, topic: str) -> bool:
        """Take a connection off `topic` and schedule the `unsubscribe` hook; `False` if it was not on it."""
        if not ws.unsubscribe(topic):
            return False
        self._core.on_unsubscribed(ws, topic)
        return True

    def request(
        self, ws: Connection, event: str, data: Any = None, *, timeout: float = DEFAULT_TIMEOUT
    ) -> Coroutine[Any, Any, Any]:
        """Ask the client and return the data of its answer; await it, but not in the `open` hook: what a client sends
        is read behind that. Cancelling forgets the question.

        Args:
            event: what is asked; the client's push handler of that name answers.
            timeout: seconds, a finite number above 0.

        Raises:
            RequestFailed: the client answered with an error. RequestTimeout: it did not answer in time.
            ConnectionClosed: it is gone, or went. ConnectionBusy: its buffer is full.
            CapacityExceeded: `MAX_PENDING_REQUESTS_PER_CONNECTION` are open.
            ValueError, TypeError, PayloadTooLarge: bad arguments.
        """
        return self._watched(self._core.requests.ask(ws, event, data, timeout), "platform.request(...)")

    def _watched(self, coroutine: Coroutine[Any, Any, Any], what: str) -> Coroutine[Any, Any, Any]:
        dev = self._core.dev
        return coroutine if dev is None else dev.watched(coroutine, what)

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

    def on_pressure(self, callback: Callable[[PressureSnapshot], Any]) -> Callable[[], None]:
        """Call `callback(snapshot)`, plain or asynchronous, when the reason has changed; return what ends it.

        Raises:
            CapacityExceeded: `MAX_PRESSURE_LISTENERS` are registered already.
        """
        return self._core.sampler.on_pressure(callback)

    def on_publish_rate(self, callback: Callable[[list[TopicRate]], Any]) -> Callable[[], None]:
        """Call `callback(rates)` with topics that are published to too much, instead of a warning; return what ends it.

        Raises:
            CapacityExceeded: `MAX_PRESSURE_LISTENERS` are registered already.
        """
        return self._core.sampler.on_publish_rate(callback)

    @property
    def health(self) -> Health:
        """What this worker suffers from: `health.degrade(cause)` and `health.recover(cause)` tell every client."""
        return self._core.health

    @property
    def threadsafe(self) -> ThreadsafePlatform:
        """The publishing and sending methods for other threads."""
        return ThreadsafePlatform(self._core)

    @property
    def max_payload_length(self) -> int:
        """Largest inbound message in bytes."""
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

    @property
    def metrics(self) -> Metrics:
        """The numbers of this worker."""
        return self._core.metrics

    @property
    def assertions(self) -> Mapping[str, int]:
        """How often something that must always hold did not, by category; a live view, read-only."""
        return assertion_counters()

    @property
    def parts(self) -> PlatformCore:
        """What this face stands before: for the framework's own parts, not for apps."""
        return self._core

    @property
    def replay(self) -> Any:
        """The app's default replay plugin, or `None`."""
        return self._core.replay

    @replay.setter
    def replay(self, replay: Any) -> None:
        self._core.replay = replay

    @property
    def presence(self) -> Any:
        """The app's default presence plugin, or `None`."""
        return self._core.presence

    @presence.setter
    def presence(self, presence: Any) -> None:
        self._core.presence = presence

    @property
    def redis(self) -> Any:
        """The app's Redis client, or `None`."""
        return self._core.redis

    @redis.setter
    def redis(self, redis: Any) -> None:
        self._core.redis = redis

    @property
    def dev_checks(self) -> DevChecks | None:
        """What only dev looks at; for the framework's other doors to publishing."""
        return self._core.dev
