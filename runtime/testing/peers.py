"""The clients of a `TestEnv` and their streams: the real client over an in-memory connection. Spec: live-api 20."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from runtime.client.client import Realtime
from runtime.client.errors import CONNECTION_CLOSED, DISCONNECTED, RpcError
from runtime.client.options import ClientOptions
from runtime.core.errors import LiveError, RealtimeError
from runtime.testing.memory import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from runtime.client.streams import Stream
    from runtime.client.streamstate import StreamEvent
    from runtime.client.upload import Upload, UploadProgress
    from runtime.core.connection import Connection
    from runtime.testing.env import TestEnv

__all__ = ["Disconnected", "TestClient", "TestStream", "TestUpload"]

WAIT_TIMEOUT = 5.0


class Disconnected(RealtimeError):
    """A test client was used between `disconnect()` and `reconnect()`."""


class TestClient:
    """One peer of a `TestEnv`; made by `TestEnv.connect`.

    Calls go through the whole pipeline of the server, and every frame through JSON. Errors are `LiveError`, as the
    handler raised them.
    """

    __test__ = False

    def __init__(self, env: TestEnv, user_data: Any) -> None:
        self.user_data = user_data
        self._env = env
        self._client: Realtime | None = None
        self._transport: MemoryTransport | None = None
        self._closing: asyncio.Task[None] | None = None
        self.reconnect()

    @property
    def connection(self) -> Connection | None:
        """The server's side of this peer, `None` before it was opened and after it was closed."""
        inbound = self._transport.inbound if self._transport is not None else None
        return None if inbound is None or inbound.connection.closed else inbound.connection

    @property
    def frames(self) -> list[str]:
        """Every text frame that the server sent on the present connection."""
        sink = self._transport.sink if self._transport is not None else None
        return [] if sink is None else list(sink.log)

    def call(self, path: str, *args: Any, timeout: float | None = None) -> Awaitable[Any]:
        """Call a function; await the result.

        Raises:
            LiveError: from awaiting, with code, message, issues, data and retry_after of the reply; `DISCONNECTED`
                when the connection went away.
            Disconnected: there is no connection.
        """
        return _translated(self._open_client().call(path, *args, timeout=timeout))

    def binary(self, path: str, data: bytes, *args: Any, timeout: float | None = None) -> Awaitable[Any]:
        """Call a function with bytes; await the result. Raises as `call`."""
        return _translated(self._open_client().call_binary(path, data, *args, timeout=timeout))

    def upload(self, path: str, source: Any, *args: Any, frame_size: int | None = None) -> TestUpload:
        """Upload bytes, a path, a file object or an iterable of bytes; await it for the result.

        `frame_size` says how large the frames are, of this upload and of later ones: a small one makes many of little.
        """
        client = self._open_client()
        if frame_size is not None:
            client.configure(upload={"frame_size": frame_size})
        return TestUpload(client.upload(path, source, *args))

    def batch(
        self, collect: Callable[[], Iterable[Awaitable[Any]]], *, sequential: bool = False
    ) -> Awaitable[list[Any]]:
        """Send the calls that `collect` makes with `call` as one frame and await all results.

        A call that fails is its `LiveError` in the list, so that a test sees every outcome.
        """
        client = self._open_client()
        made: list[asyncio.Future[Any]] = []

        def record() -> list[asyncio.Future[Any]]:
            for item in collect():
                if not isinstance(item, _Translated):
                    raise TypeError(f"batch: the function must return the calls that it made, not {item!r}")
                made.append(item.source)
            return made

        outer = client.batch(record, sequential=sequential)
        outer.add_done_callback(lambda done: done.cancelled() or done.exception())
        return _outcomes(made)

    def fire_and_forget(self, path: str, *args: Any) -> None:
        """Send a call that is not answered. Before the connection is open it waits for that."""
        client = self._open_client()
        if client.status.value == "open":
            client.fire(path, *args)
        else:

            def send(status: str) -> None:
                if status == "open":
                    off()
                    client.fire(path, *args)

            off = client.status.subscribe(send)

    def subscribe(self, path: str, *args: Any, keep_order: bool = True) -> TestStream:
        """Subscribe to a stream, without waiting for its value.

        Args:
            path: the stream.
            args: its arguments.
            keep_order: `False` merges as the browser does, where a deletion moves the last row into the gap.
        """
        return TestStream(self._env, self._open_client().stream(path, *args, keep_order=keep_order))

    def on_push(self, event: str, handler: Callable[[Any], Any]) -> Callable[[], None]:
        """Let `handler(data)` answer the server's requests named `event`, on the present connection."""
        return self._open_client().on_push(event, handler)

    def disconnect(self) -> asyncio.Task[None]:
        """Close the connection. Pending calls and unanswered streams fail with `DISCONNECTED`.

        Returns:
            A task to await where the server's `close` hook has to have run; awaiting is not needed otherwise.
        """
        client = self._open_client()
        self._client = None
        self._closing = self._env.tasks.start(client.close(), name="disconnect")
        return self._closing

    def reconnect(self) -> None:
        """Connect again, as the same user; streams have to be subscribed anew."""
        if self._client is not None:
            return
        self._transport = MemoryTransport(lambda sink: self._env.open(sink, self.user_data))
        options = ClientOptions()
        options.max_attempts = 0  # a test says itself when to reconnect
        self._client = Realtime("memory:", options, transport=self._transport)
        self._client.start()

    async def close(self) -> None:
        """Disconnect, unless that is done already, and wait for the end of it."""
        if self._client is not None:
            self.disconnect()
        if self._closing is not None:
            await asyncio.wait([self._closing])

    def _open_client(self) -> Realtime:
        if self._client is None:
            raise Disconnected("this client is disconnected; call reconnect() first")
        return self._client


class TestUpload:
    """An upload of a `TestClient` on its way. Awaiting it gives the result, or raises the `LiveError` of its end."""

    __test__ = False

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __repr__(self) -> str:
        return f"<TestUpload {self._upload!r}>"

    def __await__(self) -> Any:
        return self._result().__await__()

    @property
    def id(self) -> str:
        """What the handler has as `ctx.upload.id`."""
        return self._upload.stream_id_hex

    @property
    def sent(self) -> int:
        """Bytes of the source that were sent."""
        return self._upload.sent

    def on_progress(self, listener: Callable[[UploadProgress], object]) -> Callable[[], None]:
        """Call `listener` after each frame; return the function that ends it."""
        return self._upload.on_progress(listener)

    def cancel(self, reason: str | None = None) -> bool:
        """Give up; return `False` when it had ended before."""
        return self._upload.cancel(reason)

    async def _result(self) -> Any:
        try:
            return await self._upload
        except RpcError as error:
            raise live_error(error) from error


class TestStream:
    """A stream of a `TestClient`, subscribed from the beginning."""

    __test__ = False

    def __init__(self, env: TestEnv, stream: Stream) -> None:
        self._env = env
        self._stream = stream
        #: Every live event since the subscription, as `.event` and `.data`.
        self.events: list[StreamEvent] = []
        self._off_events = stream.on_event(self.events.append)
        stream.open()

    def __repr__(self) -> str:
        return f"<TestStream {self._stream!r}>"

    @property
    def value(self) -> Any:
        """The present value, `None` until it is loaded."""
        return self._stream.value

    @property
    def status(self) -> str:
        """`loading`, `connected`, `reconnecting` or `error`."""
        return self._stream.status

    @property
    def error(self) -> LiveError | None:
        """Why the stream was refused, or `None`."""
        error = self._stream.error
        return None if error is None else live_error(error)

    @property
    def topic(self) -> str | None:
        """The topic, once the server named it."""
        return self._stream.topic

    @property
    def has_more(self) -> bool:
        """Whether there is a further page."""
        return self._stream.has_more

    async def ready(self, timeout: float = WAIT_TIMEOUT) -> Any:
        """Wait for the first value and return it.

        Raises:
            LiveError: the stream was refused, or `TIMEOUT`.
        """
        try:
            return await self._stream.ready(timeout)
        except RpcError as error:
            raise live_error(error) from error

    async def wait_for(self, predicate: Callable[[Any], Any], timeout: float = WAIT_TIMEOUT) -> Any:
        """Wait until `predicate(value)` is true for a loaded value, and return that value.

        Raises:
            TimeoutError: with the last value and the stream's error.
        """
        found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def look(value: Any) -> None:
            if not self._stream.is_loaded or found.done():
                return
            try:
                if predicate(value):
                    found.set_result(value)
            except Exception as error:
                found.set_exception(error)

        off = self._stream.subscribe(look)
        try:
            async with asyncio.timeout(timeout):
                return await found
        except TimeoutError:
            raise TimeoutError(
                f"the value did not come within {timeout:g}s; the last one was {self.value!r}, error {self.error}"
            ) from None
        finally:
            off()

    def simulate_publish(self, event: str, data: Any = None) -> None:
        """Publish on the stream's topic, as a live function would.

        Raises:
            RuntimeError: the topic is not known yet; await `ready()` first.
        """
        if self.topic is None:
            raise RuntimeError("the topic of the stream is not known yet; await ready() first")
        self._env.platform.publish(self.topic, event, data)

    async def load_more(self, *extra: Any) -> bool:
        """Load the next page; return whether there are more."""
        try:
            return await self._stream.load_more(*extra)
        except RpcError as error:
            raise live_error(error) from error

    async def close(self) -> None:
        """Unsubscribe."""
        self._off_events()
        await self._stream.close()


class _Translated:
    """A call whose `RpcError` becomes the `LiveError` that the handler raised."""

    def __init__(self, source: asyncio.Future[Any]) -> None:
        self.source = source

    def __await__(self) -> Any:
        return self._result().__await__()

    async def _result(self) -> Any:
        try:
            return await self.source
        except RpcError as error:
            raise live_error(error) from error


def _translated(source: asyncio.Future[Any]) -> _Translated:
    return _Translated(source)


async def _outcomes(made: list[asyncio.Future[Any]]) -> list[Any]:
    results = await asyncio.gather(*made, return_exceptions=True)
    return [live_error(result) if isinstance(result, RpcError) else result for result in results]


def live_error(error: RpcError) -> LiveError:
    """Return the error as the server's side knows it."""
    code = DISCONNECTED if error.code == CONNECTION_CLOSED else error.code
    made = LiveError(code, error.message, error.data)
    made.issues = error.issues
    made.retry_after = error.retry_after
    return made
