"""`Queue`: tasks by key that start in the order in which they came. Spec: platform 7.10.

A task runs in the task of who pushed it, once it is its turn: what cancels the one cancels the other, and context
variables are those of the caller.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from runtime.core.errors import QueueCleared, QueueFull
from runtime.plugins.lifetime import Plugin, PluginState
from runtime.plugins.options import UNSET, Bound, Unset, bound, text_key, whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["Queue"]

logger = logging.getLogger("realtime.plugins")

T = TypeVar("T")

MAX_KEY_LENGTH = 256

_TURN, _CLEARED = True, False


class _Line:
    """One key: how many of its tasks run, and the futures of those in line."""

    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: OrderedDict[asyncio.Future[bool], None] = OrderedDict()

    @property
    def size(self) -> int:
        return self.running + len(self.waiting)


class _QueueState(PluginState):
    __slots__ = ("concurrency", "drains", "lines")

    def __init__(self) -> None:
        super().__init__()
        self.concurrency = 1
        self.lines: dict[str, _Line] = {}
        #: Who waits for a key to be idle; `None` for all keys.
        self.drains: dict[str | None, list[asyncio.Future[None]]] = {}

    def pump(self, key: str) -> None:
        """Start whom there is room for; forget the key when it is idle."""
        line = self.lines[key]
        while line.waiting and line.running < self.concurrency:
            future, _ = line.waiting.popitem(last=False)
            if not future.done():  # else its task was cancelled and has not run since
                line.running += 1
                future.set_result(_TURN)
        if not line.size:
            del self.lines[key]
            self._tell_idle(key)
            if not self.lines:
                self._tell_idle(None)

    def _tell_idle(self, key: str | None) -> None:
        for future in self.drains.pop(key, ()):
            if not future.done():
                future.set_result(None)


class Queue(Plugin[_QueueState]):
    """Runs tasks one after the other, or a few at a time, for each key on its own.

    With `concurrency=1` a task starts when the one before has ended; with more, tasks start in order and may end in
    any. A task that fails fails its own `push` and nothing else.

    Args:
        concurrency: tasks of one key that run at a time.
        max_size: tasks of one key that wait, `MAX_QUEUE_SIZE` by default; at most `MAX_QUEUE_KEYS` keys have tasks.
        max_key_length: characters of a key.
        on_drop: called as `on_drop(key, task)`, and awaited, before a task that finds no room fails with `QueueFull`;
            what it raises is logged.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "queue"

    def __init__(
        self,
        *,
        concurrency: int = 1,
        max_size: float | Unset | None = UNSET,
        max_key_length: int = MAX_KEY_LENGTH,
        on_drop: Callable[[str, Callable[[], Any]], Any] | None = None,
    ) -> None:
        super().__init__(_QueueState())
        if on_drop is not None and not callable(on_drop):
            raise ValueError(f"queue: on_drop must be a function, not {on_drop!r}")
        self._concurrency = self._state.concurrency = whole(self.label, "concurrency", concurrency)
        self._max_size = bound(self.label, "max_size", max_size, "MAX_QUEUE_SIZE")
        self._max_keys = Bound("MAX_QUEUE_KEYS")
        self._max_key_length = whole(self.label, "max_key_length", max_key_length)
        self._on_drop = on_drop

    def __repr__(self) -> str:
        return f"<Queue of {self.size()} tasks, {len(self._state.lines)} keys>"

    async def push(self, key: str, task: Callable[[], T | Awaitable[T]]) -> T:
        """Run `task()` when it is its turn and return what it returns, awaited if need be.

        Cancelling takes a waiting task out of the line, and cancels one that runs. A task must not push to its own key
        and await that: with `concurrency=1` both would wait for ever.

        Raises:
            QueueFull: too many wait for this key, or too many keys have tasks.
            QueueCleared: `clear()` was called while the task waited.
            ValueError: a key that cannot be. TypeError: a task that cannot be called.
        """
        text_key(self.label, "key", key, self._max_key_length)
        if not callable(task):
            raise TypeError(f"queue: give a function that returns what is to be awaited, not {task!r}")
        self._app()
        state = self._state
        line = state.lines.get(key)
        if line is None:
            if len(state.lines) >= self._max_keys.limit:
                await self._drop(
                    key, task, self._max_keys, f"{self._max_keys.limit:g} keys have tasks already"
                )
            line = state.lines[key] = _Line()
        if line.running < state.concurrency and not line.waiting:
            line.running += 1
        else:
            if len(line.waiting) >= self._max_size.limit:
                await self._drop(
                    key, task, self._max_size, f"{self._max_size.limit:g} tasks wait for {key!r}"
                )
            await self._turn(state, key, line)
        try:
            result = task()
            return await result if inspect.isawaitable(result) else result
        finally:
            line.running -= 1
            state.pump(key)

    def size(self, key: str | None = None) -> int:
        """Return how many tasks of `key`, or of all keys, wait or run."""
        lines = self._state.lines
        if key is None:
            return sum(line.size for line in lines.values())
        line = lines.get(key)
        return line.size if line is not None else 0

    def clear(self, key: str | None = None) -> None:
        """Let the waiting tasks of `key`, or of all keys, fail with `QueueCleared`; those that run go on."""
        for name in list(self._state.lines) if key is None else [key]:
            line = self._state.lines.get(name)
            if line is not None:
                waiting, line.waiting = line.waiting, OrderedDict()
                for future in waiting:
                    if not future.done():
                        future.set_result(_CLEARED)

    async def drain(self, key: str | None = None) -> None:
        """Return when no task of `key`, or of any key, waits or runs. Not to be awaited by a task of the queue."""
        state = self._state
        if not (state.lines if key is None else key in state.lines):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = state.drains.setdefault(key, [])
        waiters.append(future)
        try:
            await future
        finally:
            if future.cancelled():
                waiters.remove(future)
                if not waiters and state.drains.get(key) is waiters:
                    del state.drains[key]

    async def _close(self) -> None:
        self.clear()

    def sizes(self) -> Mapping[str, int]:
        """Return the number of keys, and how many wait for the busiest."""
        lines = self._state.lines
        longest = max((len(line.waiting) for line in lines.values()), default=0)
        return {"MAX_QUEUE_KEYS": len(lines), "MAX_QUEUE_SIZE": longest}

    def _adopted(self) -> None:
        self._state.concurrency = self._concurrency
        for key in list(self._state.lines):
            self._state.pump(key)

    async def _turn(self, state: _QueueState, key: str, line: _Line) -> None:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        line.waiting[future] = None
        try:
            has_turn = await future
        except BaseException:  # cancelled, or its coroutine was closed
            line.waiting.pop(future, None)
            if future.done() and not future.cancelled() and future.result() is _TURN:
                # The turn came in the same step of the loop as the cancellation.
                line.running -= 1
                state.pump(key)
            raise
        if not has_turn:
            raise QueueCleared("queue cleared")

    async def _drop(self, key: str, task: Callable[[], Any], full: Bound, why: str) -> NoReturn:
        full.record("reject")
        if self._on_drop is not None:
            try:
                result = self._on_drop(key, task)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                logger.exception("queue: on_drop failed for %r; the task is dropped all the same", key)
        raise QueueFull(f"queue: {why}", key)
