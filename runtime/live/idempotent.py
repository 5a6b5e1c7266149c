"""`live.idempotent`: a call that is made twice is done once. Spec: live-api 5.5, wire 4.8, platform 5.2."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded, IdempotencyPendingError, IdempotencySlotLostError, LiveError
from runtime.live.callables import is_pending
from runtime.live.keywords import check_keywords
from runtime.live.marks import Place, body_of, ensure_mark, finish
from runtime.live.withoutapp import store_of
from runtime.plugins.idempotency import DEFAULT_TTL
from runtime.plugins.options import seconds

if TYPE_CHECKING:
    from runtime.plugins.protocols import Slot

__all__ = ["idempotent"]

F = TypeVar("F", bound=Callable[..., Any])

logger = logging.getLogger("realtime.rpc")

IN_PROGRESS = "A request with this idempotency key is already in progress"


@check_keywords("live.idempotent", key="live.lock uses key, live.idempotent uses key_from")
def idempotent(
    key_from: Callable[..., Any] | None = None, store: Any = None, ttl: float = DEFAULT_TTL
) -> Callable[[F], F]:
    """Run a call once per key; who makes it again gets the result of the first. Errors are not kept.

    The key of one handler does not meet that of another. Who the caller is, is no part of it: put the user into what
    `key_from` returns, or one user gets the result of another.

    Args:
        key_from: `(ctx, *args)`, the key; by default the one that the client sent with the call. Without a key the call
            runs as it is.
        store: where results are kept; by default the app's store, in which calls of one key wait for the first. A
            store that several processes share refuses them with `CONFLICT`.
        ttl: seconds that a result is kept; 0 joins only calls at the same time.

    Raises:
        TypeError: `key_from` is no function, or the store has no `acquire`. ValueError: a `ttl` that cannot be.
    """
    if key_from is not None and not callable(key_from):
        raise TypeError(f"live.idempotent: key_from must be a function (ctx, *args), not {key_from!r}")
    if store is not None and not callable(getattr(store, "acquire", None)):
        raise TypeError(f"live.idempotent: store must have acquire(idempotency_key, ttl); {store!r} has not")
    kept_for = seconds("live.idempotent", "ttl", ttl, zero=True)

    def decorate(function: F) -> F:
        ensure_mark(function, "live.idempotent")
        body = body_of(function)
        place = Place(function)

        async def once(ctx: Any, *args: Any) -> Any:
            given = _sent_key(ctx) if key_from is None else key_from(ctx, *args)
            if is_pending(given):
                given = await given
            if not given:
                return await body(ctx, *args)
            key = _stored(ctx, place, _checked(given))
            keeper = store if store is not None else store_of(ctx.platform)
            slot = await _acquire(keeper, key, kept_for)
            if slot.state == "result":
                return slot.result
            if slot.state == "pending":
                raise LiveError("CONFLICT", IN_PROGRESS)
            try:
                result = await body(ctx, *args)
            except BaseException:
                await slot.abort()
                raise
            await _commit(slot, result, place.path)
            return result

        return finish(once, function, place)

    return decorate


async def _acquire(store: Any, key: str, ttl: float) -> Slot:
    try:
        slot: Slot = await store.acquire(key, ttl)
    except CapacityExceeded as error:
        raise LiveError("OVERLOADED", "Too many requests with an idempotency key are in progress") from error
    except IdempotencyPendingError as error:
        raise LiveError("CONFLICT", IN_PROGRESS) from error
    return slot


async def _commit(slot: Slot, result: Any, path: str) -> None:
    try:
        await slot.commit(result)
    except IdempotencySlotLostError:
        logger.warning("%s: the idempotency key was cleared while the call ran", path)
    except BaseException:
        await slot.abort()
        raise


def _sent_key(ctx: Any) -> Any:
    """Return the key of the envelope as the client sent it, whatever its type is."""
    return getattr(ctx, "_sent_key", None) or ctx.idempotency_key


def _stored(ctx: Any, place: Place, key: str) -> str:
    """Return the key in the store; `[security] idempotency_namespace = false` takes the path out of it."""
    scope = getattr(ctx, "_scope", None)
    return f"rpc:{place.path}:{key}" if scope is None or scope.own_keys else f"rpc:{key}"


def _checked(key: Any) -> str:
    longest = capacity.get("MAX_IDEMPOTENCY_KEY")
    if not isinstance(key, str) or len(key) > longest:
        if isinstance(key, str):
            capacity.record("MAX_IDEMPOTENCY_KEY", "reject", size=len(key))
        raise LiveError(
            "INVALID_REQUEST", f"idempotencyKey must be a string no longer than {longest} characters"
        )
    return key
