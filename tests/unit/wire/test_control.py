from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.wire import control
from runtime.wire.control import Hello, Reply, Resume, Subscribe, SubscribeBatch, Unsubscribe


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (control.encode_welcome("0b7f"), '{"type":"welcome","sessionId":"0b7f"}'),
        (control.encode_subscribed("todos", 3), '{"type":"subscribed","topic":"todos","ref":3}'),
        (control.encode_subscribed("é", "r"), '{"type":"subscribed","topic":"é","ref":"r"}'),
        (
            control.encode_denied("todos", 3, "FORBIDDEN"),
            '{"type":"subscribe-denied","topic":"todos","ref":3,"reason":"FORBIDDEN"}',
        ),
        (
            control.encode_denied('a"\n', 1.5, "no"),
            '{"type":"subscribe-denied","topic":"a\\"\\n","ref":1.5,"reason":"no"}',
        ),
        (
            control.encode_denied(None, 4, "INVALID_TOPIC"),
            '{"type":"subscribe-denied","topic":null,"ref":4,"reason":"INVALID_TOPIC"}',
        ),
        (
            control.encode_denied({"a": [5]}, 4, "INVALID_TOPIC"),
            '{"type":"subscribe-denied","topic":{"a":[5]},"ref":4,"reason":"INVALID_TOPIC"}',
        ),
        (
            control.encode_denied("\ud800", 4, "INVALID_TOPIC"),
            '{"type":"subscribe-denied","topic":"\\ud800","ref":4,"reason":"INVALID_TOPIC"}',
        ),
        (control.encode_resumed(), '{"type":"resumed"}'),
        (control.encode_resumed({}), '{"type":"resumed"}'),
        (
            control.encode_resumed({"feed": {"state": "filled", "count": 3}, "todos": {"state": "complete"}}),
            '{"type":"resumed","topics":{"feed":{"state":"filled","count":3},"todos":{"state":"complete"}}}',
        ),
        (
            control.encode_request(17, "confirm", b'{"q":"sure?"}'),
            '{"type":"request","ref":17,"event":"confirm","data":{"q":"sure?"}}',
        ),
        (control.PING, '{"type":"ping"}'),
    ],
)
def test_frames_of_the_server(frame: bytes, text: str) -> None:
    assert frame == text.encode()


def test_a_report_that_is_too_long_loses_what_says_the_least() -> None:
    topics = {f"t{number}": {"state": "truncated"} for number in range(50)}
    topics["feed"] = {"state": "complete"}
    full = control.encode_resumed(topics)
    assert len(json.loads(full)["topics"]) == 51
    assert control.encode_resumed(topics, len(full)) == full
    assert control.encode_resumed(topics, len(full) - 1) == (
        b'{"type":"resumed","topics":{"feed":{"state":"complete"}}}'
    )
    assert control.encode_resumed(topics, 30) == b'{"type":"resumed"}'
    assert control.encode_resumed(topics, 0) == full


@pytest.mark.parametrize(
    ("reason", "cleaned"),
    [
        ("QUOTA", "QUOTA"),
        ("", ""),
        ("a\nb\x7f\x00\x85", "ab"),
        ("x" * 200, "x" * 128),
        ("\n" * 5 + "x" * 128, "x" * 128),
        ("a\ud800", "a\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_reasons_are_clipped_and_cleaned(reason: str, cleaned: str) -> None:
    assert control.clean_reason(reason) == cleaned


@pytest.mark.parametrize(
    ("obj", "parsed"),
    [
        ({"type": "hello", "caps": ["batch"]}, Hello(frozenset({"batch"}))),
        ({"type": "hello", "caps": ["batch", 1, None, "zip", ["batch"]]}, Hello(frozenset({"batch"}))),
        ({"type": "hello", "caps": []}, Hello(frozenset())),
        ({"type": "hello", "caps": "batch"}, None),
        ({"type": "hello"}, None),
        ({"type": "subscribe", "topic": "todos", "ref": 3}, Subscribe("todos", 3)),
        ({"type": "subscribe", "topic": "", "ref": "r"}, Subscribe("", "r")),
        ({"type": "subscribe", "topic": "todos", "ref": 1.5}, Subscribe("todos", 1.5)),
        ({"type": "subscribe", "topic": "todos", "ref": 0}, Subscribe("todos", 0)),
        ({"type": "subscribe", "topic": "todos"}, Subscribe("todos", None)),
        ({"type": "subscribe", "topic": "todos", "ref": None}, Subscribe("todos", None)),
        ({"type": "subscribe", "topic": "todos", "ref": True}, Subscribe("todos", None)),
        ({"type": "subscribe", "topic": "todos", "ref": {}}, Subscribe("todos", None)),
        ({"type": "subscribe", "topic": "todos", "ref": []}, Subscribe("todos", None)),
        ({"type": "subscribe"}, None),
        ({"type": "subscribe", "topic": 7, "ref": 1}, None),
        (
            {"type": "subscribe-batch", "topics": ["a", None, 5, {}], "ref": 4},
            SubscribeBatch(["a", None, 5, {}], 4),
        ),
        ({"type": "subscribe-batch", "topics": []}, SubscribeBatch([], None)),
        ({"type": "subscribe-batch", "topics": "abc", "ref": 4}, None),
        ({"type": "unsubscribe", "topic": "todos"}, Unsubscribe("todos")),
        ({"type": "unsubscribe", "topic": None}, None),
        ({"type": "resume", "sessionId": "s", "lastSeenSeqs": {"a": -1}}, Resume("s", {"a": -1})),
        ({"type": "resume", "sessionId": "s", "lastSeenSeqs": [1, 2]}, Resume("s", {})),
        ({"type": "resume", "sessionId": "s", "lastSeenSeqs": None}, None),
        ({"type": "resume", "sessionId": 5, "lastSeenSeqs": {}}, None),
        ({"type": "resume", "sessionId": "s"}, None),
        ({"type": "reply", "ref": 17, "data": True}, Reply(17, True, None)),
        ({"type": "reply", "ref": "r"}, Reply("r", None, None)),
        ({"type": "reply", "ref": 17, "data": 1, "error": "no"}, Reply(17, 1, "no")),
        ({"type": "reply", "ref": 17, "data": 1, "error": 5}, Reply(17, 1, None)),
        ({"type": "reply", "ref": None, "data": 1}, None),
        ({"type": "reply", "ref": False, "data": 1}, None),
        ({"type": "nope"}, None),
        ({"type": 1}, None),
        ({"type": ["subscribe"], "topic": "a"}, None),
        ({}, None),
    ],
)
def test_shapes_of_the_client(obj: dict[str, Any], parsed: object) -> None:
    assert control.parse_control(obj) == parsed
