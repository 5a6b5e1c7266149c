"""`CircuitBreaker`: after some failures in a row, leave what fails alone for a while. Spec: cluster 2.1."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded, RealtimeError
from runtime.plugins.lifetime import Plugin, PluginState
from runtime.plugins.options import seconds, whole

if TYPE_CHECKING:
    from runtime.core.clock import TimerHandle
    from runtime.plugins.lifetime import AnyClock

__all__ = ["BreakerState", "CircuitBreaker", "CircuitBrokenError"]

logger = logging.getLogger("realtime.breaker")

T = TypeVar("T")

BreakerState = Literal["healthy", "broken", "probing"]
Listener = Callable[[str, str], object]


class CircuitBrokenError(RealtimeError):
    """The breaker lets nothing through: what it stands before has failed too often. Nothing was tried."""

    code = "CIRCUIT_BROKEN"


class _State(PluginState):
    __slots__ = ("failures", "keys", "listeners", "name", "probe", "timer")

    def __init__(self) -> None:
        super().__init__()
        self.name: BreakerState = "healthy"
        self.failures = 0
        self.keys = itertools.count()
        self.listeners: dict[int, Listener] = {}
        #: Ends `broken`, or while probing frees the permit of a probe that never reported.
        self.timer: TimerHandle | None = None
        #: Whether the one call that may pass while probing is on its way.
        self.probe = False

    def probe_now(self) -> None:
        """End `broken`."""
        self.timer, self.probe = None, False
        if isinstance(self.plugin, CircuitBreaker):
            self.plugin._change("probing")

    def give_up_probe(self) -> None:
        """Let another call be the probe: the first one never reported."""
        self.timer, self.probe = None, False


class CircuitBreaker(Plugin[_State]):
    """Healthy: everything passes. Broken: nothing does. Probing: one call does, and it decides what comes next.

    One breaker is shared by everything that stands on one backend. It counts what it is told: report connection errors
    and timeouts, not what the backend answered. Its state is three fields and one timer, whatever the traffic.

    Args:
        failure_threshold: failures in a row that break it.
        reset_timeout: seconds from breaking to the probe, and after which a probe that never reported is given up.
        on_state_change: called as `fn(before, after)`; more listeners with `subscribe`.
        clock: time and timers; that of the app if it is left out.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "CircuitBreaker"

    def __init__(
        self,
        *,
        failure_threshold: int = 5,
        reset_timeout: float = 30.0,
        on_state_change: Listener | None = None,
        clock: AnyClock | None = None,
    ) -> None:
        self._threshold = whole(self.label, "failure_threshold", failure_threshold)
        self._reset_timeout = seconds(self.label, "reset_timeout", reset_timeout, zero=True)
        if on_state_change is not None and not callable(on_state_change):
            raise ValueError(f"CircuitBreaker: on_state_change must be callable, not {on_state_change!r}")
        self._on_state_change = on_state_change
        super().__init__(_State(), clock)

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.state}, {self.failures} of {self._threshold} failures>"

    @property
    def state(self) -> BreakerState:
        """`healthy`, `broken` or `probing`."""
        return self._state.name

    @property
    def is_healthy(self) -> bool:
        """Whether everything passes."""
        return self._state.name == "healthy"

    @property
    def failures(self) -> int:
        """Failures in a row; it stops growing at the threshold."""
        return self._state.failures

    def is_open(self) -> bool:
        """Return whether a call may not be made now.

        This is `guard` for who would rather ask: while probing, the first `False` is the permit of the probe, and its
        outcome must be reported. To only look, read `state`.
        """
        state = self._state
        if state.name == "healthy":
            return False
        if state.name == "broken" or state.probe:
            return True
        state.probe = True
        self._after_timeout(state.give_up_probe)
        return False

    def guard(self) -> None:
        """Let the caller pass, or raise; report what came of it with `success` or `failure`.

        Raises:
            CircuitBrokenError: broken, or probing with the probe on its way.
        """
        if self.is_open():
            raise CircuitBrokenError(
                f"CircuitBreaker: {self._state.name} after {self._state.failures} failures in a row; "
                f"it is tried again {self._reset_timeout:g} s after it broke"
            )

    def success(self) -> None:
        """Report that a call went well: the count is 0 again, and a probe heals."""
        state = self._state
        if state.name == "broken":
            return  # of a call that began before it broke
        state.failures = 0
        if state.name == "probing":
            self._heal()

    def failure(self, exc: BaseException | None = None) -> None:
        """Report that a call failed; the last of `failure_threshold` in a row breaks, and so does a failed probe.

        A cancellation is no failure: it says nothing of the backend. That of a probe lets another one be it after
        `reset_timeout`.
        """
        state = self._state
        if state.name == "broken" or isinstance(exc, asyncio.CancelledError):
            return
        state.failures = min(state.failures + 1, self._threshold)
        if state.name == "probing" or state.failures >= self._threshold:
            state.failures = self._threshold
            state.probe = False
            self._change("broken")

    def reset(self) -> None:
        """Be healthy, whatever was."""
        self._state.failures = 0
        self._heal()

    def subscribe(self, fn: Listener) -> Callable[[], None]:
        """Call `fn(before, after)` at each change; return the function that ends it.

        Raises:
            CapacityExceeded: `MAX_BREAKER_LISTENERS` listen already.
            ValueError: `fn` cannot be called.
        """
        if not callable(fn):
            raise ValueError(f"CircuitBreaker: fn must be callable as fn(before, after), not {fn!r}")
        listeners = self._state.listeners
        if len(listeners) >= capacity.get("MAX_BREAKER_LISTENERS"):
            capacity.record("MAX_BREAKER_LISTENERS", "reject", hint="is the function that ends it called?")
            raise CapacityExceeded("CircuitBreaker: MAX_BREAKER_LISTENERS listen already")
        key = next(self._state.keys)
        listeners[key] = fn

        def end() -> None:
            listeners.pop(key, None)

        return end

    async def run(self, fn: Callable[[], Awaitable[T]]) -> T:
        """Call `fn` if it may pass, and report what came of it. Every `Exception` is a failure: what is not the
        backend's fault is raised outside of `fn`, or reported by hand.

        Raises:
            CircuitBrokenError: it may not pass.
            Exception: whatever `fn` raises.
        """
        self.guard()
        try:
            result = await fn()
        except Exception as error:
            self.failure(error)
            raise
        self.success()
        return result

    # ------------------------------------------------------------ inside

    def _heal(self) -> None:
        self._stop_timer()
        self._state.probe = False
        self._change("healthy")

    def _change(self, after: BreakerState) -> None:
        state = self._state
        before, state.name = state.name, after
        if after == "broken":
            self._after_timeout(state.probe_now)
        if before == after:
            return
        own = self._on_state_change
        for listener in [*([own] if own is not None else []), *state.listeners.values()]:
            try:
                listener(before, after)
            except Exception:
                logger.exception("CircuitBreaker: a listener failed at %s -> %s", before, after)

    def _after_timeout(self, callback: Callable[[], None]) -> None:
        self._stop_timer()
        self._state.timer = self._later(self._reset_timeout, callback)

    def _stop_timer(self) -> None:
        timer, self._state.timer = self._state.timer, None
        if timer is not None:
            timer.cancel()

    def sizes(self) -> Mapping[str, int]:
        """Return the number of listeners."""
        return {"MAX_BREAKER_LISTENERS": len(self._state.listeners)}

    def adopt(self, predecessor: Plugin[Any]) -> bool:
        """Take over from the breaker that stood here before a reload; a listener defined anew replaces the old one."""
        fresh = list(self._state.listeners.values())
        if not super().adopt(predecessor):
            return False
        listeners, again = self._state.listeners, {_place(fn) for fn in fresh}
        for key in [key for key, fn in listeners.items() if _place(fn) in again]:
            del listeners[key]
        for fn in fresh:
            self.subscribe(fn)
        return True

    async def _close(self) -> None:
        """Be healthy without telling anybody, and let the listeners go."""
        state = self._state
        self._stop_timer()
        state.name, state.failures, state.probe = "healthy", 0, False
        state.listeners.clear()


def _place(fn: Listener) -> tuple[object, object]:
    return getattr(fn, "__module__", None), getattr(fn, "__qualname__", fn)
