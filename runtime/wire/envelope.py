"""The broadcast envelope and the batch frame. Spec: wire 2.1 and 2.3.

An envelope is joined from three byte strings: a prefix that depends on topic and event only, the data as it
was encoded once, and a suffix with the number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.wire.jsoncodec import encode
from runtime.wire.limits import MAX_ENVELOPE_PREFIXES, MAX_OUTBOUND_CHARS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["encode_batch", "encode_envelope", "exceeds_outbound"]

_prefixes: dict[tuple[str, str], bytes] = {}


def encode_envelope(topic: str, event: str, data: bytes, seq: int | None) -> bytes:
    """Return `{"topic":...,"event":...,"data":...,"seq":...}`; without `seq` when that is `None`.

    `topic` and `event` have been checked with `names.check_name`; `data` is encoded JSON. Spec: wire 2.1.
    """
    prefix = _prefixes.get((topic, event))
    if prefix is None:
        prefix = _make_prefix(topic, event)
    if seq is None:
        return b"%b%b}" % (prefix, data)
    return b'%b%b,"seq":%d}' % (prefix, data, seq)


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


def _make_prefix(topic: str, event: str) -> bytes:
    if len(_prefixes) >= MAX_ENVELOPE_PREFIXES:
        for key in list(_prefixes)[: MAX_ENVELOPE_PREFIXES // 2]:
            _prefixes.pop(key, None)  # another thread may do the same (platform.threadsafe)
    prefix = b'{"topic":' + encode(topic) + b',"event":' + encode(event) + b',"data":'
    _prefixes[topic, event] = prefix
    return prefix
