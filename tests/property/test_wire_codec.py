"""JSON and the frames made of it survive the way there and back."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.wire import control, envelope, jsoncodec, rpc, stream
from runtime.wire.jsoncodec import DecodeError

# Any text, lone surrogates included: a client may send them escaped.
texts = st.text(st.characters(codec=None), max_size=20)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)
safe_names = st.text(
    st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters='"\\'), min_size=1, max_size=64
)


@given(values)
def test_values_round_trip(value: Any) -> None:
    encoded = jsoncodec.encode(value)
    assert jsoncodec.decode(encoded) == value
    assert jsoncodec.decode(encoded.decode()) == value
    assert json.loads(encoded) == value


@given(values)
def test_encoding_is_javascripts(value: Any) -> None:
    """Compact and raw UTF-8; only the way to write a float is msgspec's own."""
    floats_as_text = _without_floats(value)
    expected = json.dumps(floats_as_text, ensure_ascii=False, separators=(",", ":"))
    encoded = jsoncodec.encode(floats_as_text).decode()
    if encoded != expected.encode("utf-8", "backslashreplace").decode():
        # The standard library has short forms for \b and \f as well.
        assert json.loads(encoded) == floats_as_text
        assert "\b" in expected or "\\b" in expected or "\\f" in expected


def _without_floats(value: Any) -> Any:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return [_without_floats(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_floats(item) for key, item in value.items()}
    return value


@given(st.binary(max_size=60) | texts)
def test_decoding_gives_a_value_or_its_own_error(data: bytes | str) -> None:
    try:
        value = jsoncodec.decode(data)
    except DecodeError:
        return
    assert json.loads(data) == value or (isinstance(value, float) and math.isinf(json.loads(data)))


@given(values, st.integers(1, 6))
def test_nesting_is_measured_exactly(value: Any, limit: int) -> None:
    def depth(item: Any) -> int:
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else None
        return 0 if children is None else 1 + max(map(depth, children), default=0)

    data = jsoncodec.encode(value)
    assert jsoncodec.nesting_exceeds(data, value, limit) is (depth(value) > limit)


@given(safe_names, safe_names, values, st.none() | st.integers(1, 2**53))
def test_envelopes_round_trip(topic: str, event: str, data: Any, seq: int | None) -> None:
    frame = envelope.encode_envelope(topic, event, jsoncodec.encode(data), seq)
    expected = {"topic": topic, "event": event, "data": data} | ({} if seq is None else {"seq": seq})
    decoded = jsoncodec.decode(frame)
    assert decoded == expected
    assert list(decoded) == list(expected)
    # Checked names stand in the frame as they are.
    assert frame.startswith(f'{{"topic":"{topic}","event":"{event}","data":'.encode())


@given(st.lists(st.tuples(safe_names, values), max_size=5))
def test_batch_frames_hold_their_envelopes(events: list[tuple[str, Any]]) -> None:
    frames = [envelope.encode_envelope(name, "e", jsoncodec.encode(data), 1) for name, data in events]
    decoded = jsoncodec.decode(envelope.encode_batch(frames))
    assert decoded == {"type": "batch", "events": [jsoncodec.decode(frame) for frame in frames]}


@given(texts, st.integers(0, 30))
def test_outbound_length_is_utf16_length(text: str, limit: int) -> None:
    raw = text.encode("utf-8", "replace")
    units = len(raw.decode().encode("utf-16-le")) // 2
    assert envelope.exceeds_outbound(raw, limit) is (limit > 0 and units > limit)


@given(values, numbers | texts, texts)
def test_denials_echo_whatever_was_asked_for(topic: Any, ref: control.Ref, reason: str) -> None:
    cleaned = control.clean_reason(reason)
    assert len(cleaned) <= 128
    assert control.clean_reason(cleaned) == cleaned
    decoded = jsoncodec.decode(control.encode_denied(topic, ref, cleaned))
    echoed = topic[:256] if isinstance(topic, str) else topic
    assert decoded == {"type": "subscribe-denied", "topic": echoed, "ref": ref, "reason": cleaned}


@given(texts, values, st.none() | st.lists(values, max_size=3), st.none() | st.integers(0, 10**6))
def test_replies_round_trip(id: str, data: Any, issues: list[Any] | None, retry: int | None) -> None:
    ok = jsoncodec.decode(rpc.encode_reply(id, rpc.encode_ok(id, jsoncodec.encode(data))))
    assert ok == {"topic": "__rpc", "event": id, "data": {"id": id, "ok": True, "data": data}}
    inner = rpc.encode_error(id, "C", "text", issues=issues, retry_after_ms=retry, data=data)
    expected: dict[str, Any] = {"id": id, "ok": False, "code": "C", "error": "text"}
    for key, value in (("issues", issues), ("retryAfter", retry), ("data", data)):
        if value is not None:
            expected[key] = value
    decoded = jsoncodec.decode(inner)
    assert decoded == expected
    assert list(decoded) == list(expected)


STREAM_KEYS = {
    "topic": "topic",
    "merge": "merge",
    "key": "key",
    "prepend": "prepend",
    "max": "max",
    "has_more": "hasMore",
    "cursor": "cursor",
    "seq": "seq",
    "unchanged": "unchanged",
    "delta": "delta",
    "version": "version",
    "schema_version": "schemaVersion",
    "replay": "replay",
    "channel": "channel",
    "derived": "derived",
    "gated": "gated",
}


@given(
    values,
    st.fixed_dictionaries(
        {},
        optional={
            "topic": texts,
            "merge": texts,
            "key": texts,
            "prepend": st.booleans(),
            "max": st.integers(0, 1000),
            "has_more": st.booleans(),
            "cursor": values,
            "seq": st.integers(0, 2**53),
            "unchanged": st.just(True),
            "delta": st.just(True),
            "version": values,
            "schema_version": st.integers(0, 9),
            "replay": st.booleans(),
            "channel": st.just(True),
            "derived": st.just(True),
            "gated": st.just(True),
        },
    ),
)
def test_stream_replies_have_exactly_the_keys_that_apply(data: Any, options: dict[str, Any]) -> None:
    reply = stream.StreamReply(jsoncodec.encode(data), **options)
    decoded = jsoncodec.decode(stream.encode_stream_reply("k", reply))
    expected = {"id": "k", "ok": True, "data": data}
    expected |= {wire: options[name] for name, wire in STREAM_KEYS.items() if name in options}
    assert decoded == expected
    assert list(decoded) == list(expected)


@given(st.lists(st.tuples(texts, values), max_size=12), st.integers(0, 400))
def test_split_answers_hold_every_entry_once_and_in_order(entries: list[tuple[str, Any]], limit: int) -> None:
    inners = [rpc.encode_ok(id, jsoncodec.encode(data)) for id, data in entries]
    frames = rpc.encode_batch_replies(inners, limit)
    seen = []
    for frame in frames:
        decoded = jsoncodec.decode(frame)
        assert (decoded["topic"], decoded["event"]) == ("__rpc", "__batch")
        batch = decoded["data"]["batch"]
        seen += batch
        assert not limit or len(frame) <= limit or len(batch) <= 1
        assert batch or not entries
    assert seen == [{"id": id, "ok": True, "data": data} for id, data in entries]
    if not limit:
        assert len(frames) == 1
    # No frame could have taken the first entry of the next one.
    for frame, following in itertools.pairwise(frames):
        first = jsoncodec.encode(jsoncodec.decode(following)["data"]["batch"][0])
        assert len(frame) + 1 + len(first) > limit
