"""`live.breaker`: what stands on a broken backend answers at once instead of trying. Spec: live-api 5.7."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from runtime.core.errors import LiveError
from runtime.live.callables import accepted, call, is_pending
from runtime.live.keywords import check_keywords
from runtime.live.marks import body_of, check_function, finish
from runtime.plugins.options import UNSET

__all__ = ["breaker"]

F = TypeVar("F", bound=Callable[..., Any])

#: Codes that say something of the caller and nothing of the backend.
CLIENT_CODES = frozenset(
    {"VALIDATION", "NOT_FOUND", "FORBIDDEN", "UNAUTHENTICATED", "CONFLICT", "RATE_LIMITED"}
)
OPEN = "Service temporarily unavailable (circuit open)"
METHODS = ("is_open", "success", "failure")


@check_keywords("live.breaker")
def breaker(breaker: Any, fallback: Any = UNSET) -> Callable[[F], F]:
    """Do not run the handler while `breaker` is open, and report to it what came of each run.

    A `LiveError` with a code that is the caller's fault (`VALIDATION`, `NOT_FOUND`, `FORBIDDEN`, `UNAUTHENTICATED`,
    `CONFLICT`, `RATE_LIMITED`) and a cancellation are neither success nor failure. It may stand over a stream; over a
    function that nothing else marks it needs `@live` as well.

    Args:
        breaker: an object with some of `is_open()`, `success()` and `failure()`, as `CircuitBreaker` has them.
        fallback: what is answered while it is open, or a function that returns it: of `ctx` and the arguments, or of
            fewer. Without it the answer is `SERVICE_UNAVAILABLE`.

    Raises:
        TypeError: the breaker has none of the three.
    """
    is_open, success, failure = (_method(breaker, name) for name in METHODS)
    if is_open is success is failure is None:
        raise TypeError(f"live.breaker: an object with {', '.join(METHODS)} is needed, not {breaker!r}")

    def decorate(function: F) -> F:
        check_function(function, "live.breaker")
        body = body_of(function, lambda: protected)

        async def protected(ctx: Any, *args: Any) -> Any:
            if is_open is not None:
                answer = is_open()
                if await answer if is_pending(answer) else answer:
                    return await _instead(fallback, ctx, args)
            try:
                result = await body(ctx, *args)
            except Exception as error:
                if failure is not None and not (isinstance(error, LiveError) and error.code in CLIENT_CODES):
                    await call(failure)
                raise
            if success is not None:
                answer = success()
                if is_pending(answer):
                    await answer
            return result

        return finish(protected, function)

    return decorate


async def _instead(fallback: Any, ctx: Any, args: tuple[Any, ...]) -> Any:
    if fallback is UNSET:
        raise LiveError("SERVICE_UNAVAILABLE", OPEN)
    if not callable(fallback):
        return fallback
    given = (ctx, *args)
    return await call(fallback, *given[: accepted(fallback, len(given))])


def _method(breaker: Any, name: str) -> Callable[[], Any] | None:
    found = getattr(breaker, name, None)
    return found if callable(found) else None
