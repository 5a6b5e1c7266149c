from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.wire import rpc
from runtime.wire.rpc import BadEntry, BatchFrame, CallFrame


@pytest.mark.parametrize(
    ("obj", "parsed"),
    [
        ({"rpc": "a/b", "id": "1", "args": [1]}, CallFrame("a/b", "1", [1])),
        ({"rpc": "a/b", "id": "1"}, CallFrame("a/b", "1", [])),
        ({"rpc": "a/b", "args": [1]}, CallFrame("a/b", None, [1])),
        ({"rpc": "a/b"}, CallFrame("a/b", None, [])),
        ({"rpc": "a/b", "id": "1", "args": None}, CallFrame("a/b", "1", None)),
        ({"rpc": "a/b", "id": "1", "args": {"x": 1}}, CallFrame("a/b", "1", {"x": 1})),
        ({"rpc": "", "id": "1"}, CallFrame("", "1", [])),
        ({"rpc": "a/b", "stream": True, "args": []}, CallFrame("a/b", None, [], stream=True)),
        ({"rpc": "a/b", "id": "1", "args": [], "stream": 1}, CallFrame("a/b", "1", [])),
        ({"rpc": "a/b", "id": "1", "args": [], "junk": 1}, CallFrame("a/b", "1", [])),
        (
            {
                "rpc": "a/b",
                "id": "1",
                "args": [],
                "stream": True,
                "seq": 41,
                "version": 9,
                "schemaVersion": 2,
            },
            CallFrame("a/b", "1", [], stream=True, seq=41, has_seq=True, version=9, schema_version=2),
        ),
        (
            {"rpc": "a/b", "id": "1", "seq": None, "cursor": {"at": 1}, "idempotencyKey": "k"},
            CallFrame("a/b", "1", [], has_seq=True, cursor={"at": 1}, idempotency_key="k"),
        ),
        ({"rpc": ""}, None),
        ({"rpc": 5, "id": "1"}, None),
        ({"id": "1"}, None),
        ({"rpc": "a/b", "id": ""}, None),
        ({"rpc": "a/b", "id": None}, None),
        ({"rpc": "a/b", "id": 5}, None),
        ({"rpc": "a/b", "id": {}}, None),
    ],
)
def test_calls(obj: dict[str, Any], parsed: CallFrame | None) -> None:
    assert rpc.parse_call(obj) == parsed


def test_calls_without_args_do_not_share_a_list() -> None:
    first, second = (rpc.parse_call({"rpc": "a/b"}) for _ in range(2))
    assert first is not None
    assert second is not None
    first.args.append(1)
    assert second.args == []


@pytest.mark.spec("WIRE-69")
def test_batches_keep_the_place_of_bad_entries() -> None:
    obj = {
        "batch": [
            {"rpc": "a/x", "id": "k1", "args": [1]},
            1,
            None,
            {},
            {"rpc": "a/x"},
            {"id": "k2"},
            {"rpc": 7, "id": "k3"},
            {"rpc": "a/x", "id": 5},
            {"rpc": "a/x", "id": ""},
            {"batch": [], "id": "k4"},
            {"rpc": "a/s", "id": 'k"5', "stream": True},
        ]
    }
    assert rpc.parse_batch(obj) == BatchFrame(
        [
            CallFrame("a/x", "k1", [1]),
            BadEntry(""),
            BadEntry(""),
            BadEntry(""),
            BadEntry(""),
            BadEntry("k2"),
            BadEntry("k3"),
            BadEntry(""),
            BadEntry(""),
            BadEntry("k4"),
            CallFrame("a/s", 'k"5', [], stream=True),
        ]
    )


@pytest.mark.parametrize(("value", "expected"), [(True, True), (False, False), (1, False), ("true", False)])
def test_only_true_makes_a_batch_sequential(value: object, expected: bool) -> None:
    batch = rpc.parse_batch({"batch": [], "sequential": value})
    assert batch == BatchFrame([], sequential=expected)


@pytest.mark.parametrize("value", [{}, None, "x", 5])
def test_a_batch_is_a_list(value: object) -> None:
    assert rpc.parse_batch({"batch": value}) is None


@pytest.mark.spec("WIRE-60")
def test_a_reply_travels_on_its_own_topic_under_the_id_of_its_call() -> None:
    inner = rpc.encode_ok("k3f90", b'{"id":1,"text":"milk"}')
    assert inner == b'{"id":"k3f90","ok":true,"data":{"id":1,"text":"milk"}}'
    assert rpc.encode_reply("k3f90", inner) == (
        b'{"topic":"__rpc","event":"k3f90","data":{"id":"k3f90","ok":true,"data":{"id":1,"text":"milk"}}}'
    )
    assert rpc.encode_ok("k", b"null") == b'{"id":"k","ok":true,"data":null}'


@pytest.mark.spec("WIRE-65", "WIRE-66")
def test_a_failed_reply_carries_only_what_applies() -> None:
    assert rpc.encode_error("k", "LOCKED", "List is locked") == (
        b'{"id":"k","ok":false,"code":"LOCKED","error":"List is locked"}'
    )
    issues = [{"path": ["text"], "message": "Required"}]
    assert rpc.encode_error("k", "VALIDATION", "Validation failed", issues=issues) == (
        b'{"id":"k","ok":false,"code":"VALIDATION","error":"Validation failed",'
        b'"issues":[{"path":["text"],"message":"Required"}]}'
    )
    assert rpc.encode_error("k", "RATE_LIMITED", "Too many requests", retry_after_ms=740) == (
        b'{"id":"k","ok":false,"code":"RATE_LIMITED","error":"Too many requests","retryAfter":740}'
    )
    assert rpc.encode_error("k", "X", "", data={"a": 1}) == (
        b'{"id":"k","ok":false,"code":"X","error":"","data":{"a":1}}'
    )


def test_ids_and_texts_are_escaped() -> None:
    frame = rpc.encode_error('a"b', "X\n", 'say "no"')
    assert json.loads(frame) == {"id": 'a"b', "ok": False, "code": "X\n", "error": 'say "no"'}


@pytest.mark.spec("WIRE-68", "WIRE-69")
def test_a_batch_is_answered_in_one_frame() -> None:
    inners = [rpc.encode_ok("k1", b"1"), rpc.encode_error("k2", "NOT_FOUND", "Not found")]
    assert rpc.encode_batch_replies(inners) == [
        b'{"topic":"__rpc","event":"__batch","data":{"batch":[{"id":"k1","ok":true,"data":1},'
        b'{"id":"k2","ok":false,"code":"NOT_FOUND","error":"Not found"}]}}'
    ]
    assert rpc.encode_batch_replies([]) == [b'{"topic":"__rpc","event":"__batch","data":{"batch":[]}}']


@pytest.mark.spec("WIRE-71")
def test_an_answer_that_is_too_long_is_split_in_order() -> None:
    inners = [rpc.encode_ok(str(number), b'"' + b"x" * 100 + b'"') for number in range(10)]
    whole = len(rpc.encode_batch_replies(inners)[0])
    assert len(rpc.encode_batch_replies(inners, whole)) == 1
    frames = rpc.encode_batch_replies(inners, whole - 1)
    assert len(frames) == 2
    assert [entry["id"] for frame in frames for entry in json.loads(frame)["data"]["batch"]] == [
        str(number) for number in range(10)
    ]
    assert len(rpc.encode_batch_replies(inners, 10)) == 10
    assert len(rpc.encode_batch_replies(inners, 0)) == 1
