"""Requests and their answers: calls, batches, stream requests, calls without an answer. Spec: wire 4, 7.5."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.client.errors import DISCONNECTED, PAYLOAD_TOO_LARGE, TIMEOUT, RpcError
from runtime.client.pending import PendingResult
from runtime.core.clock import TimerHandle
from runtime.wire.binary import encode_binary_call
from runtime.wire.jsoncodec import encode
from runtime.wire.limits import MAX_BATCH_CALLS

if TYPE_CHECKING:
    import random

    from runtime.client.connection import ClientConnection
    from runtime.client.options import ClientOptions
    from runtime.client.topics import TopicEvent
    from runtime.core.clock import Clock

__all__ = ["Batch", "Calls", "Request"]

logger = logging.getLogger("realtime.client")

REPLY_TOPIC = "__rpc"
BATCH_EVENT = "__batch"
#: A timer that fires so late (seconds, or times its delay) says that the machine slept. Spec: wire 4.8, live 27.2.
SLEEP_THRESHOLD = 90.0
SLEEP_FACTOR = 3
ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(slots=True, eq=False)
class Request:
    """One request on its way: either `done(reply)` or `failed(error)` is called once, unless it is dropped."""

    id: str
    fields: dict[str, Any]
    done: Callable[[dict[str, Any]], None]
    failed: Callable[[RpcError], None]
    timer: TimerHandle | None = None

    @property
    def frame(self) -> bytes:
        """The request as a frame of its own."""
        return encode(self.fields)


@dataclass(slots=True)
class Batch:
    """Calls that are collected for one frame."""

    requests: list[Request] = field(default_factory=list)
    futures: list[asyncio.Future[Any]] = field(default_factory=list)


class Calls:
    """The table of requests that wait for an answer.

    On a loss all of them fail with `DISCONNECTED`, at the end of the connection with `CONNECTION_CLOSED`.
    Frames of calls that still wait to be sent are sent all the same after the reconnect, so the server may run a
    call that was reported as failed. Stream requests that were not sent are forgotten: their streams ask again.
    """

    def __init__(
        self, connection: ClientConnection, options: ClientOptions, clock: Clock, rng: random.Random
    ) -> None:
        self._connection = connection
        self._options = options
        self._clock = clock
        self._prefix = "".join(rng.choice(ID_ALPHABET) for _ in range(4))
        self._count = 0
        self._waiting: dict[str, Request] = {}
        self._shared: dict[bytes, list[asyncio.Future[Any]]] = {}
        self._stream_requests: list[Request] = []
        self._batch: Batch | None = None
        self._warned = False
        #: Calls of `fire` that were dropped because nothing could be sent.
        self.volatile_dropped = 0

    @property
    def waiting(self) -> int:
        """Number of requests without an answer."""
        return len(self._waiting)

    @property
    def is_collecting(self) -> bool:
        """Whether calls made now go into a batch."""
        return self._batch is not None

    def call(
        self, path: str, args: Sequence[Any], *, timeout: float | None, idempotency_key: str | None
    ) -> PendingResult[Any]:
        """Send one call, or put it into the batch that is being collected; return its result to come.

        Raises:
            TypeError: an argument has no JSON form.
            ValueError: a time limit that is none.
        """
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout: must be above 0, not {timeout!r}")
        future: PendingResult[Any] = PendingResult()
        if self._connection.is_over:
            future.set_exception(self._connection.end_error())
            if self._batch is not None:
                self._batch.futures.append(future)
            return future
        fields: dict[str, Any] = {"rpc": path, "id": self._next_id(), "args": list(args)}
        if idempotency_key is not None:
            fields["idempotencyKey"] = idempotency_key
        request = _request(fields, future)
        frame = request.frame
        future.add_done_callback(lambda done: self.drop(request) if done.cancelled() else None)
        if self._batch is not None:
            self._batch.requests.append(request)
            self._batch.futures.append(future)
            return future
        seconds = self._options.timeout if timeout is None else timeout
        text = f"RPC {path!r} timed out after {seconds:g}s"
        self._expect(request, seconds, text, asleep_after=max(SLEEP_FACTOR * seconds, SLEEP_THRESHOLD))
        self._connection.send_queued(frame, lambda error: self._give_up([request], error))
        return future

    def binary_call(
        self, path: str, data: bytes, args: Sequence[Any], *, timeout: float | None
    ) -> PendingResult[Any]:
        """Send one call with bytes; return its result to come. Spec: live-api 23.6.

        Raises:
            RuntimeError: inside a batch. Others as `call`.
        """
        if self._batch is not None:
            raise RuntimeError(f"call_binary({path!r}) inside a batch: a batch cannot hold bytes")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout: must be above 0, not {timeout!r}")
        future: PendingResult[Any] = PendingResult()
        if self._connection.is_over:
            future.set_exception(self._connection.end_error())
            return future
        request = _request({"id": self._next_id()}, future)
        try:
            frame = encode_binary_call(path, request.id, list(args), data)
        except ValueError as error:
            future.set_exception(RpcError(PAYLOAD_TOO_LARGE, f"{path!r} cannot be called: {error}"))
            return future
        future.add_done_callback(lambda done: self.drop(request) if done.cancelled() else None)
        seconds = self._options.timeout if timeout is None else timeout
        text = f"RPC {path!r} timed out after {seconds:g}s"
        self._expect(request, seconds, text, asleep_after=_sleep_limit(seconds))
        self._connection.send_queued(frame, lambda error: self._give_up([request], error))
        return future

    def shared_call(
        self, path: str, args: Sequence[Any], *, timeout: float | None, idempotency_key: str | None
    ) -> PendingResult[Any]:
        """Send one call unless an equal one was sent in this turn of the loop; both then get its result."""
        if self._batch is not None or self._connection.is_over:
            return self.call(path, args, timeout=timeout, idempotency_key=idempotency_key)
        key = encode([path, idempotency_key, None if idempotency_key is not None else list(args)])
        futures = self._shared.get(key)
        if futures is None:
            futures = self._shared[key] = []
            if len(self._shared) == 1:
                asyncio.get_running_loop().call_soon(self._shared.clear)
            sent = self.call(path, args, timeout=timeout, idempotency_key=idempotency_key)
            sent.add_done_callback(lambda done: _copy_result(done, futures))
        future: PendingResult[Any] = PendingResult()
        futures.append(future)
        return future

    def batch(self, collect: Callable[[], Iterable[Any]], *, sequential: bool) -> PendingResult[list[Any]]:
        """Run `collect` and send the calls that it makes as one frame; return all results to come, in order.

        Raises:
            RuntimeError: a batch inside a batch.
            TypeError: `collect` returned something else than its calls; nothing is sent.
        """
        if self._batch is not None:
            raise RuntimeError("a batch cannot be made inside a batch")
        batch = self._batch = Batch()
        try:
            returned = _checked(collect(), batch)
        except BaseException:
            for future in batch.futures:
                future.cancel()
            raise
        finally:
            self._batch = None
        requests = batch.requests
        outer = _gather(returned)
        if len(requests) > MAX_BATCH_CALLS:
            error = RpcError("INVALID_REQUEST", f"Batch exceeds maximum of {MAX_BATCH_CALLS} calls")
            for request in requests:
                request.failed(error)
        elif requests:
            seconds = self._options.timeout
            for request in requests:
                self._expect(request, seconds, "Batch timed out", asleep_after=_sleep_limit(seconds))
            alone = len(requests) == 1
            frame = requests[0].frame if alone else _batch_frame(requests, sequential=sequential)
            self._connection.send_queued(frame, lambda error: self._give_up(requests, error))
        return outer

    def fire(self, path: str, args: Sequence[Any]) -> None:
        """Send one call that nobody waits for; dropped when it cannot be sent now. Spec: live-api 23.4.

        Raises:
            RuntimeError: inside a batch.
            TypeError: an argument has no JSON form.
        """
        if self._batch is not None:
            raise RuntimeError(f"fire({path!r}) inside a batch: a batch takes only calls that are answered")
        frame = encode({"rpc": path, "args": list(args)})
        too_much = self._connection.buffered > self._options.volatile_backpressure
        if too_much or not self._connection.send(frame):
            self.volatile_dropped += 1
            if not self._warned:
                self._warned = True
                logger.warning(
                    "fire(%r) was dropped: %s", path, "too much is unsent" if too_much else "offline"
                )

    def stream_request(
        self,
        path: str,
        args: Sequence[Any],
        extra: dict[str, Any],
        done: Callable[[dict[str, Any]], None],
        failed: Callable[[RpcError], None],
    ) -> Request:
        """Send a stream request at the end of this turn, in one frame with the others, or when there is a
        connection; a request that is lost before that is forgotten.
        """
        fields = {"rpc": path, "id": self._next_id(), "args": list(args), "stream": True, **extra}
        request = Request(fields["id"], fields, done, failed)
        seconds = self._options.timeout
        text = f"stream {path!r} timed out after {seconds:g}s"
        self._expect(request, seconds, text, asleep_after=_sleep_limit(seconds))
        self._stream_requests.append(request)
        self._connection.end_of_turn()
        return request

    def turn_frames(self) -> list[bytes]:
        """Return the stream requests that wait to be sent."""
        requests, self._stream_requests = self._stream_requests, []
        frames = []
        for start in range(0, len(requests), MAX_BATCH_CALLS):
            part = requests[start : start + MAX_BATCH_CALLS]
            frames.append(part[0].frame if len(part) == 1 else _batch_frame(part, sequential=False))
        return frames

    def end_error(self) -> RpcError | None:
        """Return the error of everything that is asked from now on, `None` while the connection may come back."""
        return self._connection.end_error() if self._connection.is_over else None

    def drop(self, request: Request) -> None:
        """Forget a request; its answer will be ignored."""
        if self._waiting.get(request.id) is request:
            self._settled(request)
        if request in self._stream_requests:
            self._stream_requests.remove(request)

    def abandon(self, request: Request, answered: Callable[[dict[str, Any]], None]) -> None:
        """Forget a stream request; if it was sent, `answered(reply)` is told what the server had begun for it."""
        if request in self._stream_requests:
            self.drop(request)
        else:
            request.done, request.failed = answered, _ignore

    def on_reply(self, event: TopicEvent) -> None:
        """Take an envelope of the reply topic."""
        data = event.data
        if not isinstance(data, dict):
            return
        if event.event == BATCH_EVENT and isinstance(data.get("batch"), list):
            for entry in data["batch"]:
                if isinstance(entry, dict) and isinstance(entry.get("id"), str):
                    self._settle(entry["id"], entry)
        else:
            self._settle(event.event, data)

    def fail_all(self, over: bool) -> None:
        """Fail whatever waits: the connection was lost, or is over."""
        self._stream_requests = []
        for request in list(self._waiting.values()):
            if self._waiting.get(request.id) is request:
                self._settled(request)
                request.failed(self._connection.end_error() if over else self._connection.lost_error())

    def _settle(self, id: str, reply: dict[str, Any]) -> None:
        request = self._waiting.get(id)
        if request is None:
            return
        self._settled(request)
        if reply.get("ok") is True:
            request.done(reply)
        else:
            request.failed(RpcError.from_reply(reply))

    def _settled(self, request: Request) -> None:
        self._waiting.pop(request.id, None)
        if request.timer is not None:
            request.timer.cancel()
            request.timer = None

    def _give_up(self, requests: Iterable[Request], error: RpcError) -> None:
        for request in requests:
            if self._waiting.get(request.id) is request:
                self._settled(request)
                request.failed(error)

    def _expect(self, request: Request, seconds: float, text: str, *, asleep_after: float) -> None:
        started = self._clock.now()

        def expire() -> None:
            self.drop(request)
            slept = self._clock.now() - started > asleep_after
            code = DISCONNECTED if slept else TIMEOUT
            request.failed(RpcError(code, text))

        self._waiting[request.id] = request
        request.timer = self._clock.call_later(seconds, expire)

    def _next_id(self) -> str:
        self._count += 1
        digits, number = "", self._count
        while number:
            number, digit = divmod(number, len(ID_ALPHABET))
            digits = ID_ALPHABET[digit] + digits
        return self._prefix + digits


def _request(fields: dict[str, Any], future: asyncio.Future[Any]) -> Request:
    def done(reply: dict[str, Any]) -> None:
        if not future.done():
            future.set_result(reply.get("data"))

    def failed(error: RpcError) -> None:
        if not future.done():
            future.set_exception(error)

    return Request(fields["id"], fields, done, failed)


def _ignore(error: RpcError) -> None:
    """Do nothing: nobody waits for it any more."""


def _sleep_limit(seconds: float) -> float:
    """Return when the timer of a batch or a stream is too late: after 90 s, unless its limit is as long."""
    return SLEEP_THRESHOLD if seconds < SLEEP_THRESHOLD else SLEEP_FACTOR * seconds


def _batch_frame(requests: Sequence[Request], *, sequential: bool) -> bytes:
    frame: dict[str, Any] = {"batch": [request.fields for request in requests]}
    if sequential:
        frame["sequential"] = True
    return encode(frame)


def _checked(returned: Any, batch: Batch) -> list[asyncio.Future[Any]]:
    """Return the calls that the function of a batch returned."""
    # A call alone is iterable as well, that is how it is awaited.
    alone = isinstance(returned, asyncio.Future) or not isinstance(returned, Iterable)
    items = [] if alone else list(returned)
    for item in [returned] if alone else items:
        if alone or not any(item is future for future in batch.futures):
            raise TypeError(
                "batch: the function must return the calls it made, as in "
                f"`lambda: [rt.call('a/b'), rt.call('a/c')]`, not {item!r}"
            )
    return items


def _copy_result(done: asyncio.Future[Any], futures: Iterable[asyncio.Future[Any]]) -> None:
    error = None if done.cancelled() else done.exception()
    for future in futures:
        if future.done():
            continue
        if done.cancelled():
            future.cancel()
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(done.result())


def _gather(futures: Sequence[asyncio.Future[Any]]) -> PendingResult[list[Any]]:
    """Return all results in order; the first failure fails it at once, while the others go on alone."""
    outer: PendingResult[list[Any]] = PendingResult()
    left = len(futures)

    def one_done(future: asyncio.Future[Any]) -> None:
        nonlocal left
        left -= 1
        error = RpcError("CANCELLED") if future.cancelled() else future.exception()
        if outer.done():
            return
        if error is not None:
            outer.set_exception(error)
        elif not left:
            outer.set_result([each.result() for each in futures])

    for future in futures:
        future.add_done_callback(one_done)
    if not futures:
        outer.set_result([])
    return outer
