"""`MemoryIdempotencyStore`: work by key that is done once, in this process. Spec: platform 7.3, cluster 2.5 and 9.

A key is running while somebody has its slot; who asks meanwhile waits in line. A result wakes the whole line, an abort
hands the slot to the first of it in the same step. No timer runs: expired results go at an `acquire` 30 s after the
last look, and the oldest tenth goes when there are too many.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded, IdempotencyPendingError, IdempotencySlotLostError
from runtime.plugins.lifetime import AnyClock, Plugin, PluginState
from runtime.plugins.options import UNSET, Unset, bound, seconds, text_key
from runtime.plugins.protocols import Slot
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from runtime.core.clock import TimerHandle

__all__ = ["DEFAULT_TTL", "MemoryIdempotencyStore"]

T = TypeVar("T")

DEFAULT_TTL = 172_800.0  # seconds: two days
SWEEP_INTERVAL = 30.0  # seconds
EVICTED_SHARE = 10  # one part in so many goes when there are too many

_INFLIGHT = "MAX_IDEMPOTENCY_INFLIGHT"


class _Waiter:
    """One in line for a key that runs.

    The future says why the wait is over: `None` when the slot is its own now, bytes are the result as JSON, a text says
    why there is neither.
    """

    __slots__ = ("future", "owner", "ttl")

    def __init__(self, owner: str, ttl: float) -> None:
        self.owner = owner
        self.ttl = ttl
        self.future: asyncio.Future[bytes | Literal["late", "closed"] | None] = (
            asyncio.get_running_loop().create_future()
        )


class _Running:
    """A key that somebody works at, for how long its result will be kept, and who waits for it."""

    __slots__ = ("line", "owner", "ttl")

    def __init__(self, owner: str, ttl: float) -> None:
        self.owner = owner
        self.ttl = ttl
        self.line: OrderedDict[_Waiter, None] | None = None


class _Result:
    """What came of a key, as JSON."""

    __slots__ = ("encoded", "expires", "owner")

    def __init__(self, encoded: bytes, owner: str, expires: float) -> None:
        self.encoded = encoded
        self.owner = owner
        self.expires = expires


class _StoreState(PluginState):
    __slots__ = ("count", "results", "running", "sweep_at", "waiting")

    def __init__(self) -> None:
        super().__init__()
        self.running: dict[str, _Running] = {}
        #: Oldest commit first.
        self.results: dict[str, _Result] = {}
        self.waiting = 0
        self.count = 0
        self.sweep_at: float | None = None

    def hand_over(self, key: str, running: _Running) -> None:
        """Give the slot of `key` to the first in line, or free the key."""
        while running.line:
            waiter, _ = running.line.popitem(last=False)
            if not waiter.future.done():  # else its task was cancelled and has not run since
                running.owner, running.ttl = waiter.owner, waiter.ttl
                waiter.future.set_result(None)
                return
        self.running.pop(key, None)


class MemoryIdempotencyStore(Plugin[_StoreState]):
    """Remembers what came of work, by key, so that it is done once in this process.

    Its twins across processes have the same methods (`IdempotencyProtocol`). `acquire` says whether to do the work. It
    waits here for one who is at it already, so it never says `pending`: `acquire_nowait` does. A slot has no time limit
    in this process: end it with `commit` or `abort`, best by `async with`. Results are kept as JSON; each
    caller gets a copy of its own.

    Args:
        max_entries: results, `MAX_IDEMPOTENCY_RESULTS` by default; at it the oldest 10 % go when other work
            begins. At `MAX_IDEMPOTENCY_INFLIGHT` keys at work, or callers who wait, a further one is
            `CapacityExceeded`.
        ttl: seconds that a result is kept, unless `acquire` says otherwise; 0 joins only calls at the same time.
        clock: the time; without it the app's.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "idempotency"

    def __init__(
        self,
        *,
        max_entries: float | Unset | None = UNSET,
        ttl: float = DEFAULT_TTL,
        clock: AnyClock | None = None,
    ) -> None:
        super().__init__(_StoreState(), clock)
        self._max_entries = bound(self.label, "max_entries", max_entries, "MAX_IDEMPOTENCY_RESULTS")
        self._ttl = seconds(self.label, "ttl", ttl, zero=True)

    def __repr__(self) -> str:
        state = self._state
        return f"<MemoryIdempotencyStore of {len(state.results)} results, {len(state.running)} running>"

    async def ready(self) -> None:
        """Return at once: there is nothing to wait for."""

    async def acquire(self, idempotency_key: str, ttl: float | None = None) -> Slot:
        """Return an acquired slot, or the result of who had it; waits for one who has it now.

        Args:
            idempotency_key: 1 to `MAX_IDEMPOTENCY_KEY_LENGTH` characters; begin it with a trusted identity.
            ttl: seconds that the result will be kept.

        Raises:
            ValueError: a key or `ttl` that cannot be.
            CapacityExceeded: `MAX_IDEMPOTENCY_INFLIGHT` keys are at work, or as many callers wait.
        """
        slot = self.acquire_nowait(idempotency_key, ttl)
        if slot.pending:
            slot = await self._wait(idempotency_key, self._kept_for(ttl), None)
        return slot

    def acquire_nowait(self, idempotency_key: str, ttl: float | None = None) -> Slot:
        """Do what `acquire` does, but return a pending slot where it would wait."""
        longest = capacity.get("MAX_IDEMPOTENCY_KEY_LENGTH")
        if isinstance(idempotency_key, str) and len(idempotency_key) > longest:
            capacity.record("MAX_IDEMPOTENCY_KEY_LENGTH", "reject", size=len(idempotency_key))
        key = text_key(self.label, "key", idempotency_key, longest)
        kept_for = self._kept_for(ttl)
        self._app()
        state, now = self._state, self._clock.monotonic()
        self._sweep(now)
        result = state.results.get(key)
        if result is not None and result.expires > now:
            self._count("idempotency_hits_total")
            return Slot("result", result=jsoncodec.decode(result.encoded))
        if key in state.running:
            self._count("idempotency_pending_total")
            return Slot("pending")
        limit = capacity.get(_INFLIGHT)
        if len(state.running) >= limit:
            capacity.record(_INFLIGHT, "reject")
            raise CapacityExceeded(f"idempotency: running keys exceeded {limit}", cap=_INFLIGHT, limit=limit)
        state.results.pop(key, None)
        self._make_room()
        owner = self._new_owner()
        state.running[key] = _Running(owner, kept_for)
        return self._acquired(key, owner)

    async def purge(self, idempotency_key: str) -> None:
        """Forget one key. Who works at it cannot commit any more, and the first who waits does the work anew."""
        self._state.results.pop(idempotency_key, None)
        running = self._state.running.get(idempotency_key)
        if running is not None:
            self._state.hand_over(idempotency_key, running)

    async def clear(self) -> None:
        """Forget every key, as `purge` does."""
        self._state.results.clear()
        for key, running in list(self._state.running.items()):
            self._state.hand_over(key, running)

    async def handle(self, idempotency_key: str, fn: Callable[[], Awaitable[T]], *, wait: float = 0.0) -> T:
        """Return the result of `fn()`, which runs unless the work was done or is being done.

        Args:
            idempotency_key: as for `acquire`.
            fn: the work. When it raises, the key is free again and the exception passes.
            wait: seconds to wait for somebody who is at it.

        Raises:
            IdempotencyPendingError: somebody is still at it then.
            TypeError: the result has no JSON form.
        """
        limit = seconds(self.label, "wait", wait, zero=True)
        slot = self.acquire_nowait(idempotency_key)
        if slot.pending and limit:
            slot = await self._wait(idempotency_key, self._ttl, limit)
        if slot.pending:
            raise IdempotencyPendingError(f"idempotency: the same work still runs after {limit:g} s")
        if slot.state == "result":
            found: T = slot.result
            return found
        async with slot:
            result = await fn()
            slot.set(result)
        return result

    async def _close(self) -> None:
        state = self._state
        state.results.clear()
        running, state.running = state.running, {}
        for waiter in [waiter for one in running.values() for waiter in one.line or ()]:
            if not waiter.future.done():
                waiter.future.set_result("closed")

    def sizes(self) -> Mapping[str, int]:
        """Return the number of results, and of running keys."""
        return {"MAX_IDEMPOTENCY_RESULTS": len(self._state.results), _INFLIGHT: len(self._state.running)}

    # ------------------------------------------------------------ what slots ask for

    async def commit_slot(self, key: str, owner: str, result: Any) -> None:
        """Store the result of an owner; see `Slot.commit`."""
        encoded = jsoncodec.encode(result)
        state = self._state
        running = state.running.get(key)
        if running is None or running.owner != owner:
            self._recall(key, owner)
            return
        del state.running[key]
        if running.ttl:
            state.results[key] = _Result(encoded, owner, self._clock.monotonic() + running.ttl)
        self._count("idempotency_commits_total")
        for waiter in running.line or ():
            if not waiter.future.done():
                waiter.future.set_result(encoded)

    async def abort_slot(self, key: str, owner: str) -> None:
        """Hand the slot of an owner to the first who waits; see `Slot.abort`."""
        running = self._state.running.get(key)
        if running is not None and running.owner == owner:
            self._count("idempotency_aborts_total")
            self._state.hand_over(key, running)

    async def renew_slot(self, key: str, owner: str, ttl: int | None) -> None:
        """Check that the slot is the owner's; there is no time limit to extend."""
        running = self._state.running.get(key)
        if running is None or running.owner != owner:
            self._lost(key)

    # ------------------------------------------------------------ inside

    async def _wait(self, key: str, ttl: float, limit: float | None) -> Slot:
        """Wait in line for a key that runs; return a pending slot after `limit` seconds."""
        state = self._state
        running = state.running[key]
        most = capacity.get(_INFLIGHT)
        if state.waiting >= most:
            capacity.record(_INFLIGHT, "reject")
            raise CapacityExceeded(f"idempotency: waiting callers exceeded {most}", cap=_INFLIGHT, limit=most)
        line = running.line
        if line is None:
            line = running.line = OrderedDict()
        waiter = _Waiter(self._new_owner(), ttl)
        line[waiter] = None
        state.waiting += 1

        def give_up() -> None:
            if line.pop(waiter, waiter) is None and not waiter.future.done():
                waiter.future.set_result("late")

        timer: TimerHandle | None = None
        try:
            if limit is not None:
                timer = self._later(limit, give_up)
            outcome = await waiter.future
        except BaseException:  # cancelled, or its coroutine was closed
            line.pop(waiter, None)
            # The slot may have come in the same step of the loop as the cancellation.
            if running.owner == waiter.owner and state.running.get(key) is running:
                state.hand_over(key, running)
            raise
        finally:
            state.waiting -= 1
            if timer is not None:
                timer.cancel()
        if outcome == "late":
            return Slot("pending")
        if outcome == "closed":
            raise IdempotencyPendingError("idempotency: the store was closed while the same work ran")
        if outcome is None:
            return self._acquired(key, waiter.owner)
        self._count("idempotency_hits_total")
        return Slot("result", result=jsoncodec.decode(outcome))

    def _acquired(self, key: str, owner: str) -> Slot:
        self._count("idempotency_acquired_total")
        return Slot("acquired", key=key, owner=owner, keeper=self)

    def _new_owner(self) -> str:
        self._state.count += 1
        return f"{self._state.count:x}"

    def _kept_for(self, ttl: float | None) -> float:
        return self._ttl if ttl is None else seconds(self.label, "ttl", ttl, zero=True)

    def _recall(self, key: str, owner: str) -> None:
        """Do nothing when this owner's result is stored already; else the slot was lost."""
        result = self._state.results.get(key)
        if result is None or result.owner != owner:
            self._lost(key)

    def _lost(self, key: str) -> NoReturn:
        self._count("idempotency_lost_total")
        result = self._state.results.get(key)
        stored = jsoncodec.decode(result.encoded) if result is not None else None
        raise IdempotencySlotLostError("idempotency: the slot was purged or cleared meanwhile", stored)

    def _sweep(self, now: float) -> None:
        """Drop what has expired, each 30 s."""
        state = self._state
        results = state.results
        if state.sweep_at is None:
            state.sweep_at = now + SWEEP_INTERVAL
        elif now >= state.sweep_at:
            state.sweep_at = now + SWEEP_INTERVAL
            for key in [key for key, result in results.items() if result.expires <= now]:
                del results[key]

    def _make_room(self) -> None:
        """Drop the oldest tenth for work that begins. Who only asks for a result must not drive it out."""
        results, limit = self._state.results, self._max_entries.limit
        if len(results) >= limit:
            oldest = iter(results)
            excess = len(results) - int(limit) + max(1, int(limit) // EVICTED_SHARE)
            for key in [next(oldest) for _ in range(min(excess, len(results)))]:
                del results[key]
                self._max_entries.record("evict")
