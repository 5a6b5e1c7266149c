"""Calling the app's functions: sync or async, in the loop or in a thread, with as many arguments as they take."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from types import CoroutineType, NoneType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

# What most functions return: asking whether one of these can be awaited costs more than the call.
PLAIN = frozenset({NoneType, bool, int, float, str, bytes, dict, list, tuple})

__all__ = ["accepted", "call", "call_in_thread", "call_with_as_many", "is_async", "is_pending"]


async def call(function: Callable[..., Any], *args: Any) -> Any:
    """Call `function` and await what it returns if that is awaitable.

    Raises:
        RuntimeError: it called `sys.exit()`, which must not end the worker and everybody's connections.
    """
    try:
        result = function(*args)
        kind = result.__class__
        if kind is CoroutineType or (kind not in PLAIN and inspect.isawaitable(result)):
            return await result
        return result
    except SystemExit as error:
        raise _exit_refused(function) from error


def is_pending(result: Any) -> bool:
    """Return whether what a function returned has to be awaited; for callers that save `call` a coroutine."""
    kind = result.__class__
    return kind is CoroutineType or (kind not in PLAIN and inspect.isawaitable(result))


async def call_in_thread(executor: Executor, function: Callable[..., Any], *args: Any) -> Any:
    """Run a plain function in `executor` with the present context variables."""
    context = contextvars.copy_context()

    def body() -> Any:
        try:
            return context.run(function, *args)
        except StopIteration as error:
            # A future cannot carry it: the call would never end.
            raise RuntimeError(f"{_name(function)} raised StopIteration") from error
        except SystemExit as error:
            raise _exit_refused(function) from error

    return await asyncio.get_running_loop().run_in_executor(executor, body)


async def call_with_as_many(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Call `function` with as many of `args` as it has parameters for. Spec: live-api 8.5."""
    return await call(function, *args[: accepted(function, len(args))])


def is_async(function: Any) -> bool:
    """Return whether calling `function`, also an object that can be called, gives a coroutine for certain."""
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function) and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004  # which kind it is, not whether
    )


def accepted(function: Callable[..., Any], most: int) -> int:
    """Return how many positional arguments, up to `most`, `function` takes."""
    count = 0
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return most
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            count += 1
    return min(count, most)


def _exit_refused(function: Callable[..., Any]) -> RuntimeError:
    return RuntimeError(f"{_name(function)} called sys.exit(); raise LiveError or return instead")


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))
