"""Calls, batches of calls and their replies. Spec: wire 4.1, 4.2, 4.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runtime.wire.jsoncodec import encode
from runtime.wire.limits import MAX_OUTBOUND_CHARS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "TOO_LARGE",
    "BadEntry",
    "BatchFrame",
    "CallFrame",
    "encode_batch_replies",
    "encode_error",
    "encode_ok",
    "encode_reply",
    "parse_batch",
    "parse_call",
    "without_id",
]

#: Code and text of the reply that stands in for one the client would drop for its size. Spec: wire 1.10.
TOO_LARGE = ("PAYLOAD_TOO_LARGE", "Response too large")

_BATCH_HEAD = b'{"topic":"__rpc","event":"__batch","data":{"batch":['
_BATCH_TAIL = b"]}}"


class CallFrame(msgspec.Struct):
    """One request. Only `path` and `id` have been checked; the rest is as the client sent it.

    `args` is an empty list when the key was missing; `seq` counts only when `has_seq`; absent `version`,
    `schema_version`, `cursor` and `idempotency_key` are `None`. Spec: wire 4.1.
    """

    path: str
    id: str | None
    args: Any
    stream: bool = False
    seq: Any = None
    has_seq: bool = False
    version: Any = None
    schema_version: Any = None
    cursor: Any = None
    idempotency_key: Any = None
    #: The first argument is bytes that came beside the others (wire 4.6).
    is_binary: bool = False


class BadEntry(msgspec.Struct, frozen=True):
    """A batch entry that is no request; it fails in its place under `id`, which may be empty."""

    id: str


class BatchFrame(msgspec.Struct):
    """Several requests that are answered together, in their order. Spec: wire 4.5."""

    entries: list[CallFrame | BadEntry]
    sequential: bool = False


_NAMELESS = BadEntry("")


def parse_call(obj: dict[str, Any]) -> CallFrame | None:
    """Return the call in a decoded object, or `None` when it is none.

    A call has a string `rpc` and either no `id` or a non-empty string `id`; an empty `rpc` needs an `id`.
    Whether the id can be an event's name is not looked at. Spec: wire 4.1, live-api 17.4.
    """
    path = obj.get("rpc")
    if path.__class__ is not str:
        return None
    id = obj.get("id")
    if id is None:
        if "id" in obj or not path:
            return None
    elif id.__class__ is not str or not id:
        return None
    if len(obj) == 3 and id is not None and "args" in obj:
        return CallFrame(path, id, obj["args"])
    return CallFrame(
        path,
        id,
        obj.get("args", []),
        obj.get("stream") is True,
        obj.get("seq"),
        "seq" in obj,
        obj.get("version"),
        obj.get("schemaVersion"),
        obj.get("cursor"),
        obj.get("idempotencyKey"),
    )


def parse_batch(obj: dict[str, Any]) -> BatchFrame | None:
    """Return the batch in a decoded object, of whatever length, or `None` when `batch` is no list."""
    batch = obj.get("batch")
    if batch.__class__ is not list:
        return None
    return BatchFrame([_parse_entry(entry) for entry in batch], obj.get("sequential") is True)


def encode_ok(id: str, data: bytes) -> bytes:
    """Return the inner object of a reply, `{"id":...,"ok":true,"data":...}`; `data` is encoded JSON."""
    return b'{"id":' + encode(id) + b',"ok":true,"data":' + data + b"}"


def without_id(id: str, inner: bytes) -> bytes:
    """Return the inner object of a reply without its `id`, as a binary call is answered. Spec: wire 4.6."""
    return b"{" + inner[len(b'{"id":,') + len(encode(id)) :]


def encode_error(
    id: str,
    code: str,
    message: str,
    *,
    issues: Sequence[Any] | None = None,
    retry_after_ms: int | None = None,
    data: Any = None,
) -> bytes:
    """Return the inner object of a failed reply; keys whose value is `None` are left out. Spec: wire 4.2.

    Raises:
        EncodeError: `issues` or `data` has no JSON form.
    """
    parts = [b'{"id":', encode(id), b',"ok":false,"code":', encode(code), b',"error":', encode(message)]
    if issues is not None:
        parts += (b',"issues":', encode(issues))
    if retry_after_ms is not None:
        parts.append(b',"retryAfter":%d' % retry_after_ms)
    if data is not None:
        parts += (b',"data":', encode(data))
    parts.append(b"}")
    return b"".join(parts)


def encode_reply(id: str, inner: bytes) -> bytes:
    """Return the envelope that carries one reply to its caller. Spec: wire 4.2."""
    return b'{"topic":"__rpc","event":' + encode(id) + b',"data":' + inner + b"}"


def fits_batch_frame(inner: bytes, limit: int) -> bool:
    """Return whether the frame of a batch that holds this reply alone has at most `limit` bytes; 0 means any number."""
    return not limit or len(_BATCH_HEAD) + len(inner) + len(_BATCH_TAIL) <= limit


def encode_batch_replies(inners: Sequence[bytes], limit: int = MAX_OUTBOUND_CHARS) -> list[bytes]:
    """Return the frames that answer a batch: one, or several when one would be longer than `limit` bytes.

    Order is kept; a reply that is too long alone gets a frame of its own. `limit` 0 means that there is none.
    Spec: wire 4.5.
    """
    frames: list[bytes] = []
    part: list[bytes] = []
    empty = size = len(_BATCH_HEAD) + len(_BATCH_TAIL)
    for inner in inners:
        added = len(inner) + (1 if part else 0)
        if part and limit and size + added > limit:
            frames.append(_join(part))
            part, size, added = [], empty, len(inner)
        part.append(inner)
        size += added
    frames.append(_join(part))
    return frames


def _join(part: list[bytes]) -> bytes:
    return _BATCH_HEAD + b",".join(part) + _BATCH_TAIL


def _parse_entry(entry: Any) -> CallFrame | BadEntry:
    if entry.__class__ is not dict:
        return _NAMELESS
    id = entry.get("id")
    if id.__class__ is not str or not id:
        return _NAMELESS
    return parse_call(entry) or BadEntry(id)
