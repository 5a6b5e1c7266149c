"""A topic whose events the server keeps: first the missed ones, then the live ones. Spec: wire 6.4, live-api 25.6."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from runtime.client.feeds import Backlog, Feed
from runtime.client.topics import TopicEvent, Topics
from runtime.client.topicstores import AfterTopics, TopicStore
from runtime.wire.jsoncodec import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.client.connection import ClientConnection
    from runtime.client.options import ClientOptions
    from runtime.core.clock import Clock, TimerHandle

__all__ = ["TRUNCATED", "ReplayTopic", "Replays"]

REPLAY_PREFIX = "__replay:"
#: The event that says that not all missed events were kept.
TRUNCATED = "truncated"


class ReplayTopic(TopicStore[TopicEvent | None]):
    """The last event of a replayed topic, `None` before the first. Iterate to get every one, or subscribe."""

    def events(self) -> Feed[TopicEvent]:
        """Iterate over the events, at most 10,000 waiting for their reader; then it ends in `StreamLagged`."""
        feed: Backlog[TopicEvent] = Backlog()
        reference = weakref.ref(feed)

        def push(event: TopicEvent | None) -> None:
            target = reference()
            if target is not None and event is not None:
                target.push(event)

        feed.on_close(self.subscribe(push))
        return feed

    def __aiter__(self) -> Feed[Any]:
        return self.events()


class Replays:
    """Makes the replayed topics of one client."""

    def __init__(
        self,
        connection: ClientConnection,
        topics: Topics,
        after_topics: AfterTopics,
        options: ClientOptions,
        clock: Clock,
    ) -> None:
        self.connection = connection
        self.topics = topics
        self.after_topics = after_topics
        self.options = options
        self.clock = clock
        self._requests = 0

    def topic(self, topic: str, since: int) -> ReplayTopic:
        """Return a new store of the events of `topic` after number `since`."""

        def start(emit: Callable[[TopicEvent | None], None]) -> Callable[[], None]:
            return _Replay(self, topic, since, emit).start()

        return ReplayTopic(None, start)

    def next_id(self) -> int:
        """Return a number for a request."""
        self._requests += 1
        return self._requests


class _Replay:
    """Asks for what was missed at each open, and lets live events through once the answer is complete.

    What is live before that is part of the answer. Events with a number come in its order and none twice, also
    when the server sends some by itself after a resume.
    """

    def __init__(self, replays: Replays, topic: str, since: int, emit: Callable[[TopicEvent], None]) -> None:
        self._replays = replays
        self._topic = topic
        self._emit = emit
        #: Number of the last event that was passed on, and of the last one of the answer that is coming in.
        self._last: int | None = since
        self._last_of_answer: int | None = None
        self._request = 0
        self._waits = True
        self._timer: TimerHandle | None = None

    def start(self) -> Callable[[], None]:
        """Begin; return the function that ends it."""
        replays = self._replays
        offs = [
            replays.topics.listen(self._topic, self._live),
            replays.topics.listen(REPLAY_PREFIX + self._topic, self._answered),
            replays.connection.opened.add(lambda reopened: self._ask()),
            replays.connection.lost.add(lambda over: self._lost()),
        ]
        if replays.connection.is_open:
            self._ask()

        def stop() -> None:
            self._request = 0
            self._stop_timer()
            for off in offs:
                off()

        return stop

    def _ask(self) -> None:
        replays = self._replays
        self._stop_timer()
        self._waits, self._last_of_answer = True, None
        request = self._request = replays.next_id()
        self._timer = replays.clock.call_later(replays.options.timeout, self._finish, True)

        def frame() -> bytes | None:
            if request != self._request:
                return None
            since = 0 if self._last is None else self._last
            return encode({"type": "replay", "topic": self._topic, "since": since, "reqId": request})

        replays.after_topics.add(frame)

    def _lost(self) -> None:
        self._waits = True
        self._stop_timer()

    def _live(self, event: TopicEvent) -> None:
        if not self._waits:
            self._pass(event.event, event.data, event.seq)

    def _answered(self, event: TopicEvent) -> None:
        data = event.data
        if not isinstance(data, dict):
            return
        request, name, seq = data.get("reqId"), data.get("event"), _number(data.get("seq"))
        is_ours = request == self._request and not isinstance(request, bool)
        if event.event == "msg" and isinstance(name, str):
            # Without a request id it comes by itself, after a resume; its number tells whether it is new.
            if is_ours or ("reqId" not in data and seq is not None):
                self._pass(name, data.get("data"), seq)
            if is_ours and seq is not None:
                self._last_of_answer = seq
        elif is_ours and self._waits and event.event in ("end", "denied"):
            self._finish(event.event == "denied" or data.get("truncated") is True)

    def _finish(self, truncated: bool) -> None:
        self._waits = False
        self._stop_timer()
        if truncated:
            self._emit(TopicEvent(self._topic, TRUNCATED, None))
            self._last = self._last_of_answer  # the numbers may have begun anew

    def _pass(self, event: str, data: Any, seq: int | None) -> None:
        if seq is not None:
            if self._last is not None and seq <= self._last:
                return
            self._last = seq
        self._emit(TopicEvent(self._topic, event, data, seq))

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
