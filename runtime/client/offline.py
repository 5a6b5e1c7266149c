"""Calls made while there is no connection wait for it. Spec: live-api 23.5."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.client.errors import QUEUE_FULL, RpcError
from runtime.client.options import OfflineCall
from runtime.client.pending import PendingResult
from runtime.wire.jsoncodec import to_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.client.calls import Calls
    from runtime.client.connection import ClientConnection
    from runtime.client.options import ClientOptions, Offline
    from runtime.core.clock import Clock
    from runtime.core.tasks import TaskOwner

__all__ = ["OfflineQueue"]

logger = logging.getLogger("realtime.client")

CONCURRENT_REPLAYS = 10
STALE = "STALE"


@dataclass(slots=True, eq=False)
class _Waiting:
    call: OfflineCall
    #: The arguments as they were when the call was made.
    args: list[Any]
    future: asyncio.Future[Any]
    timeout: float | None
    idempotency_key: str | None


class OfflineQueue:
    """The calls that wait for the connection, oldest first, in memory only.

    At the bound the oldest fails. When the connection is lost in the middle of a replay, the calls that were not
    sent yet go on waiting.
    """

    def __init__(
        self,
        connection: ClientConnection,
        calls: Calls,
        options: ClientOptions,
        *,
        clock: Clock,
        tasks: TaskOwner,
    ) -> None:
        self._connection = connection
        self._calls = calls
        self._options = options
        self._clock = clock
        self._tasks = tasks
        self._waiting: deque[_Waiting] = deque()
        self._replaying = False
        self._was_lost = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def takes_calls(self) -> bool:
        """Whether a call made now has to wait here: the connection was lost, or could not be had."""
        return self._options.offline.queue and self._was_lost and not self._connection.is_over

    def add(
        self, path: str, args: Sequence[Any], *, timeout: float | None, idempotency_key: str | None
    ) -> PendingResult[Any]:
        """Let one call wait; return its result to come.

        Raises:
            TypeError: an argument has no JSON form.
        """
        plain = to_plain(list(args))
        future: PendingResult[Any] = PendingResult()
        while len(self._waiting) >= self._options.offline.max_queue:
            oldest = self._waiting.popleft()
            _fail(
                oldest,
                RpcError(QUEUE_FULL, f"RPC {oldest.call.path!r}: too many calls wait for a connection"),
            )
        call = OfflineCall(path, tuple(args), self._clock.now())
        self._waiting.append(_Waiting(call, plain, future, timeout, idempotency_key))
        return future

    def lost(self) -> None:
        """Let the calls wait that are made from now on."""
        self._was_lost = True

    def opened(self) -> None:
        """Send what waits, now that there is a connection."""
        self._was_lost = False
        if self._waiting and not self._replaying:
            self._replaying = True
            self._tasks.start(self._replay(), name="offline-replay")

    def ended(self) -> None:
        """Fail everything: there will be no connection any more."""
        while self._waiting:
            _fail(self._waiting.popleft(), self._connection.end_error())

    async def _replay(self) -> None:
        offline = self._options.offline
        try:
            await self._drop_stale(offline)
            self._rearrange(offline)
            at_once = CONCURRENT_REPLAYS if offline.replay in ("concurrent", "batch") else 1
            while self._waiting and self._connection.is_open:
                part = [self._waiting.popleft() for _ in range(min(at_once, len(self._waiting)))]
                await asyncio.wait([self._send(entry, offline) for entry in part])
        finally:
            self._replaying = False

    async def _drop_stale(self, offline: Offline) -> None:
        """Forget the waiting calls that were cancelled; fail those that are too old or filtered out."""
        self._waiting = deque(entry for entry in self._waiting if not entry.future.done())
        for entry in list(self._waiting):
            age = self._clock.now() - entry.call.queued_at
            if offline.max_age and age > offline.max_age:
                problem = f"waited {age:.0f}s for a connection"
            elif not await _is_wanted(offline, entry.call):
                problem = "was dropped by before_replay"
            else:
                continue
            if entry in self._waiting:
                self._waiting.remove(entry)
            _fail(entry, RpcError(STALE, f"RPC {entry.call.path!r} {problem}"))

    def _rearrange(self, offline: Offline) -> None:
        """Order the waiting calls as the app's function says; those that it leaves out fail."""
        order = offline.replay
        if isinstance(order, str):
            return
        by_call = {id(entry.call): entry for entry in self._waiting}
        try:
            chosen = [by_call.pop(id(call)) for call in order([entry.call for entry in self._waiting])]
        except Exception:
            logger.exception("the offline replay function failed; the calls are sent in their own order")
            return
        self._waiting = deque(chosen)
        for entry in by_call.values():
            _fail(entry, RpcError(STALE, f"RPC {entry.call.path!r} was left out by the replay function"))

    def _send(self, entry: _Waiting, offline: Offline) -> asyncio.Future[None]:
        """Send one call; return a future that is done when the answer was passed on."""
        passed_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer = self._calls.call(
            entry.call.path, entry.args, timeout=entry.timeout, idempotency_key=entry.idempotency_key
        )
        answer.add_done_callback(lambda done: _pass_on(done, entry, offline))
        answer.add_done_callback(lambda done: passed_on.set_result(None))
        return passed_on


def _pass_on(answer: asyncio.Future[Any], entry: _Waiting, offline: Offline) -> None:
    error = answer.exception()
    if error is None:
        if not entry.future.done():
            entry.future.set_result(answer.result())
        return
    if not entry.future.done():
        entry.future.set_exception(error)
    if offline.on_replay_error is not None and isinstance(error, Exception):
        try:
            offline.on_replay_error(entry.call, error)
        except Exception:
            logger.exception("on_replay_error raised for %r", entry.call.path)


async def _is_wanted(offline: Offline, call: OfflineCall) -> bool:
    if offline.before_replay is None:
        return True
    try:
        answer = offline.before_replay(call)
        return bool(await answer if inspect.isawaitable(answer) else answer)
    except Exception:
        logger.exception("before_replay raised for %r; the call is dropped", call.path)
        return False


def _fail(entry: _Waiting, error: RpcError) -> None:
    if not entry.future.done():
        entry.future.set_exception(error)
