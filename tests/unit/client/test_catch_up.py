"""A stream across a reconnect: nothing twice, nothing out of order, nothing empty in between. Spec: wire 5.4, 8.4."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runtime.client import Stream
from runtime.core.capacity import MAX_HELD_FRAMES
from tests.unit.client.scripted import LIST, Scripted, answer, rows, scripted

pytestmark = pytest.mark.spec("LIVE-206", "LIVE-191")


def missed(seq: int, event: str, data: Any) -> dict[str, Any]:
    return {"seq": seq, "topic": "todos", "event": event, "data": data}


def created(s: Scripted, id: int, seq: int | None = None, **keys: Any) -> None:
    s.socket.publish("todos", "created", {"id": id, **keys}, seq)


async def ask_again(s: Scripted) -> None:
    await s.clock.advance(0.1)


def ids(stream: Stream) -> list[int]:
    return [row["id"] for row in stream.value]


async def test_events_before_the_answer_wait_so_that_missed_ones_come_first() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        values: list[Any] = []
        stream.subscribe(values.append)
        await answer(s, rows(1), seq=40)
        await s.reopen()
        created(s, 3, 42)
        await s.settle()
        assert ids(stream) == [1]
        await ask_again(s)
        gap = [missed(41, "created", {"id": 2}), missed(42, "created", {"id": 3})]
        await answer(s, gap, seq=42, replay=True)
        created(s, 4, 43)
        await s.settle()
        assert values == [None, rows(1), rows(1, 2, 3), rows(1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("keys", "data", "expected"),
    [
        ({}, rows(2), [2]),
        ({"seq": 42, "replay": False}, rows(2), [2]),
        ({"channel": True}, [], [1, 3]),
        ({"unchanged": True, "version": 1}, [], [1, 3]),
        ({"delta": True, "version": 2}, rows(2), [1, 3, 2]),
    ],
)
async def test_only_a_whole_value_contains_what_waited(
    keys: dict[str, Any], data: Any, expected: list[int]
) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1), version=1)
        await s.reopen()
        created(s, 3, 42)
        await ask_again(s)
        await answer(s, data, **keys)
        assert ids(stream) == expected


async def test_a_replay_without_a_number_contains_what_its_last_event_does() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1), seq=40)
        await s.reopen()
        s.socket.publish("todos", "updated", {"id": 1, "text": "volatile"})
        created(s, 3, 42)
        await ask_again(s)
        await answer(s, [missed(41, "created", {"id": 2}), missed(42, "created", {"id": 3})], replay=True)
        assert stream.value == [{"id": 1, "text": "volatile"}, *rows(2, 3)]
        await s.reopen()
        await ask_again(s)
        assert (await s.request(LIST))["seq"] == 42


async def refuse(s: Scripted) -> None:
    await ask_again(s)
    s.socket.refuse(await s.request(LIST), "X")


async def deny(s: Scripted) -> None:
    s.socket.push({"type": "subscribe-denied", "topic": "todos", "ref": 2, "reason": "X"})


@pytest.mark.parametrize("act", [refuse, deny])
async def test_what_waited_is_applied_when_no_answer_comes(
    act: Callable[[Scripted], Awaitable[None]],
) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        await s.reopen()
        created(s, 2)
        await act(s)
        await s.settle()
        assert ids(stream) == [1, 2]


@pytest.mark.parametrize("is_asked", [False, True])
async def test_what_waited_when_the_line_breaks_again_waits_for_the_next_answer(is_asked: bool) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        await s.reopen()
        created(s, 3)
        await s.clock.advance(0.1 if is_asked else 0.0)
        await s.reopen()
        assert ids(stream) == [1], "no list with a hole"
        await ask_again(s)
        await answer(s, [], channel=True)
        assert ids(stream) == [1, 3]


async def test_what_waited_is_applied_when_the_next_question_is_put_off() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        await s.reopen()
        created(s, 2)
        await s.settle()
        await s.reopen()
        assert ids(stream) == [1]
        await s.reopen()
        assert ids(stream) == [1, 2]


async def test_when_the_answer_is_far_away_events_apply_at_once() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        for _ in range(3):
            await s.reopen()
        created(s, 2)
        await s.settle()
        assert ids(stream) == [1, 2]


async def test_a_stream_that_is_left_while_events_wait_keeps_them() -> None:
    async with scripted() as s:
        async with s.client.stream(LIST) as stream:
            await answer(s, rows(1))
            await s.reopen()
            created(s, 2)
            await s.settle()
        await s.settle()
        assert ids(stream) == [1, 2]


async def test_as_many_events_wait_as_are_held() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, 0, merge="set")
        await s.reopen()
        for number in range(1, MAX_HELD_FRAMES + 2):
            s.socket.publish("todos", "set", number, number)
        await s.settle()
        assert stream.value == MAX_HELD_FRAMES + 1
        await ask_again(s)
        await answer(s, "new", merge="set")
        assert stream.value == "new"


async def test_a_mutation_is_confirmed_by_an_event_that_waited() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, [])
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        mutating = asyncio.ensure_future(stream.mutate(lambda: done, ("created", {"id": 1, "by": "me"})))
        await s.reopen()
        created(s, 1, 5, by="server")
        await ask_again(s)
        await answer(s, [{"id": 1, "by": "server"}])
        done.set_result(None)
        await mutating
        assert stream.value == [{"id": 1, "by": "server"}]


@pytest.mark.spec("WIRE-101")
async def test_latest_does_not_repeat_what_had_come_before_the_line_broke() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, [1], merge="latest", seq=40)
        s.socket.publish("todos", "x", 2, 41)
        s.socket.publish("todos", "x", 3, 42)
        await s.settle()
        await s.reopen()
        await ask_again(s)
        gap = [missed(41, "x", 2), missed(42, "x", 3), missed(43, "x", 4)]
        await answer(s, gap, merge="latest", seq=43, replay=True)
        assert stream.value == [1, 2, 3, 4]


async def test_latest_takes_a_replay_as_it_is_behind_a_hole_in_the_numbers() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, [], merge="latest", seq=40)
        s.socket.publish("todos", "x", "b", 42)  # 41 was dropped on the way
        await s.settle()
        await s.reopen()
        await ask_again(s)
        await answer(s, [missed(41, "x", "a")], merge="latest", seq=42, replay=True)
        assert stream.value == ["b", "a"]


async def test_leftovers_of_the_subscription_before_are_not_applied_over_a_newer_answer() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        values: list[Any] = []
        await answer(s, [{"id": 1, "text": "old"}])
        stream.subscribe(values.append)
        await s.reopen()
        await ask_again(s)
        s.socket.publish("todos", "updated", {"id": 1, "text": "older than the answer"}, 41)
        await answer(s, [{"id": 1, "text": "newest"}])
        assert values == [[{"id": 1, "text": "old"}], [{"id": 1, "text": "newest"}]]


async def test_events_behind_the_request_are_applied_unless_the_answer_has_them() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await s.settle()
        created(s, 1, 41, text="in the answer")
        created(s, 2, 42)
        await answer(s, [{"id": 1, "text": "newer"}], seq=41)
        assert stream.value == [{"id": 1, "text": "newer"}, {"id": 2}]


@pytest.mark.parametrize(
    "keys",
    [
        {"data": [], "version": 1, "unchanged": True},
        {"data": rows(2), "version": 2, "delta": True},
        {"data": [missed(41, "created", {"id": 2})], "seq": 41, "replay": True},
        {"data": [], "seq": 40, "replay": True},
    ],
    ids=["unchanged", "delta", "replay", "nothing missed"],
)
async def test_an_answer_that_brings_no_first_page_keeps_the_place_among_the_pages(
    keys: dict[str, Any],
) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1), version=1, seq=40, hasMore=True, cursor="c")
        await s.reopen()
        await ask_again(s)
        await answer(s, **keys)
        assert stream.has_more
        more = asyncio.ensure_future(stream.load_more())
        request = await s.request(LIST)
        assert request["cursor"] == "c"
        s.socket.reply(request, rows(2, 9), topic="todos", merge="crud", hasMore=False)
        assert not await more
        assert [row["id"] for row in stream.value if row["id"] != 2] == [1, 9]
        assert ids(stream).count(2) == 1
        assert not stream.has_more


async def test_a_whole_answer_goes_back_to_its_first_page() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1), seq=40, hasMore=True, cursor="c")
        await s.reopen()
        await ask_again(s)
        await answer(s, rows(7), seq=90, replay=False, hasMore=True, cursor="d")
        more = asyncio.ensure_future(stream.load_more())
        request = await s.request(LIST)
        assert request["cursor"] == "d"
        s.socket.reply(request, rows(8), topic="todos", merge="crud", hasMore=False)
        assert not await more
        assert ids(stream) == [7, 8]
