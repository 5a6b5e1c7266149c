"""A lock whose keys are records in a store that is far away, polled by the first in line of this process."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from runtime.core.signal import Signal
from runtime.plugins import LockCleared, LockQueueFull, LockReentry, LockTimeout
from runtime.plugins.options import UNSET
from runtime.testing import FakeClock
from tests.conformance.doubles.line import Line

__all__ = ["SlowLock"]

RETRY = 0.05
_holding: ContextVar[frozenset[tuple[int, str]]] = ContextVar("slow_lock_holding", default=frozenset())


class _Handle:
    def __init__(self, key: str, token: int) -> None:
        self.key = key
        self.token = token
        self.signal = Signal()

    @property
    def lost(self) -> bool:
        return self.signal.aborted

    async def extend(self, ttl: float) -> None:
        await asyncio.sleep(0)

    def raise_if_lost(self) -> None:
        if self.lost:
            raise self.signal.reason


class _Contender:
    """One of this process that holds a key or wants to: `over` says why it gives up."""

    def __init__(self) -> None:
        self.is_first = asyncio.Event()
        self.over: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def give_up(self, why: BaseException) -> None:
        if not self.over.done():
            self.over.set_result(why)


class SlowLock:
    """Implements `LockProtocol`: a record is set if there is none, and deleted by whoever set it."""

    def __init__(
        self, *, max_wait: float | None = 5.0, max_waiters_per_key: int = 1000, clock: FakeClock
    ) -> None:
        self._max_wait = max_wait
        self._max_waiters = max_waiters_per_key
        self._clock = clock
        self._records: dict[str, int] = {}
        self._tokens = itertools.count(1)
        self._contenders: dict[str, list[_Contender]] = {}
        self._line = Line()

    async def with_lock(self, key: str, fn: Callable[..., Any], **options: Any) -> Any:
        async with self.hold(key, **options) as handle:
            wanted = len(inspect.signature(fn).parameters)
            result = fn(handle) if wanted else fn()
            return await result if inspect.isawaitable(result) else result

    def hold(
        self, key: str, *, max_wait: Any = UNSET, ttl: float | None = None, signal: Signal | None = None
    ) -> _Block:
        return _Block(self, key, self._max_wait if max_wait is UNSET else max_wait, signal)

    def held(self, key: str) -> bool:
        return key in self._contenders

    def size(self) -> int:
        return len(self._contenders)

    def clear(self) -> None:
        for key, contenders in self._contenders.items():
            for contender in contenders:
                contender.give_up(LockCleared(key))

    async def close(self) -> None:
        self.clear()

    async def acquire(
        self, key: str, max_wait: float | None, signal: Signal | None
    ) -> tuple[_Contender, _Handle]:
        if not isinstance(key, str) or not 0 < len(key) <= 256:
            raise ValueError("lock: key must be a text of 1 to 256 characters")
        if max_wait is not None and (isinstance(max_wait, bool) or not 0 <= max_wait < float("inf")):
            raise ValueError("lock: max_wait must be finite and at least 0")
        if signal is not None and signal.aborted:
            raise signal.reason
        if (id(self), key) in _holding.get():
            raise LockReentry(key)
        contenders = self._contenders.setdefault(key, [])
        if contenders and max_wait == 0:
            raise LockTimeout(key, 0.0, 0.0)
        if len(contenders) > self._max_waiters:
            raise LockQueueFull(key, self._max_waiters)
        me = _Contender()
        contenders.append(me)
        if contenders[0] is me:
            me.is_first.set()
        started = self._clock.monotonic()

        def late() -> None:
            me.give_up(LockTimeout(key, max_wait or 0.0, self._clock.monotonic() - started))

        timer = None if max_wait is None else self._clock.call_later(max_wait or RETRY, late)
        forget = None if signal is None else signal.on_abort(lambda: me.give_up(signal.reason))
        handle = _Handle(key, next(self._tokens))
        attempt = asyncio.ensure_future(self._attempt(me, handle))
        try:
            await asyncio.wait({attempt, me.over}, return_when=asyncio.FIRST_COMPLETED)
            if me.over.done():
                raise me.over.result()
        except BaseException:
            attempt.cancel()
            await asyncio.shield(asyncio.ensure_future(self.release(me, handle)))
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if forget is not None:
                forget()
        return me, handle

    async def _attempt(self, me: _Contender, handle: _Handle) -> None:
        await me.is_first.wait()
        while not await self._line.run(lambda: self._set(handle)):
            await self._clock.sleep(RETRY)

    def _set(self, handle: _Handle) -> bool:
        return self._records.setdefault(handle.key, handle.token) == handle.token

    async def release(self, me: _Contender, handle: _Handle) -> None:
        """Delete the record if it is ours, then let the next of this process try."""

        def script() -> None:
            if self._records.get(handle.key) == handle.token:
                del self._records[handle.key]

        await self._line.run(script)
        contenders = self._contenders[handle.key]
        contenders.remove(me)
        if contenders:
            contenders[0].is_first.set()
        else:
            del self._contenders[handle.key]


class _Block:
    def __init__(self, lock: SlowLock, key: str, max_wait: float | None, signal: Signal | None) -> None:
        self._arguments: tuple[str, float | None, Signal | None] = (key, max_wait, signal)
        self._lock = lock

    async def __aenter__(self) -> _Handle:
        self._me, self._handle = await self._lock.acquire(*self._arguments)
        mark = (id(self._lock), self._handle.key)
        self._token = _holding.set(_holding.get() | {mark})
        return self._handle

    async def __aexit__(self, *error: object) -> None:
        _holding.reset(self._token)
        release: Awaitable[None] = asyncio.ensure_future(self._lock.release(self._me, self._handle))
        await asyncio.shield(release)
