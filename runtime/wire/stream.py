"""The reply to a stream request. Spec: wire 5.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from runtime.wire.jsoncodec import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["StreamReply", "encode_missed", "encode_stream_reply"]


class StreamReply(msgspec.Struct):
    """What a stream answers. `data` is encoded JSON; everything that is absent has no key on the wire.

    `cursor` and `version` may be `None` and present, so they are absent when `UNSET`. Spec: wire 5.2.
    """

    data: bytes
    topic: str | None = None
    merge: str | None = None
    key: str | None = None
    prepend: bool | None = None
    max: int | None = None
    has_more: bool | None = None
    cursor: Any = UNSET
    seq: int | None = None
    replay: bool | None = None
    version: Any = UNSET
    delta: bool = False
    unchanged: bool = False
    schema_version: int | None = None
    channel: bool = False
    derived: bool = False
    gated: bool = False


def encode_missed(topic: str, events: Iterable[tuple[int, str, bytes]]) -> bytes:
    """Return the data of a reply that replays `events`: number, name and encoded data of each. Spec: wire 5.4."""
    head = b',"topic":' + encode(topic) + b',"event":'
    parts = [b'{"seq":%d%b%b,"data":%b}' % (seq, head, encode(event), data) for seq, event, data in events]
    return b"[" + b",".join(parts) + b"]"


def encode_stream_reply(id: str, reply: StreamReply) -> bytes:
    """Return the inner object of the reply: `id`, `ok`, `data`, then the keys that apply, in a fixed order.

    Raises:
        EncodeError: `cursor` or `version` has no JSON form.
    """
    parts = [b'{"id":', encode(id), b',"ok":true,"data":', reply.data]
    for key, value in (
        ("topic", reply.topic),
        ("merge", reply.merge),
        ("key", reply.key),
        ("prepend", reply.prepend),
        ("max", reply.max),
        ("hasMore", reply.has_more),
    ):
        if value is not None:
            parts += (b',"%b":' % key.encode(), encode(value))
    if reply.cursor is not UNSET:
        parts += (b',"cursor":', encode(reply.cursor))
    if reply.seq is not None:
        parts.append(b',"seq":%d' % reply.seq)
    if reply.unchanged:
        parts.append(b',"unchanged":true')
    if reply.delta:
        parts.append(b',"delta":true')
    if reply.version is not UNSET:
        parts += (b',"version":', encode(reply.version))
    if reply.schema_version is not None:
        parts.append(b',"schemaVersion":%d' % reply.schema_version)
    if reply.replay is not None:
        parts += (b',"replay":', encode(reply.replay))
    if reply.channel:
        parts.append(b',"channel":true')
    if reply.derived:
        parts.append(b',"derived":true')
    if reply.gated:
        parts.append(b',"gated":true')
    parts.append(b"}")
    return b"".join(parts)
