"""uvicorn's HTTP protocol with bounds on time and size that uvicorn has no switch for. Spec: platform 3.9 and 2.9.

A connection is in one of these phases, and at most one timer of it runs:

```
HEAD   the head of a request is due, the first one from connecting on        header_timeout
BODY   a body is coming in; one that is no longer wanted gets one window     min_body_rate over BODY_WINDOW
BUSY   the app answers, and nothing of the next request is due               none
IDLE   answered; a next request may come                                     keepalive_timeout
```

Beside it `stream_write_timeout` watches what the client does not take. Whoever exceeds a bound gets a short answer
where no other one has begun, and loses its transport where one has: a cut answer never looks like a whole one.

This knows uvicorn from within, as does `runtime.server.uvicornlink`. `runtime.server.httpvariants` puts it in front of
uvicorn's classes and checks what is assumed of them.
"""

from __future__ import annotations

import contextlib
import enum
import http
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from runtime.core.clock import Clock

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from runtime.core.clock import TimerHandle

    Refusal = Callable[[str, int | None, str], object]

__all__ = ["BODY_WINDOW", "HEAD_LIMIT", "BoundedHttp", "HttpBounds", "Part"]

HEAD_LIMIT: Final = 64 * 1024  # bytes of the request line with all headers
BODY_WINDOW: Final = 10.0  # seconds over which the rate of a body is looked at
LINGER: Final = 2.0  # seconds in which a refused client may still read its answer
STALL_LOOKS: Final = 10  # how often within `stream_write_timeout` a client that is behind is looked at

_ACKNOWLEDGED_AT = 120  # of `tcpi_bytes_acked`, an unsigned 64-bit number, in Linux's `struct tcp_info`
_NO_LINGERING = struct.pack("ii", 1, 0)  # of `SO_LINGER`: on, for no second
_PHRASES = {431: "Request Header Fields Too Large"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpBounds:
    """What is allowed; seconds and bytes per second, `None` is no bound.

    `refused(rule, status, client)` is told of each connection that exceeded one; status is `None` for a cut one.
    """

    clock: Clock
    refused: Refusal
    header_timeout: float | None
    keepalive_timeout: float | None
    min_body_rate: int | None
    stream_write_timeout: float | None


class _Phase(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    BUSY = enum.auto()
    IDLE = enum.auto()
    CLOSED = enum.auto()


class Part(enum.Enum):
    """What of a request the parser is in."""

    NONE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()


if TYPE_CHECKING:

    class _UvicornHttp(asyncio.Protocol):
        """What both HTTP protocols of uvicorn have."""

        transport: asyncio.Transport
        flow: Any
        scope: Any
        cycle: Any
        client: tuple[str, int] | None
        server: tuple[str, int | None] | None
        server_state: Any

        def _unset_keepalive_if_required(self) -> None: ...

        def handle_websocket_upgrade(self, *request: Any) -> None: ...

        def send_400_response(self, msg: str) -> None: ...

        def on_response_complete(self) -> None: ...

        def shutdown(self) -> None: ...
else:
    _UvicornHttp = object


class BoundedHttp(_UvicornHttp):
    """The bounds, in front of one of uvicorn's HTTP protocols in a class's bases."""

    bounds: HttpBounds

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._phase = _Phase.BUSY
        self._timer: TimerHandle | None = None
        #: Nothing that comes is parsed any more: the client is refused, upgraded, or gone.
        self.is_over = False
        self._refusal: int | None = None  # to be sent when the answer before it has gone out
        self._body_bytes = 0
        self._is_unwanted = False  # whether the body was already superfluous when its window began
        self._stall_timer: TimerHandle | None = None
        self._stall_looks = 0
        self._taken: tuple[int, int] = (0, 0)

    def part(self) -> Part:
        """Return what of a request the parser is in."""
        raise AssertionError("each variant has its own")  # pragma: no cover

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # ------------------------------------------------------------------ what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client."""
        if self.is_over:
            return
        # The read in which a body begins counts as a whole.
        self._body_bytes = len(data) + (self._body_bytes if self._phase is _Phase.BODY else 0)
        super().data_received(data)
        if not self.is_over:
            self._look()

    def pause_writing(self) -> None:
        """Note that the client is behind."""
        super().pause_writing()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client has gone."""
        self._end()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        super().connection_lost(exc)

    # ------------------------------------------------------------------ what uvicorn calls

    def handle_websocket_upgrade(self, *request: Any) -> None:
        """Hand the transport to the WebSocket protocol, unless an answer is still going out on it."""
        if self.is_over:
            return
        if self._is_answering:
            self.refuse("pipelined_upgrade", 400)
            return
        if self.scope["http_version"] == "1.0":  # which knows no upgrade; uvicorn goes on as if it were 1.1
            self.refuse("malformed", 400)
            return
        self._end()
        super().handle_websocket_upgrade(*request)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self.refuse("malformed", 400)

    def on_response_complete(self) -> None:
        """Go on to what the client may send next."""
        super().on_response_complete()
        self._unset_keepalive_if_required()
        if self._refusal is not None and not self._is_answering:
            self._answer(self._refusal)
        elif not self.is_over:
            self._look()
        if self.transport.is_closing():
            self._watch()

    def shutdown(self) -> None:
        """Close when the answer that is going out is complete; called when the server stops."""
        if self.is_over and not self._is_answering:
            self.transport.close()
        else:
            super().shutdown()
        if self.transport.is_closing():
            self._end()
            self._watch()

    # ------------------------------------------------------------------ time

    def _current(self) -> _Phase:
        if self.transport.is_closing():
            return _Phase.CLOSED
        part = self.part()
        if part is Part.BODY:
            return _Phase.BODY
        if self._is_answering:
            return _Phase.BUSY
        return _Phase.HEAD if part is Part.HEAD or self.cycle is None else _Phase.IDLE

    def _look(self) -> None:
        """Exchange the timer if something else is due now."""
        phase = self._current()
        if phase is self._phase:
            return
        self._phase = phase
        self._stop()
        if phase is _Phase.HEAD:
            self._start(self.bounds.header_timeout, self._head_is_late)
        elif phase is _Phase.IDLE:
            self._start(self.bounds.keepalive_timeout, self._close)
        elif phase is _Phase.BODY:
            self._begin_window()

    def _start(self, delay: float | None, callback: Callable[[], object]) -> None:
        if delay is not None:
            self._timer = self.bounds.clock.call_later(delay, callback)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self.is_over = True
        self._stop()

    def _head_is_late(self) -> None:
        if self.part() is Part.HEAD:
            self.refuse("header_timeout", 408)
        else:
            self._tell("header_timeout", None)
            self._close()

    def _begin_window(self) -> None:
        self._is_unwanted = not self._is_answering
        self._start(BODY_WINDOW, self._window_is_over)

    def _window_is_over(self) -> None:
        rate = self.bounds.min_body_rate
        waits_for_us = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self._is_unwanted:
            self.cut("body_unwanted")
        elif rate is None or waits_for_us or self._body_bytes >= rate * BODY_WINDOW:
            self._body_bytes = 0
            self._begin_window()
        elif self.cycle.response_started:
            self.cut("body_rate")
        else:
            self._tell("body_rate", 408)
            self._take_leave(408)

    # ------------------------------------------------------------------ a client that does not read

    def _watch(self) -> None:
        """Cut the client off if it takes nothing for `stream_write_timeout`."""
        limit = self.bounds.stream_write_timeout
        if limit is not None and self._stall_timer is None and self.transport.get_write_buffer_size():
            self._stall_looks = 0
            self._taken = self._progress()
            self._stall_timer = self.bounds.clock.call_later(limit / STALL_LOOKS, self._look_at_writes)

    def _look_at_writes(self) -> None:
        self._stall_timer = None
        limit = self.bounds.stream_write_timeout
        if limit is None or not self.transport.get_write_buffer_size():
            return
        taken = self._progress()
        if taken == self._taken:
            self._stall_looks += 1
        else:
            self._taken, self._stall_looks = taken, 0
        if self._stall_looks >= STALL_LOOKS:
            self.cut("write_stalled")
        else:
            self._stall_timer = self.bounds.clock.call_later(limit / STALL_LOOKS, self._look_at_writes)

    def _progress(self) -> tuple[int, int]:
        """Return numbers that change when the client has taken something.

        Under TLS the size of the buffer is not enough: what it hands on in one go takes a slow client a while.
        """
        return self.transport.get_write_buffer_size(), _acknowledged(self.transport)

    # ------------------------------------------------------------------ ends

    def refuse(self, rule: str, status: int) -> None:
        """Parse nothing more and answer with `status`, behind the answer that is going out."""
        if self.is_over:
            return
        self._tell(rule, status)
        self._end()
        if not self._is_answering:
            self._answer(status)
        elif not self.cycle.more_body:
            self._refusal = status  # what is wrong is behind this request
        elif self.waits_in_line():
            self.refuse_in_line(status)
        elif self.cycle.response_started:
            _reset(self.transport)
        else:
            self._take_leave(status)

    def waits_in_line(self) -> bool:
        """Return whether the latest request waits for the answers to those before it."""
        return False

    def refuse_in_line(self, status: int) -> None:
        """Answer the latest request with `status` when it is its turn, instead of handing it to the app."""
        raise AssertionError("only a variant that lets requests wait has it")  # pragma: no cover

    def _take_leave(self, status: int) -> None:
        """Answer a request whose body is not to come any more, and tell the app that the client has gone."""
        self.cycle.disconnected = True  # what the app still sends goes nowhere
        self.cycle.message_event.set()
        self._answer(status)

    def _answer(self, status: int) -> None:
        self._end()
        self._refusal = None
        if self.transport.is_closing():
            return
        self.transport.write(_plain_answer(status, self.server_state.default_headers))
        self.flow.resume_reading()  # what comes is dropped
        if self.transport.can_write_eof():
            # To close with unread bytes would reset the connection, and the client could lose the answer.
            self.transport.write_eof()
            self._start(LINGER, self.transport.abort)
        else:
            self.transport.close()

    def _close(self) -> None:
        self._end()
        self.transport.close()
        self._watch()

    def cut_short(self) -> None:
        """Drop a client in the middle of its answer; called when the server cannot wait for its end."""
        if self._is_answering and self.cycle.response_started:
            self.cycle.disconnected = True
            self._end()
            _reset(self.transport)

    def cut(self, rule: str) -> None:
        """Drop the client at once."""
        self._tell(rule, None)
        self._end()
        _reset(self.transport)

    def _tell(self, rule: str, status: int | None) -> None:
        self.bounds.refused(rule, status, self.client[0] if self.client else "")


def _reset(transport: asyncio.Transport) -> None:
    """Drop the peer in a way that it cannot take for the end of a body that ends with its connection."""
    if sys.platform != "win32":  # where the option is packed in another way
        with contextlib.suppress(AttributeError, OSError):  # gone meanwhile
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
    transport.abort()


def _acknowledged(transport: asyncio.Transport) -> int:
    """Return how many bytes the peer's system has acknowledged; 0 where the system does not tell."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return 0
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, option, _ACKNOWLEDGED_AT + 8)
    except (AttributeError, OSError):  # a Unix socket, or gone
        return 0
    return (
        int(struct.unpack_from("<Q", info, _ACKNOWLEDGED_AT)[0]) if len(info) >= _ACKNOWLEDGED_AT + 8 else 0
    )


def _plain_answer(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    phrase = (_PHRASES.get(status) or http.HTTPStatus(status).phrase).encode()
    fields = [
        *headers,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", b"%d" % len(phrase)),
        (b"connection", b"close"),
    ]
    lines = [b"HTTP/1.1 %d %s" % (status, phrase), *(b"%s: %s" % field for field in fields), b"", phrase]
    return b"\r\n".join(lines)
