"""The bytes of a WebSocket client -> its messages. Spec: RFC 6455 section 5, RFC 7692.

No I/O: bytes go in, whole messages and control frames come out. Unmasking is C (`websockets.speedups`, or its Python
form where that is not built); everything else is a few comparisons per frame. Only an incomplete frame is kept, so a
peer costs what it has begun to send and at most `max_size`.
"""

from __future__ import annotations

import codecs
import zlib
from typing import NamedTuple

from runtime.wire import framing
from runtime.wire.limits import MAX_FRAGMENTS

try:
    from websockets.speedups import apply_mask
except ImportError:  # the wheel of this platform has no compiled part
    from websockets.utils import apply_mask

__all__ = ["Close", "Failure", "MessageReader", "Ping", "Pong", "Received"]

MAX_CONTROL_PAYLOAD = 125
MAX_HEAD = 14  # bytes of the longest head of a masked frame

WHOLE = (0x81, 0x82)  # first bytes of a whole text or binary message, which nearly every frame is
PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009
NO_STATUS = 1005


class Ping(NamedTuple):
    """A ping, to be answered with its payload."""

    payload: bytes


class Pong(NamedTuple):
    """An answer to a ping, or a sign of life without one."""

    payload: bytes


class Close(NamedTuple):
    """The peer's close frame; code 1005 when it named none. Nothing behind it is read."""

    code: int
    reason: str


class Failure(NamedTuple):
    """The peer broke the protocol: the connection has to be closed with this. Nothing behind it is read."""

    code: int
    reason: str


Received = str | bytes | Ping | Pong | Close | Failure


class MessageReader:
    """Reads what one client sends. `feed` it every piece; after a `Close` or `Failure` it ignores further ones.

    Messages are `str` (text) or `bytes` (binary). `inflates`: permessage-deflate was negotiated, without context
    takeover by the client.
    """

    __slots__ = (
        "_ended",
        "_fragments",
        "_inflate",
        "_kind",
        "_left",
        "_pieces",
        "_size",
        "_utf8",
        "_wanted",
        "inflates",
        "max_size",
    )

    def __init__(self, max_size: int, *, inflates: bool = False) -> None:
        self.max_size = max_size
        self.inflates = inflates
        self._left: bytes | bytearray = b""  # an incomplete frame
        self._wanted = 0  # bytes that `_left` needs before it is worth a look
        self._kind = 0  # opcode of the fragmented message, 0 outside of one
        self._inflate = False  # whether that message is deflated
        self._pieces: list[bytes] | None = None
        self._fragments = 0
        self._size = 0
        self._utf8: codecs.IncrementalDecoder | None = None
        self._ended = False

    def feed(self, data: bytes) -> list[Received]:
        """Return what became complete with `data`, in order."""
        found: list[Received] = []
        position = self._complete(data, found) if self._left else 0
        if not position:
            self._parse(data, 0, found)
        elif position < len(data):
            self._parse(data, position, found)
        return found

    def _complete(self, data: bytes, found: list[Received]) -> int:
        """Add to the incomplete frame only what it lacks; return how much of `data` that took."""
        position = 0
        while self._left and position < len(data):
            left = self._left
            lacks = (self._wanted or MAX_HEAD) - len(left)
            piece = data[position : position + lacks]
            position += len(piece)
            if len(piece) < lacks and self._wanted:
                if not isinstance(left, bytearray):
                    left = self._left = bytearray(left)
                left += piece
                break
            self._left = b""
            self._wanted = 0
            self._parse(bytes(left) + piece, 0, found)
        return position

    def _parse(self, data: bytes, position: int, found: list[Received]) -> None:
        end = len(data)
        while end - position >= 2 and not self._ended:
            first, length = data[position], data[position + 1]
            start = position + 6
            if length == 254:
                if end - position < 4:
                    self._look(found, first, length)
                    break
                size = data[position + 2] << 8 | data[position + 3]
                start = position + 8
            elif length == 255:
                if end - position < 10:
                    self._look(found, first, length)
                    break
                size = int.from_bytes(data[position + 2 : position + 10], "big")
                start = position + 14
            else:
                size = length & 127
            stop = start + size
            if first not in WHOLE or length < 128 or self._kind or size > self.max_size:
                problem = self._problem(first, length, size)
                if problem is not None:
                    self._end(found, problem)
                    break
            if stop > end:
                self._wanted = stop - position
                break
            payload = apply_mask(data[start:stop], data[start - 4 : start]) if size else b""
            position = stop
            if first == 0x81:
                try:
                    found.append(payload.decode())
                except UnicodeDecodeError:
                    self._end(found, Failure(INVALID_DATA, "invalid UTF-8"))
            elif first == 0x82:
                found.append(payload)
            else:
                self._unusual(found, first, payload)
        if position < end and not self._ended:
            self._left = data[position:] if position else data

    def _look(self, found: list[Received], first: int, length: int) -> None:
        """Tell what is wrong with a frame whose length is not known yet, without waiting for it."""
        problem = self._problem(first, length, 0)
        if problem is not None:
            self._end(found, problem)

    def _problem(self, first: int, length: int, size: int) -> Failure | None:
        """Return what is wrong with a frame's head, or `None`."""
        if length < 128:
            return Failure(PROTOCOL_ERROR, "frame of a client is not masked")
        opcode = first & 0x0F
        if first & 0x70 and (first & 0x30 or not self.inflates or opcode not in (1, 2)):
            return Failure(PROTOCOL_ERROR, "reserved bits are set")
        if opcode >= 8:
            if opcode > framing.PONG:
                return Failure(PROTOCOL_ERROR, f"unknown opcode {opcode}")
            if not first & 0x80:
                return Failure(PROTOCOL_ERROR, "control frame is fragmented")
            if length & 127 > MAX_CONTROL_PAYLOAD:
                return Failure(PROTOCOL_ERROR, "control frame is too long")
            return None
        if opcode > framing.BINARY:
            return Failure(PROTOCOL_ERROR, f"unknown opcode {opcode}")
        if opcode == framing.CONTINUATION:
            if not self._kind:
                return Failure(PROTOCOL_ERROR, "nothing to be continued")
        elif self._kind:
            return Failure(PROTOCOL_ERROR, "fragmented message was not finished")
        if size + self._size > self.max_size:
            if size >> 63:
                return Failure(PROTOCOL_ERROR, "length has its highest bit set")
            return Failure(TOO_BIG, "message is too big")
        return None

    def _unusual(self, found: list[Received], first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode == framing.PING:
            found.append(Ping(payload))
        elif opcode == framing.PONG:
            found.append(Pong(payload))
        elif opcode == framing.CLOSE:
            self._end(found, _close(payload))
        else:
            self._fragment(found, first, opcode, payload)

    def _fragment(self, found: list[Received], first: int, opcode: int, payload: bytes) -> None:
        """Take a part of a message, or a whole deflated one."""
        if opcode:
            self._kind = opcode
            self._inflate = bool(first & framing.COMPRESSED)
            self._pieces = []
            self._fragments = self._size = 0
            self._utf8 = None
            if opcode == framing.TEXT and not self._inflate:
                self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._fragments += 1
        self._size += len(payload)
        pieces = self._pieces
        if pieces is None or self._fragments > MAX_FRAGMENTS:
            self._end(found, Failure(PROTOCOL_ERROR, "message has too many fragments"))
            return
        if payload:
            pieces.append(payload)
        is_last = bool(first & framing.FIN)
        if self._utf8 is not None:
            try:
                # Told at the first bad byte, not when the message ends.
                self._utf8.decode(payload, is_last)
            except UnicodeDecodeError:
                self._end(found, Failure(INVALID_DATA, "invalid UTF-8"))
                return
        if is_last:
            self._finish(found, b"".join(pieces))

    def _finish(self, found: list[Received], message: bytes) -> None:
        kind, inflate = self._kind, self._inflate
        self._kind = self._size = 0
        self._pieces = self._utf8 = None
        if inflate:
            inflater = zlib.decompressobj(framing.DEFLATE_WINDOW)
            try:
                message = inflater.decompress(message + framing.DEFLATE_TAIL, self.max_size + 1)
            except zlib.error:
                self._end(found, Failure(PROTOCOL_ERROR, "message is not deflated"))
                return
            if len(message) > self.max_size:
                self._end(found, Failure(TOO_BIG, "message is too big"))
                return
        if kind == framing.BINARY:
            found.append(message)
            return
        try:
            found.append(message.decode())
        except UnicodeDecodeError:
            self._end(found, Failure(INVALID_DATA, "invalid UTF-8"))

    def _end(self, found: list[Received], last: Close | Failure) -> None:
        self._ended = True
        self._left = b""
        self._pieces = None
        found.append(last)


def _close(payload: bytes) -> Close | Failure:
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        return Failure(PROTOCOL_ERROR, "close frame is too short")
    code = int.from_bytes(payload[:2], "big")
    if not framing.is_close_code(code):
        return Failure(PROTOCOL_ERROR, f"close code {code} may not be sent")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        return Failure(INVALID_DATA, "invalid UTF-8")
