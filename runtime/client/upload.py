"""Uploads: a file in frames, as fast as the socket takes them, and one answer. Spec: live-api 23.6, wire 4.7."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.client.errors import CANCELLED, PAYLOAD_TOO_LARGE, SOURCE_ERROR, RpcError
from runtime.client.uploadsource import check_source, pieces, size_of
from runtime.wire.binary import (
    FIRST_CHUNK_HEAD,
    encode_cancel,
    encode_chunk,
    encode_upload_header,
    upload_event,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from runtime.client.connection import ClientConnection
    from runtime.client.options import ClientOptions
    from runtime.client.topics import TopicEvent
    from runtime.core.clock import Clock
    from runtime.core.tasks import TaskOwner

__all__ = ["Upload", "UploadProgress", "Uploads"]

logger = logging.getLogger("realtime.client")

#: Bytes of a frame until the server has said how large one may be. Spec: wire 4.7.
FIRST_FRAME_SIZE = 12_288
MAX_STREAM_ID = 2**32 - 1
RATE_SECONDS = 1.0
#: The shortest time by which a rate is divided, in seconds.
SHORTEST_RATE = 0.05
EVENTS = ("progress", "complete", "cancel", "error")


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """How far an upload is: what was handed to the socket. `total` and `percent` (0 to 1) may be unknown."""

    sent: int
    total: int | None
    percent: float | None
    chunks: int
    bytes_per_sec: float


class Upload:
    """One upload on its way: await it for its result, watch it with `on` and `on_progress`, end it with `cancel`.

    Cancelling a task that awaits it cancels it too. It is never resumed: when the connection is lost after the first
    frame it fails with `DISCONNECTED`. There is no time limit; put `asyncio.timeout` around the `await`.

    Raises (from awaiting):
        RpcError: what the server refused, `CANCELLED`, `DISCONNECTED`, `CONNECTION_CLOSED`, `PAYLOAD_TOO_LARGE` for
            arguments that are too long, or `SOURCE_ERROR` when the source could not be read.
    """

    def __init__(
        self, table: Uploads, path: str, source: Any, header: bytes | RpcError, clock: Clock
    ) -> None:
        self._table = table
        self._path = path
        self._source = source
        self._header = header
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._recent: deque[tuple[float, int]] = deque()
        self._listeners: dict[str, list[Callable[[Any], object]]] = {}
        self._result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._result.add_done_callback(self._look_for_cancellation)
        #: Bytes of the source that were handed to the socket, and in how many frames.
        self.sent = 0
        self.chunks = 0
        #: Bytes of the source, `None` where only its end will tell.
        self.total: int | None = None
        self.stream_id = table.add(self)

    def __repr__(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        return f"<Upload {self._path} {self.stream_id_hex} {self.sent}{of} bytes>"

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result.__await__()

    @property
    def stream_id_hex(self) -> str:
        """The id as the server's `ctx.upload.id` has it."""
        return upload_event(self.stream_id)

    @property
    def progress(self) -> float | None:
        """0 to 1; 1 for an empty source, `None` for one whose size is not known."""
        if self.total is None:
            return None
        return self.sent / self.total if self.total else 1.0

    @property
    def bytes_per_sec(self) -> float:
        """Bytes per second, over the last second."""
        now = self._clock.monotonic()
        while self._recent and now - self._recent[0][0] > RATE_SECONDS:
            self._recent.popleft()
        if not self._recent:
            return 0.0
        return sum(size for _, size in self._recent) / max(now - self._recent[0][0], SHORTEST_RATE)

    def done(self) -> bool:
        """Return whether it has ended, in whatever way."""
        return self._result.done()

    def on(self, event: str, listener: Callable[[Any], object]) -> Callable[[], None]:
        """Call `listener` at each `progress` (with `UploadProgress`), at `complete` (with the result), at `cancel`
        (with the reason, just before `error`) or at `error` (with the `RpcError`); return the function that ends it.

        What a listener raises is logged.

        Raises:
            ValueError: there is no such event. TypeError: it is no function.
        """
        if event not in EVENTS:
            raise ValueError(f"event: must be one of {', '.join(EVENTS)}, not {event!r}")
        if not callable(listener):
            raise TypeError(f"listener: must be a function, not {listener!r}")
        known = self._listeners.setdefault(event, [])
        known.append(listener)

        def off() -> None:
            if listener in known:
                known.remove(listener)

        return off

    def on_progress(self, listener: Callable[[UploadProgress], object]) -> Callable[[], None]:
        """Call `listener` after each frame; return the function that ends it."""
        return self.on("progress", listener)

    def cancel(self, reason: str | None = None) -> bool:
        """Give up: the server is told, awaiting it raises `CANCELLED`. Return `False` when it had ended before."""
        if self._result.done():
            return False
        self._tell_server()
        self._emit("cancel", reason)
        self.fail(RpcError(CANCELLED, reason or f"the upload to {self._path!r} was cancelled"))
        self._result.exception()  # whoever cancelled it knows
        return True

    def settle(self, reply: dict[str, Any]) -> None:
        """End it with the server's answer."""
        if self._result.done():
            return
        if reply.get("ok") is True:
            self._result.set_result(reply.get("data"))
            self._end()
            self._emit("complete", reply.get("data"))
        else:
            self.fail(RpcError.from_reply(reply))

    def fail(self, error: RpcError) -> None:
        """End it with an error."""
        if self._result.done():
            return
        self._result.set_exception(error)
        self._end()
        if self._listeners.get("error"):
            self._result.exception()  # whoever listens need not await it as well
        self._emit("error", error)

    def start(self, tasks: TaskOwner) -> None:
        """Begin to send; called once."""
        self._task = tasks.start(self._run(), name=f"upload {self.stream_id_hex}")

    async def _run(self) -> None:
        table = self._table
        try:
            if isinstance(self._header, RpcError):
                raise self._header
            self.total = size_of(self._source)
            await table.connection.ready(None)
            size = max(1, table.frame_size() - FIRST_CHUNK_HEAD - len(self._header))
            async with aclosing(pieces(self._source, size)) as found:
                async for data, is_last in found:
                    self._send(None if self.chunks else self._header, data, is_last)
                    await table.pace()
        except RpcError as error:
            self.fail(error)
        except Exception as error:  # of whatever the source is made of
            self._tell_server()
            text = f"the source of the upload to {self._path!r} failed: {type(error).__name__}: {error}"
            self.fail(RpcError(SOURCE_ERROR, text))

    def _send(self, header: bytes | None, data: bytes | memoryview, is_last: bool) -> None:
        frame = encode_chunk(self.stream_id, self.chunks, data, is_last=is_last, header=header)
        if not self._table.connection.send(frame):
            raise self._table.connection.lost_error()
        self.sent += len(data)
        self.chunks += 1
        self._recent.append((self._clock.monotonic(), len(data)))
        rate = self.bytes_per_sec
        self._emit("progress", UploadProgress(self.sent, self.total, self.progress, self.chunks, rate))

    def _tell_server(self) -> None:
        if self.chunks:
            self._table.connection.send(encode_cancel(self.stream_id))

    def _emit(self, event: str, detail: Any) -> None:
        for listener in tuple(self._listeners.get(event, ())):
            try:
                listener(detail)
            except Exception:
                logger.exception("a listener of the upload to %s raised", self._path)

    def _end(self) -> None:
        self._table.remove(self)
        if self._task is not None:
            self._task.cancel()

    def _look_for_cancellation(self, result: asyncio.Future[Any]) -> None:
        if result.cancelled():  # by a task that awaited it
            self._end()
            self._tell_server()
            self._emit("cancel", None)
            self._emit("error", RpcError(CANCELLED, f"the upload to {self._path!r} was cancelled"))


class Uploads:
    """The uploads of one client that have not ended, and what they know of the server."""

    def __init__(
        self, connection: ClientConnection, options: ClientOptions, clock: Clock, tasks: TaskOwner
    ) -> None:
        self.connection = connection
        self._options = options
        self._clock = clock
        self._tasks = tasks
        self._running: dict[int, Upload] = {}
        self._last_id = 0
        self._cap: int | None = None
        self._is_clamp_told = False

    @property
    def running(self) -> int:
        """Number of uploads that have not ended."""
        return len(self._running)

    def begin(self, path: str, source: Any, args: Sequence[Any]) -> Upload:
        """Send `source` from the next turn of the loop on; return the upload.

        Raises:
            TypeError: nothing that can be uploaded, or an argument without a JSON form.
        """
        check_source(source)
        header: bytes | RpcError
        try:
            header = encode_upload_header(path, list(args))
        except ValueError as error:
            header = RpcError(PAYLOAD_TOO_LARGE, f"the upload to {path!r} cannot be sent: {error}")
        upload = Upload(self, path, source, header, self._clock)
        if self.connection.is_over:
            upload.fail(self.connection.end_error())
        else:
            upload.start(self._tasks)
        return upload

    def add(self, upload: Upload) -> int:
        """Note a new upload; return its id, which is never 0 nor that of a running one."""
        while True:
            self._last_id = self._last_id % MAX_STREAM_ID + 1
            if self._last_id not in self._running:
                self._running[self._last_id] = upload
                return self._last_id

    def remove(self, upload: Upload) -> None:
        """Forget an upload that has ended; its answer will be ignored."""
        self._running.pop(upload.stream_id, None)

    def frame_size(self) -> int:
        """Return the bytes of a frame: as configured, but never more than the server takes."""
        wanted, cap = self._options.upload.frame_size, self._cap
        if wanted is None:
            return FIRST_FRAME_SIZE if cap is None else cap
        if cap is None or wanted <= cap:
            return wanted
        if not self._is_clamp_told:
            self._is_clamp_told = True
            logger.warning("upload: frame_size %d is above the server's limit; %d is used", wanted, cap)
        return cap

    async def pace(self) -> None:
        """Wait, when too much is unsent, until most of it has gone out or the connection is lost."""
        limits = self._options.upload
        if self.connection.buffered > limits.high_water_mark:
            await self.connection.drained_to(limits.low_water_mark)

    def on_reply(self, event: TopicEvent) -> None:
        """Take an envelope of the topic of uploads."""
        reply = event.data
        if not isinstance(reply, dict):
            return
        cap = reply.get("__cap")
        if isinstance(cap, int) and not isinstance(cap, bool) and cap > 0:
            self._cap = cap
        for upload in tuple(self._running.values()):
            if upload.stream_id_hex == event.event:
                upload.settle(reply)

    def fail_all(self, over: bool) -> None:
        """Fail what had begun when the connection was lost, or everything when it is over."""
        error = self.connection.end_error() if over else self.connection.lost_error()
        for upload in tuple(self._running.values()):
            if over or upload.chunks:
                upload.fail(error)
