from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.wire.binary import BinaryCall, UploadCancel, UploadChunk, UploadHeader
from runtime.wire.classify import Classified, Kind, classify
from runtime.wire.control import Hello, Reply, Resume, Subscribe, SubscribeBatch, Unsubscribe
from runtime.wire.limits import CONTROL_FRAME_CEILING, MAX_ENVELOPE_DEPTH
from runtime.wire.rpc import BadEntry, BatchFrame, CallFrame

NOTHING = Classified(Kind.UNHANDLED, None)


def unhandled(obj: dict[str, Any]) -> Classified:
    return Classified(Kind.UNHANDLED, obj)


def control(value: object) -> Classified:
    return Classified(Kind.CONTROL, value)


def call(*args: Any, **options: Any) -> Classified:
    return Classified(Kind.CALL, CallFrame(*args, **options))


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        # What the client sends.
        ('{"type":"hello","caps":["batch"]}', control(Hello(frozenset({"batch"})))),
        ('{"type":"subscribe","topic":"todos","ref":3}', control(Subscribe("todos", 3))),
        ('{"type":"subscribe-batch","topics":["a","b"],"ref":4}', control(SubscribeBatch(["a", "b"], 4))),
        ('{"type":"unsubscribe","topic":"todos"}', control(Unsubscribe("todos"))),
        (
            '{"type":"resume","sessionId":"s","lastSeenSeqs":{"todos":41}}',
            control(Resume("s", {"todos": 41})),
        ),
        ('{"type":"reply","ref":17,"data":true}', control(Reply(17, True, None))),
        (
            '{"rpc":"todos/add","id":"k3f90","args":[{"text":"milk"}]}',
            call("todos/add", "k3f90", [{"text": "milk"}]),
        ),
        ('{"rpc":"c/move","args":["b",{"x":1}]}', call("c/move", None, ["b", {"x": 1}])),
        (
            '{"rpc":"todos/list","id":"k","args":[],"stream":true,"seq":41}',
            call("todos/list", "k", [], stream=True, seq=41, has_seq=True),
        ),
        (
            '{"batch":[{"rpc":"a/x","id":"k1","args":[]}],"sequential":true}',
            Classified(Kind.BATCH, BatchFrame([CallFrame("a/x", "k1", [])], sequential=True)),
        ),
        ('{"batch":[]}', Classified(Kind.BATCH, BatchFrame([]))),
        # Whitespace that other clients put in.
        (' {"rpc":"a/b","id":"1"}', call("a/b", "1", [])),
        ('{ "rpc" : "a/b" , "id" : "1" }\n', call("a/b", "1", [])),
        ('\t\r\n {\n "type": "unsubscribe", "topic": "x"}', control(Unsubscribe("x"))),
        # The first key decides, as in the reference.
        (
            '{"ref":1,"type":"unsubscribe","topic":"x"}',
            unhandled({"ref": 1, "type": "unsubscribe", "topic": "x"}),
        ),
        ('{"id":"1","rpc":"a/b"}', unhandled({"id": "1", "rpc": "a/b"})),
        ('{"type":"x","rpc":"a/b","id":"1"}', unhandled({"type": "x", "rpc": "a/b", "id": "1"})),
        ('{"\\u0072pc":"a/b","id":"1"}', unhandled({"rpc": "a/b", "id": "1"})),
        ('{"rest":1,"rpc":"a/b","id":"1"}', call("a/b", "1", [])),
        ('{"by":1,"rpc":"a/b","id":"1"}', call("a/b", "1", [])),
        ('{"by":1,"type":"unsubscribe","topic":"x"}', control(Unsubscribe("x"))),
        ('{"":1,"rpc":"a/b"}', unhandled({"": 1, "rpc": "a/b"})),
        # Rows of wire 10.
        ("", NOTHING),
        (b"", NOTHING),
        ("{", NOTHING),
        ("null", NOTHING),
        ("1", NOTHING),
        ('"abyd"', NOTHING),
        ("[]", NOTHING),
        ("{}", unhandled({})),
        ('{"type":1}', unhandled({"type": 1})),
        ('{"type":"nope"}', unhandled({"type": "nope"})),
        ('{"type":"subscribe"}', unhandled({"type": "subscribe"})),
        ('{"type":"subscribe","topic":7,"ref":1}', unhandled({"type": "subscribe", "topic": 7, "ref": 1})),
        ('{"type":"subscribe","topic":"","ref":1}', control(Subscribe("", 1))),
        (
            '{"type":"subscribe-batch","topics":"abc","ref":1}',
            unhandled({"type": "subscribe-batch", "topics": "abc", "ref": 1}),
        ),
        (
            '{"type":"subscribe-batch","topics":[null,5,{},"a"],"ref":1}',
            control(SubscribeBatch([None, 5, {}, "a"], 1)),
        ),
        ('{"type":"hello","caps":["batch",1,null]}', control(Hello(frozenset({"batch"})))),
        ('{"rpc":"x","id":"a"}', call("x", "a", [])),
        ('{"rpc":"../secrets","id":"a"}', call("../secrets", "a", [])),
        ('{"rpc":"","id":"a"}', call("", "a", [])),
        ('{"rpc":"","args":[]}', unhandled({"rpc": "", "args": []})),
        ('{"rpc":"a/b","id":"1","args":{}}', call("a/b", "1", {})),
        ('{"rpc":"a/b","id":"1","args":null}', call("a/b", "1", None)),
        ('{"rpc":"a/b"}', call("a/b", None, [])),
        ('{"rpc":"a/b","id":""}', unhandled({"rpc": "a/b", "id": ""})),
        ('{"rpc":"a/b","id":null}', unhandled({"rpc": "a/b", "id": None})),
        ('{"rpc":"a/b","id":5}', unhandled({"rpc": "a/b", "id": 5})),
        ('{"rpc":"a/b","id":{}}', unhandled({"rpc": "a/b", "id": {}})),
        ('{"rpc":"a/b","id":"a\\"b"}', Classified(Kind.BAD_ID, None)),
        ('{"rpc":"a/b","id":"a\\nb"}', Classified(Kind.BAD_ID, None)),
        ('{"rpc":"a/b","id":"\\\\"}', Classified(Kind.BAD_ID, None)),
        ('{"rpc":"a/b","id":"\\ud800"}', Classified(Kind.BAD_ID, None)),
        ('{"rpc":"a/b","id":"__batch"}', call("a/b", "__batch", [])),
        ('{"rpc":"a/b","id":"1","args":[NaN]}', NOTHING),
        ('{"rpc":"a/b","id":"1","args":[1],"args":[2]}', call("a/b", "1", [2])),
        ('{"rpc":"a/b","id":"1","args":[{"__proto__":1}]}', call("a/b", "1", [{"__proto__": 1}])),
        (
            '{"batch":[1,null,{}]}',
            Classified(Kind.BATCH, BatchFrame([BadEntry(""), BadEntry(""), BadEntry("")])),
        ),
        ('{"batch":{}}', unhandled({"batch": {}})),
        ('{"batch":{},"rpc":"a/b","id":"1"}', call("a/b", "1", [])),
        ('{"batch":[{"batch":[]}]}', Classified(Kind.BATCH, BatchFrame([BadEntry("")]))),
        ("\x01" + '{"rpc":"a/b"}', NOTHING),
        # Odd values.
        ('{"rpc":"a/b","id":"1","args":[18446744073709551617]}', call("a/b", "1", [18446744073709551617])),
        ('{"rpc":"a/b","id":"1","args":["\\ud800"]}', call("a/b", "1", ["\ud800"])),
        ('{"rpc":"a/b","id":"1","args":[1e999]}', NOTHING),
        ('{"rpc":"a/b","id":"1","args":["\ud800"]}', NOTHING),
        ('{"type":"subscribe","topic":"\\ud800","ref":1}', control(Subscribe("\ud800", 1))),
        ('{"rpc":5,"id":"a"}', unhandled({"rpc": 5, "id": "a"})),
        ('{"rpc":1}', unhandled({"rpc": 1})),
        # Binary frames.
        (b"\x00\x00\x00", NOTHING),
        (b"\x01", Classified(Kind.BAD_UPLOAD, None)),
        (b"\x02\x10", Classified(Kind.BAD_UPLOAD, None)),
        (b"\x02\x10\x00\x00\x00\x01", Classified(Kind.UPLOAD, UploadCancel(1))),
        (
            b"\x01\x03" + b"\x00" * 8 + b'\x00\x0d{"rpc":"a/b"}rest',
            Classified(Kind.UPLOAD, UploadChunk(0, 0, True, UploadHeader("a/b", []), b"rest")),
        ),
        (
            b'\x00\x00\x16{"rpc":"a/b","id":"1"}rest',
            Classified(Kind.BINARY_CALL, BinaryCall("a/b", "1", [], b"rest")),
        ),
        (b'\x00\x00\x15{"rpc":"a/b","id":""}', Classified(Kind.BAD_ID, None)),
        (b"\x03abc", NOTHING),
        (b"\xff", NOTHING),
        (b'{"rpc":"a/b","id":"1"}', call("a/b", "1", [])),
        (b'{"batch":[]}', Classified(Kind.BATCH, BatchFrame([]))),
        (b'{"type":"hello","caps":[]}', NOTHING),
        (b'{"other":1}', NOTHING),
        (b'{"rpc":1,"id":"a"}', NOTHING),
        (b' {"rpc":"a/b","id":"1"}', NOTHING),
        (b'{"rpc":"a/b","id":"\xff"}', NOTHING),
        ("\x00abc", NOTHING),
    ],
)
@pytest.mark.spec("WIRE-29", "WIRE-67")
def test_frames(frame: str | bytes, expected: Classified) -> None:
    assert classify(frame) == expected


def test_a_call_needs_ten_bytes() -> None:
    assert classify('{"rpc":""}') == unhandled({"rpc": ""})
    assert classify('{"bé":[]}') == unhandled({"bé": []})
    assert len(b'{"r":"a"}') == 9
    assert classify('{"batch":1') == NOTHING


@pytest.mark.parametrize("filler", ["x", "é", "😀"])
def test_control_frames_stay_below_the_ceiling_in_bytes(filler: str) -> None:
    head, tail = '{"type":"unsubscribe","topic":"', '"}'
    room = CONTROL_FRAME_CEILING - len(head) - len(tail) - 1
    topic = filler * (room // len(filler.encode()))
    topic += "y" * (room - len(topic.encode()))
    frame = head + topic + tail
    assert len(frame.encode()) == CONTROL_FRAME_CEILING - 1
    assert classify(frame) == control(Unsubscribe(topic))
    assert classify(head + topic + "z" + tail) == unhandled({"type": "unsubscribe", "topic": topic + "z"})


@pytest.mark.spec("WIRE-37", "WIRE-54")
def test_replies_and_resumes_may_be_long() -> None:
    text = "x" * 100_000
    assert classify(f'{{"type":"reply","ref":1,"data":"{text}"}}') == control(Reply(1, text, None))
    assert classify(f'{{"type":"resume","sessionId":"s","lastSeenSeqs":{{"{text}":1}}}}') == control(
        Resume("s", {text: 1})
    )


def test_nested_replies_arrive_and_nested_topics_do_not() -> None:
    reply = classify(f'{{"type":"reply","ref":1,"data":{nested(200)}}}')
    assert reply.kind is Kind.CONTROL
    assert classify(f'{{"type":"subscribe-batch","topics":[{nested(200)}],"ref":1}}') == NOTHING


@pytest.mark.spec("WIRE-75")
def test_nesting_above_the_limit_is_told_by_its_ids() -> None:
    def frame(levels: int) -> str:
        # The outer object is level 1 and `args` begins level 2.
        return f'{{"rpc":"a/b","id":"7","args":{nested(levels - 1)}}}'

    assert classify(frame(MAX_ENVELOPE_DEPTH)).kind is Kind.CALL
    assert classify(frame(MAX_ENVELOPE_DEPTH + 1)) == Classified(Kind.TOO_DEEP, ["7"])
    assert classify(frame(MAX_ENVELOPE_DEPTH + 1), max_depth=MAX_ENVELOPE_DEPTH + 1).kind is Kind.CALL
    assert classify(frame(4), max_depth=3) == Classified(Kind.TOO_DEEP, ["7"])
    assert classify(frame(MAX_ENVELOPE_DEPTH + 1).encode()) == Classified(Kind.TOO_DEEP, ["7"])


def test_a_deep_frame_without_an_id_is_too_deep_all_the_same() -> None:
    assert classify(f'{{"rpc":"a/b","args":{nested(70)}}}') == Classified(Kind.TOO_DEEP, [])
    assert classify(f'{{"rpc":"a/b","id":5,"args":{nested(70)}}}') == NOTHING
    assert classify(f'{{"rpc":"a/b","id":"\\n","args":{nested(70)}}}') == Classified(Kind.BAD_ID, None)
    assert classify(f'{{"other":{nested(70)}}}') == NOTHING


def test_the_ids_of_a_deep_batch_are_read() -> None:
    entries = [
        f'{{"rpc":"a/b","id":"1","args":{nested(70)}}}',
        '{"rpc":"a/b","id":"2"}',
        "5",
        '{"id":"3"}',
        '{"id":4}',
    ]
    expected = Classified(Kind.TOO_DEEP, ["1", "2", "3"], is_batch=True)
    assert classify('{"batch":[' + ",".join(entries) + "]}") == expected
    entries[0] = f'{{"rpc":"a/b","id":"1","args":{nested(20_000)}}}'
    assert classify('{"batch":[' + ",".join(entries) + "]}") == expected


@pytest.mark.parametrize(
    ("frame", "ids"),
    [
        (f'{{"rpc":"a/b","id":"7","args":{nested(10_000)}}}', ["7"]),
        (f'{{"rpc":"a/b","id":"7","args":{"[" * 10_000}', ["7"]),
        (f'{{"rpc":"a/b","args":{nested(10_000)},"id":"7"}}', ["7"]),
        (f'{{"rpc":"a/b","args":{nested(10_000)}}}', []),
        (f'{{"rpc":"a/b","id":7,"x":"y","args":{nested(10_000)}}}', []),
        (f'{{"rpc":"a/b","id":null,"args":{nested(10_000)}}}', []),
        (f'{{"rpc":"a/b","id":"a\\"b","args":{nested(10_000)}}}', []),
        (f'{{"rpc":"a/b","id":"","args":{nested(10_000)}}}', []),
        (f'{{"rpc":"id","x":"\\"id\\":","id" : "7","args":[{{"id":"8"}},{nested(10_000)}]}}', ["7"]),
        (f'{{"rpc":"a/b","args":[{{"id":"8"}},{nested(10_000)}]}}', []),
        (f'{{"rpc":"a/b","id":"\\u00e9","args":{nested(10_000)}}}', ["é"]),
        (f'{{"rpc":"a/b","args":{nested(10_000)},"id":"\\x"}}', []),
        (f'{{"r":{nested(10_000)},"x":"', []),
        (f'{{"r":{nested(10_000)},"id":"7\\', []),
    ],
)
@pytest.mark.spec("WIRE-75")
def test_ten_thousand_levels_do_not_overflow(frame: str, ids: list[str]) -> None:
    assert classify(frame) == Classified(Kind.TOO_DEEP, ids)
    assert classify(frame.encode()) == Classified(Kind.TOO_DEEP, ids)


def test_ten_thousand_levels_of_something_else_are_ignored() -> None:
    assert classify(nested(10_000)) == NOTHING
    assert classify('{"other":' + nested(10_000) + "}") == NOTHING
    assert classify('{"type":"reply","ref":1,"data":' + nested(10_000) + "}") == NOTHING


HEAD = '{"rpc":"a/b","x":' + "[" * 2000


@pytest.mark.parametrize(
    "frame",
    [
        HEAD + '"' + '\\"' * 500_000,
        HEAD + '"' + '\\"' * 500_000 + "\\",
        HEAD + "[]," * 330_000,
        HEAD + '""' * 500_000,
        HEAD + '"   ' * 250_000,
        HEAD + '"' + " " * 1_000_000,
        '{"rpc":"a/b","id":"1","args":[' + "[]," * 330_000 + "[]]}",
        '{"batch":[' + "1," * 500_000 + "1]}",
        '{"rpc":"' + "a/" * 500_000 + 'a","id":"1"}',
        " " * 1_000_000 + '{"rpc"',
        '{"rpc":"a/b","id":"' + '\\"' * 500_000 + '"}',
    ],
    ids=range(11),
)
def test_a_frame_of_a_megabyte_is_walked_once(frame: str) -> None:
    # Nothing is timed: work that grows with the square of a megabyte would not end.
    assert classify(frame).kind in Kind


def test_the_payload_of_an_unhandled_frame_is_the_object_itself() -> None:
    obj = {"type": "cursor", "topic": "canvas", "data": {"x": 1}}
    assert classify(json.dumps(obj)) == unhandled(obj)
