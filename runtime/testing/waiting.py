"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast

from runtime.core.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["eventually", "holds"]

INTERVAL = 0.01

T = TypeVar("T")


async def eventually(predicate: Callable[[], T | Awaitable[T]], timeout: float = 5.0) -> T:
    """Wait until `predicate()` gives something true and return that; it may be asynchronous.

    It is asked every 10 ms of real time. An `AssertionError` that it raises counts as not yet; any other
    exception passes.

    Raises:
        AssertionError: `timeout` seconds passed; the message has the last value or the last assertion.
    """
    clock = SystemClock()
    deadline = clock.monotonic() + timeout
    while True:
        failure: AssertionError | None = None
        value: Any = None
        try:
            async with asyncio.timeout(max(deadline - clock.monotonic(), INTERVAL)):
                value = predicate()
                if inspect.isawaitable(value):
                    value = await value
        except AssertionError as error:
            failure = error
        except TimeoutError:
            value = "<the predicate did not return>"
        else:
            if value:
                return cast("T", value)
        if clock.monotonic() >= deadline:
            last = f"it raised: {failure}" if failure is not None else f"the last value was {value!r}"
            raise AssertionError(f"not true within {timeout:g}s: {last}") from failure
        await clock.sleep(INTERVAL)


def holds(predicate: Callable[[Any], object], value: Any) -> bool:
    """Return whether `predicate(value)` is true.

    Raises:
        TypeError: it is asynchronous, so what it returned is true whatever it would say.
        RuntimeError: it raised `StopIteration`, which no future can carry.
        Exception: what else it raised.
    """
    try:
        answer = predicate(value)
    except StopIteration as error:
        raise RuntimeError("the predicate raised StopIteration: give next() a default") from error
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(
            "the predicate must be a plain function, not an asynchronous one; eventually() takes those"
        )
    return bool(answer)
