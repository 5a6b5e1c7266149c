"""What an upload's handler sees: `ctx.stream`, `ctx.upload` and a signal of its own. Spec: live-api 7.1."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.live.context import Ctx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from runtime.core.connection import Connection
    from runtime.core.signal import Signal
    from runtime.live.scope import LiveScope

__all__ = ["Upload", "UploadCtx", "UploadStream"]


@dataclass(frozen=True, slots=True)
class Upload:
    """Which upload a handler runs for; `id` is eight hexadecimal digits, the same at the client."""

    id: str


class UploadStream:
    """The bytes of one upload, piece by piece and in order: `async for chunk in ctx.stream`.

    There is one reader. When the upload is aborted the wait for the next piece raises the reason, a `LiveError`, and so
    does every later one. A loop that is left early drops the rest. Spec: live-api 7.1.
    """

    __slots__ = ("_chunks", "_error", "_is_closed", "_is_ended", "_on_read", "_waiter", "waiting_bytes")

    def __init__(self, on_read: Callable[[], object]) -> None:
        self._chunks: deque[bytes] = deque()
        self._on_read = on_read
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._is_ended = False
        self._is_closed = False
        #: Bytes that came and were not read.
        self.waiting_bytes = 0

    def __len__(self) -> int:
        """Return how many pieces came and were not read."""
        return len(self._chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Loop(self)

    async def __anext__(self) -> bytes:
        """Return the next piece, never an empty one.

        Raises:
            StopAsyncIteration: the client has sent everything, or the stream was closed.
            LiveError: the upload was aborted.
            RuntimeError: somebody else waits for the next piece.
        """
        if self._waiter is not None:
            raise RuntimeError("ctx.stream has one reader: another task waits for its next piece")
        while True:
            if self._error is not None:
                raise self._error
            if self._chunks:
                chunk = self._chunks.popleft()
                self.waiting_bytes -= len(chunk)
                self._on_read()
                return chunk
            if self._is_ended or self._is_closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def aclose(self) -> None:
        """Drop what was not read, and what is still to come, without an error."""
        self.close()

    def close(self) -> None:
        """Do what `aclose` does."""
        if self._is_closed or self._error is not None:
            return  # it may be a garbage collection in another thread that asks
        self._is_closed = True
        self._clear()
        self._on_read()

    def push(self, chunk: bytes) -> None:
        """Add a piece, unless nobody wants more."""
        if not self._is_closed and not self._is_ended and self._error is None:
            self._chunks.append(chunk)
            self.waiting_bytes += len(chunk)
            self._wake()

    def end(self) -> None:
        """Let the stream end behind what is queued."""
        self._is_ended = True
        self._wake()

    def abort(self, error: BaseException) -> None:
        """Let reads raise `error`; what is queued is dropped."""
        if self._error is None and not self._is_closed:
            self._error = error
        self._clear()

    def _clear(self) -> None:
        self._chunks.clear()
        self.waiting_bytes = 0
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Loop:
    """The iterator of one `async for` over a stream: when the loop is left, by whatever way, the rest is dropped."""

    __slots__ = ("_stream",)

    def __init__(self, stream: UploadStream) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await self._stream.__anext__()

    def __del__(self) -> None:
        # `break` tells an iterator nothing; that nobody holds it any more does.
        self._stream.close()


class UploadCtx(Ctx):
    """The context of an upload: `stream` has its bytes, `upload.id` its name, `signal` fires when it is aborted."""

    def __init__(
        self,
        scope: LiveScope,
        ws: Connection,
        *,
        signal: Signal,
        stream: UploadStream,
        id: str,
        **known: Any,
    ) -> None:
        super().__init__(scope, ws, signal=signal, **known)
        #: The bytes: `async for chunk in ctx.stream`.
        self.stream = stream
        self.upload = Upload(id)
