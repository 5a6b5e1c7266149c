"""`live.lock`: calls with one key run one after the other. Spec: live-api 5.6."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.core.errors import CapacityExceeded, LiveError, LockError, LockReentry
from runtime.live.callables import is_pending
from runtime.live.keywords import check_keywords
from runtime.live.marks import body_of, ensure_mark, finish
from runtime.live.withoutapp import lock_of
from runtime.plugins.options import seconds

if TYPE_CHECKING:
    from runtime.plugins.protocols import LockProtocol

__all__ = ["LockRefused", "lock"]

F = TypeVar("F", bound=Callable[..., Any])


class LockRefused(LiveError):
    """The lock was not had: `LOCK_TIMEOUT`, `LOCK_QUEUE_FULL` or `LOCK_CLEARED`. The handler did not run.

    `key` is the lock's key and `max_wait` how long the call might wait; a client sees neither.
    """

    def __init__(self, cause: LockError, max_wait: float | None) -> None:
        super().__init__(cause.code, cause.public_text)
        self.key = cause.key
        self.max_wait = max_wait


@check_keywords("live.lock", key_from="live.idempotent uses key_from, live.lock uses key")
def lock(
    key: str | Callable[..., Any], lock: LockProtocol | None = None, max_wait: float | None = None
) -> Callable[[F], F]:
    """Run calls with the same key one at a time, in the order in which they came; different keys do not meet.

    The key is not bound to the handler: two handlers with one key exclude each other. A handler that calls another
    one under the same key would wait for itself and gets `LockReentry`.

    Args:
        key: a text, or `(ctx, *args)` that returns one; for `None` or "" the call runs without the lock.
        lock: an object with `with_lock(key, fn, max_wait=)`; by default the app's lock.
        max_wait: seconds that a call may wait before it is refused with `LOCK_TIMEOUT`; 0 refuses at once, `None` waits
            for as long as it takes.

    Raises:
        TypeError: `key` is neither, or the lock has no `with_lock`. ValueError: a `max_wait` that cannot be.
    """
    if not callable(key) and (not isinstance(key, str) or not key):
        raise TypeError(
            f"live.lock: key must be a text that is not empty or a function (ctx, *args), not {key!r}"
        )
    if lock is not None and not callable(getattr(lock, "with_lock", None)):
        raise TypeError(f"live.lock: lock must have with_lock(key, fn, max_wait=); {lock!r} has not")
    limit = None if max_wait is None else seconds("live.lock", "max_wait", max_wait, zero=True)

    def decorate(function: F) -> F:
        ensure_mark(function, "live.lock")
        body = body_of(function)

        async def alone(ctx: Any, *args: Any) -> Any:
            name: Any = key(ctx, *args) if callable(key) else key
            if is_pending(name):
                name = await name
            if name is None or name == "":
                return await body(ctx, *args)
            if not isinstance(name, str):
                raise TypeError(f"live.lock: key returned {name!r}; it must return a text or None")
            has_begun = False

            def run() -> Any:
                nonlocal has_begun
                has_begun = True
                return body(ctx, *args)

            keeper = lock if lock is not None else lock_of(ctx.platform)
            try:
                return await keeper.with_lock(name, run, max_wait=limit)
            except LockError as error:
                if has_begun or isinstance(error, LockReentry):
                    raise
                raise LockRefused(error, limit) from error
            except CapacityExceeded as error:
                if has_begun:
                    raise
                raise LiveError("OVERLOADED", "Too many locks are held") from error

        return finish(alone, function)

    return decorate
