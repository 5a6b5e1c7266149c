"""Whatever a socket delivers gets a kind, and every form a client sends gets the right one."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.wire.binary import BinaryCall, UploadCancel, UploadChunk
from runtime.wire.classify import Kind, classify
from runtime.wire.control import Hello, Reply, Resume, Subscribe, SubscribeBatch, Unsubscribe
from runtime.wire.rpc import BadEntry, BatchFrame, CallFrame

texts = st.text(max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
ids = st.text(
    st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters='"\\'), min_size=1, max_size=12
)
refs = st.integers() | texts
PAYLOADS = {
    Kind.CONTROL: (Hello, Subscribe, SubscribeBatch, Unsubscribe, Resume, Reply),
    Kind.CALL: CallFrame,
    Kind.BATCH: BatchFrame,
    Kind.TOO_DEEP: list,
    Kind.BAD_ID: type(None),
    Kind.BINARY_CALL: BinaryCall,
    Kind.UPLOAD: (UploadCancel, UploadChunk),
    Kind.BAD_UPLOAD: type(None),
    Kind.UNHANDLED: (dict, type(None)),
}

# Pieces of frames in any order come closer to the edges of the grammar than random text does.
PIECES = """{"type": {"rpc": {"batch":[ "id": "a/b" "1" { } [ ] , : " \\ \\" \\ud800 NaN 1e999 null é
    "args": "subscribe" "topic":"""
pieces = st.lists(
    st.sampled_from([*PIECES.split(), " ", "\ud800", "[" * 70, "[" * 1500, "9" * 400]), max_size=14
).map("".join)


def check(data: str | bytes) -> None:
    result = classify(data)
    assert isinstance(result.payload, PAYLOADS[result.kind])
    if result.kind is Kind.TOO_DEEP:
        assert all(isinstance(id, str) for id in result.payload)
    if isinstance(data, str):
        assert result.kind is not Kind.BINARY_CALL


@given(st.binary(max_size=80) | st.text(st.characters(codec=None), max_size=80) | pieces)
def test_nothing_raises(data: str | bytes) -> None:
    check(data)


@given(pieces)
def test_nothing_raises_in_a_binary_frame(text: str) -> None:
    check(text.encode("utf-8", "surrogatepass"))


@given(values)
def test_any_json_gets_a_kind(value: Any) -> None:
    check(json.dumps(value))
    check(json.dumps({"type": value}))
    check(json.dumps({"rpc": "a/b", "id": value}))
    check(json.dumps({"batch": value}))
    check(json.dumps({"batch": [value]}))


def compact(obj: Any) -> str:
    return json.dumps(obj, ensure_ascii=False, separators=(",", ":"))


@given(st.lists(texts | st.just("batch") | values, max_size=5))
def test_hello(caps: list[Any]) -> None:
    expected = (
        frozenset({"batch"}) if "batch" in [cap for cap in caps if isinstance(cap, str)] else frozenset()
    )
    assert classify(compact({"type": "hello", "caps": caps})).payload == Hello(expected)


@given(texts, refs)
def test_subscribe_and_unsubscribe(topic: str, ref: int | str) -> None:
    assert classify(compact({"type": "subscribe", "topic": topic, "ref": ref})).payload == Subscribe(
        topic, ref
    )
    assert classify(compact({"type": "subscribe", "topic": topic})).payload == Subscribe(topic, None)
    assert classify(compact({"type": "unsubscribe", "topic": topic})).payload == Unsubscribe(topic)


@given(st.lists(values, max_size=5), refs)
def test_subscribe_batch(topics: list[Any], ref: int | str) -> None:
    frame = compact({"type": "subscribe-batch", "topics": topics, "ref": ref})
    assert classify(frame).payload == SubscribeBatch(topics, ref)


@given(texts, st.dictionaries(texts, values, max_size=4))
def test_resume(session_id: str, seqs: dict[str, Any]) -> None:
    frame = compact({"type": "resume", "sessionId": session_id, "lastSeenSeqs": seqs})
    assert classify(frame).payload == Resume(session_id, seqs)


@given(refs, values, texts)
def test_reply(ref: int | str, data: Any, error: str) -> None:
    assert classify(compact({"type": "reply", "ref": ref, "data": data})).payload == Reply(ref, data, None)
    assert classify(compact({"type": "reply", "ref": ref, "error": error})).payload == Reply(ref, None, error)


@given(ids, ids, st.lists(values, max_size=4), st.booleans())
def test_calls(path: str, id: str, args: list[Any], has_id: bool) -> None:
    obj = {"rpc": path, "id": id, "args": args} if has_id else {"rpc": path, "args": args}
    result = classify(compact(obj))
    assert result.kind is Kind.CALL
    assert result.payload == CallFrame(path, id if has_id else None, args)
    assert classify(compact(obj).encode()) == result
    assert classify(" " + json.dumps(obj, ensure_ascii=False)) == result


@given(
    st.fixed_dictionaries(
        {"rpc": ids, "id": ids, "args": st.lists(values, max_size=2), "stream": st.just(True)},
        optional={
            "seq": values,
            "version": values,
            "schemaVersion": st.integers(),
            "cursor": values,
            "idempotencyKey": texts,
        },
    )
)
def test_stream_requests(obj: dict[str, Any]) -> None:
    expected = CallFrame(
        obj["rpc"],
        obj["id"],
        obj["args"],
        stream=True,
        seq=obj.get("seq"),
        has_seq="seq" in obj,
        version=obj.get("version"),
        schema_version=obj.get("schemaVersion"),
        cursor=obj.get("cursor"),
        idempotency_key=obj.get("idempotencyKey"),
    )
    assert classify(compact({"rpc": obj["rpc"], **obj})).payload == expected


entries = st.fixed_dictionaries({"rpc": ids, "id": ids, "args": st.lists(values, max_size=2)})


@given(st.lists(entries | values, max_size=8), st.booleans())
def test_batches_keep_one_entry_for_each(batch: list[Any], sequential: bool) -> None:
    frame = {"batch": batch, "sequential": True} if sequential else {"batch": batch}
    result = classify(compact(frame))
    assert result.kind is Kind.BATCH
    assert result.payload.sequential is sequential
    assert len(result.payload.entries) == len(batch)
    for entry, sent in zip(result.payload.entries, batch, strict=True):
        if isinstance(sent, dict) and "rpc" in sent and "id" in sent and "args" in sent:
            assert entry == CallFrame(sent["rpc"], sent["id"], sent["args"])
        else:
            assert isinstance(entry, BadEntry)


@given(st.integers(1, 3000), ids)
def test_depth_has_one_limit(levels: int, id: str) -> None:
    # The outer object is level 1, the outermost list level 2.
    frame = f'{{"rpc":"a/b","id":{json.dumps(id)},"args":{"[" * levels}{"]" * levels}}}'
    result = classify(frame)
    if levels + 1 <= 64:
        assert result.kind is Kind.CALL
    else:
        assert result.kind is Kind.TOO_DEEP
        assert result.payload == [id]
