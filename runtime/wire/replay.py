"""The frames of a replay, all of them direct sends on `__replay:<topic>`. Spec: wire 6.4."""

from __future__ import annotations

from typing import Any

from runtime.wire.jsoncodec import encode

__all__ = ["MAX_REQ_ID", "ReplayFrames", "is_since", "usable_req_id"]

#: Characters of a request id that is echoed in every message of a replay; a longer one is left out.
MAX_REQ_ID = 128


def is_since(value: Any) -> bool:
    """Return whether `value` can be a number that a client has seen: an integer from 0 on, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def usable_req_id(value: Any) -> int | float | str | None:
    """Return the request id in `value`, or `None` when it is none that can be echoed."""
    if isinstance(value, str):
        return value if len(value) <= MAX_REQ_ID else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**MAX_REQ_ID else None
    return value if isinstance(value, float) else None


class ReplayFrames:
    """Encodes the frames that answer one replay of `topic`; `req_id` goes into each of them unless it is `None`."""

    __slots__ = ("_head", "_id", "_message")

    def __init__(self, topic: str, req_id: int | float | str | None = None) -> None:
        self._head = b'{"topic":' + encode(f"__replay:{topic}") + b',"event":'
        self._id = b"" if req_id is None else b'"reqId":' + encode(req_id)
        self._message = self._head + b'"msg","data":{' + (self._id + b"," if self._id else b"")

    def message(self, seq: int, event: str, data: bytes) -> bytes:
        """Return the frame of one missed event; `data` is encoded JSON."""
        return b'%b"seq":%d,"event":%b,"data":%b}}' % (self._message, seq, encode(event), data)

    def end(self, *, truncated: bool) -> bytes:
        """Return the frame that ends the replay; `truncated` says that something may be missing before it."""
        parts = [part for part in (self._id, b'"truncated":true' if truncated else b"") if part]
        return self._head + b'"end","data":' + (b"{" + b",".join(parts) + b"}" if parts else b"null") + b"}"

    def denied(self, code: str) -> bytes:
        """Return the only frame of a replay that the subscribe gate refused."""
        parts = [b'"code":' + encode(code), *([self._id] if self._id else [])]
        return self._head + b'"denied","data":{' + b",".join(parts) + b"}}"
