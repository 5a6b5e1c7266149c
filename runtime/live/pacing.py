"""Publishes that wait for newer data, and gates that close for a while. Spec: live-api 2.3 and 2.4.

`ctx.publish_throttled`, `ctx.publish_debounced` and `ctx.skip` of all calls of one worker share this. Every entry ends
by itself; at a bound the publish goes out at once and the gate stays open.
"""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING

from runtime.core import capacity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.core.clock import Clock, TimerHandle
    from runtime.core.publisher import Event

__all__ = ["Gates", "Key", "Pacing"]

#: Topic, event and what tells the publishes of one topic apart.
Key = tuple[str, str, str | bytes | None]

_THROTTLES, _DEBOUNCES, _GATES = "MAX_THROTTLE_TIMERS", "MAX_DEBOUNCE_TIMERS", "MAX_SKIP_GATES"

# Clocks add and subtract fractions: what is left of a wait may be a rest of that.
TOLERANCE = 1e-9


class _Window:
    """The time after a throttled publish: what came in it last."""

    __slots__ = ("latest", "timer")

    def __init__(self, timer: TimerHandle) -> None:
        self.latest: Event | None = None
        self.timer = timer


class _Wait:
    """A debounced publish: when its silence is over, and when its timer looks."""

    __slots__ = ("due", "event", "looks_at", "timer")

    def __init__(self, event: Event, due: float, timer: TimerHandle) -> None:
        self.event = event
        self.due = due
        self.looks_at = due
        self.timer = timer


class Pacing:
    """The throttled and debounced publishes of one worker; what waits is published when the worker stops."""

    __slots__ = (
        "__weakref__",
        "_clock",
        "_closed",
        "_failed",
        "_publish",
        "_sent",
        "_waits",
        "_windows",
        "gates",
    )

    #: Its name in logs.
    label = "throttled publishes"

    def __init__(
        self,
        clock: Clock,
        publish: Callable[[Event], None],
        sent: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """`publish` takes an event now, `sent` has what was published leave, `failed` hears of what could not."""
        self._clock = clock
        self._publish = publish
        self._sent = sent
        self._failed = failed
        self._windows: dict[Key, _Window] = {}
        self._waits: dict[Key, _Wait] = {}
        self._closed = False
        self.gates = Gates(clock)

    def throttle(self, key: Key, event: Event, every: float) -> None:
        """Publish now and open a window, or keep `event` as the last of the window that is open."""
        window = self._windows.get(key)
        if window is not None:
            window.latest = event
            return
        self._publish(event)
        if self._has_room(self._windows, _THROTTLES):
            self._windows[key] = _Window(self._clock.call_later(every, self._window_over, key))

    def debounce(self, key: Key, event: Event, after: float) -> None:
        """Publish `event` after `after` seconds without another of its key."""
        due = self._clock.monotonic() + after
        wait = self._waits.get(key)
        if wait is None:
            if self._has_room(self._waits, _DEBOUNCES):
                self._waits[key] = _Wait(event, due, self._clock.call_later(after, self._silence_over, key))
            else:
                self._publish(event)
            return
        wait.event, wait.due = event, due
        if due < wait.looks_at:
            wait.timer.cancel()
            self._look_in(after, key, wait)
        # Else the timer is left alone: it looks at its end how long the silence has lasted.

    def flush(self) -> None:
        """Publish what waits and end every window."""
        windows, self._windows = self._windows, {}
        waits, self._waits = self._waits, {}
        for window in windows.values():
            window.timer.cancel()
            if window.latest is not None:
                self._publish_late(window.latest)
        for wait in waits.values():
            wait.timer.cancel()
            self._publish_late(wait.event)
        self._sent()

    async def close(self) -> None:
        """End every timer and forget what waits; later publishes go out at once."""
        self._closed = True
        windows, self._windows = self._windows, {}
        waits, self._waits = self._waits, {}
        timers = [*(window.timer for window in windows.values()), *(wait.timer for wait in waits.values())]
        for timer in timers:
            timer.cancel()

    def sizes(self) -> Mapping[str, int]:
        """Return how many windows, waits and gates there are."""
        return {_THROTTLES: len(self._windows), _DEBOUNCES: len(self._waits), _GATES: len(self.gates)}

    def _has_room(self, entries: Mapping[Key, object], bound: str) -> bool:
        if self._closed:
            return False
        if len(entries) < capacity.get(bound):
            return True
        capacity.record(bound, "bypass", hint="further keys are published at once")
        return False

    def _window_over(self, key: Key) -> None:
        latest = self._windows.pop(key).latest
        if latest is not None:
            self._publish_late(latest)

    def _silence_over(self, key: Key) -> None:
        wait = self._waits[key]
        left = wait.due - self._clock.monotonic()
        if left > TOLERANCE:
            self._look_in(left, key, wait)
            return
        del self._waits[key]
        self._publish_late(wait.event)

    def _look_in(self, delay: float, key: Key, wait: _Wait) -> None:
        wait.looks_at = self._clock.monotonic() + delay
        wait.timer = self._clock.call_later(delay, self._silence_over, key)

    def _publish_late(self, event: Event) -> None:
        """Publish; whoever made the event is not there to be told of a failure any more."""
        try:
            self._publish(event)
        except Exception as error:
            error.add_note(f"{event.event!r} on {event.topic!r} could not be published")
            self._failed(error)


class Gates:
    """The gates of `ctx.skip`, by key. Usable in any thread."""

    __slots__ = ("_clock", "_ends", "_lock", "_shut")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shut: set[str] = set()
        #: When each gate opens, the next one first.
        self._ends: list[tuple[float, str]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._shut)

    def skip(self, key: str, for_: float) -> bool:
        """Return whether the gate of `key` is shut; an open one shuts now, for `for_` seconds."""
        now = self._clock.monotonic()
        with self._lock:
            ends = self._ends
            while ends and ends[0][0] <= now + TOLERANCE:
                self._shut.discard(heapq.heappop(ends)[1])
            if key in self._shut:
                return True
            if len(self._shut) < capacity.get(_GATES):
                self._shut.add(key)
                heapq.heappush(ends, (now + for_, key))
                return False
        capacity.record(_GATES, "bypass", hint="ctx.skip skips nothing for further keys")
        return False
