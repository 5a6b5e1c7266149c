"""Binary frames of clients: a call with bytes, the chunks of an upload, its end before time. Spec: wire 4.6 and 4.7.

The server never sends one. What is malformed gives `None`: such a frame is dropped, since nothing in it can be trusted.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from runtime.wire.envelope import encode_envelope
from runtime.wire.jsoncodec import DecodeError, decode

__all__ = [
    "CANCEL_FRAME_BYTES",
    "CHUNK_HEAD",
    "FIRST_CHUNK_HEAD",
    "MAX_HEADER",
    "UPLOAD_TOPIC",
    "BinaryCall",
    "UploadCancel",
    "UploadChunk",
    "UploadHeader",
    "encode_binary_call",
    "encode_cancel",
    "encode_chunk",
    "encode_upload_header",
    "encode_upload_reply",
    "parse_binary",
    "upload_event",
]

CALL, CHUNK, CONTROL = 0x00, 0x01, 0x02
HAS_ARGS, IS_LAST = 0x01, 0x02
CANCEL = 0x10
#: Topic on which uploads are answered.
UPLOAD_TOPIC = "__upload"
#: Bytes in front of the payload: of any chunk, and of the first one without its header.
CHUNK_HEAD = 10
FIRST_CHUNK_HEAD = 12
CANCEL_FRAME_BYTES = 6
#: Largest JSON header of a binary call and of a first chunk, in bytes.
MAX_HEADER = 0xFFFF
MIN_CALL_BYTES = 4


class BinaryCall(msgspec.Struct, frozen=True):
    """A call with bytes; only that `path` and `id` are text has been looked at. `args` is `[]` when it is missing."""

    path: str
    id: str
    args: Any
    payload: bytes


class UploadHeader(msgspec.Struct, frozen=True):
    """What the first chunk says: `path` as it came, `None` when it is no text; `args` always a list."""

    path: str | None
    args: list[Any]


class UploadChunk(msgspec.Struct, frozen=True):
    """One piece of an upload; `header` is that of the first one, `seq` 0."""

    stream_id: int
    seq: int
    is_last: bool
    header: UploadHeader | None
    payload: bytes


class UploadCancel(msgspec.Struct, frozen=True):
    """The client gives up."""

    stream_id: int


def parse_binary(data: bytes) -> BinaryCall | UploadChunk | UploadCancel | None:
    """Return what a binary frame is, `None` for one that is malformed or none of these. Never raises."""
    marker = data[:1]
    if marker == b"\x00":
        return _parse_call(data)
    if marker == b"\x01":
        return _parse_chunk(data)
    if marker == b"\x02" and len(data) >= CANCEL_FRAME_BYTES and data[1] == CANCEL:
        return UploadCancel(int.from_bytes(data[2:6], "big"))
    return None


def _parse_call(data: bytes) -> BinaryCall | None:
    size = int.from_bytes(data[1:3], "big")
    if len(data) < MIN_CALL_BYTES or not size or 3 + size > len(data):
        return None
    header = _object(data[3 : 3 + size])
    if header is None:
        return None
    path, id = header.get("rpc"), header.get("id")
    if not isinstance(path, str) or not isinstance(id, str):
        return None
    return BinaryCall(path, id, header.get("args", []), data[3 + size :])


def _parse_chunk(data: bytes) -> UploadChunk | None:
    if len(data) < CHUNK_HEAD:
        return None
    flags = data[1]
    stream_id, seq = int.from_bytes(data[2:6], "big"), int.from_bytes(data[6:10], "big")
    has_args = bool(flags & HAS_ARGS)
    if flags & ~(HAS_ARGS | IS_LAST) or has_args is not (seq == 0):
        return None
    is_last = bool(flags & IS_LAST)
    if not has_args:
        return UploadChunk(stream_id, seq, is_last, None, data[CHUNK_HEAD:])
    size = int.from_bytes(data[10:12], "big")
    end = FIRST_CHUNK_HEAD + size
    if len(data) < FIRST_CHUNK_HEAD or not size or end > len(data):
        return None
    try:
        value = decode(data[FIRST_CHUNK_HEAD:end])
    except DecodeError:
        return None
    header = value if isinstance(value, dict) else {}
    path, args = header.get("rpc"), header.get("args")
    found = UploadHeader(path if isinstance(path, str) else None, args if isinstance(args, list) else [])
    return UploadChunk(stream_id, seq, is_last, found, data[end:])


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = decode(data)
    except DecodeError:
        return None
    return value if isinstance(value, dict) else None


def encode_binary_call(path: str, id: str, args: list[Any], payload: bytes) -> bytes:
    """Return the frame of a call with bytes.

    Raises:
        ValueError: the arguments take more than `MAX_HEADER` bytes. TypeError: they have no JSON form.
    """
    header = _header({"rpc": path, "id": id, **({"args": args} if args else {})})
    return b"\x00" + len(header).to_bytes(2, "big") + header + payload


def encode_upload_header(path: str, args: list[Any]) -> bytes:
    """Return the header of an upload's first chunk.

    Raises:
        ValueError: the arguments take more than `MAX_HEADER` bytes. TypeError: they have no JSON form.
    """
    return _header({"rpc": path, **({"args": args} if args else {})})


def encode_chunk(
    stream_id: int, seq: int, payload: bytes | memoryview, *, is_last: bool, header: bytes | None = None
) -> bytes:
    """Return one chunk; `header` goes with number 0 and only there."""
    flags = (HAS_ARGS if header is not None else 0) | (IS_LAST if is_last else 0)
    head = bytes((CHUNK, flags)) + stream_id.to_bytes(4, "big") + seq.to_bytes(4, "big")
    if header is None:
        return head + payload
    return head + len(header).to_bytes(2, "big") + header + payload


def encode_cancel(stream_id: int) -> bytes:
    """Return the frame with which a client gives up."""
    return bytes((CONTROL, CANCEL)) + stream_id.to_bytes(4, "big")


def encode_upload_reply(stream_id: int, inner: bytes, cap: int | None) -> bytes:
    """Return the one response to an upload: the envelope around `inner`, a JSON object.

    `cap`, the largest frame that the server takes, goes with the first response on a connection.
    """
    if cap is not None:
        inner = b'%b,"__cap":%d}' % (inner[:-1], cap)
    return encode_envelope(UPLOAD_TOPIC, upload_event(stream_id), inner, None)


def upload_event(stream_id: int) -> str:
    """Return the name under which an upload is answered: its id as eight hexadecimal digits."""
    return f"{stream_id:08x}"


def _header(value: dict[str, Any]) -> bytes:
    data = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    if len(data) > MAX_HEADER:
        raise ValueError(f"the arguments take {len(data)} bytes, and at most {MAX_HEADER} fit")
    return data
