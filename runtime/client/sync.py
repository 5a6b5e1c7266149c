"""The client for code without a loop: the same calls, blocking; the loop runs in a thread of its own.

```python
with connect("ws://localhost:3000/ws") as rt:
    rt.call("todos/add", "milk")
    for todos in rt.stream("todos/list").values():
        ...
```
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.client.client import connect as connect_async
from runtime.client.livepath import LivePath

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from types import TracebackType

    from runtime.client.client import Realtime
    from runtime.client.errors import RpcError
    from runtime.client.streams import Stream
    from runtime.client.upload import UploadProgress

__all__ = ["SyncRealtime", "SyncStream", "connect"]

T = TypeVar("T")


class _Closed(RuntimeError):
    """The client was closed, before the call or while it waited."""

    def __init__(self) -> None:
        super().__init__("this client is closed")


class _LoopThread:
    """A running loop in a daemon thread, and the way to have it do something and wait for that."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="realtime-client", daemon=True)
        #: Work is handed in before the loop is told to stop, or not at all.
        self._handing_in = threading.Lock()
        self._is_stopped = False
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether work can be handed in."""
        return not self._is_stopped

    def refuse_own_thread(self) -> None:
        """Raise `RuntimeError` in the client's own thread, where waiting for the loop would never end."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("this client cannot be used from its own callbacks")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, wait for it, return its result or raise what it raised.

        Raises:
            RuntimeError: the client is closed, also while this waits, or the call comes from its own thread.
        """
        try:
            self.refuse_own_thread()
            with self._handing_in:
                if self._is_stopped:
                    raise _Closed
                future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise
        try:
            return future.result()
        except BaseException as error:
            future.cancel()
            if isinstance(error, concurrent.futures.CancelledError) and self._is_stopped:
                raise _Closed from None
            raise

    def run_unless_closed(self, work: Coroutine[Any, Any, object]) -> None:
        """As `run`, for what the end of the client has done already."""
        with contextlib.suppress(_Closed):
            self.run(work)

    def stop(self) -> None:
        """End the loop, with whatever still waits in it, and wait for its thread. May be called again."""
        with self._handing_in:
            if not self._is_stopped:
                self._is_stopped = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(_cancel_others())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


class SyncRealtime:
    """A blocking face of `Realtime`. May be used from any number of threads; close it, or use it with `with`."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._thread = _LoopThread()
        self._closing = threading.Lock()
        try:
            self._client = self._thread.run(_opened(url, options))
        except BaseException:
            self._thread.stop()
            raise
        #: `rt.live.todos.add("milk")` is `rt.call("todos/add", "milk")`.
        self.live: LivePath[Any] = LivePath(self.call)

    def __enter__(self) -> SyncRealtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def status(self) -> str:
        """`connecting`, `open`, `disconnected` or `failed`."""
        return self._client.status.value

    @property
    def failure(self) -> dict[str, Any] | None:
        """The cause of the last loss, `None` while open."""
        return self._client.failure.value

    @property
    def quiescent(self) -> bool:
        """Whether no stream is loading or reconnecting."""
        return self._client.quiescent.value

    @property
    def health(self) -> str:
        """`healthy` or `degraded`, as the server says."""
        return self._client.health.value

    @property
    def denials(self) -> dict[str, Any] | None:
        """The last refused subscription, a dict with `topic`, `reason`, `ref`, or `None`."""
        return self._client.denials.value

    @property
    def resumed(self) -> dict[str, Any] | None:
        """The server's report after a reconnect, topic to outcome, or `None` before."""
        return self._client.resumed.value

    def call(
        self,
        path: str,
        *args: Any,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        fresh: bool = True,
    ) -> Any:
        """Call a function and return its result; see `Realtime.call`.

        Raises:
            RpcError: the call failed.
        """

        async def work() -> Any:
            return await self._client.call(
                path, *args, timeout=timeout, idempotency_key=idempotency_key, fresh=fresh
            )

        return self._thread.run(work())

    def call_binary(self, path: str, data: bytes, *args: Any, timeout: float | None = None) -> Any:
        """Call a function with bytes and return its result; see `Realtime.call_binary`.

        Raises:
            RpcError: the call failed.
        """

        async def work() -> Any:
            return await self._client.call_binary(path, data, *args, timeout=timeout)

        return self._thread.run(work())

    def upload(
        self,
        path: str,
        source: Any,
        *args: Any,
        on_progress: Callable[[UploadProgress], object] | None = None,
    ) -> Any:
        """Upload a file and return the result; see `Realtime.upload`. Interrupting the wait ends the upload.

        `on_progress` runs in the client's thread and must not block.

        Raises:
            RpcError: the upload failed.
        """

        async def work() -> Any:
            upload = self._client.upload(path, source, *args)
            if on_progress is not None:
                upload.on_progress(on_progress)
            return await upload

        return self._thread.run(work())

    def batch(self, calls: Iterable[tuple[Any, ...]], *, sequential: bool = False) -> list[Any]:
        """Send calls, each `(path, *args)`, as one frame and return their results in order.

        Raises:
            RpcError: one of them failed. TypeError: one is no such tuple.
        """
        wanted = list(calls) if isinstance(calls, Iterable) else [calls]
        for one in wanted:
            if not isinstance(one, tuple | list) or not one or not isinstance(one[0], str):
                raise TypeError(
                    f"batch: give each call as (path, *args), as in [('todos/add', 'milk')], not {one!r}"
                )

        async def work() -> list[Any]:
            return await self._client.batch(
                lambda: [self._client.call(*call) for call in wanted], sequential=sequential
            )

        return self._thread.run(work())

    def fire(self, path: str, *args: Any) -> None:
        """Send a call that is not answered; see `Realtime.fire`."""
        self._thread.run(_async(lambda: self._client.fire(path, *args)))

    def stream(self, path: str, *args: Any, **options: Any) -> SyncStream:
        """Subscribe to a stream; use it with `with`, or close it. Options as of `Realtime.stream`."""
        return SyncStream(self._thread, self._thread.run(_async(lambda: self._opened(path, args, options))))

    def on_push(self, event: str, handler: Callable[[Any], Any]) -> Callable[[], None]:
        """Let `handler(data)` answer the server's requests; it runs in the client's thread and must not block."""
        off = self._thread.run(_async(lambda: self._client.on_push(event, handler)))
        return lambda: self._thread.run(_async(off))

    def close(self) -> None:
        """Send what waits, close the connection and end the thread. May be called again, by any thread.

        Threads that wait for an answer get `CONNECTION_CLOSED`.

        Raises:
            RuntimeError: called by a callback in the client's own thread.
        """
        self._thread.refuse_own_thread()
        with self._closing:
            if self._thread.is_running:
                try:
                    self._thread.run(self._client.close())
                finally:
                    self._thread.stop()

    def _opened(self, path: str, args: tuple[Any, ...], options: dict[str, Any]) -> Stream:
        stream = self._client.stream(path, *args, **options)
        stream.open()
        return stream


class SyncStream:
    """A blocking face of `Stream`, subscribed from the beginning until it is closed."""

    def __init__(self, thread: _LoopThread, stream: Stream) -> None:
        self._thread = thread
        self._stream = stream
        self._is_closed = False

    def __enter__(self) -> SyncStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def value(self) -> Any:
        """The present value, never changed in place."""
        return self._thread.run(_async(lambda: self._stream.value))

    @property
    def status(self) -> str:
        """`loading`, `connected`, `reconnecting` or `error`."""
        return self._stream.status

    @property
    def error(self) -> RpcError | None:
        """Why the last request or subscription failed, until one succeeds."""
        return self._stream.error

    @property
    def has_more(self) -> bool:
        """Whether `load_more` would find a further page."""
        return self._stream.has_more

    def ready(self, timeout: float | None = None) -> Any:
        """Wait until the stream is connected and return its value; see `Stream.ready`."""
        return self._thread.run(self._stream.ready(timeout))

    def values(self) -> Iterator[Any]:
        """Iterate over the newest value whenever it changed; ends when the stream is closed, also beforehand."""
        # Asked in the client's thread: another thread may close the stream at this moment.
        feed = self._thread.run(_async(lambda: None if self._is_closed else self._stream.values()))
        if feed is None:
            return
        try:
            while True:
                try:
                    yield self._thread.run(_next(feed))
                except StopAsyncIteration:
                    return
        finally:
            self._thread.run_unless_closed(feed.aclose())

    def load_more(self, *extra: Any) -> bool:
        """Load the next page; return whether there are more."""
        return self._thread.run(self._stream.load_more(*extra))

    def close(self) -> None:
        """End the subscription. May be called again."""
        self._thread.run_unless_closed(self._end())

    async def _end(self) -> None:
        self._is_closed = True
        await self._stream.close()


def connect(url: str, **options: Any) -> SyncRealtime:
    """Connect to the WebSocket endpoint at `url` and wait for that. Options as of `runtime.client.connect`.

    Raises:
        RpcError: there is no connection. ValueError, TypeError: a bad address or option.
    """
    return SyncRealtime(url, options)


async def _opened(url: str, options: dict[str, Any]) -> Realtime:
    return await connect_async(url, **options)


async def _cancel_others() -> None:
    """Cancel every task of this loop but the present one, and wait until they have ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _async(fn: Callable[[], T]) -> T:
    return fn()


async def _next(feed: Any) -> Any:
    result: Awaitable[Any] = anext(feed)
    return await result
