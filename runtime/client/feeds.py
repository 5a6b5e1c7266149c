"""Asynchronous iterators that are filled by callbacks: the newest item only, or every item up to a bound."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from runtime.client.errors import StreamLagged
from runtime.core import capacity

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Backlog", "Feed", "Latest"]

T = TypeVar("T")


class Feed(Generic[T]):
    """An async iterator with a queue behind it. Belongs to the loop's thread.

    One reader at a time: a second one that would have to wait beside the first is refused with `RuntimeError`.

    It ends when its source ends or when it is closed; dropping the last reference closes it as well, so that
    leaving an `async for` with `break` is enough.
    """

    def __init__(self, bound: int | None) -> None:
        self._items: deque[T] = deque(maxlen=bound)
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: Exception | None = None
        self._release: Callable[[], None] | None = None

    def on_close(self, release: Callable[[], None]) -> None:
        """Call `release()` once when nobody reads any more."""
        if self._ended:
            release()
        else:
            self._release = release

    def push(self, item: T) -> None:
        """Hand one item to the reader."""
        if not self._ended:
            self._items.append(item)
            self._wake()

    def finish(self, error: Exception | None = None) -> None:
        """End the iteration behind what is queued, with `error` if there is one."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._wake()
            self._let_go()

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._ended:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("another task waits at this iterator; let each task make one of its own")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._items.popleft()

    async def aclose(self) -> None:
        """End the iteration at once; what is queued is forgotten."""
        self._items.clear()
        self.finish()

    def __del__(self) -> None:
        release = getattr(self, "_release", None)
        if release is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(release)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _let_go(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()


class Latest(Feed[T]):
    """A feed whose reader gets the newest item and never an older one."""

    def __init__(self) -> None:
        super().__init__(1)


class Backlog(Feed[T]):
    """A feed whose reader gets every item; with `bound` of them waiting it ends in `StreamLagged`.

    Without `bound` that is `STREAM_EVENTS_QUEUE`.
    """

    def __init__(self, bound: int | None = None) -> None:
        super().__init__(None)
        self._bound = capacity.get("STREAM_EVENTS_QUEUE") if bound is None else bound

    def push(self, item: T) -> None:
        """Hand one item to the reader."""
        if len(self._items) >= self._bound:
            capacity.record("STREAM_EVENTS_QUEUE", "reject", limit=self._bound)
            self.finish(StreamLagged(f"more than {self._bound} events waited for their reader"))
        else:
            super().push(item)
