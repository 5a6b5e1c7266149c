"""Ownership of tasks: whoever starts one can end it, and no failure goes unseen."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["TaskOwner", "next_turn", "reraise_own_cancellation"]

logger = logging.getLogger("realtime.tasks")

T = TypeVar("T")

CANCEL_TIMEOUT = 2.0  # seconds that cancelled tasks have for their cleaning up


def reraise_own_cancellation() -> None:
    """Raise the exception that is being handled if it is the end of the running task: its cancellation, Ctrl-C, or the
    closing of its coroutine.

    Awaiting a task that somebody else cancelled raises the same class; at a border it is a failure like any other.
    """
    error = sys.exc_info()[1]
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        raise error
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
        raise error


async def next_turn() -> None:
    """Let the loop turn once, so that long work in a task does not hold up the others."""
    await asyncio.sleep(0)


class TaskOwner:
    """Keep the tasks of one owner (the app, a connection, a generation of live modules) and end them with it.

    A task that raises is logged with the owner's name; `close()` cancels what still runs and waits for it.
    All methods belong to the loop's thread.
    """

    __slots__ = ("_closed", "_tasks", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def running(self) -> int:
        """Number of tasks that have not ended."""
        return len(self._tasks)

    @property
    def closed(self) -> bool:
        """Whether `close()` was called; nothing can be started any more."""
        return self._closed

    def start(self, coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run `coro` as a task of this owner.

        Raises:
            RuntimeError: the owner is closed; the coroutine is closed without having run.
        """
        if self._closed:
            coro.close()
            raise RuntimeError(f"cannot start {name!r}: {self.name} is closed")
        task = asyncio.get_running_loop().create_task(coro, name=f"{self.name}:{name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            logger.error("task %s failed", task.get_name(), exc_info=error)

    async def wait_idle(self, *, timeout: float | None) -> bool:
        """Wait until no task runs, at most `timeout` seconds (`None`: without a bound); return whether that came."""
        try:
            async with asyncio.timeout(timeout):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            return False
        return True

    async def close(self, *, timeout: float = CANCEL_TIMEOUT) -> None:
        """Cancel every task and wait for it, at most `timeout` seconds. Never raises for a task's failure.

        A task that is still running then, since it swallowed the cancellation, is named in a warning and left alone.
        May be called again.
        """
        self._closed = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=timeout)
        if left:
            names = ", ".join(sorted(task.get_name() for task in left))
            logger.warning(
                "%d tasks did not end %g s after they were cancelled: %s", len(left), timeout, names
            )
