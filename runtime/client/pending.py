"""The result of a call that is on its way: a future that `create_task` takes as well."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["PendingResult"]

T = TypeVar("T")


class PendingResult(asyncio.Future[T], Coroutine[Any, Any, T]):
    """What `call` and `batch` return: a result to come. The call goes on, whether anybody awaits this or not.

    A future, with its callbacks and its `cancel`, and a coroutine as well, so that `asyncio.create_task` and
    `TaskGroup.create_task` take it. Such a task only waits; cancelling it cancels this. Any number of tasks may.
    `asyncio.wait` takes no coroutines, so not this either: give it tasks.
    """

    def send(self, value: Any, /) -> Any:
        """Take one step of waiting, as a task does with its coroutine; raises `StopIteration` with the result."""
        return next(self.__await__())

    def throw(self, typ: Any, val: BaseException | object = None, tb: TracebackType | None = None, /) -> Any:
        """Stop waiting with this exception; cancels what is not done. Of a task's cancellation, for instance."""
        self.cancel()
        raise val if isinstance(val, BaseException) else typ

    def close(self) -> None:
        """Cancel it, as a task group does that takes no more tasks."""
        self.cancel()
