"""`live.scoped`: a handler that runs only while a predicate of its arguments holds. Spec: live-api 4.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.live.access import judge
from runtime.live.guards import denied
from runtime.live.keywords import check_keywords
from runtime.live.marks import body_of, ensure_mark, finish

if TYPE_CHECKING:
    from runtime.live.options import Predicate

__all__ = ["scoped"]

F = TypeVar("F", bound=Callable[..., Any])


@check_keywords("live.scoped")
def scoped(predicate: Predicate) -> Callable[[F], F]:
    """Refuse calls for which `predicate(ctx, *args)` is falsy: `UNAUTHENTICATED` without a user, else `FORBIDDEN`.

    Over a stream it is asked when the loader runs, after the subscription was made; prefer `access=` there.

    Raises:
        TypeError: the predicate is no function.
    """
    if not callable(predicate):
        raise TypeError(f"live.scoped: a function (ctx, *args) is needed, not {predicate!r}")

    def decorate(function: F) -> F:
        ensure_mark(function, "live.scoped")
        body = body_of(function)

        async def within_scope(ctx: Any, *args: Any) -> Any:
            answer = predicate(ctx, *args)
            if answer is not True and not await judge(predicate, answer):
                raise denied(ctx.user or None)
            return await body(ctx, *args)

        return finish(within_scope, function)

    return decorate
