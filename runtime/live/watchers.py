"""Who on this worker hears of the publishes on a topic, whatever made them. Spec: live-api 10.3 and 17.2.

`app.watchers.add(topic, callback)` returns a function that ends it. Derived streams, effects and aggregates stand on
this. `callback(published)` gets one `Published`:

* once for each publish on exactly this topic, in order, from every door: `ctx`, `platform`, `runtime.publish`, other
  threads, plugins, what a bus has received, and what `coalesce_by` sends to each peer by itself;
* right after the event was handed to the subscribers, in the loop's thread; events that leave together are all handed
  over first. So it has to be quick: no waiting, slow work goes to a task;
* with the data as it was published, before a stream's `transform`, in its JSON form: the same on every worker. It is
  one object for all callbacks, so read it, or take a `copy()`.

What a callback publishes is watched in turn, `MAX_WATCHER_DEPTH` deep. A task that it starts counts as part of it; a
timer does not if its clock says so, and should publish inside `nesting.at_depth(published.depth + 1)`. An exception of
a callback is logged and harms nobody else, but it should rather be told to `wiring.report`.

A publish on a topic that nobody watches costs one look into a dict.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from runtime.core import capacity, nesting
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from runtime.core.metrics import Metrics
    from runtime.core.publisher import Event, Publisher

__all__ = ["Callback", "Published", "Watchers", "deepened", "snapshot"]

logger = logging.getLogger("realtime.live")

# Topics that the log named for going too deep; beyond that they are only counted.
MAX_NAMED = 1000

DEPTH = "MAX_WATCHER_DEPTH"


class Published:
    """One publish as a watcher sees it.

    `relay`: whether its publisher meant it for the other workers, too; what a bus has received never is. `depth`: how
    many watchers deep it was made, 0 outside of any.
    """

    __slots__ = ("_data", "_event", "depth")

    def __init__(self, event: Event, depth: int) -> None:
        self._event = event
        self._data: Any = event.original
        self.depth = depth

    @property
    def topic(self) -> str:
        """Where it was published."""
        return self._event.topic

    @property
    def event(self) -> str:
        """The name of the event."""
        return self._event.event

    @property
    def relay(self) -> bool:
        """Whether a bus carries it to other workers."""
        return self._event.relay

    @property
    def data(self) -> Any:
        """What was published; shared with the other watchers."""
        if self._data is UNSET:
            self._data = jsoncodec.decode(self._event.data)
        return self._data

    def copy(self) -> Any:
        """Return what was published as an object that nobody else has."""
        original = self._event.original
        return jsoncodec.decode(self._event.data) if original is UNSET else snapshot(original)


Callback = Callable[[Published], object]


class Watchers:
    """The watchers of one worker, by topic. Bounded by what is declared, and by `MAX_DERIVED_ARGS`."""

    __slots__ = ("_metrics", "_named", "_publisher")

    def __init__(self, publisher: Publisher, metrics: Metrics) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._named: set[str] = set()

    def add(self, topic: str, callback: Callback) -> Callable[[], None]:
        """Have `callback(published)` called for each publish on `topic`; return what ends that.

        The same callback may be added several times, and is called as often.
        """
        watch = self._publisher.watchers.get(topic)
        if not isinstance(watch, _Topic):
            watch = self._publisher.watchers[topic] = _Topic(self._too_deep)
        token = object()
        watch.add(token, callback)
        return lambda: self._remove(topic, token)

    def watches(self, topic: str) -> bool:
        """Return whether anybody watches `topic`."""
        return topic in self._publisher.watchers

    def _remove(self, topic: str, token: object) -> None:
        watch = self._publisher.watchers.get(topic)
        if isinstance(watch, _Topic) and watch.remove(token):
            del self._publisher.watchers[topic]

    def _too_deep(self, topic: str) -> None:
        self._metrics.add("watcher_depth_exceeded_total")
        capacity.record(DEPTH, "skip", hint="what watches a topic publishes on it again")
        if topic not in self._named and len(self._named) < MAX_NAMED:
            self._named.add(topic)
            logger.warning(
                "what watches %r publishes what makes %r be published again: ended %d deep (%s)",
                topic,
                topic,
                capacity.get(DEPTH),
                DEPTH,
            )


class _Topic:
    """The watchers of one topic."""

    __slots__ = ("_callbacks", "_now", "_too_deep")

    def __init__(self, too_deep: Callable[[str], None]) -> None:
        self._callbacks: dict[object, Callback] = {}
        #: The same as one tuple, which is walked while watchers come and go; `None`: to be made.
        self._now: tuple[Callback, ...] | None = None
        self._too_deep = too_deep

    def add(self, token: object, callback: Callback) -> None:
        self._callbacks[token] = callback
        self._now = None

    def remove(self, token: object) -> bool:
        """Take one out; return whether none is left."""
        if self._callbacks.pop(token, None) is None:
            return False
        self._now = None
        return not self._callbacks

    def __call__(self, event: Event) -> None:
        depth = event.depth or nesting.depth()
        if depth >= capacity.get(DEPTH):
            self._too_deep(event.topic)
            return
        if self._now is None:
            self._now = tuple(self._callbacks.values())
        published = Published(event, depth)
        entered = nesting.enter(depth + 1)
        try:
            for callback in self._now:
                try:
                    callback(published)
                except Exception:
                    logger.exception("a watcher of %r failed", event.topic)
        finally:
            nesting.leave(entered)


def deepened(event: Event) -> Event:
    """Return `event` as made at the present depth, for one that leaves by other hands."""
    depth = nesting.depth()
    return msgspec.structs.replace(event, depth=depth) if depth else event


def snapshot(data: Any) -> Any:
    """Return `data` in its JSON form, as it is now; what has none is returned itself."""
    try:
        return jsoncodec.decode(jsoncodec.encode(data))
    except Exception:
        return data
