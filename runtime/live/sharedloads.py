"""One run of a loader for many subscribers who wait for the same value.

A loader gets the ctx of its subscriber, so in general everybody has a run of their own. A stream with `stale_after` or
`invalidate_on` has said otherwise: what its loader returns for one subscriber is published to all as `refreshed`
(live-api 8.9, 8.10). Of such a stream subscribers with the same arguments share a run too, when they come while another
one loads: after a restart a thousand clients cost two runs, not a thousand.

Nobody gets the result of a run that began before their subscription: a change in between would be neither in the value
nor among the frames that were held back. So whoever comes while a run is on waits for the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core.tasks import reraise_own_cancellation
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from runtime.core.tasks import TaskOwner
    from runtime.live.options import StreamOptions
    from runtime.live.registry import Endpoint

__all__ = ["SharedLoads", "is_shared"]

#: Seconds that a subscriber waits for the run of another one, which may hang, before it loads by itself.
MAX_WAIT = 10.0

#: The stream, its topic, and the arguments as the client sent them, encoded.
_Key = tuple["Endpoint", str, bytes]


def is_shared(options: StreamOptions) -> bool:
    """Return whether what the loader returns for one subscriber is meant for all of them."""
    return options.stale_after is not None or bool(options.invalidate_on)


@dataclass(slots=True, eq=False)
class _Waiter:
    """A subscriber who waits: for whether there is a value, and which. `run` is its own load."""

    run: Callable[[], Awaitable[Any]]
    future: asyncio.Future[tuple[bool, Any]]


class SharedLoads:
    """The loads of one worker that are shared; what waits is bounded by the calls that are in flight."""

    __slots__ = ("_tasks", "_waiting")

    def __init__(self, tasks: TaskOwner) -> None:
        self._tasks = tasks
        #: Who waits for the next run, by what is loaded; an entry lives as long as a run is on.
        self._waiting: dict[_Key, list[_Waiter]] = {}

    async def load(
        self, endpoint: Endpoint, topic: str, args: list[Any], run: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Return what `run()` returns, or that of another subscriber which begins after this call.

        A run that fails, or hangs, says nothing to the others: each of them loads by its own `run`.
        """
        key = (endpoint, topic, jsoncodec.encode(args))
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = []
            try:
                return await run()
            finally:
                self._next(key)
        waiter = _Waiter(run, asyncio.get_running_loop().create_future())
        waiting.append(waiter)
        try:
            async with asyncio.timeout(MAX_WAIT):
                found, value = await waiter.future
        except TimeoutError:
            found, value = False, None
        return value if found else await run()

    def _next(self, key: _Key) -> None:
        """Begin one run for those who came meanwhile and still wait; when there is nobody the entry ends."""
        waiters = [one for one in self._waiting[key] if not one.future.done()]
        if not waiters or self._tasks.closed:
            del self._waiting[key]
            _answer(waiters, False)
            return
        self._waiting[key] = []
        self._tasks.start(self._run(key, waiters), name=f"load {key[0].path}")

    async def _run(self, key: _Key, waiters: list[_Waiter]) -> None:
        found, value = False, None
        try:
            value = await waiters[0].run()
            found = True
        except (Exception, asyncio.CancelledError):
            reraise_own_cancellation()
        finally:
            _answer(waiters, found, value)
            self._next(key)


def _answer(waiters: list[_Waiter], found: bool, value: Any = None) -> None:
    for waiter in waiters:
        if not waiter.future.done():
            waiter.future.set_result((found, value))
