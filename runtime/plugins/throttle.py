"""`throttle` and `debounce`: publish the newest value of a topic now and then instead of every one.

Spec: platform 7.11, wire 6.5.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

from runtime.plugins.lifetime import Plugin, PluginState
from runtime.plugins.options import UNSET, Unset, bound, seconds, text_key, whole
from runtime.wire.limits import MAX_TOPIC_LENGTH

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from runtime.core.clock import TimerHandle
    from runtime.core.platform import Platform, PlatformCore
    from runtime.core.publisher import Event
    from runtime.plugins.lifetime import AnyClock

__all__ = ["Debounce", "Throttle", "debounce", "throttle"]

logger = logging.getLogger("realtime.throttle")

# Clocks add and subtract fractions: what is left of a wait may be a rest of that.
TOLERANCE = 1e-9


class _Pending:
    """One event that waits, and the app to publish it in."""

    __slots__ = ("core", "event")

    def __init__(self, core: PlatformCore, event: Event) -> None:
        self.core = core
        self.event = event

    def publish(self) -> None:
        """Publish it; whoever made it is not there to be told of a failure any more."""
        try:
            self.core.publish(self.event)
        except Exception:
            logger.exception("%r on %r could not be published", self.event.event, self.event.topic)


class _Slot:
    """One topic: what waits, the timer, and when that wait is over."""

    __slots__ = ("due", "pending", "timer")

    def __init__(self) -> None:
        self.pending: _Pending | None = None
        self.timer: TimerHandle | None = None
        self.due = 0.0


class _State(PluginState):
    __slots__ = ("slots",)

    def __init__(self) -> None:
        super().__init__()
        #: Topics with a window or a wait, the oldest first.
        self.slots: OrderedDict[str, _Slot] = OrderedDict()

    def over(self, topic: str) -> None:
        """Go on at the end of a topic's wait."""
        slot = self.slots.get(topic)
        if slot is not None and isinstance(self.plugin, _Limiter):
            slot.timer = None
            self.plugin._over(topic, slot)


class _Limiter(Plugin[_State]):
    """What the two have in common: one slot per topic, bounded."""

    def __init__(
        self,
        interval: float,
        max_topics: float | Unset | None,
        max_topic_length: int,
        clock: AnyClock | None,
    ) -> None:
        self._interval = seconds(self.label, "interval", interval)
        self._bound = bound(self.label, "max_topics", max_topics, "MAX_THROTTLE_TOPICS")
        self._longest = whole(self.label, "max_topic_length", max_topic_length)
        super().__init__(_State(), clock)

    def __repr__(self) -> str:
        return f"<{self.label} of {self._interval:g} s, {len(self._state.slots)} topics>"

    @property
    def interval(self) -> float:
        """Seconds of a window, or of the silence that is waited for."""
        return self._interval

    def publish(self, platform: Platform | None, topic: str, event: str, data: Any = None) -> None:
        """Publish now or later, unless something newer comes for the topic first.

        The data is encoded at once, so it may be changed afterwards, and a mistake in it is raised here.

        Args:
            platform: `None` for that of the running app.
            topic: it has one slot, whoever publishes to it.
            event: its name.
            data: anything with a JSON form.

        Raises:
            ValueError, TypeError, PayloadTooLarge: as `platform.publish`; ValueError for a topic that is too long too.
            PlatformNotReady: no platform was given and no app runs.
        """
        text_key(self.label, "topic", topic, self._longest)
        core = self._platform(platform).parts
        made = core.event(topic, event, data, True)
        self._take(topic, _Pending(core, made))

    def flush(self, topic: str | None = None) -> None:
        """Publish what waits, of one topic or of all, and begin anew."""
        for slot in self._free(topic):
            if slot.pending is not None:
                slot.pending.publish()

    def cancel(self, topic: str | None = None) -> None:
        """Drop what waits, of one topic or of all, and begin anew."""
        self._free(topic)

    def clear(self) -> None:
        """Drop everything that waits: `cancel` for all topics."""
        self._free(None)

    def _take(self, topic: str, pending: _Pending) -> None:
        raise AssertionError("one of the two does it")  # pragma: no cover

    def _over(self, topic: str, slot: _Slot) -> None:
        raise AssertionError("one of the two does it")  # pragma: no cover

    def _slot(self, topic: str) -> _Slot:
        """Make the slot of a topic that has none; the oldest topics go until there is room."""
        slots = self._state.slots
        while len(slots) >= self._bound.limit:
            self._bound.record("evict", hint="topic names that never repeat are published early")
            self.flush(next(iter(slots)))
        made = slots[topic] = _Slot()
        return made

    def _wait(self, topic: str, slot: _Slot, delay: float) -> None:
        slot.timer = self._later(delay, self._state.over, topic)

    def _free(self, topic: str | None) -> list[_Slot]:
        slots = self._state.slots
        if topic is None:
            freed = list(slots.values())
            slots.clear()
        else:
            freed = [slots.pop(topic)] if topic in slots else []
        for slot in freed:
            if slot.timer is not None:
                slot.timer.cancel()
        return freed

    async def _close(self) -> None:
        self._free(None)

    def at_shutdown(self) -> None:
        """Publish what waits: connections are still there."""
        self.flush()

    def sizes(self) -> Mapping[str, int]:
        """Return how many topics there are."""
        return {"MAX_THROTTLE_TOPICS": len(self._state.slots)}


class Throttle(_Limiter):
    """Publishes at once, then at most once per interval and topic, the newest each time. Made by `throttle`."""

    label = "throttle"

    def _take(self, topic: str, pending: _Pending) -> None:
        slot = self._state.slots.get(topic)
        if slot is not None:
            slot.pending = pending
            return
        slot = self._slot(topic)
        self._wait(topic, slot, self._interval)
        pending.core.publish(pending.event)

    def _over(self, topic: str, slot: _Slot) -> None:
        pending, slot.pending = slot.pending, None
        if pending is None:
            del self._state.slots[topic]
            return
        self._wait(topic, slot, self._interval)
        pending.publish()


class Debounce(_Limiter):
    """Publishes the newest value of a topic when there was silence on it for the interval. Made by `debounce`."""

    label = "debounce"

    def _take(self, topic: str, pending: _Pending) -> None:
        slot = self._state.slots.get(topic)
        is_new = slot is None
        if slot is None:
            slot = self._slot(topic)
        slot.pending = pending
        # The timer that runs is left alone: it looks at its end how long the silence has lasted.
        slot.due = self._clock.monotonic() + self._interval
        if is_new:
            self._wait(topic, slot, self._interval)

    def _over(self, topic: str, slot: _Slot) -> None:
        left = slot.due - self._clock.monotonic()
        if left > TOLERANCE:
            self._wait(topic, slot, left)
            return
        del self._state.slots[topic]
        if slot.pending is not None:
            slot.pending.publish()


def throttle(
    interval: float,
    *,
    max_topics: float | Unset | None = UNSET,
    max_topic_length: int = MAX_TOPIC_LENGTH,
    clock: AnyClock | None = None,
) -> Throttle:
    """Make something to publish with at most once per `interval` seconds and topic: the first at once, then the newest.

    There is one slot per topic: where many publish to one topic the fast hide the slow, so aggregate first.

    Args:
        interval: seconds, finite and above 0.
        max_topics: topics with a window at one time (`MAX_THROTTLE_TOPICS`); beyond that the oldest is published
            early and forgotten.
        max_topic_length: characters of a topic.
        clock: time and timers; that of the app if it is left out.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """
    return Throttle(interval, max_topics, max_topic_length, clock)


def debounce(
    interval: float,
    *,
    max_topics: float | Unset | None = UNSET,
    max_topic_length: int = MAX_TOPIC_LENGTH,
    clock: AnyClock | None = None,
) -> Debounce:
    """Make something to publish with after `interval` seconds of silence on a topic: the newest value only.

    Args:
        interval, max_topics, max_topic_length, clock: as for `throttle`. At `max_topics` the oldest topic is
            published early.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """
    return Debounce(interval, max_topics, max_topic_length, clock)
