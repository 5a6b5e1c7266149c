"""Which connections get which topic, in both directions, and the subscriptions whose frames are held back.

While a stream loads, its connection is kept apart from the topic's other subscribers: what is published meanwhile is
held and written behind the stream's reply. A publish pays one dict look-up for that, not one per subscriber. A replay
reserves the topic in the same way, also for a connection that gets on it only while the replay is written.
Spec: wire 5.1 and 6.4.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from runtime.core import capacity
from runtime.core.assertions import SUBS_SHAPE_UNSUBSCRIBE, assert_invariant

if TYPE_CHECKING:
    from collections.abc import Collection

    from runtime.core.connection import Connection
    from runtime.core.outbox import Entry
    from runtime.core.sink import Frame

__all__ = ["Hold", "Subscriptions"]

#: Told of each connection that was taken off a topic.
Leaver = Callable[["Connection", str], object]

MAX_COMPARED = 1000  # topics that one look for a mismatch takes in

_NOBODY: dict[Connection, None] = {}


def _nothing() -> None:
    """Do nothing: there is no outbox yet."""


class Hold:
    """Frames of one topic kept back from one connection until its stream has answered or its replay has ended."""

    __slots__ = ("first_seq", "frames", "limit", "overflowed")

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.limit = capacity.get("MAX_HELD_FRAMES")
        self.overflowed = False
        #: The number of the first frame that was held, also when it was dropped again.
        self.first_seq: int | None = None

    def keep(self, frame: Frame) -> None:
        """Keep `frame`; beyond `MAX_HELD_FRAMES` drop all of them and note that the loader has to run again."""
        if self.first_seq is None:
            self.first_seq = frame.seq
        if self.overflowed:
            return
        if len(self.frames) >= self.limit:
            self.overflowed = True
            self.frames.clear()
            capacity.record(
                "MAX_HELD_FRAMES", "reload", hint="a loader is slow and its topic busy; it runs again"
            )
            return
        self.frames.append(frame)

    def restart(self) -> None:
        """Forget an overflow before the loader runs once more."""
        self.frames.clear()
        self.overflowed = False
        self.first_seq = None

    def skip(self, seq: int) -> None:
        """Drop the frames up to this number: the reply that is about to be written has what they say."""
        self.frames = [frame for frame in self.frames if frame.seq is None or frame.seq > seq]

    def take_over(self, other: Hold) -> None:
        """Go on with what `other` kept."""
        self.frames, other.frames = other.frames, []
        self.overflowed = self.overflowed or other.overflowed
        if self.first_seq is None or (other.first_seq is not None and other.first_seq < self.first_seq):
            self.first_seq = other.first_seq


class Subscriptions:
    """The index from topic to connections; each connection carries the other direction in `all_topics`.

    What was published on a topic in this turn of the loop goes to those who were on it then: before a topic in `busy`
    changes hands, `settle` writes it.
    """

    __slots__ = ("_reserved", "_total", "_watchers", "busy", "holds", "members", "settle")

    def __init__(self) -> None:
        #: Topics with publishes that the turn outbox has not written yet; it fills and empties this.
        self.busy: dict[str, list[Entry]] = {}
        self.settle: Callable[[], None] = _nothing
        #: Who gets a publish of a topic at once. For looking: `add`, `remove` and `hold` keep all sides true.
        self.members: dict[str, dict[Connection, None]] = {}
        #: Whose frames of a topic are held back. For looking as well.
        self.holds: dict[str, dict[Connection, Hold]] = {}
        #: Holds of replays that are being written, members of the topic or not.
        self._reserved: dict[str, dict[Connection, Hold]] = {}
        self._total = 0
        self._watchers: tuple[Leaver, ...] = ()

    @property
    def topics(self) -> int:
        """Number of topics with at least one subscriber."""
        return len(self.members) + sum(1 for topic in self.holds if topic not in self.members)

    @property
    def total(self) -> int:
        """Number of (connection, topic) pairs."""
        return self._total

    def sizes(self) -> dict[str, int]:
        """Return how many topics there are, and how many frames the fullest hold keeps."""
        held = (len(hold.frames) for holds in self.holds.values() for hold in holds.values())
        return {"MAX_TOPICS": self.topics, "MAX_HELD_FRAMES": max(held, default=0)}

    def has_room(self, topic: str) -> bool:
        """Return whether `topic` exists already or `MAX_TOPICS` leaves room for it."""
        limit = capacity.get("MAX_TOPICS")
        if topic in self.members or topic in self.holds:
            return True
        if len(self.members) + len(self.holds) < limit or self.topics < limit:
            return True
        capacity.record("MAX_TOPICS", "reject")
        return False

    def of(self, topic: str) -> Collection[Connection]:
        """Return the connections that get a publish of `topic` at once. Do not change it while iterating."""
        return self.members.get(topic, _NOBODY)

    def count(self, topic: str) -> int:
        """Return how many connections are on `topic`."""
        held = self.holds.get(topic)
        return len(self.members.get(topic, ())) + (len(held) if held else 0)

    def add(self, connection: Connection, topic: str) -> bool:
        """Put `connection` on `topic`; return `False` if it was already."""
        if topic in connection.all_topics:
            return False
        if topic in self.busy:
            self.settle()
        connection.all_topics.add(topic)
        reserved = self._reserved.get(topic, {}).get(connection) if self._reserved else None
        if reserved is None:
            self.members.setdefault(topic, {})[connection] = None
        else:
            reserved.restart()  # what was published before is not owed
            self.holds.setdefault(topic, {})[connection] = reserved
        self._total += 1
        return True

    def remove(self, connection: Connection, topic: str) -> bool:
        """Take `connection` off `topic`; return `False` if it was not on it."""
        if topic not in connection.all_topics:
            return False
        if topic in self.busy:
            self.settle()
        connection.all_topics.discard(topic)
        self._total -= 1
        if self.holds:
            self._drop(self.holds, topic, connection)
        self._drop(self.members, topic, connection)
        assert_invariant(connection not in self.members.get(topic, ()), SUBS_SHAPE_UNSUBSCRIBE, topic=topic)
        for told in self._watchers:
            told(connection, topic)
        return True

    def watch(self, told: Leaver) -> None:
        """Call `told(connection, topic)` whenever a connection was taken off a topic, as it is at the latest when it
        closes. It must not raise.
        """
        self._watchers = (*self._watchers, told)

    def unwatch(self, told: Leaver) -> None:
        """End what `watch` began."""
        self._watchers = tuple(other for other in self._watchers if other != told)

    def remove_all(self, connection: Connection) -> None:
        """Take `connection` off everything."""
        for topic in list(connection.all_topics):
            self.remove(connection, topic)

    def mismatch(self, connection: Connection) -> str | None:
        """Return a topic on which the index and `connection` do not agree, `None` if there is none.

        Looks at up to `MAX_COMPARED` topics of each of them, so it is for now and then. Spec: platform 6.4.
        """
        for topic in islice(connection.all_topics, MAX_COMPARED):
            if connection not in self.members.get(topic, _NOBODY) and self.held_by(connection, topic) is None:
                return topic
        for topic, members in islice(self.members.items(), MAX_COMPARED):
            if connection in members and topic not in connection.all_topics:
                return topic
        return None

    def held_by(self, connection: Connection, topic: str) -> Hold | None:
        """Return the hold of `connection` on `topic`, or `None` when frames are not held back."""
        holds = self.holds.get(topic)
        return holds.get(connection) if holds else None

    def is_loading(self, connection: Connection, topic: str) -> bool:
        """Return whether frames are held back for a request other than a replay."""
        hold = self.held_by(connection, topic)
        return hold is not None and hold is not self._reserved.get(topic, {}).get(connection)

    def hold(self, connection: Connection, topic: str) -> Hold:
        """Keep frames of `topic` back from `connection`, which is on it, until `release`."""
        if topic in self.busy:
            self.settle()
        hold = Hold()
        reserved = self.held_by(connection, topic)
        if reserved is not None:  # of a replay: the request that comes now ends later, or hands back
            hold.take_over(reserved)
        self._drop(self.members, topic, connection)
        self.holds.setdefault(topic, {})[connection] = hold
        return hold

    def release(self, connection: Connection, topic: str, hold: Hold) -> None:
        """Write what was held for `connection`, in order, and deliver to it directly from now on.

        A peer whose buffer is full loses them, as it would have lost them without the hold.
        Does nothing when `hold` ended meanwhile: the connection left the topic, and perhaps took it anew. While a
        replay of the topic is written, it is that one which keeps the frames from here on.
        """
        if self.held_by(connection, topic) is not hold:
            return
        if topic in self.busy:
            self.settle()
        reserved = self._reserved.get(topic, {}).get(connection) if self._reserved else None
        if reserved is not None and reserved is not hold:
            reserved.take_over(hold)
            self.holds[topic][connection] = reserved
            return
        self._drop(self.holds, topic, connection)
        self.members.setdefault(topic, {})[connection] = None
        connection.write_held(hold.frames)

    def reserve(self, connection: Connection, topic: str) -> Hold | None:
        """Keep frames of `topic` back from `connection`, on it or not, until `unreserve`: a replay is written.

        Returns `None` when another replay of the topic to this connection is under way.
        """
        if connection in self._reserved.get(topic, {}):
            return None
        member = topic in connection.all_topics
        hold = self.hold(connection, topic) if member and self.held_by(connection, topic) is None else Hold()
        self._reserved.setdefault(topic, {})[connection] = hold
        return hold

    def unreserve(self, connection: Connection, topic: str, hold: Hold) -> None:
        """End a reservation; what it kept is written now, unless a stream of the topic is still loading."""
        self._drop(self._reserved, topic, connection)
        self.release(connection, topic, hold)

    @staticmethod
    def _drop(
        index: dict[str, dict[Connection, Hold]] | dict[str, dict[Connection, None]],
        topic: str,
        connection: Connection,
    ) -> None:
        members = index.get(topic)
        if members is not None:
            members.pop(connection, None)
            if not members:
                del index[topic]
