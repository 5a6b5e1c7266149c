"""`live.push`, `live.notify` and `live.configure_push`, for code that nobody hands a platform to. Spec: live-api 15."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runtime.core.currentplatform import get_platform
from runtime.core.errors import LiveError, PlatformError, PlatformNotReady
from runtime.core.requests import DEFAULT_TIMEOUT
from runtime.live.context import current_ctx
from runtime.live.wiring import record, wiring_of
from runtime.plugins.options import UNSET

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from runtime.core.connection import Connection
    from runtime.core.platform import Platform

__all__ = ["configure_push", "notify", "push"]

TARGET_KEYS = ("user_id", "userId")


def push(
    user_id: str | Mapping[str, str] | None = None,
    event: str = "",
    data: Any = None,
    *,
    to: Mapping[str, str] | None = None,
    timeout: float | timedelta = DEFAULT_TIMEOUT,
) -> Coroutine[Any, Any, Any]:
    """Ask a user something and return what the push handler of the client answers; await it.

    The connection of the user that came last is asked: `live.notify` and signals are for telling all of them.

    Args:
        user_id: who, as the `upgrade` hook named them (`user_id`, `userId` or `id` of the user data).
        event: what is asked; the client's push handler of that name answers.
        data: anything with a JSON form.
        to: `{"user_id": ...}`, in place of `user_id`.
        timeout: seconds, a finite number above 0.

    Raises:
        LiveError: at the call `VALIDATION` for a bad argument; awaited `NOT_FOUND` when nobody is connected as that
            user, `TIMEOUT` without an answer in time, and what a remote registry raised.
        RequestFailed: the client has no handler for the event, or it raised. ConnectionClosed: the client went.
        PlatformNotReady: no app was started.
    """
    target = _target("live.push", user_id, to)
    _check_event("live.push", event)
    seconds = _seconds(timeout)
    return wiring_of(_platform("live.push")).pushes.push(target, event, data, seconds)


def notify(
    user_id: str | Mapping[str, str] | None = None,
    event: str = "",
    data: Any = None,
    *,
    to: Mapping[str, str] | None = None,
) -> Awaitable[None]:
    """Tell a user something and do not wait for it: whoever is offline misses it, and nothing is raised for that.

    It is on its way when this returns; awaiting the result changes nothing. May be called from other threads.

    Args:
        user_id, event, data, to: as for `live.push`.

    Raises:
        LiveError: `VALIDATION` for a bad argument. PlatformNotReady: no app was started.
    """
    target = _target("live.notify", user_id, to)
    _check_event("live.notify", event)
    platform = _platform("live.notify")
    pushes = wiring_of(platform).pushes
    threads = platform.parts.threads
    if threads.is_foreign():
        try:
            threads.put(lambda: pushes.notify(target, event, data))
        except PlatformError:  # too much waits for the loop, or the app has just ended
            platform.metrics.add("notify_total", "error")
    else:
        pushes.notify(target, event, data)
    return _DONE


def configure_push(
    options: Any | None = UNSET,
    /,
    *,
    identify: Callable[[Connection], Any] | Any | None = UNSET,
    remote_registry: Any = UNSET,
) -> None:
    """Say who is behind a connection, or who knows the connections of other workers; `None` clears one.

    `configure_push(None)` clears both. Connections that are open stay as they are registered.

    Args:
        options: `None`, or left out.
        identify: plain function `(ws)`, the id of the user, `None` or "" for nobody.
        remote_registry: has `request(user_id, event, data, timeout=)`; asked before this worker's own connections.

    Raises:
        ValueError: nothing was given. TypeError: an argument that cannot be what it should be.
    """
    given = {"identify": identify, "remote_registry": remote_registry}
    values = {name: value for name, value in given.items() if value is not UNSET}
    if options is None:
        values = {"identify": None, "remote_registry": None, **values}
    elif options is not UNSET:
        raise TypeError(f"configure_push: give identify= or remote_registry=, or None, not {options!r}")
    if not values:
        raise ValueError("configure_push: give identify=, remote_registry=, or None to clear both")
    chosen = values.get("identify")
    if chosen is not None and not callable(chosen):
        raise TypeError(f"identify: must be a function (ws), not {chosen!r}")
    remote = values.get("remote_registry")
    if remote is not None and not callable(getattr(remote, "request", None)):
        raise TypeError(
            f"remote_registry: must have request(user_id, event, data, timeout=), which {remote!r} has not"
        )
    record(**values)


class _Done:
    """What can be awaited and is done."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


_DONE = _Done()


def _platform(what: str) -> Platform:
    ctx = current_ctx()
    if ctx is not None:
        return ctx._scope.platform
    platform = get_platform()
    if platform is None:
        raise PlatformNotReady(
            f"{what}() was called before the app was started; do it in the init hook or later"
        )
    return platform


def _target(what: str, user_id: Any, to: Any) -> str:
    given = user_id if to is None else to
    if user_id is not None and to is not None:
        raise LiveError("VALIDATION", f"{what}: give the user once, as user_id or as to")
    if isinstance(given, Mapping):
        if len(given) != 1 or next(iter(given)) not in TARGET_KEYS:
            raise LiveError(
                "VALIDATION", f"{what}: the target must be {{'user_id': ...}} and have no other keys"
            )
        given = next(iter(given.values()))
    if not isinstance(given, str) or not given:
        raise LiveError("VALIDATION", f"{what}: the user id must be a non-empty string, not {given!r}")
    return given


def _check_event(what: str, event: Any) -> None:
    if not isinstance(event, str) or not event:
        raise LiveError("VALIDATION", f"{what}: the event must be a non-empty string, not {event!r}")


def _seconds(timeout: Any) -> float:
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if is_number and seconds == 0:
        raise LiveError(
            "VALIDATION", "live.push: timeout must be above 0; use live.notify to wait for nothing"
        )
    if not is_number or not math.isfinite(seconds) or seconds < 0:
        raise LiveError(
            "VALIDATION", f"live.push: timeout must be a finite number of seconds, not {timeout!r}"
        )
    return float(seconds)
