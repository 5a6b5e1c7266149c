"""`live.rate_limit`: how often one caller may call one handler. Spec: live-api 5.2 and 5.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from runtime.core.clock import SystemClock
from runtime.live.callables import is_pending
from runtime.live.keywords import check_keywords
from runtime.live.marks import Place, body_of, ensure_mark, finish
from runtime.live.ratelimit import Buckets, Rule, identity_of

__all__ = ["rate_limit"]

F = TypeVar("F", bound=Callable[..., Any])


@check_keywords("live.rate_limit")
def rate_limit(points: int, window: float, key: Callable[[Any], Any] | None = None) -> Callable[[F], F]:
    """Refuse more than `points` calls per `window` seconds of one caller with `RATE_LIMITED`.

    The limits of the whole app (`live.rate_limits`) do not count a handler that has its own.

    Args:
        points: calls, a whole number above 0.
        window: seconds, above 0; what was called in the window before weighs less and less.
        key: `(ctx)`, who is counted together; by default each user, and each connection without one.

    Raises:
        ValueError: points or window cannot be. TypeError: `key` is no function.
    """
    rule = Rule(points, window)
    if key is not None and not callable(key):
        raise TypeError(f"live.rate_limit: key must be a function of ctx, not {key!r}")

    def decorate(function: F) -> F:
        ensure_mark(function, "live.rate_limit").limited = True
        body = body_of(function)
        place = Place(function)
        own: list[Buckets] = []

        async def limited(ctx: Any, *args: Any) -> Any:
            if key is None:
                ws = ctx.ws
                who = identity_of(ctx.user, None if ws is None else ws.id)
            else:
                found = key(ctx)
                who = str(await found if is_pending(found) else found)
            scope = getattr(ctx, "_scope", None)
            if scope is not None:
                scope.buckets.take(place.path, who, rule)
            else:  # a test calls the function itself
                if not own:
                    own.append(Buckets(SystemClock()))
                own[0].take(place.path, who, rule)
            return await body(ctx, *args)

        return finish(limited, function, place)

    return decorate
