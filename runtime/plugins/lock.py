"""`Lock`: one holder per key in this process, first come first served. Spec: platform 7.1, cluster 2.5 and 6.

A key is in the table while somebody holds it. Who lets go hands the key to the first in line in the same step, so that
nobody can come between. Each way out of a wait (turn, time, signal, `clear`, cancellation) takes the waiter out of the
line before anything else runs: the line never holds anybody who does not wait.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections import OrderedDict
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.core.assertions import LOCK_WAITER_SHAPE, assert_invariant
from runtime.core.errors import CapacityExceeded, LockCleared, LockQueueFull, LockReentry, LockTimeout
from runtime.core.signal import Signal
from runtime.plugins.lifetime import AnyClock, Plugin, PluginState
from runtime.plugins.options import UNSET, Unset, bound, text_key, whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from runtime.core.clock import TimerHandle

__all__ = ["Held", "Lock"]

T = TypeVar("T")

MAX_KEY_LENGTH = 256

_TURN, _LATE, _CLEARED, _ABORTED = "turn", "late", "cleared", "aborted"


class Held:
    """A key that is held in this process; the `LockHandle` of `Lock`. It cannot be lost: it ends with its holder.

    `token` counts the holders of this `Lock` from 1, anew with each process: do not compare it with one that a database
    remembers. That is what the tokens of the distributed lock are for.
    """

    __slots__ = ("_signal", "key", "task", "token")

    def __init__(self, key: str, token: int, task: asyncio.Task[Any] | None) -> None:
        self.key = key
        self.token = token
        #: Who holds it, to tell a task that waits for itself.
        self.task = task
        self._signal: Signal | None = None

    def __repr__(self) -> str:
        return f"<Held {self.key!r}>"

    @property
    def signal(self) -> Signal:
        """Never fires: a lock of this process is not lost."""
        if self._signal is None:
            self._signal = Signal()
        return self._signal

    @property
    def lost(self) -> bool:
        """Always `False`."""
        return False

    async def extend(self, ttl: float) -> None:
        """Do nothing: the key is held until it is let go."""

    def raise_if_lost(self) -> None:
        """Do nothing."""


class _Waiter:
    """One in line: its future says why the wait is over, its handle is what it gets."""

    __slots__ = ("future", "held")

    def __init__(self, held: Held) -> None:
        self.held = held
        self.future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def end(self, why: str) -> None:
        if not self.future.done():
            self.future.set_result(why)


class _Key:
    """A key that is held: by whom, and who is in line."""

    __slots__ = ("holder", "line")

    def __init__(self, holder: Held) -> None:
        self.holder = holder
        self.line: OrderedDict[_Waiter, None] | None = None


class _LockState(PluginState):
    __slots__ = ("keys", "token")

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, _Key] = {}
        self.token = 0

    def release(self, held: Held) -> None:
        """Hand the key to the first in line. Does nothing when it was forgotten, and maybe taken anew, meanwhile."""
        entry = self.keys.get(held.key)
        if entry is None or entry.holder is not held:
            return
        while entry.line:
            waiter, _ = entry.line.popitem(last=False)
            assert_invariant(waiter.held.key == held.key, LOCK_WAITER_SHAPE, key=held.key)
            if not waiter.future.done():  # else its task was cancelled and has not run since
                entry.holder = waiter.held
                waiter.end(_TURN)
                return
        del self.keys[held.key]


class Lock(Plugin[_LockState]):
    """Mutual exclusion by key in this process; its twin across processes has the same methods (`LockProtocol`).

    One holder per key; others wait in the order in which they came, and different keys do not meet. A free key is taken
    without giving up the loop. Not re-entrant: a task that asks for a key which it holds gets `LockReentry`.

    Args:
        max_keys: keys held at a time, `MAX_LOCK_KEYS` by default; a further one is `CapacityExceeded`.
        max_key_length: characters of a key.
        max_waiters_per_key: who may wait for one key, `MAX_LOCK_WAITERS` by default; a further one is `LockQueueFull`.
        clock: the time; without it the app's.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "lock"

    def __init__(
        self,
        *,
        max_keys: float | Unset | None = UNSET,
        max_key_length: int = MAX_KEY_LENGTH,
        max_waiters_per_key: float | Unset | None = UNSET,
        clock: AnyClock | None = None,
    ) -> None:
        super().__init__(_LockState(), clock)
        self._max_keys = bound(self.label, "max_keys", max_keys, "MAX_LOCK_KEYS")
        self._max_key_length = whole(self.label, "max_key_length", max_key_length)
        self._max_waiters = bound(self.label, "max_waiters_per_key", max_waiters_per_key, "MAX_LOCK_WAITERS")

    def __repr__(self) -> str:
        return f"<Lock of {len(self._state.keys)} keys>"

    async def with_lock(
        self,
        key: str,
        fn: Callable[..., T | Awaitable[T]],
        *,
        max_wait: float | Unset | None = UNSET,
        ttl: float | None = None,
        signal: Signal | None = None,
    ) -> T:
        """Run `fn` while holding `key` and return what it returns, awaited if need be.

        Args:
            key: 1 to `max_key_length` characters.
            fn: called without arguments; with the handle, if it has a parameter that must be given.
            max_wait: seconds from now; 0 only takes a free key; `None`, the default, waits without a bound.
            ttl: of no use here, for the twin.
            signal: ends the wait when it fires, with its reason if that is an exception, else as a cancellation.

        Raises:
            LockTimeout: the key was not free in time. LockQueueFull: too many wait. CapacityExceeded: too many keys.
            LockCleared: `clear()` was called. LockReentry: this task holds the key.
            ValueError: a key or `max_wait` that cannot be.
        """
        state = self._state  # a reload while this waits must not part it from its key
        held = await self._acquire(key, max_wait, signal)
        try:
            result = fn(held) if _wants_handle(fn) else fn()
            return await result if inspect.isawaitable(result) else result
        finally:
            state.release(held)

    def hold(
        self,
        key: str,
        *,
        max_wait: float | Unset | None = UNSET,
        ttl: float | None = None,
        signal: Signal | None = None,
    ) -> _Hold:
        """Return an `async with` block that holds `key`, and gives its handle. Arguments and errors as `with_lock`."""
        return _Hold(self, key, max_wait, signal)

    def held(self, key: str) -> bool:
        """Return whether somebody holds `key` or waits for it."""
        return key in self._state.keys

    def size(self) -> int:
        """Return how many keys are held."""
        return len(self._state.keys)

    def clear(self) -> None:
        """Let all who wait fail with `LockCleared` and forget all keys. Holders end as they would, and free nothing."""
        keys, self._state.keys = self._state.keys, {}
        for entry in keys.values():
            for waiter in entry.line or ():
                waiter.end(_CLEARED)

    async def _close(self) -> None:
        self.clear()

    def sizes(self) -> Mapping[str, int]:
        """Return the number of keys, and how many wait for the busiest."""
        keys = self._state.keys
        longest = max((len(key.line) for key in keys.values() if key.line), default=0)
        return {"MAX_LOCK_KEYS": len(keys), "MAX_LOCK_WAITERS": longest}

    # ------------------------------------------------------------ inside

    async def _acquire(self, key: str, max_wait: float | Unset | None, signal: Signal | None) -> Held:
        if type(key) is not str or not 0 < len(key) <= self._max_key_length:
            text_key(self.label, "key", key, self._max_key_length)
        limit = None if max_wait is UNSET or max_wait is None else _wait(max_wait)
        if signal is not None and signal.aborted:
            raise _aborted(signal)
        state = self._state
        state.token += 1
        held = Held(key, state.token, asyncio.current_task())
        entry = state.keys.get(key)
        metrics = self._metrics
        if entry is None:
            self._take(key, held)
        else:
            if entry.holder.task is held.task is not None:
                raise LockReentry(key)
            started = self._clock.monotonic()
            why = await self._queue(entry, held, limit, signal)
            waited = self._clock.monotonic() - started
            if why is not _TURN:
                raise self._refusal(why, key, limit, waited, signal)
            if metrics is not None:
                metrics.observe("lock_wait_seconds", waited)
            return held
        if metrics is not None:
            metrics.observe("lock_wait_seconds", 0.0)
        return held

    def _take(self, key: str, held: Held) -> None:
        keys, limit = self._state.keys, self._max_keys.limit
        if len(keys) >= limit:
            self._max_keys.record("reject")
            raise CapacityExceeded(
                f"lock: active key count exceeded {limit:g}", cap=self._max_keys.name, limit=limit
            )
        keys[key] = _Key(held)

    async def _queue(self, entry: _Key, held: Held, limit: float | None, signal: Signal | None) -> str:
        """Wait in line; return why the wait is over."""
        if limit == 0:
            return _LATE
        line = entry.line
        if line is None:
            line = entry.line = OrderedDict()
        if len(line) >= self._max_waiters.limit:
            self._max_waiters.record("reject")
            raise LockQueueFull(held.key, self._max_waiters.limit)
        state = self._state
        waiter = _Waiter(held)
        line[waiter] = None

        def give_up(why: str) -> None:
            if line.pop(waiter, waiter) is None:
                waiter.end(why)

        timer: TimerHandle | None = None
        forget: Callable[[], None] | None = None
        try:
            if limit is not None:
                timer = self._later(limit, give_up, _LATE)
            if signal is not None:
                forget = signal.on_abort(lambda: give_up(_ABORTED))
            return await waiter.future
        except BaseException:  # cancelled, or its coroutine was closed
            line.pop(waiter, None)
            # The turn may have come in the same step of the loop as the cancellation.
            state.release(held)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if forget is not None:
                forget()

    def _refusal(
        self, why: str, key: str, limit: float | None, waited: float, signal: Signal | None
    ) -> BaseException:
        if why is _LATE:
            self._count("lock_timeouts_total")
            return LockTimeout(key, limit or 0.0, waited)
        if why is _ABORTED and signal is not None:
            return _aborted(signal)
        return LockCleared(key)


class _Hold:
    """`async with` of one key."""

    __slots__ = ("_held", "_is_used", "_key", "_lock", "_max_wait", "_signal", "_state")

    def __init__(self, lock: Lock, key: str, max_wait: float | Unset | None, signal: Signal | None) -> None:
        self._lock = lock
        self._key = key
        self._max_wait = max_wait
        self._signal = signal
        self._held: Held | None = None
        self._is_used = False

    async def __aenter__(self) -> Held:
        if self._is_used:
            raise RuntimeError("lock: hold() gives a block for one use; call it again")
        self._is_used = True
        self._state = self._lock._state  # a reload while this waits must not part it from its key
        self._held = await self._lock._acquire(self._key, self._max_wait, self._signal)
        return self._held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held is not None:
            self._state.release(self._held)


def _wait(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(
            f"lock: max_wait must be a finite number of seconds from 0 on, or None, not {value!r}"
        )
    return float(value)


def _aborted(signal: Signal) -> BaseException:
    reason = signal.reason
    return reason if isinstance(reason, BaseException) else asyncio.CancelledError(reason)


def _wants_handle(fn: Callable[..., Any]) -> bool:
    """Return whether `fn` has a positional parameter without a default."""
    function, given = (fn.__func__, 1) if isinstance(fn, MethodType) else (fn, 0)
    if isinstance(function, FunctionType) and not hasattr(function, "__wrapped__"):
        return function.__code__.co_argcount - len(function.__defaults__ or ()) > given
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):  # a callable written in C that does not tell
        return False
    return any(
        one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        for one in parameters
    )
