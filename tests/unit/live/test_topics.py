"""The topic of a stream request, and which functions get the ctx. Spec: live-api 8.2."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from runtime.core.errors import LiveError
from runtime.live.topics import resolve_topic

CTX = "CTX"


class Topics:
    def method(self, ctx: Any, room: str) -> str:
        return f"{ctx}:{room}"

    def __call__(self, room: str) -> str:
        return f"called:{room}"


@pytest.mark.parametrize(
    ("topic", "args", "resolved"),
    [
        ("fixed", [], "fixed"),
        ("fixed", [1, 2], "fixed"),
        (lambda: "none", [], "none"),
        (lambda room: f"room:{room}", ["a"], "room:a"),
        (lambda ctx, room: f"{ctx}:{room}", ["a"], "CTX:a"),
        (lambda context, room: f"{context}:{room}", ["a"], "CTX:a"),
        (lambda _ctx, room: f"{_ctx}:{room}", ["a"], "CTX:a"),
        (lambda ctx: f"{ctx}", [], "CTX"),
        (lambda c, room: f"{c}:{room}", ["a"], "CTX:a"),
        (lambda first, second="s": f"{first}:{second}", ["a"], "a:s"),
        (lambda first, second="s": f"{first}:{second}", ["a", "b"], "a:b"),
        (lambda c, second="s": f"{c}:{second}", [], "CTX:s"),
        (lambda *args: f"{args}", ["a"], "('a',)"),
        (lambda ctx, *args: f"{ctx}{args}", ["a"], "CTX('a',)"),
        (lambda first, *rest: f"{first}{rest}", ["a", "b"], "a('b',)"),
        (functools.partial(lambda fixed, room: f"{fixed}:{room}", "p"), ["a"], "p:a"),
        (Topics().method, ["a"], "CTX:a"),
        (Topics(), ["a"], "called:a"),
    ],
)
def test_a_function_gets_the_ctx_if_it_wants_one(topic: Any, args: list[Any], resolved: str) -> None:
    assert resolve_topic(topic, CTX, args) == resolved


async def coroutine(room: str) -> str:
    return room


@pytest.mark.spec("WIRE-91")
@pytest.mark.parametrize(
    ("topic", "message"),
    [
        (lambda room: None, "Topic function must return a string"),
        (lambda room: 5, "Topic function must return a string"),
        (lambda room: b"bytes", "Topic function must return a string"),
        (lambda room: coroutine(room), "Topic function must return a string"),
        (lambda room: "__system", "Reserved topic prefix"),
    ],
)
def test_what_is_no_topic_is_an_invalid_request(topic: Any, message: str) -> None:
    with pytest.raises(LiveError) as caught:
        resolve_topic(topic, CTX, ["a"])
    assert (caught.value.code, caught.value.message) == ("INVALID_REQUEST", message)
