"""The windows of a running aggregate: their states, their ends, and when they are published. Spec: live-api 11.1, 11.3.

A window is told of each event with the time of both clocks. Timers only make sure that somebody looks when no event
comes; whoever looks first, an event, a subscriber or the timer, moves the window on. So each event is in the window of
its own moment, however late a timer is.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

from runtime.core import nesting
from runtime.live.aggregate import UNSAFE_NAMES, WINDOW_START, Sliding, Tumbling, boundaries_of
from runtime.live.callables import PLAIN, is_pending
from runtime.live.rings import Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.core.clock import Clock, TimerHandle
    from runtime.live.aggregate import AggregateDeclaration, Reducer, Window

__all__ = ["Fields", "RunningWindow", "State", "running_window"]

State = dict[str, Any]

# Seconds after which the wall clock is looked at again, in case it was set.
MAX_WAIT = 60.0


class Fields:
    """The functions of an aggregate's fields. What they raise, `sys.exit()` too, is told to `failed`, and harms nothing
    else.
    """

    __slots__ = ("_computed", "_failed", "_reducers", "all")

    def __init__(self, fields: Mapping[str, Reducer], failed: Callable[[BaseException], None]) -> None:
        #: The fields in the order of their declaration.
        self.all = fields
        self._failed = failed
        self._reducers = [(name, one.reduce) for name, one in fields.items() if one.reduce is not None]
        self._computed = [(name, one.compute) for name, one in fields.items() if one.compute is not None]

    def fresh(self) -> State:
        """Return the state before the first event."""
        return {
            name: self.initial(one)
            for name, one in self.all.items()
            if one.init is not None or one.reduce is not None
        }

    def initial(self, field: Reducer) -> Any:
        """Return what a field starts from."""
        if field.init is None:
            return None
        try:
            return field.init()
        except (Exception, SystemExit) as error:
            self._failed(error)
            return None

    def fold(self, state: State, event: str, data: Any) -> None:
        """Bring one event into a state; a field whose reducer raises stays as it was."""
        for name, reduce in self._reducers:
            try:
                result = reduce(state[name], event, data)
                if result.__class__ not in PLAIN and is_pending(result):
                    _discard(result)
                    raise TypeError(
                        f"the reducer of {name!r} is asynchronous; reducers must be plain functions"
                    )
            except (Exception, SystemExit) as error:
                self._failed(error)
            else:
                state[name] = result

    def shown(self, state: State) -> State:
        """Return what subscribers see of a state that is theirs to change: with the computed fields."""
        for name, compute in self._computed:
            try:
                state[name] = compute(state)
            except (Exception, SystemExit) as error:
                self._failed(error)
                state[name] = None
        return state

    def combined(self, ring: Ring) -> State:
        """Return the state that all buckets of a sliding window make together."""
        found: State = {}
        for name, one in self.all.items():
            if one.combine is not None:
                try:
                    found[name] = ring.combined(name, one.combine)
                except (Exception, SystemExit) as error:
                    self._failed(error)
                    found[name] = None
            elif one.init is not None:
                found[name] = self.initial(one)
        return found


class RunningWindow:
    """One window, or the only one of an aggregate; this one never ends."""

    __slots__ = (
        "_changed_at",
        "_clock",
        "_closed",
        "_debounce",
        "_depth",
        "_publish",
        "_silence",
        "_timer",
        "fields",
        "state",
    )

    def __init__(
        self, fields: Fields, clock: Clock, debounce: float, publish: Callable[[State], None], state: State
    ) -> None:
        """`publish` sends what the window is now."""
        self.fields = fields
        self._debounce = debounce
        self._clock = clock
        self._publish = publish
        self._closed = False
        #: When the last event came that is not published; `None`: there is none.
        self._changed_at: float | None = None
        #: How many watchers deep its publish is.
        self._depth = 0
        #: Looks whether there has been silence.
        self._silence: TimerHandle | None = None
        #: Looks whether the window has ended.
        self._timer: TimerHandle | None = None
        self.state = state

    def start(self) -> None:
        """Look by itself whether the window ends."""

    def roll(self, now: float, monotonic: float) -> None:
        """Move on if the window has ended at this time: of the wall clock, and of the monotonic one."""

    def fold(self, event: str, data: Any, now: float, monotonic: float) -> None:
        """Bring in an event of this moment."""
        self.fields.fold(self.state, event, data)

    def view(self) -> State:
        """Return what a subscriber sees now."""
        return self.fields.shown(dict(self.state))

    def changed(self, monotonic: float, depth: int) -> None:
        """Publish, so many watchers deep, or do so when there has been silence since this moment."""
        if self._debounce == 0:
            self._publish(self.view())
            return
        self._changed_at = monotonic
        self._depth = depth
        if self._silence is None:
            self._silence = self._clock.call_later(self._debounce, self._look_for_silence)

    def flush(self) -> None:
        """Publish now what waits for silence."""
        if self._forget_change():
            with nesting.at_depth(self._depth):
                self._publish(self.view())

    def close(self) -> None:
        """End the timers; what waits for silence is not published."""
        self._closed = True
        self._forget_change()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def dump(self) -> State | None:
        """Return a copy of the state to restore it from; `None`: this kind starts empty."""
        return copy.deepcopy(self.state)

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Take up a state that was dumped, if it belongs to this window."""
        kept = {name: value for name, value in stored.items() if name not in UNSAFE_NAMES}
        self.state.update(copy.deepcopy(kept))

    def _forget_change(self) -> bool:
        """Forget that an event waits to be published; return whether one did."""
        waited, self._changed_at = self._changed_at is not None, None
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        return waited

    def _look_for_silence(self) -> None:
        self._silence = None
        if self._changed_at is None:
            return
        left = self._changed_at + self._debounce - self._clock.monotonic()
        if left > 0:
            self._silence = self._clock.call_later(left, self._look_for_silence)
        else:
            self.flush()


class TumblingWindow(RunningWindow):
    """A window that is published at its end, and begins anew."""

    __slots__ = ("_boundaries", "_next", "start_at")

    def __init__(
        self,
        window: Tumbling,
        fields: Fields,
        clock: Clock,
        debounce: float,
        publish: Callable[[State], None],
    ) -> None:
        super().__init__(fields, clock, debounce, publish, fields.fresh())
        self._boundaries = boundaries_of(window)
        self._next = 0.0
        #: When the present window began, in seconds since the epoch.
        self.start_at = 0.0
        self._anchor(clock.now())

    def start(self) -> None:
        """Look by itself whether the window ends."""
        wait = min(max(self._next - self._clock.now(), 0.0), MAX_WAIT)
        self._timer = self._clock.call_later(wait, self._look)

    def roll(self, now: float, monotonic: float) -> None:
        """Publish what the window was at its end and begin the one of `now`, however many lie between."""
        if now < self._next:
            if now < 2 * self.start_at - self._next:
                # The clock was set back by more than a window: wait for its end of this window, not for the old one.
                self._anchor(now)
            return
        closing, fired = self.view(), self._next
        self._forget_change()
        self.state = self.fields.fresh()
        self._next = self._boundaries.after(fired)
        self.start_at = fired
        if self._next <= now:
            self._anchor(now)
        self._publish(closing)

    def fold(self, event: str, data: Any, now: float, monotonic: float) -> None:
        """Bring in an event of this moment; it may begin a new window."""
        if not self.start_at <= now < self._next:
            self.roll(now, monotonic)
        self.fields.fold(self.state, event, data)

    def dump(self) -> State | None:
        """Return a copy of the state, with when its window began."""
        self.roll(self._clock.now(), 0.0)
        return {**copy.deepcopy(self.state), WINDOW_START: self.start_at}

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Take up a state of the present window; one of an older window is left alone."""
        kept = dict(stored)
        if kept.pop(WINDOW_START, self.start_at) == self.start_at:
            super().restore(kept)

    def _anchor(self, now: float) -> None:
        self.start_at = self._boundaries.start_of(now)
        self._next = self._boundaries.after(now)

    def _look(self) -> None:
        self.roll(self._clock.now(), 0.0)
        if not self._closed:
            self.start()


class SlidingWindow(RunningWindow):
    """The last buckets of a ring that moves on by itself, and is published when it does."""

    __slots__ = ("_begun", "_moved", "_next", "_ring", "_slide")

    def __init__(
        self,
        window: Sliding,
        fields: Fields,
        clock: Clock,
        debounce: float,
        publish: Callable[[State], None],
    ) -> None:
        super().__init__(fields, clock, debounce, publish, {})
        # `fields` may be replaced by those of newer code.
        self._ring = Ring(window.buckets, lambda: self.fields.fresh())
        self._slide = float(window.slide)
        self._begun = clock.monotonic()
        #: How often it has moved, and when it does again on the monotonic clock.
        self._moved = 0
        self._next = self._begun + self._slide

    def start(self) -> None:
        """Move on by itself."""
        wait = max(self._next - self._clock.monotonic(), 0.0)
        self._timer = self._clock.call_later(wait, self._look)

    def roll(self, now: float, monotonic: float) -> None:
        """Move on by as many buckets as slides have passed, and publish what is left."""
        if monotonic < self._next:
            return
        passed = max(math.floor((monotonic - self._begun) / self._slide), self._moved + 1)
        self._ring.move(passed - self._moved)
        self._moved = passed
        self._next = self._begun + (passed + 1) * self._slide
        self._forget_change()
        self._publish(self.view())

    def fold(self, event: str, data: Any, now: float, monotonic: float) -> None:
        """Bring in an event of this moment, into the newest bucket."""
        if monotonic >= self._next:
            self.roll(now, monotonic)
        self.fields.fold(self._ring.current, event, data)

    def view(self) -> State:
        """Return what a subscriber sees now."""
        return self.fields.shown(self.fields.combined(self._ring))

    def dump(self) -> State | None:
        """Return nothing: what it has is gone when somebody would restore it."""
        return None

    def _look(self) -> None:
        self.roll(0.0, self._clock.monotonic())
        if not self._closed:
            self.start()


def running_window(
    declared: AggregateDeclaration,
    name: str | None,
    fields: Fields,
    clock: Clock,
    publish: Callable[[State], None],
) -> RunningWindow:
    """Return what runs a declared window from now on; `start()` it in the loop."""
    window: Window = declared.window_of(name)
    debounce = declared.debounce_of(name)
    if isinstance(window, Sliding):
        return SlidingWindow(window, fields, clock, debounce, publish)
    if isinstance(window, Tumbling):
        return TumblingWindow(window, fields, clock, debounce, publish)
    return RunningWindow(fields, clock, debounce, publish, fields.fresh())


def _discard(awaitable: Any) -> None:
    """End an awaitable that nobody awaits, so that it is not complained about later."""
    end = getattr(awaitable, "close", None) or getattr(awaitable, "cancel", None)
    if end is not None:
        end()
