"""Questions of the server to one client: sent as `request`, answered by `reply`. Spec: platform 2.6, wire 2.5."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import TYPE_CHECKING, Any

from runtime.core import assertions, capacity
from runtime.core.assertions import assert_invariant
from runtime.core.connection import SendResult
from runtime.core.errors import (
    CapacityExceeded,
    ConnectionBusy,
    ConnectionClosed,
    PayloadTooLarge,
    PlatformError,
    RequestFailed,
    RequestTimeout,
)
from runtime.core.sink import Frame
from runtime.wire import control, envelope, jsoncodec

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.clock import Clock, TimerHandle
    from runtime.core.connection import Connection

__all__ = ["DEFAULT_TIMEOUT", "Question", "Requests", "answer", "fail_all"]

DEFAULT_TIMEOUT = 5.0  # seconds
CLOSED = "connection closed"


class Requests:
    """Ask clients. The numbers of the questions count up over the whole worker; each connection keeps its own open
    ones, so that nobody can answer for another.
    """

    __slots__ = ("_clock", "_flush", "_max_frame", "_refs")

    def __init__(self, clock: Clock, max_frame: int, flush: Callable[[], None]) -> None:
        """Send frames of at most `max_frame` bytes (0: any), behind what `flush` sends."""
        self._clock = clock
        self._max_frame = max_frame
        self._flush = flush
        self._refs = itertools.count(1)

    async def ask(self, connection: Connection, event: str, data: Any, timeout: float) -> Any:
        """Send a question and return the data of its answer. Cancelling the caller forgets the question.

        Raises:
            ValueError: `event` is empty, or `timeout` is not a finite number above 0.
            TypeError: the data has no JSON form. PayloadTooLarge: it is larger than clients accept.
            ConnectionClosed, ConnectionBusy, CapacityExceeded: it could not be sent.
            ConnectionClosed: the peer went away. RequestTimeout: it did not answer. RequestFailed: with its error.
        """
        return await self.send(connection, event, data, timeout).answer()

    def send(self, connection: Connection, event: str, data: Any, timeout: float) -> Question:
        """Send a question now; await the `answer()` of what is returned, or `end` it.

        Raises:
            ValueError, TypeError, PayloadTooLarge, ConnectionClosed, ConnectionBusy, CapacityExceeded: as `ask`.
        """
        _check(event, timeout)
        payload = jsoncodec.encode(data)
        if connection.closed:
            raise ConnectionClosed(CLOSED)
        _check_room(connection)
        ref = next(self._refs)
        frame = self._frame(ref, event, payload)
        pending = connection.requests
        if pending is None:
            pending = connection.requests = {}
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(timeout, _expire, waiter)
        pending[ref] = waiter
        question = Question(connection, ref, waiter, timer)
        try:
            self._flush()
            if connection.write(frame) is SendResult.DROPPED:
                if connection.closed:
                    raise ConnectionClosed(CLOSED)
                waiting = connection.buffered_amount
                raise ConnectionBusy(f"the request {event!r} was not sent: {waiting} bytes wait for the peer")
        except BaseException:
            waiter.cancel()
            question.end()
            raise
        return question

    def _frame(self, ref: int, event: str, payload: bytes) -> Frame:
        frame = Frame(control.encode_request(ref, event, payload))
        if envelope.exceeds_outbound(frame.payload, self._max_frame):
            raise PayloadTooLarge(
                f"the request {event!r} has {frame.size} bytes and clients drop frames above {self._max_frame}"
            )
        return frame


class Question:
    """One open question to one client."""

    __slots__ = ("_connection", "_ref", "_timer", "_waiter")

    def __init__(
        self, connection: Connection, ref: int, waiter: asyncio.Future[Any], timer: TimerHandle
    ) -> None:
        self._connection = connection
        self._ref = ref
        self._waiter = waiter
        self._timer = timer

    async def answer(self) -> Any:
        """Return the answer, or raise what came instead; see `Requests.ask`."""
        try:
            return await self._waiter
        finally:
            self.end()

    def end(self) -> None:
        """Wait for the answer no longer; one that still comes is ignored."""
        self._timer.cancel()
        _forget(self._connection, self._ref)


def answer(connection: Connection, reply: control.Reply) -> None:
    """Give the answer of a client to whoever waits for it; an unknown, repeated or foreign number is ignored."""
    pending = connection.requests
    if not pending:
        return
    ref: Any = reply.ref  # a client may name anything
    waiter = pending.pop(ref, None)
    if waiter is None:
        return
    shape = assertions.REQUEST_ENTRY_RESOLVE_SHAPE
    if reply.error is not None:
        shape = assertions.REQUEST_ENTRY_REJECT_SHAPE
    is_waiter = isinstance(waiter, asyncio.Future)
    assert_invariant(is_waiter, shape, entry=type(waiter).__name__)
    if not is_waiter or waiter.done():
        return
    if reply.error is not None:
        waiter.set_exception(RequestFailed(reply.error))
    else:
        waiter.set_result(reply.data)


def fail_all(connection: Connection, error: PlatformError | None = None) -> None:
    """Fail every open question of a connection, as its end does: by default with `ConnectionClosed`."""
    pending, connection.requests = connection.requests, None
    if not pending:
        return
    why = error or ConnectionClosed(CLOSED)
    for waiter in pending.values():
        # Each waiter gets an exception of its own: raising adds to the traceback.
        _fail(waiter, type(why)(*why.args))


def _check(event: str, timeout: float) -> None:
    if not isinstance(event, str) or not event:
        raise ValueError(f"event: must be a name, not {event!r}")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool):
        raise ValueError(f"timeout: must be a number of seconds above 0, not {timeout!r}")
    if not math.isfinite(timeout) or timeout <= 0:
        raise ValueError(f"timeout: must be a finite number of seconds above 0, not {timeout!r}")


def _check_room(connection: Connection) -> None:
    pending = connection.requests
    assert_invariant(pending is None or isinstance(pending, dict), assertions.REQUEST_PENDING_TYPE)
    limit = capacity.get("MAX_PENDING_REQUESTS_PER_CONNECTION")
    if pending and len(pending) >= limit:
        capacity.record(
            "MAX_PENDING_REQUESTS_PER_CONNECTION", "reject", hint="a client leaves requests unanswered"
        )
        raise CapacityExceeded(f"pending requests exceeded {limit} on this connection")


def _forget(connection: Connection, ref: int) -> None:
    pending = connection.requests
    if pending is not None:
        pending.pop(ref, None)
        if not pending:
            connection.requests = None


def _expire(waiter: asyncio.Future[Any]) -> None:
    _fail(waiter, RequestTimeout("request timed out"))


def _fail(waiter: asyncio.Future[Any], error: PlatformError) -> None:
    if not waiter.done():
        waiter.set_exception(error)
