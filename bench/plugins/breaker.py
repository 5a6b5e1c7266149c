"""The circuit breaker beside an integer that counts failures."""

from __future__ import annotations

import contextlib

from bench.plugins.harness import Case, Side
from runtime.plugins import CircuitBreaker, CircuitBrokenError

__all__ = ["CASES"]


async def _work() -> int:
    return 1


async def _healthy(count: int) -> None:
    breaker = CircuitBreaker()
    for _ in range(count):
        await breaker.run(_work)


async def _guarded(count: int) -> None:
    breaker = CircuitBreaker()
    for _ in range(count):
        breaker.guard()
        await _work()
        breaker.success()


async def _broken(count: int) -> None:
    breaker = CircuitBreaker(failure_threshold=1, reset_timeout=3600)
    breaker.failure()
    for _ in range(count):
        with contextlib.suppress(CircuitBrokenError):
            await breaker.run(_work)
    await breaker.close()


async def _count(count: int) -> None:
    failures = 0
    for _ in range(count):
        if failures >= 5:
            break
        try:
            await _work()
            failures = 0
        except OSError:
            failures += 1


async def _raise(count: int) -> None:
    for _ in range(count):
        with contextlib.suppress(CircuitBrokenError):
            raise CircuitBrokenError("broken")


async def _breakers(entries: int) -> object:
    return [CircuitBreaker() for _ in range(entries)]


async def _lists(entries: int) -> object:
    return [[n, 0.0] for n in range(entries)]


_FLOOR = "an integer"
CASES = [
    Case(
        "breaker",
        "`run` while healthy; an entry is a breaker",
        Side("ours", _healthy, _breakers),
        Side(_FLOOR, _count, _lists),
        entries=2000,
    ),
    Case("breaker", "`guard` and `success` while healthy", Side("ours", _guarded), Side(_FLOOR, _count)),
    Case("breaker", "`run` while broken", Side("ours", _broken), Side("raising the error", _raise)),
]
