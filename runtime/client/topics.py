"""Which topics the client listens to, what it tells the server about that, and which numbers it saw.

Spec: wire 3.2, 7.3 and 7.4.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.client.stores import Listeners
from runtime.core import capacity
from runtime.wire.jsoncodec import encode
from runtime.wire.names import is_system_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["MAX_SEEN_TOPICS", "TopicEvent", "Topics", "subscribe_batches"]

#: Topics whose last number is remembered for `resume`; the one that was silent longest goes first.
MAX_SEEN_TOPICS = 10_000
BATCH_TOPICS = 200
BATCH_BYTES = 8000
BATCH_FRAME_BYTES = 50


@dataclass(frozen=True, slots=True)
class TopicEvent:
    """One event of a topic; `seq` is its number there, `None` for direct sends and unnumbered publishes."""

    topic: str
    event: str
    data: Any
    seq: int | None = None


class Mark(NamedTuple):
    """When a request was made: after how many held events, and in which turn, at whose end it is sent."""

    held: int
    turn: int


class Topics:
    """Listeners by topic. The server hears of a topic with its first listener and again with its last.

    What changes in one turn of the loop is sent together at its end: `changed` is called when there is
    something to send, and `turn_frames` returns it. System topics (`__...`) are never named to the server.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._listeners: dict[str, Listeners[TopicEvent]] = {}
        self._on_wire: set[str] = set()
        self._dirty: dict[str, None] = {}
        self._ref = 0
        self._held: deque[tuple[int, TopicEvent]] = deque(maxlen=capacity.get("MAX_HELD_FRAMES"))
        self._held_count = 0
        self._holders = 0
        #: Topics that the server was told to leave while events are held, and in which turn.
        self._left: dict[str, int] = {}
        self._turn = 0
        #: Topics that requests under way are for, with the turn of each.
        self._expected: dict[str, list[int]] = {}
        #: Highest number seen of each topic, for `resume`; never lowered. Spec: wire 7.4.
        self.seen: dict[str, int] = {}

    def listen(self, topic: str, fn: Callable[[TopicEvent], object]) -> Callable[[], None]:
        """Call `fn(event)` for each event of `topic`; return the function that ends it."""
        listeners = self._listeners.get(topic)
        if listeners is None:
            listeners = self._listeners[topic] = Listeners()
            self._mark(topic)
        remove = listeners.add(fn)

        def off() -> None:
            remove()
            if not listeners and self._listeners.get(topic) is listeners:
                del self._listeners[topic]
                self._mark(topic)

        return off

    def dispatch(self, event: TopicEvent) -> None:
        """Hand an event that came in to the listeners of its topic."""
        if event.seq is not None:
            self._note(event.topic, event.seq)
        if self._holders:
            self._held.append((self._held_count, event))
            self._held_count += 1
        listeners = self._listeners.get(event.topic)
        if listeners is not None:
            listeners.call(event)

    def hold(self) -> Mark:
        """Keep the events that come in from now on; return a mark for `release`."""
        self._holders += 1
        return Mark(self._held_count, self._turn)

    def release(self, mark: Mark, topic: str | None) -> list[TopicEvent] | None:
        """Let go; return the events of `topic` since `mark`, or `None` if some are missing.

        That is so when they were too many, and when the topic was left behind the request: what the request had begun
        ended with that. Of a topic that was left right before it there are none: what came is older than the new
        subscription.
        """
        self._holders -= 1
        oldest = self._held[0][0] if self._held else self._held_count
        kept = [event for at, event in self._held if at >= mark.held and event.topic == topic]
        left_in = self._left.get(topic) if topic is not None else None
        if not self._holders:
            self._held.clear()
            self._left.clear()
        if left_in is not None and left_in > mark.turn:
            return None
        if left_in is not None and topic not in self._listeners:
            return []
        return None if topic is not None and oldest > mark.held else kept

    def expect(self, topic: str) -> Callable[[], None]:
        """Do not tell the server to leave `topic` until the returned function is called: a request is under way for it.

        What is left in this turn is left before the request.
        """
        turns = self._expected.setdefault(topic, [])
        turn = self._turn
        turns.append(turn)

        def off() -> None:
            turns.remove(turn)
            if not turns and self._expected.get(topic) is turns:
                del self._expected[topic]
                self._mark(topic)

        return off

    def resume_numbers(self) -> dict[str, int]:
        """Return what a resume names: topics in use first, then those heard of last; the server reads no more."""
        latest = list(reversed(self.seen.items()))
        limit = capacity.get("MAX_RESUME_TOPICS")
        if len(latest) > limit:
            latest.sort(key=lambda entry: entry[0] not in self._listeners)
        return dict(latest[:limit])

    def opening_frames(self) -> list[bytes]:
        """Return the frames that subscribe a new connection to everything listened to. Spec: wire 1.6."""
        self._dirty.clear()
        self._on_wire = {topic for topic in self._listeners if not is_system_topic(topic)}
        return self._batches(topic for topic in self._listeners if topic in self._on_wire)

    def turn_frames(self) -> list[bytes]:
        """Return the frames for what changed since the last call: the topics left, then the new ones."""
        left = [
            topic
            for topic in self._dirty
            if topic in self._on_wire and topic not in self._listeners and not self._is_expected(topic)
        ]
        new = [topic for topic in self._dirty if topic not in self._on_wire and topic in self._listeners]
        self._dirty.clear()
        if self._holders:
            self._left.update(dict.fromkeys(left, self._turn))
        self._turn += 1
        self._on_wire.difference_update(left)
        self._on_wire.update(new)
        frames = [encode({"type": "unsubscribe", "topic": topic}) for topic in left]
        if len(new) == 1:
            self._ref += 1
            frames.append(encode({"type": "subscribe", "topic": new[0], "ref": self._ref}))
        else:
            frames += self._batches(new)
        return frames

    def _mark(self, topic: str) -> None:
        if is_system_topic(topic):
            return
        if (topic in self._listeners) == (topic in self._on_wire):
            self._dirty.pop(topic, None)  # as the server knows it
        else:
            self._dirty[topic] = None
            self._changed()

    def give_back(self, topic: str) -> None:
        """Have the server take this client off a topic that nobody is on: an answer came too late for whoever asked."""
        if topic not in self._listeners:
            self._on_wire.add(topic)
            self._mark(topic)

    def _is_expected(self, topic: str) -> bool:
        """Return whether a request for `topic` was sent in a turn before this one, and has no answer."""
        return any(turn < self._turn for turn in self._expected.get(topic, ()))

    def _note(self, topic: str, seq: int) -> None:
        known = self.seen.pop(topic, seq)
        if len(self.seen) >= MAX_SEEN_TOPICS:
            del self.seen[next(iter(self.seen))]
        self.seen[topic] = max(known, seq)  # behind the others: the first one is the one silent longest

    def _batches(self, topics: Iterable[str]) -> list[bytes]:
        frames = []
        for batch in subscribe_batches(topics):
            self._ref += 1
            frames.append(encode({"type": "subscribe-batch", "topics": batch, "ref": self._ref}))
        return frames


def subscribe_batches(topics: Iterable[str]) -> Iterator[list[str]]:
    """Cut `topics` into lists that each fit one frame: 200 topics, 8000 bytes. Spec: wire 7.3."""
    batch: list[str] = []
    size = BATCH_FRAME_BYTES
    for topic in topics:
        cost = len(encode(topic)) + 1
        if batch and (len(batch) >= BATCH_TOPICS or size + cost > BATCH_BYTES):
            yield batch
            batch, size = [], BATCH_FRAME_BYTES
        batch.append(topic)
        size += cost
    if batch:
        yield batch
