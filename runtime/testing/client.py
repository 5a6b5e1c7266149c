"""The clients of a `TestEnv`: the real client over an in-memory connection. Spec: live-api 20."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from runtime.client.client import Realtime
from runtime.client.errors import RpcError
from runtime.client.options import ClientOptions
from runtime.client.transport import is_binary
from runtime.core.errors import RealtimeError
from runtime.testing.eventlog import EventLog, PublishedEvent
from runtime.testing.framelog import FrameLog
from runtime.testing.memory import MemoryTransport
from runtime.testing.outcome import Outcome, live_error, outcomes
from runtime.testing.stream import TestStream
from runtime.testing.upload import TestUpload
from runtime.testing.waiting import eventually
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from runtime.core.connection import Connection
    from runtime.core.platform import Platform
    from runtime.testing.env import TestEnv

__all__ = ["Disconnected", "TestCall", "TestClient"]

SIGNAL_PREFIX = "__signal:"
#: Attempts to come back after a broken line.
ATTEMPTS = 3


class Disconnected(RealtimeError):
    """A test client was used between `disconnect()` and `reconnect()`."""


class TestCall:
    """Calls with other options than the usual ones; made by `TestClient.with_`."""

    __test__ = False

    def __init__(self, client: TestClient, idempotency_key: str | None, timeout: float | None) -> None:
        self._client = client
        self._idempotency_key = idempotency_key
        self._timeout = timeout

    def call(self, path: str, *args: Any) -> Coroutine[Any, Any, Any]:
        """Call a function, as `TestClient.call`."""
        client = self._client
        made = client.open_client().call(
            path, *args, timeout=self._timeout, idempotency_key=self._idempotency_key
        )
        return Outcome(made, client.last_frames)

    def binary(self, path: str, data: bytes, *args: Any) -> Coroutine[Any, Any, Any]:
        """Call a function with bytes, as `TestClient.binary`.

        Raises:
            ValueError: an idempotency key was given, which calls with bytes do not have.
        """
        if self._idempotency_key is not None:
            raise ValueError("idempotency_key: calls with bytes have none")
        return self._client.binary(path, data, *args, timeout=self._timeout)


class TestClient:
    """One peer of a `TestEnv`; made by `TestEnv.connect`.

    Calls go through the whole pipeline of the server, and every frame through JSON. Errors are `LiveError`, as the
    handler raised them. Every wait has a limit, `timeout` of the env; what ends at it shows the last frames.

    Attributes:
        signals: what was sent to the client's user with `ctx.send_signal`, as `.event` and `.data`, where the app
            enabled signals; `await client.signals.wait_for("call")` waits for one.
    """

    __test__ = False

    def __init__(self, env: TestEnv, user_data: Any) -> None:
        self.user_data = user_data
        self.signals: EventLog[PublishedEvent] = EventLog("signal", self.last_frames)
        self._env = env
        self._log = FrameLog(lambda: repr(self))
        self._client: Realtime | None = None
        self._transport: MemoryTransport | None = None
        self._closing: asyncio.Task[None] | None = None
        self.reconnect()

    def __repr__(self) -> str:
        status = "disconnected" if self._client is None else self._client.status.value
        return f"<TestClient {self.user_data!r} {status}>"

    @property
    def connection(self) -> Connection | None:
        """The server's side of this peer, `None` before it was opened and after it was closed."""
        transport = self._transport
        if transport is None or transport.inbound is None or transport.sink is None or transport.sink.is_cut:
            return None
        return None if transport.inbound.connection.closed else transport.inbound.connection

    @property
    def platform(self) -> Platform:
        """The platform of the server."""
        return self._env.platform

    @property
    def timeout(self) -> float:
        """Seconds that a wait of this client may take where nothing else was said."""
        return self._env.timeout

    @property
    def frames(self) -> list[str]:
        """The text frames that the server sent on the present connection, at most 10,000."""
        sink = self._transport.sink if self._transport is not None else None
        return [] if sink is None else list(sink.log)

    def last_frames(self) -> str:
        """Return the last frames both ways, across reconnects, as lines of text."""
        return self._log.shown()

    # ------------------------------------------------------------ calls

    def call(self, path: str, *args: Any, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
        """Call a function; await the result. The call is on its way at once, also before it is awaited.

        Raises:
            LiveError: from awaiting, with code, message, issues, data and retry_after of the reply; `DISCONNECTED`
                when the connection went away, `TIMEOUT` when no answer came, both with the last frames as a note.
            Disconnected: there is no connection.
        """
        return self.with_(timeout=timeout).call(path, *args)

    def with_(self, *, idempotency_key: str | None = None, timeout: float | None = None) -> TestCall:
        """Return what calls with these options: `await client.with_(idempotency_key="k").call("orders/buy")`."""
        return TestCall(self, idempotency_key, timeout)

    def binary(
        self, path: str, data: bytes, *args: Any, timeout: float | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Call a function with bytes; await the result. Raises as `call`."""
        return Outcome(self.open_client().call_binary(path, data, *args, timeout=timeout), self.last_frames)

    def upload(self, path: str, source: Any, *args: Any, frame_size: int | None = None) -> TestUpload:
        """Upload bytes, a path, a file object or an iterable of bytes; await it for the result.

        `frame_size` says how large the frames are, of this upload and of later ones: a small one makes many of little.
        """
        client = self.open_client()
        if frame_size is not None:
            client.configure(upload={"frame_size": frame_size})
        return TestUpload(client.upload(path, source, *args), self.timeout, self.last_frames)

    def batch(
        self, collect: Callable[[], Iterable[Awaitable[Any]]], *, sequential: bool = False
    ) -> Coroutine[Any, Any, list[Any]]:
        """Send the calls that `collect` makes with `call` as one frame and await all results.

        A call that fails is its `LiveError` in the list, so that a test sees every outcome.
        """
        client = self.open_client()
        made: list[asyncio.Future[Any]] = []

        def record() -> list[asyncio.Future[Any]]:
            for item in collect():
                if not isinstance(item, Outcome):
                    raise TypeError(f"batch: the function must return the calls that it made, not {item!r}")
                made.append(item.source)
            return made

        outer = client.batch(record, sequential=sequential)
        outer.add_done_callback(lambda done: done.cancelled() or done.exception())
        return outcomes(made, self.last_frames)

    def fire_and_forget(self, path: str, *args: Any) -> None:
        """Send a call that is not answered. Before the connection is open it waits for that."""
        client = self.open_client()
        if client.status.value == "open":
            client.fire(path, *args)
        else:

            def send(status: str) -> None:
                if status == "open":
                    off()
                    client.fire(path, *args)

            off = client.status.subscribe(send)

    # ------------------------------------------------------------ streams, pushes

    def subscribe(self, path: str, *args: Any, keep_order: bool = True) -> TestStream:
        """Subscribe to a stream, without waiting for its value.

        Args:
            path: the stream.
            args: its arguments.
            keep_order: `False` merges as the browser does, where a deletion moves the last row into the gap.
        """
        return TestStream(self, self.open_client().stream(path, *args, keep_order=keep_order))

    def on_push(self, event: str, handler: Callable[[Any], Any]) -> Callable[[], None]:
        """Let `handler(data)` answer the server's requests named `event`, until `disconnect()`."""
        return self.open_client().on_push(event, handler)

    # ------------------------------------------------------------ coming and going

    async def ready(self, timeout: float | None = None) -> None:
        """Wait until the connection is open; calls and streams wait for that by themselves.

        Raises:
            LiveError: `DISCONNECTED`: the server closed it for good. TimeoutError: it is not open in time.
        """
        client, limit = self.open_client(), self.timeout if timeout is None else timeout
        try:
            await eventually(lambda: client.status.value == "failed" or self._is_open(client), limit)
        except AssertionError:
            raise TimeoutError(f"{self!r} is not open within {limit:g}s\n{self.last_frames()}") from None
        if not self._is_open(client):
            raise live_error(RpcError.closed(str(client.failure.value)), self.last_frames)

    def _is_open(self, client: Realtime) -> bool:
        return client.status.value == "open" and self.connection is not None

    def disconnect(self) -> asyncio.Task[None]:
        """Close the connection. Pending calls and unanswered streams fail with `DISCONNECTED`.

        Returns:
            A task to await where the server's `close` hook has to have run; awaiting is not needed otherwise.
        """
        client = self.open_client()
        self._client = None
        self._log.note("disconnect()")
        self._closing = self._env.tasks.start(client.close(), name="disconnect")
        return self._closing

    def cut(self) -> bool:
        """Break the line, as a network does; `False` when there is none. The client comes back by itself.

        What is on its way is lost, calls that wait fail with `DISCONNECTED`, the server's `close` hook gets 1006, and
        the streams ask for what they missed. Spec: wire 7.2.
        """
        client = self.open_client()
        sink = self._transport.sink if self._transport is not None else None
        if sink is None or self.connection is None:
            return False

        def back() -> None:
            client.configure(max_attempts=0, on_connect=None)

        client.configure(
            max_attempts=ATTEMPTS, reconnect_interval=0, max_reconnect_interval=0, on_connect=back
        )
        self._log.note("the line breaks")
        sink.cut()
        return True

    def reconnect(self) -> None:
        """Connect again, as the same user; streams have to be subscribed anew."""
        if self._client is not None:
            return
        self._transport = MemoryTransport(
            lambda sink: self._env.open(sink, self.user_data),
            self.platform.max_payload_length,
            self._log.sent,
            self._received,
        )
        options = ClientOptions.of({"timeout": self.timeout, "open_timeout": self.timeout})
        options.max_attempts = 0  # a test says itself when to reconnect
        self._client = Realtime("memory:", options, transport=self._transport)
        self._client.start()

    async def close(self) -> None:
        """Disconnect, unless that is done already, and wait for the end of it."""
        if self._client is not None:
            self.disconnect()
        if self._closing is not None:
            await asyncio.wait([self._closing])

    def open_client(self) -> Realtime:
        """Return the client behind this.

        Raises:
            Disconnected: between `disconnect()` and `reconnect()`.
        """
        if self._client is None:
            raise Disconnected("this client is disconnected; call reconnect() first")
        return self._client

    def _received(self, frame: bytes) -> None:
        self._log.received(frame)
        if SIGNAL_PREFIX.encode() in frame and not is_binary(frame):
            message = jsoncodec.decode(frame)
            for envelope in message.get("events", (message,)):
                topic = envelope.get("topic", "")
                if topic.startswith(SIGNAL_PREFIX):
                    self.signals.add(PublishedEvent(topic, envelope["event"], envelope.get("data")))
