"""Which streams each connection is subscribed to, and with what arguments. Spec: wire 5.1 step 7, live-api 8.5.

A topic subscription says that frames are delivered; a logical subscription says which stream asked for them, so that
its hooks run and a reload can load it again. Two stores of one connection on one stream are a count of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core import assertions, capacity
from runtime.core.assertions import assert_invariant
from runtime.core.connection import Connection
from runtime.core.errors import LiveError
from runtime.live.registry import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtime.core.metrics import Metrics

__all__ = ["StreamSub", "StreamSubs"]


@dataclass(slots=True, eq=False)
class StreamSub:
    """One stream on one topic for one connection; `args` as the client sent them last."""

    connection: Connection
    endpoint: Endpoint
    topic: str
    args: list[Any]
    count: int = 0
    #: When it was last loaded anew after a drop, and whether that is about to happen again.
    resynced_at: float = float("-inf")
    is_resync_due: bool = False


class StreamSubs:
    """All logical subscriptions of one worker.

    Bounded per connection by `MAX_STREAM_SUBSCRIPTIONS`, and in topics by `MAX_TOPIC_WS_COUNTS`.
    """

    __slots__ = ("_by_connection", "_by_topic", "_held", "_metrics")

    def __init__(self, metrics: Metrics) -> None:
        #: connection -> topic -> path -> subscription; `_held` counts the last level per connection.
        self._by_connection: dict[Connection, dict[str, dict[str, StreamSub]]] = {}
        self._held: dict[Connection, int] = {}
        self._by_topic: dict[str, dict[Connection, int]] = {}
        self._metrics = metrics

    def sizes(self) -> dict[str, int]:
        """Return how many topics have subscribers, and how many subscriptions the busiest connection has."""
        topics = dict.fromkeys(("MAX_TOPIC_WS_COUNTS", "TOPIC_WS_COUNTS_WARN_THRESHOLD"), len(self._by_topic))
        return {"MAX_STREAM_SUBSCRIPTIONS": max(self._held.values(), default=0), **topics}

    def add(self, connection: Connection, endpoint: Endpoint, topic: str, args: list[Any]) -> StreamSub:
        """Count one subscription.

        Raises:
            LiveError: `RATE_LIMITED` when the connection holds too many, `OVERLOADED` when the worker has too many
                topics with subscribers.
        """
        sub = self._find(connection, topic, endpoint.path)
        if sub is None:
            held = self._held.get(connection, 0)
            if held >= capacity.get("MAX_STREAM_SUBSCRIPTIONS"):
                capacity.record("MAX_STREAM_SUBSCRIPTIONS", "reject")
                raise LiveError("RATE_LIMITED", "Too many stream subscriptions on this connection")
            self._make_room(topic)
            sub = StreamSub(connection, endpoint, topic, args)
            self._by_connection.setdefault(connection, {}).setdefault(topic, {})[endpoint.path] = sub
            self._held[connection] = held + 1
        sub.endpoint, sub.args = endpoint, args
        sub.count += 1
        members = self._by_topic.setdefault(topic, {})
        members[connection] = members.get(connection, 0) + 1
        self._metrics.add("stream_subscriptions")
        return sub

    def drop_one(self, sub: StreamSub) -> bool:
        """Take one count back (a failed load); return `False` if the subscription had ended meanwhile."""
        if not self.is_held(sub) or sub.count == 0:
            return False
        sub.count -= 1
        if sub.count == 0:
            self._forget(sub)
        self._uncount(sub.connection, sub.topic, 1)
        return True

    def leave(self, connection: Connection, topic: str) -> list[StreamSub]:
        """End every subscription of `connection` on `topic`; return them with their counts."""
        ended = self.of(connection, topic)
        for sub in ended:
            self._forget(sub)
            self._uncount(connection, topic, sub.count)
        return ended

    def leave_all(self, connection: Connection) -> list[StreamSub]:
        """End every subscription of `connection`."""
        topics = list(self._by_connection.get(connection, {}))
        return [sub for topic in topics for sub in self.leave(connection, topic)]

    def holds(self, connection: Connection, endpoint: Endpoint, topic: str) -> bool:
        """Return whether `connection` has `topic` through this stream."""
        return self._find(connection, topic, endpoint.path) is not None

    def of(self, connection: Connection, topic: str) -> list[StreamSub]:
        """Return the subscriptions of `connection` on `topic`."""
        return list(self._by_connection.get(connection, {}).get(topic, {}).values())

    def is_held(self, sub: StreamSub) -> bool:
        """Return whether `sub` has not ended."""
        return self._find(sub.connection, sub.topic, sub.endpoint.path) is sub

    def has(self, connection: Connection, topic: str) -> bool:
        """Return whether `connection` has `topic` through any stream."""
        return connection in self._by_topic.get(topic, {})

    def others(self, topic: str, connection: Connection) -> int:
        """Return how many other connections hold a stream on `topic`."""
        members = self._by_topic.get(topic, {})
        return len(members) - (connection in members)

    def of_modules(self, modules: set[str]) -> Iterator[StreamSub]:
        """Yield the subscriptions to streams of these live modules."""
        for mine in list(self._by_connection.values()):
            for paths in list(mine.values()):
                for sub in list(paths.values()):
                    if sub.endpoint.module in modules:
                        yield sub

    def holders(self, topic: str) -> Iterable[Connection]:
        """Return the connections that hold `topic` through a stream. Do not change it while iterating."""
        return self._by_topic.get(topic, ())

    def places(self, topic: str) -> list[str]:
        """Return path, file and line of the streams that are subscribed on `topic`."""
        found = {
            sub.endpoint
            for connection in self._by_topic.get(topic, ())
            for sub in self._by_connection.get(connection, {}).get(topic, {}).values()
        }
        return sorted(f"{one.path} ({one.file}:{one.line})" for one in found)

    def first(self, topic: str, path: str) -> StreamSub | None:
        """Return the subscription to one stream on `topic` of the connection that has it longest, if any has it."""
        for connection in self._by_topic.get(topic, ()):
            sub = self._find(connection, topic, path)
            if sub is not None:
                return sub
        return None

    def all(self) -> Iterator[StreamSub]:
        """Yield every subscription. Do not change any while iterating."""
        for mine in self._by_connection.values():
            for paths in mine.values():
                yield from paths.values()

    def on_topic(self, topic: str) -> bool:
        """Return whether any stream is subscribed on `topic`."""
        return topic in self._by_topic

    def _make_room(self, topic: str) -> None:
        """Look whether one more topic may have subscribers. Spec: live-api 27.1."""
        known = len(self._by_topic)
        if topic in self._by_topic:
            return
        if known >= capacity.get("MAX_TOPIC_WS_COUNTS"):
            capacity.record("MAX_TOPIC_WS_COUNTS", "reject")
            raise LiveError("OVERLOADED", "Too many stream topics on this worker")
        if known == capacity.get("TOPIC_WS_COUNTS_WARN_THRESHOLD"):
            capacity.record(
                "TOPIC_WS_COUNTS_WARN_THRESHOLD", "warn", hint="streams with a topic per client cost memory"
            )

    def _find(self, connection: Connection, topic: str, path: str) -> StreamSub | None:
        return self._by_connection.get(connection, {}).get(topic, {}).get(path)

    def _forget(self, sub: StreamSub) -> None:
        mine = self._by_connection[sub.connection]
        del mine[sub.topic][sub.endpoint.path]
        self._held[sub.connection] -= 1
        if not mine[sub.topic]:
            del mine[sub.topic]
        if not mine:
            del self._by_connection[sub.connection], self._held[sub.connection]

    def _uncount(self, connection: Connection, topic: str, amount: int) -> None:
        self._metrics.add("stream_subscriptions", amount=-amount)
        members = self._by_topic.get(topic)
        is_tracked = members is not None and connection in members
        assert_invariant(is_tracked, assertions.SUBSCRIPTION_WS_TRACKED, topic=topic)
        if members is None or not is_tracked:
            return
        members[connection] -= amount
        if members[connection] <= 0:
            del members[connection]
            if not members:
                del self._by_topic[topic]
