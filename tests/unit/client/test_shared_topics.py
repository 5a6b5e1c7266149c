"""Several streams on one topic: what one of them does takes no event from another. Spec: wire 5.1, 5.10 and 8.4."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.client.scripted import Scripted, answer, rows, scripted

pytestmark = pytest.mark.spec("LIVE-191", "LIVE-206")

ONE, TWO = "a/one", "a/two"


async def created(s: Scripted, id: int) -> None:
    s.socket.publish("todos", "created", {"id": id})
    await s.settle()


async def next_request(s: Scripted) -> str:
    """Let time pass until one more stream asks; return which one."""
    before = len(s.socket.requests())
    while len(s.socket.requests()) == before:
        await s.clock.advance(0.001)
    path: str = s.socket.requests()[-1]["rpc"]
    return path


def frames(s: Scripted) -> list[Any]:
    return [frame.get("rpc") or frame.get("type") for frame in s.socket.sent]


async def test_two_that_ask_again_after_a_reconnect_miss_nothing() -> None:
    async with scripted() as s, s.client.stream(ONE) as one, s.client.stream(TWO) as two:
        await answer(s, rows(1), ONE)
        await answer(s, rows(1), TWO)
        await s.reopen()
        first = await next_request(s)
        await created(s, 2)
        second = await next_request(s)
        await created(s, 3)
        # The second one left the topic while the first one waited for its answer: the server must not hear of that.
        assert frames(s) == ["hello", "subscribe-batch", first, second]
        await answer(s, rows(1), first)
        await answer(s, rows(1, 2, 3), second)
        await created(s, 4)
        assert one.value == two.value == rows(1, 2, 3, 4)
        await one.close()
        await two.close()
        await s.settle()
        assert frames(s)[4:] == ["unsubscribe"]


async def test_a_topic_that_nobody_is_on_any_more_is_left_when_its_last_request_ends() -> None:
    async with scripted() as s, s.client.stream(ONE) as one, s.client.stream(TWO) as two:
        await answer(s, rows(1), ONE)
        await answer(s, rows(1), TWO)
        await s.reopen()
        first = await next_request(s)
        await (one if first == TWO else two).close()
        await s.settle()
        assert "unsubscribe" not in frames(s)
        await (two if first == TWO else one).close()
        await s.settle()
        assert frames(s)[-2:] == [first, "unsubscribe"]


async def test_one_whose_topic_was_left_behind_its_first_request_asks_again() -> None:
    async with scripted() as s:
        one, two = s.client.stream(ONE), s.client.stream(TWO)
        one.open()
        await answer(s, rows(1), ONE)
        two.open()
        await s.settle()
        await one.close()
        await s.settle()
        assert frames(s)[-2:] == [TWO, "unsubscribe"]
        await answer(s, rows(1), TWO)
        assert len(s.socket.requests(TWO)) == 2, "what it had subscribed to ended with the other's"
        await answer(s, rows(1, 2), TWO)
        await created(s, 3)
        assert two.value == rows(1, 2, 3)
        assert len(s.socket.requests(TWO)) == 2
        await two.close()


async def test_a_stream_that_was_closed_before_its_answer_is_left_when_that_comes() -> None:
    async with scripted() as s:
        stream = s.client.stream(ONE)
        stream.open()
        await s.settle()
        await stream.close()
        await s.settle()
        assert frames(s) == ["hello", ONE]
        await answer(s, rows(1), ONE)
        assert s.socket.sent[2:] == [{"type": "unsubscribe", "topic": "todos"}]
        assert (stream.value, stream.topic, s.client._calls.waiting) == (None, None, 0)


async def test_a_late_answer_takes_no_topic_from_whoever_is_on_it() -> None:
    async with scripted() as s, s.client.stream(TWO) as two:
        await answer(s, rows(1), TWO)
        one = s.client.stream(ONE)
        one.open()
        await s.settle()
        await one.close()
        await s.settle()
        await answer(s, rows(1), ONE)
        again = s.client.stream(ONE)
        again.open()
        await s.settle()
        await again.close()
        again.open()
        await answer(s, rows(1), ONE)
        assert "unsubscribe" not in frames(s)
        await created(s, 2)
        assert two.value == again.value == rows(1, 2)
        await again.close()


async def test_a_late_refusal_and_silence_are_nothing() -> None:
    async with scripted(timeout=5) as s:
        for refuses in (True, False):
            stream = s.client.stream(ONE, refuses)
            stream.open()
            request = await s.request(ONE)
            await stream.close()
            await s.settle()
            if refuses:
                s.socket.refuse(request, "FORBIDDEN")
            await s.clock.advance(6)
            assert (stream.error, s.client._calls.waiting) == (None, 0)
        assert frames(s) == ["hello", ONE, ONE]


async def test_a_late_answer_leaves_the_topic_to_who_came_back_to_the_stream() -> None:
    async with scripted() as s:
        stream = s.client.stream(ONE)
        stream.open()
        late = await s.request(ONE)
        await stream.close()
        await s.settle()
        stream.open()
        await s.settle()
        s.socket.reply(late, rows(1), topic="todos", merge="crud", key="id")
        await s.settle()
        await answer(s, rows(1, 2), ONE)
        assert (frames(s), stream.value) == (["hello", ONE, ONE, "subscribe"], rows(1, 2))
        await stream.close()
