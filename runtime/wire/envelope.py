"""The broadcast envelope and the batch frame. Spec: wire 2.1 and 2.3.

Topic and event have no character that JSON escapes, so an envelope is put together around the data, which was encoded
once. Joining the four pieces anew costs what looking a finished prefix up does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.wire.limits import MAX_OUTBOUND_CHARS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["encode_batch", "encode_envelope", "exceeds_outbound"]


def encode_envelope(topic: str, event: str, data: bytes, seq: int | None) -> bytes:
    """Return `{"topic":...,"event":...,"data":...,"seq":...}`; without `seq` when that is `None`.

    `topic` and `event` have been checked with `names.check_name`; `data` is encoded JSON. Spec: wire 2.1.
    """
    if seq is None:
        return b'{"topic":"%b","event":"%b","data":%b}' % (topic.encode(), event.encode(), data)
    return b'{"topic":"%b","event":"%b","data":%b,"seq":%d}' % (topic.encode(), event.encode(), data, seq)


def encode_batch(envelopes: Sequence[bytes]) -> bytes:
    """Return `{"type":"batch","events":[...]}` of complete envelopes, in their order. Spec: wire 2.3."""
    return b'{"type":"batch","events":[' + b",".join(envelopes) + b"]}"


def exceeds_outbound(frame: bytes, limit: int = MAX_OUTBOUND_CHARS) -> bool:
    """Return whether a text frame has more than `limit` UTF-16 code units, so that the client would drop it.

    `limit` 0 means that there is none. Spec: wire 1.10.
    """
    if not limit or len(frame) <= limit:
        return False
    return len(frame.decode("utf-8", "replace").encode("utf-16-le")) // 2 > limit
