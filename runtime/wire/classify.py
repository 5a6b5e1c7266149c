"""Inbound frame -> what it is. Every frame of every client goes through here, and nothing it holds may raise.

Spec: wire 2.2, 4.1, 4.5, 4.8 and 10; live-api 17.4.
"""

from __future__ import annotations

import enum
import re
from typing import Any

import msgspec

from runtime.wire.binary import BinaryCall, parse_binary
from runtime.wire.control import Reply, Resume, parse_control
from runtime.wire.jsoncodec import DecodeError, NestingError, decode, nesting_exceeds
from runtime.wire.limits import CONTROL_FRAME_CEILING, MAX_ENVELOPE_DEPTH, MAX_ID_SCAN, MIN_RPC_BYTES
from runtime.wire.names import is_reply_id
from runtime.wire.rpc import parse_batch, parse_call

__all__ = ["Classified", "Kind", "classify"]

_WHITESPACE = " \t\n\r"
_BINARY_MARKERS = (b"\x00", b"\x01", b"\x02")
_CALL_STARTS = ("r", "b")
# Control frames that may be longer than the ceiling, since both carry data of any size.
_LONG_CONTROLS = (Reply, Resume)

# A string with what tells a key from a value, or a run of brackets. An unclosed string runs to the end: every
# character is looked at once.
_TOKEN = re.compile(r'"((?:[^"\\]|\\.?)*+)(?:"(\s*+:)?|\Z)|([\[{]++)|([\]}]++)', re.DOTALL)
_BATCH_ENTRY_DEPTH = 3


class Kind(enum.Enum):
    """What an inbound frame is, and what `Classified.payload` then holds."""

    CONTROL = "control"  # a struct of `runtime.wire.control`
    CALL = "call"  # CallFrame
    BATCH = "batch"  # BatchFrame
    TOO_DEEP = "too_deep"  # list[str]: the ids that could be read
    BAD_ID = "bad_id"  # None: dropped and counted, since no answer could name it
    BINARY_CALL = "binary_call"  # BinaryCall
    UPLOAD = "upload"  # UploadChunk or UploadCancel
    BAD_UPLOAD = "bad_upload"  # None: dropped and counted, since its upload cannot be known
    UNHANDLED = "unhandled"  # the decoded dict of a text frame, or None


class Classified(msgspec.Struct, frozen=True):
    """The kind of a frame and its payload; `is_batch`: the ids of a too deep frame came in a batch."""

    kind: Kind
    payload: Any
    is_batch: bool = False


_NOTHING = Classified(Kind.UNHANDLED, None)
_BAD_ID = Classified(Kind.BAD_ID, None)
_BAD_UPLOAD = Classified(Kind.BAD_UPLOAD, None)


def classify(data: str | bytes, max_depth: int = MAX_ENVELOPE_DEPTH) -> Classified:
    """Return what `data` is: `str` is a text frame, `bytes` a binary one. Never raises.

    The first key decides, by the characters that the reference looks at: second one `y`, a control frame
    (text only); first one `r` or `b`, a call or a batch. Spec: wire 2.2.
    """
    is_text = isinstance(data, str)
    if not isinstance(data, str) and data[:1] in _BINARY_MARKERS:
        return _binary(data)
    start = _first_key(data)
    if start is None:
        return _NOTHING
    may_call = start[:1] in _CALL_STARTS and _has_bytes(data, MIN_RPC_BYTES)
    if not is_text and not may_call:
        return _NOTHING
    try:
        value = decode(data)
    except NestingError:
        return _too_deep_to_parse(data, start) if may_call else _NOTHING
    except DecodeError:
        return _NOTHING
    is_deep = nesting_exceeds(data, value, max_depth)
    if start[1:] == "y":
        control = _control(data, value, is_deep)
        if control is not None:
            return control
    if may_call:
        live = _live(value, is_deep)
        if live is not None:
            return live
    return Classified(Kind.UNHANDLED, value) if is_text and not is_deep else _NOTHING


def _binary(data: bytes) -> Classified:
    found = parse_binary(data)
    if isinstance(found, BinaryCall):
        return Classified(Kind.BINARY_CALL, found) if is_reply_id(found.id) else _BAD_ID
    if found is not None:
        return Classified(Kind.UPLOAD, found)
    return _NOTHING if data[0] == 0 else _BAD_UPLOAD


def _first_key(data: str | bytes) -> str | None:
    """Return up to two characters of the first key, or `None` when `data` cannot be an object of ours.

    Only text may have whitespace in front; an object whose first key is missing gives "".
    """
    if not isinstance(data, str):
        return data[2:3].decode("ascii", "replace") if data[:2] == b'{"' else None
    if data[:2] == '{"':
        return data[2:4]
    stripped = data.lstrip(_WHITESPACE)
    if stripped[:1] != "{":
        return None
    stripped = stripped[1:].lstrip(_WHITESPACE)
    return stripped[1:3] if stripped[:1] == '"' else ""


def _has_bytes(data: str | bytes, size: int) -> bool:
    """Return whether `data` is at least `size` bytes of UTF-8."""
    length = len(data)
    if length >= size or not isinstance(data, str) or data.isascii():
        return length >= size
    return len(data.encode("utf-8", "surrogatepass")) >= size


def _control(data: str | bytes, value: dict[str, Any], is_deep: bool) -> Classified | None:
    control = parse_control(value)
    if control is None:
        return None
    if isinstance(control, _LONG_CONTROLS):
        return Classified(Kind.CONTROL, control)
    # The denied element of a batch is echoed, so what is too deep to be encoded again is not taken.
    if is_deep or _has_bytes(data, CONTROL_FRAME_CEILING):
        return None
    return Classified(Kind.CONTROL, control)


def _live(value: dict[str, Any], is_deep: bool) -> Classified | None:
    if value.get("batch").__class__ is list:
        batch = parse_batch(value)
        if is_deep and batch is not None:
            return Classified(Kind.TOO_DEEP, [entry.id for entry in batch.entries if entry.id], is_batch=True)
        return Classified(Kind.BATCH, batch)
    call = parse_call(value)
    if call is None:
        return None
    if call.id is not None and not is_reply_id(call.id):
        return _BAD_ID
    if is_deep:
        return Classified(Kind.TOO_DEEP, [] if call.id is None else [call.id])
    return Classified(Kind.CALL, call)


def _too_deep_to_parse(data: str | bytes, start: str) -> Classified:
    """Find the ids of a frame that the parser gave up on, without recursion, near its beginning.

    Spec: wire 4.8 and 10 row 46.
    """
    text = data[:MAX_ID_SCAN] if isinstance(data, str) else data[:MAX_ID_SCAN].decode("utf-8", "replace")
    is_batch = start[:1] == "b"
    wanted_depth = _BATCH_ENTRY_DEPTH if is_batch else 1
    ids: list[str] = []
    depth = 0
    is_value_of_id = False
    for token in _TOKEN.finditer(text):
        string, colon, opened, closed = token.groups()
        if string is None:
            depth += len(opened or "") - len(closed or "")
            is_value_of_id = False
        elif colon is not None:
            is_value_of_id = string == "id" and depth == wanted_depth
        elif is_value_of_id:
            is_value_of_id = False
            id = _unescape(string)
            if id and (is_batch or is_reply_id(id)):
                ids.append(id)
    return Classified(Kind.TOO_DEEP, ids if is_batch else ids[-1:], is_batch=is_batch)


def _unescape(string: str) -> str | None:
    try:
        text = decode(f'"{string}"')
    except DecodeError:
        return None
    return text if isinstance(text, str) else None
