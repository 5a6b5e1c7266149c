"""Frames of the transport layer, whose first key is `type`. Spec: wire 1.6, 2.5, 3.2, 3.3, 8.4."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from runtime.wire.envelope import exceeds_outbound
from runtime.wire.jsoncodec import encode
from runtime.wire.limits import MAX_DENIAL_REASON, MAX_OUTBOUND_CHARS, MAX_TOPIC_LENGTH

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "KNOWN_CAPS",
    "PING",
    "Control",
    "Hello",
    "Ref",
    "Reply",
    "Resume",
    "Subscribe",
    "SubscribeBatch",
    "Unsubscribe",
    "clean_reason",
    "encode_denied",
    "encode_request",
    "encode_resumed",
    "encode_subscribed",
    "encode_welcome",
    "parse_control",
]

Ref: TypeAlias = int | float | str

#: Optional wire features that exist; a client that names others is not heard. Spec: wire 1.7.
KNOWN_CAPS = frozenset({"batch"})
#: Keeps the client's watchdog quiet; it is counted and ignored. Spec: wire 1.8.
PING = b'{"type":"ping"}'

_CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATES = re.compile("[\ud800-\udfff]")


class Hello(msgspec.Struct, frozen=True):
    """What the client understands; replaces what it said before."""

    caps: frozenset[str]


class Subscribe(msgspec.Struct, frozen=True):
    """One topic; whether its name is allowed is decided later. Without a `ref` there is no answer."""

    topic: str
    ref: Ref | None


class SubscribeBatch(msgspec.Struct, frozen=True):
    """Several topics with one `ref`; elements may be anything."""

    topics: list[Any]
    ref: Ref | None


class Unsubscribe(msgspec.Struct, frozen=True):
    """One topic to leave; never answered."""

    topic: str


class Resume(msgspec.Struct, frozen=True):
    """What the client last saw on an earlier connection; the values are not validated."""

    session_id: str
    last_seen_seqs: dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request of the server. `error` wins over `data`."""

    ref: Ref
    data: Any
    error: str | None


Control: TypeAlias = Hello | Subscribe | SubscribeBatch | Unsubscribe | Resume | Reply


def encode_welcome(session_id: str) -> bytes:
    """Return the first frame of a connection. Spec: wire 1.6."""
    return b'{"type":"welcome","sessionId":' + encode(session_id) + b"}"


def encode_subscribed(topic: str, ref: Ref) -> bytes:
    """Return the acknowledgement of a subscription. Spec: wire 3.2."""
    return b'{"type":"subscribed","topic":' + encode(topic) + b',"ref":' + encode(ref) + b"}"


def encode_denied(topic: Any, ref: Ref, reason: str) -> bytes:
    """Return the refusal of a subscription; `topic` is echoed, whatever it is, of a text its first 256 characters.

    Spec: wire 3.2, platform 5.5.
    """
    topic = topic[:MAX_TOPIC_LENGTH] if isinstance(topic, str) else topic
    head = b'{"type":"subscribe-denied","topic":' + encode(topic) + b',"ref":' + encode(ref)
    return head + b',"reason":' + encode(reason) + b"}"


def encode_resumed(
    topics: Mapping[str, Mapping[str, Any]] | None = None, limit: int = MAX_OUTBOUND_CHARS
) -> bytes:
    """Return the end of a resume with its report, which is left out when it is empty.

    Args:
        topics: topic -> `{"state": ...}` with `count` or `code`, as wire 8.4 lists them.
        limit: UTF-16 code units of the frame, 0 for none; a larger report loses its `truncated` entries,
            which mean the same as a missing one, and if that is not enough everything.
    """
    if not topics:
        return b'{"type":"resumed"}'
    frame = b'{"type":"resumed","topics":' + encode(topics) + b"}"
    if not exceeds_outbound(frame, limit):
        return frame
    kept = {topic: entry for topic, entry in topics.items() if entry.get("state") != "truncated"}
    return encode_resumed(kept if len(kept) < len(topics) else None, limit)


def encode_request(ref: Ref, event: str, data: bytes) -> bytes:
    """Return a request of the server to the client; `data` is encoded JSON. Spec: wire 2.5."""
    return (
        b'{"type":"request","ref":' + encode(ref) + b',"event":' + encode(event) + b',"data":' + data + b"}"
    )


def clean_reason(reason: str) -> str:
    """Return a denial's reason without control characters, clipped to 128 characters. Spec: wire 3.2."""
    clipped = _CONTROL_CHARACTERS.sub("", reason[: MAX_DENIAL_REASON * 2])[:MAX_DENIAL_REASON]
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", clipped)


def parse_control(obj: dict[str, Any]) -> Control | None:
    """Return the control frame in a decoded object, or `None` when its type or shape is none of ours.

    Shapes are those of wire 3.2; whether topics and numbers are valid is decided where they are used.
    """
    kind = obj.get("type")
    parser = _PARSERS.get(kind) if isinstance(kind, str) else None
    return None if parser is None else parser(obj)


def _ref(value: Any) -> Ref | None:
    return value if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None


def _hello(obj: dict[str, Any]) -> Hello | None:
    caps = obj.get("caps")
    if not isinstance(caps, list):
        return None
    return Hello(frozenset(cap for cap in caps if isinstance(cap, str) and cap in KNOWN_CAPS))


def _subscribe(obj: dict[str, Any]) -> Subscribe | None:
    topic = obj.get("topic")
    return Subscribe(topic, _ref(obj.get("ref"))) if isinstance(topic, str) else None


def _subscribe_batch(obj: dict[str, Any]) -> SubscribeBatch | None:
    topics = obj.get("topics")
    return SubscribeBatch(topics, _ref(obj.get("ref"))) if isinstance(topics, list) else None


def _unsubscribe(obj: dict[str, Any]) -> Unsubscribe | None:
    topic = obj.get("topic")
    return Unsubscribe(topic) if isinstance(topic, str) else None


def _resume(obj: dict[str, Any]) -> Resume | None:
    session_id, seqs = obj.get("sessionId"), obj.get("lastSeenSeqs")
    if not isinstance(session_id, str) or not isinstance(seqs, (dict, list)):
        return None
    # To JavaScript a list is an object too, one without topics.
    return Resume(session_id, seqs if isinstance(seqs, dict) else {})


def _reply(obj: dict[str, Any]) -> Reply | None:
    ref = _ref(obj.get("ref"))
    if ref is None:
        return None
    error = obj.get("error")
    return Reply(ref, obj.get("data"), error if isinstance(error, str) else None)


_PARSERS = {
    "hello": _hello,
    "subscribe": _subscribe,
    "subscribe-batch": _subscribe_batch,
    "unsubscribe": _unsubscribe,
    "resume": _resume,
    "reply": _reply,
}
