"""The connection that comes back: states, attempts, the way out and the way in. Spec: wire 7.1 to 7.3."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.client.auth import Preflight, PreflightFailed
from runtime.client.backoff import Backoff
from runtime.client.errors import QUEUE_FULL, TIMEOUT, RpcError
from runtime.client.linewatch import LineWatch
from runtime.client.stores import Listeners, WritableStore
from runtime.client.transport import CLOSE_TIMEOUT, ConnectFailed, Socket, SocketClosed, Transport
from runtime.core import capacity
from runtime.wire.closing import ABNORMAL, NORMAL, TOO_BIG, CloseClass, close_class

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from runtime.client.options import ClientOptions
    from runtime.core.clock import Clock
    from runtime.core.tasks import TaskOwner

__all__ = ["ClientConnection"]

logger = logging.getLogger("realtime.client")

TOO_BIG_TEXT = "a message was larger than the server takes ([websocket] max_payload_length)"
CONNECTING = "connecting"
OPEN = "open"
DISCONNECTED = "disconnected"
FAILED = "failed"
#: Seconds that `before_reconnect` may take; the attempt goes on without it then.
PREPARATION_TIMEOUT = 30.0
SILENT_TEXT = "no message for too long"


@dataclass(frozen=True, slots=True)
class Loss:
    """Why an attempt or a connection ended. `open_for` is `None` when there was no connection."""

    failure: dict[str, Any]
    code: int
    terminal: bool = False
    open_for: float | None = None


class ClientConnection:
    """One logical connection over any number of sockets: it reconnects until it is closed or told to stop.

    The owner fills in `opening` (frames to send first on a new socket), `sources` (frames to send at the end
    of a turn, asked in order) and `receive` (what to do with a frame) before `start`.
    """

    def __init__(
        self,
        transport: Transport,
        options: ClientOptions,
        *,
        url: str,
        preflight: Preflight | None,
        clock: Clock,
        rng: random.Random,
        tasks: TaskOwner,
    ) -> None:
        self.status: WritableStore[str] = WritableStore(DISCONNECTED)
        self.failure: WritableStore[dict[str, Any] | None] = WritableStore(None)
        #: Called with whether it is a later than the first connection, behind the opening frames.
        self.opened: Listeners[bool] = Listeners()
        #: Called with whether it is the end, after each loss and each failed attempt.
        self.lost: Listeners[bool] = Listeners()
        self.opening: Callable[[], Iterable[bytes]] = tuple
        self.sources: list[Callable[[], Iterable[bytes]]] = []
        self.receive: Callable[[bytes], None] = lambda frame: None
        #: Frames that were dropped because too many waited for a connection.
        self.dropped = 0
        #: The server refused a frame of the connection before for its size.
        self.was_too_big = False
        self._transport = transport
        self._options = options
        self._url = url
        self._preflight = preflight
        self._clock = clock
        self._tasks = tasks
        self._backoff = Backoff(rng, options)
        self._socket: Socket | None = None
        self._queue: deque[tuple[bytes, Callable[[RpcError], object] | None]] = deque()
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._turn_scheduled = False
        self._was_open = False
        self._is_silent = False
        self._warned = False
        self._closing = False
        self._closed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent now."""
        return self._socket is not None

    @property
    def line(self) -> object | None:
        """The socket of now; an answer to what came over one belongs on no other."""
        return self._socket

    @property
    def is_over(self) -> bool:
        """Whether this connection will never open again."""
        return self.status.value == FAILED

    @property
    def buffered(self) -> int:
        """Bytes that were sent and that the operating system has not taken yet."""
        return 0 if self._socket is None else self._outgoing_bytes + self._socket.buffered

    def start(self) -> None:
        """Begin to connect. Raises `RuntimeError` the second time."""
        if self.status.value != DISCONNECTED:
            raise RuntimeError("this client was started before; call connect() for another one")
        self.status.set(CONNECTING)
        self._tasks.start(self._run(), name="connection")

    def send(self, frame: bytes) -> bool:
        """Send one frame behind all others; return `False`, and drop it, when there is no connection."""
        if self._socket is None:
            return False
        self._outgoing.append(frame)
        self._outgoing_bytes += len(frame)
        self._drained.clear()
        self._wake.set()
        return True

    def send_queued(self, frame: bytes, dropped: Callable[[RpcError], object] | None = None) -> None:
        """Send one frame now or, without a connection, at the next one.

        At the bound the oldest goes: it is counted, and its `dropped(error)` is called.
        """
        if self.send(frame):
            return
        self._queue.append((frame, dropped))
        limit = capacity.get("MAX_CLIENT_QUEUE")
        if len(self._queue) > limit:
            _, oldest_dropped = self._queue.popleft()
            self.dropped += 1
            capacity.record(
                "MAX_CLIENT_QUEUE", "evict", hint="calls are made faster than the server is found"
            )
            text = f"more than {limit} frames wait for a connection"
            if self.dropped == 1:
                logger.warning("%s: the oldest go", text)
            if oldest_dropped is not None:
                oldest_dropped(RpcError(QUEUE_FULL, f"{text}; this was the oldest"))

    def end_of_turn(self) -> None:
        """Ask the sources for frames at the end of this turn of the loop, if there is a connection then."""
        if not self._turn_scheduled:
            self._turn_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush_turn)

    async def drained_to(self, size: int) -> None:
        """Wait until at most `size` bytes are unsent, or the connection is lost."""
        if self.buffered > size:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((size, waiter))
            await waiter

    async def ready(self, timeout: float | None) -> None:
        """Wait until the connection is open; `None` waits for as long as it may still come.

        Raises:
            RpcError: `CONNECTION_CLOSED` when it ended for good, `TIMEOUT` after `timeout` seconds.
        """
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def look(status: str) -> None:
            if status in (OPEN, FAILED) and not waiter.done():
                waiter.set_result(True)

        def expire() -> None:
            if not waiter.done():
                waiter.set_result(False)

        off = self.status.subscribe(look)
        timer = None if timeout is None else self._clock.call_later(timeout, expire)
        try:
            in_time = await waiter
        finally:
            if timer is not None:
                timer.cancel()
            off()
        if not in_time:
            raise RpcError(TIMEOUT, f"no connection within {timeout:g}s{self._why()}")
        if self.is_over:
            raise self.end_error()

    def end_error(self) -> RpcError:
        """Return the error of whatever needs a connection that ended for good."""
        return RpcError.closed(self._why().removeprefix(": "))

    def lost_error(self) -> RpcError:
        """Return the error of whatever waits for an answer when the connection is lost."""
        failure = self.failure.value
        too_big = failure is not None and failure.get("code") == TOO_BIG
        return RpcError.disconnected(TOO_BIG_TEXT if too_big else "")

    async def close(self) -> None:
        """End the connection for good, behind what was sent. May be called again."""
        if self._closing:
            await self._closed.wait()
            return
        self._closing = True
        try:
            if self._socket is not None:
                await self._say_goodbye(self._socket)
        finally:
            self._socket = None
            if not self.is_over:
                self.failure.set(None)
                self._end()
            self._closed.set()

    async def _say_goodbye(self, socket: Socket) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._drained.wait()
        except TimeoutError:
            logger.warning("closed with %d bytes unsent: the server does not read", self._outgoing_bytes)
        finally:  # also of whoever does not wait for it
            await socket.close(NORMAL, "")

    async def _run(self) -> None:
        while True:
            loss = await self._attempt()
            if self._closing:
                return
            delay = self._after(loss)
            if delay is None:
                return
            await self._clock.sleep(delay)
            self.status.set(CONNECTING)
            await self._before_reconnect()

    async def _attempt(self) -> Loss:
        """Connect and serve the connection to its end."""
        try:
            if self._preflight is not None:
                await self._preflight.run()
            cookies = None if self._preflight is None else self._preflight.cookies
            socket = await self._transport.open(cookies)
        except PreflightFailed as error:
            failure = {
                "kind": "auth-preflight",
                "class": "AUTH",
                "status": error.status,
                "reason": error.reason,
            }
            return Loss(failure, ABNORMAL, terminal=error.is_terminal)
        except ConnectFailed as error:
            return _closed(ABNORMAL, str(error), None)
        except Exception as error:  # whatever a resolver, a proxy or a header makes the libraries raise
            return _closed(ABNORMAL, f"{type(error).__name__}: {error}", None)
        opened_at = self._clock.monotonic()
        self._is_silent = False
        try:
            await self._serve(socket)
        except SocketClosed as closed:
            open_for = self._clock.monotonic() - opened_at
            if self._is_silent:
                return _closed(ABNORMAL, SILENT_TEXT, open_for)
            return _closed(closed.code, closed.reason, open_for)
        except Exception as error:
            logger.exception("the connection is given up")
            await socket.close(NORMAL, "")
            return _closed(ABNORMAL, f"{type(error).__name__}: {error}", self._clock.monotonic() - opened_at)
        finally:
            self._socket = None
        raise AssertionError("a connection is served until it is lost")

    async def _serve(self, socket: Socket) -> None:
        self._socket = socket
        self._backoff.opened()
        self._outgoing.clear()
        self._outgoing_bytes = 0
        for frame in (*self.opening(), *(frame for frame, _ in self._queue)):
            self.send(frame)
        self._queue.clear()
        writer = self._tasks.start(self._write(socket), name="writer")
        watch = LineWatch(self._clock, lambda: self._give_up(socket))
        reopened, self._was_open = self._was_open, True
        self._warned = False
        try:
            self.failure.set(None)
            self.status.set(OPEN)
            self.opened.call(reopened)
            self.end_of_turn()
            if reopened:
                _call(self._options.on_connect)
            while True:
                frame = await socket.recv()
                watch.heard()
                self._received(frame)
        finally:
            watch.stop()
            writer.cancel()
            self._drained.set()
            self._socket = None
            self._tell_drained()

    async def _write(self, socket: Socket) -> None:
        while True:
            while self._outgoing:
                frame = self._outgoing.popleft()
                try:
                    await socket.send(frame)
                except SocketClosed:
                    return
                self._outgoing_bytes -= len(frame)
                if self._waiting:
                    self._tell_drained()
            self._drained.set()
            self._wake.clear()
            await self._wake.wait()

    def _tell_drained(self) -> None:
        """Let those go on who wait for less to be unsent than there is now."""
        unsent, waiting = self.buffered, self._waiting
        self._waiting = [(size, waiter) for size, waiter in waiting if unsent > size and not waiter.done()]
        for size, waiter in waiting:
            if unsent <= size and not waiter.done():
                waiter.set_result(None)

    def _give_up(self, socket: Socket) -> None:
        self._is_silent = True
        self._tasks.start(socket.close(NORMAL, ""), name="close a silent line")

    def _received(self, frame: bytes) -> None:
        try:
            self.receive(frame)
        except Exception:
            logger.exception("a frame of the server was not handled: %.80r", frame)

    def _flush_turn(self) -> None:
        self._turn_scheduled = False
        if self._socket is not None:
            for source in self.sources:
                for frame in source():
                    self.send(frame)

    def _after(self, loss: Loss) -> float | None:
        """Take the consequences of a loss; return the seconds until the next attempt, `None` for no more."""
        if loss.open_for is not None:
            _call(self._options.on_disconnect)
        self.failure.set(loss.failure)
        if loss.open_for is None and not self._warned:
            # The attempts go on in silence: one line tells what is wrong, once until there is a connection.
            self._warned = True
            logger.warning("cannot connect to %s%s", self._url, self._why())
        self.was_too_big = loss.code == TOO_BIG
        if self.was_too_big:
            logger.warning("the server closed the connection: %s", TOO_BIG_TEXT)
        if loss.terminal:
            self._end()
            return None
        self.status.set(DISCONNECTED)
        self.lost.call(False)
        most = self._options.max_attempts
        if most is not None and self._backoff.tries >= most:
            self.failure.set({**loss.failure, "class": "EXHAUSTED"})
            self._end()
            return None
        if close_class(loss.code) is CloseClass.THROTTLE:
            self._backoff.throttle()
        return self._backoff.next_delay(loss.code, loss.open_for)

    def _end(self) -> None:
        self._queue.clear()
        self.status.set(FAILED)
        self.lost.call(True)

    async def _before_reconnect(self) -> None:
        hook = self._options.before_reconnect
        try:
            answer = hook() if hook is not None else None
            if inspect.isawaitable(answer):
                async with asyncio.timeout(PREPARATION_TIMEOUT):
                    await answer
        except Exception:
            logger.exception("before_reconnect raised; connecting all the same")

    def _why(self) -> str:
        failure = self.failure.value
        if failure is None:
            return ""
        number = failure.get("code", failure.get("status"))
        return f": {number}" + (f" {failure['reason']}" if failure["reason"] else "")


def _closed(code: int, reason: str, open_for: float | None) -> Loss:
    kind = close_class(code)
    failure = {"kind": "ws-close", "class": kind.value, "code": code, "reason": reason}
    return Loss(failure, code, terminal=kind is CloseClass.TERMINAL, open_for=open_for)


def _call(hook: Callable[[], object] | None) -> None:
    if hook is not None:
        try:
            hook()
        except Exception:
            logger.exception("a connection callback raised: %s", getattr(hook, "__qualname__", hook))
