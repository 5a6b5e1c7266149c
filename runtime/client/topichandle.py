"""Listening to a topic directly, without a stream's value. Spec: live-api 22.3."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from runtime.client.feeds import Backlog, Feed
from runtime.client.stores import Offs

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from runtime.client.topics import TopicEvent, Topics

__all__ = ["Topic"]


class Topic:
    """One topic: subscribed while somebody listens. Whether we may be on it the server's `subscribe` hook decides.

    A refusal shows up in the client's `denials`; system topics (`__...`) are only listened to.
    """

    def __init__(self, topics: Topics, name: str) -> None:
        self.name = name
        self._topics = topics
        self._off: Callable[[], None] | None = None
        self._offs = Offs()
        self._feeds: weakref.WeakSet[Feed[TopicEvent]] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<Topic {self.name!r}>"

    def subscribe(self, fn: Callable[[TopicEvent], object]) -> Callable[[], None]:
        """Call `fn(event)` for each event from now on; return the function that ends it.

        Leaving `async with` ends it as well.
        """
        return self._offs.add(self._topics.listen(self.name, fn))

    def events(self) -> Feed[TopicEvent]:
        """Iterate over the events from now on, at most 10,000 waiting; then the iteration ends in `StreamLagged`."""
        feed: Backlog[TopicEvent] = Backlog()
        reference = weakref.ref(feed)

        def push(event: TopicEvent) -> None:
            target = reference()
            if target is not None:
                target.push(event)

        feed.on_close(self._topics.listen(self.name, push))
        self._feeds.add(feed)
        return feed

    def __aiter__(self) -> Feed[TopicEvent]:
        return self.events()

    async def __aenter__(self) -> Topic:
        if self._off is None:
            self._off = self._topics.listen(self.name, lambda event: None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for feed in list(self._feeds):
            feed.finish()
        self._offs.end()
        off, self._off = self._off, None
        if off is not None:
            off()
