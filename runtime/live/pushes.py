"""Which connection a user can be asked on, and asking it: `live.push` and `live.notify`. Spec: live-api 15.

One entry per user and worker: the connection that came last. An older one of the same user keeps its topics, and is
asked again only when it registers anew.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.core import assertions, capacity
from runtime.core.assertions import assert_invariant
from runtime.core.errors import LiveError, OfflineError, RequestTimeout
from runtime.core.signaltopic import check_user_id
from runtime.core.tasks import TaskOwner
from runtime.live.callables import call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.core.connection import Connection
    from runtime.core.platform import Platform

__all__ = ["NOTIFY_TIMEOUT", "Pushes", "user_id_of"]

logger = logging.getLogger("realtime.push")

#: Seconds in which a notified client may answer; it makes no difference but in the numbers.
NOTIFY_TIMEOUT = 1.0
#: Where user data says who somebody is; the first one that is not `None` counts.
USER_FIELDS = ("user_id", "userId")
FALLBACK_FIELD = "id"

OK, OFFLINE, TIMEOUT, ERROR = "ok", "offline", "timeout", "error"


class Pushes:
    """The users of one worker that can be asked, at most `MAX_PUSH_REGISTRY`."""

    __slots__ = ("_names", "_platform", "_tasks", "_told_of_id", "_users", "identify", "remote")

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._users: dict[str, Connection] = {}
        self._names: dict[Connection, str] = {}
        self._tasks = TaskOwner("notifies")
        self._told_of_id = False
        #: `(ws)`, who is behind a connection; `None` for the usual fields of its user data.
        self.identify: Callable[[Connection], Any] | None = None
        #: Who knows the connections of all workers; asked first.
        self.remote: Any = None

    def __len__(self) -> int:
        return len(self._users)

    def sizes(self) -> dict[str, int]:
        """Return how many users can be pushed to, and how many notifications are unanswered."""
        return {"MAX_PUSH_REGISTRY": len(self._users), "MAX_NOTIFIES": self._tasks.running}

    def opened(self, ws: Connection) -> None:
        """Register a connection under its user, if it has one; a second call does nothing new.

        Raises:
            ValueError: what `identify` returned, or a user id in the user data, cannot name a user.
        """
        if ws.closed:
            return
        user_id = self._identified(ws)
        if user_id is None or self._users.get(user_id) is ws:
            return
        if user_id not in self._users and len(self._users) >= capacity.get("MAX_PUSH_REGISTRY"):
            capacity.record("MAX_PUSH_REGISTRY", "skip", hint="further users cannot be pushed to")
            return
        self.closed(ws)
        before = self._users.get(user_id)
        if before is not None:
            del self._names[before]
        self._users[user_id] = ws
        self._names[ws] = user_id

    def closed(self, ws: Connection) -> None:
        """Forget a connection, if its user is still registered with it."""
        user_id = self._names.pop(ws, None)
        if user_id is None:
            return
        is_tracked = self._users.get(user_id) is ws
        assert_invariant(is_tracked, assertions.PUSH_REGISTRY_ENTRY_TRACKED, user_id=user_id)
        if is_tracked:
            del self._users[user_id]

    def connection_of(self, user_id: str) -> Connection | None:
        """Return the connection on which a user is asked in this worker, or `None`."""
        return self._users.get(user_id)

    async def push(self, user_id: str, event: str, data: Any, timeout: float) -> Any:
        """Ask a user and return the answer; see `live.push`."""
        try:
            answer = await self._ask(user_id, event, data, timeout)
        except Exception as error:
            known = _known(error)
            self._platform.metrics.add("push_total", _result_of(known))
            if known is error:
                raise
            raise known from error
        self._platform.metrics.add("push_total", OK)
        return answer

    def notify(self, user_id: str, event: str, data: Any) -> None:
        """Tell a user and wait for nothing; what goes wrong is counted only.

        Without a remote registry it is sent before this returns, so in order with what else is sent.
        """
        if self._tasks.closed or self._tasks.running >= capacity.get("MAX_NOTIFIES"):
            if not self._tasks.closed:
                capacity.record("MAX_NOTIFIES", "skip", hint="clients are told faster than they answer")
            self._platform.metrics.add("notify_total", ERROR)
            return
        ws = self._users.get(user_id)
        told: Callable[[], Awaitable[Any]]
        if self.remote is not None or ws is None:
            told = functools.partial(self._ask, user_id, event, data, NOTIFY_TIMEOUT)
        else:
            try:
                told = self._platform.parts.requests.send(ws, event, data, NOTIFY_TIMEOUT).answer
            except Exception as error:
                self._not_told(event, error)
                return
        self._tasks.start(self._tell(event, told), name=f"notify {event[:32]}")

    async def _tell(self, event: str, told: Callable[[], Awaitable[Any]]) -> None:
        try:
            await told()
        except Exception as error:
            self._not_told(event, error)
        else:
            self._platform.metrics.add("notify_total", OK)

    def _not_told(self, event: str, error: Exception) -> None:
        if isinstance(error, TypeError | ValueError):  # a mistake of the caller's, which nobody else tells
            logger.warning("live.notify(%r): %s", event, error)
        self._platform.metrics.add("notify_total", _result_of(_known(error)))

    async def _ask(self, user_id: str, event: str, data: Any, timeout: float) -> Any:
        if self.remote is not None:
            try:
                return await call(self._ask_elsewhere, user_id, event, data, timeout)
            except Exception as error:
                if not _says_offline(error) or user_id not in self._users:
                    raise
        ws = self._users.get(user_id)
        if ws is None:
            raise LiveError("NOT_FOUND", f"no active connection for userId '{user_id}'")
        return await self._platform.request(ws, event, data, timeout=timeout)

    def _ask_elsewhere(self, user_id: str, event: str, data: Any, timeout: float) -> Any:
        return self.remote.request(user_id, event, data, timeout=timeout)

    async def close(self, timeout: float) -> None:
        """Give what is being told `timeout` seconds to leave."""
        await self._tasks.wait_idle(timeout=timeout)
        await self._tasks.close()

    def _identified(self, ws: Connection) -> str | None:
        if self.identify is None:
            return self._identified_by_data(ws)
        found = self.identify(ws)
        if inspect.iscoroutine(found):
            found.close()
            raise ValueError("configure_push: identify is asynchronous; use a plain function of ws")
        return None if found is None or found == "" else check_user_id(found, "configure_push: identify")

    def _identified_by_data(self, ws: Connection) -> str | None:
        for field in USER_FIELDS:
            found = user_id_of(ws.user_data, field)
            if found is not None:
                return check_user_id(found, field)
        found = user_id_of(ws.user_data, FALLBACK_FIELD)
        if found is None:
            return None
        try:
            return check_user_id(found, FALLBACK_FIELD)
        except ValueError as error:
            # An `id` was perhaps never meant to name a user: the connection must not fail for it.
            if not self._told_of_id:
                self._told_of_id = True
                logger.warning("a user cannot be pushed to: %s, or name it with configure_push", error)
            return None


def user_id_of(user: Any, field: str) -> Any:
    """Return what `user`, a mapping or an object, has as `field`; a whole number as its digits, "" as `None`."""
    found = user.get(field) if isinstance(user, Mapping) else getattr(user, field, None)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return None if found == "" else found


def _known(error: Exception) -> Exception:
    """Return the error that the caller gets for `error`."""
    if isinstance(error, LiveError):
        return error
    if isinstance(error, RequestTimeout | TimeoutError) or "timed out" in str(error):
        return LiveError("TIMEOUT", str(error) or "request timed out")
    return error


def _says_offline(error: Exception) -> bool:
    return isinstance(error, OfflineError) or "offline" in str(error)


def _result_of(error: Exception) -> str:
    if isinstance(error, LiveError) and error.code == "TIMEOUT":
        return TIMEOUT
    is_nobody = isinstance(error, LiveError) and error.code == "NOT_FOUND"
    return OFFLINE if is_nobody or _says_offline(error) else ERROR
