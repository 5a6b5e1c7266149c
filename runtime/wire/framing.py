"""How a WebSocket frame of the server looks on the wire. Spec: RFC 6455 sections 5 and 7.4, RFC 7692.

A server frame is not masked, so a message has one form for all peers: it is made once and shared.
"""

from __future__ import annotations

import zlib
from struct import Struct

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "close_payload",
    "deflate",
    "encode_frame",
    "encode_text",
    "is_close_code",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

FIN = 0x80
COMPRESSED = 0x40  # RSV1 of the first frame of a message (RFC 7692, 6)
SHORT = 126  # lengths from here on have two bytes of their own
LONG = 0x10000  # and from here on eight
# RFC 7692, 7.2.1: a deflated message ends in an empty block, whose last four bytes do not travel.
DEFLATE_TAIL = b"\x00\x00\xff\xff"
# The head of a frame whose length has two bytes.
_MEDIUM = Struct(">BBH").pack
DEFLATE_LEVEL = 6
DEFLATE_WINDOW = -15


def encode_text(payload: bytes) -> bytes:
    """Return the frame of one whole text message; `payload` is UTF-8."""
    size = len(payload)
    if size < SHORT:
        return b"\x81%c%b" % (size, payload)
    if size < LONG:
        return _MEDIUM(0x81, 0x7E, size) + payload
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


def encode_frame(opcode: int, payload: bytes, *, compressed: bool = False) -> bytes:
    """Return one whole message or control frame; `compressed`: the payload is deflated."""
    first = FIN | opcode | (COMPRESSED if compressed else 0)
    size = len(payload)
    if size < SHORT:
        return b"%c%c%b" % (first, size, payload)
    if size < LONG:
        return b"%c\x7e%b%b" % (first, size.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (first, size.to_bytes(8, "big"), payload)


def deflate(payload: bytes) -> bytes:
    """Return `payload` deflated without context, so that every peer can be sent the same bytes."""
    compressor = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, DEFLATE_WINDOW)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(DEFLATE_TAIL)


def close_payload(code: int, reason: str) -> bytes:
    """Return the payload of a close frame; empty for 1005 and 1006, which do not travel."""
    return b"" if code in (1005, 1006) else code.to_bytes(2, "big") + reason.encode()


def is_close_code(code: int) -> bool:
    """Return whether a peer may send `code` in a close frame. Spec: RFC 6455 7.4 and the IANA registry."""
    return code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999
