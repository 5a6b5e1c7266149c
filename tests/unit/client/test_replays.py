"""`on_replay` of the Python client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.client.scripted import Scripted, scripted

pytestmark = pytest.mark.spec("LIVE-201", "LIVE-191")

TOPIC = "__replay:chat"


class Replaying:
    """A replayed topic on an open connection; `seen` is what came: data, or the event's name without data."""

    def __init__(self, s: Scripted, since: int) -> None:
        self.s = s
        self.seen: list[Any] = []
        self.off = s.client.on_replay("chat", since=since).subscribe(self._note)

    def _note(self, event: Any) -> None:
        if event is not None:
            self.seen.append(event.event if event.data is None else event.data)

    @property
    def ask(self) -> dict[str, Any]:
        asks = [frame for frame in self.s.socket.sent if frame.get("type") == "replay"]
        return asks[-1]

    def msg(self, seq: int, data: Any, **keys: Any) -> None:
        inner = {"reqId": self.ask["reqId"], "seq": seq, "event": "created", "data": data, **keys}
        self.s.socket.publish(
            TOPIC, "msg", {name: value for name, value in inner.items() if value is not None}
        )

    def end(self, event: str = "end", **keys: Any) -> None:
        self.s.socket.publish(TOPIC, event, {"reqId": self.ask["reqId"], **keys})

    def live(self, data: Any, seq: int | None = None) -> None:
        self.s.socket.publish("chat", "created", data, seq)


@contextlib.asynccontextmanager
async def replaying(since: int = 5, **options: Any) -> AsyncIterator[Replaying]:
    async with scripted(**options) as s:
        made = Replaying(s, since)
        await s.settle()
        yield made


async def test_missed_events_come_first_then_live_ones_and_none_twice() -> None:
    async with replaying() as r:
        assert [frame["type"] for frame in r.s.socket.control()] == ["subscribe", "replay"]
        assert r.ask == {"type": "replay", "topic": "chat", "since": 5, "reqId": r.ask["reqId"]}
        r.live(7, 7)  # part of the answer
        r.msg(6, "foreign", reqId=999)
        r.msg(6, 6)
        r.msg(7, 7)
        r.s.socket.publish(TOPIC, "end", {"reqId": 999})
        r.live(8, 8)
        r.msg(8, 8)
        r.end()
        r.live(9, 9)
        r.live(9, 9)
        r.live("direct")
        await r.s.settle()
        assert r.seen == [6, 7, 8, 9, "direct"]


@pytest.mark.parametrize(("event", "keys"), [("end", {"truncated": True}), ("denied", {"code": "FORBIDDEN"})])
async def test_what_was_not_kept_gives_one_event_truncated(event: str, keys: dict[str, Any]) -> None:
    async with replaying() as r:
        r.msg(8, 8)
        r.end(event, **keys)
        r.end(event, **keys)
        r.live(9, 9)
        await r.s.settle()
        assert r.seen == [8, "truncated", 9]


async def test_no_answer_is_truncated_after_the_time_limit() -> None:
    async with replaying(timeout=10) as r:
        await r.s.clock.advance(10)
        r.live(1, 1)
        await r.s.settle()
        assert r.seen == ["truncated", 1]


async def test_after_a_reconnect_the_rest_is_asked_for_and_a_resume_is_not_repeated() -> None:
    async with replaying() as r:
        first = r.ask["reqId"]
        r.msg(6, 6)
        r.end()
        r.live(7, 7)
        await r.s.reopen()
        await r.s.settle()
        r.msg(8, 8, reqId=None)  # sent by itself, after the resume
        r.s.socket.publish(TOPIC, "end", None)
        assert r.ask["reqId"] > first
        assert r.ask["since"] == 7
        r.msg(8, 8)
        r.msg(9, 9)
        r.end()
        r.live(10, 10)
        await r.s.settle()
        assert r.seen == [6, 7, 8, 9, 10]


async def test_numbers_that_began_anew_are_taken() -> None:
    async with replaying(1000) as r:
        r.end(truncated=True)
        r.live(1, 1)
        r.live(2, 2)
        await r.s.settle()
        assert r.seen == ["truncated", 1, 2]


async def test_leaving_ends_it_and_a_later_listener_begins_again() -> None:
    async with replaying() as r:
        r.msg(6, 6)
        r.end()
        await r.s.settle()
        r.off()
        await r.s.settle()
        assert r.s.socket.control()[-1]["type"] == "unsubscribe"
        assert r.s.timers == 0
        again = Replaying(r.s, 5)
        await r.s.settle()
        assert again.ask["since"] == 5


async def test_a_listener_that_leaves_before_it_asked_asks_nothing() -> None:
    async with scripted() as s:
        s.client.on_replay("chat").subscribe(lambda event: None)()
        await s.settle()
        assert s.socket.control() == []
        assert s.timers == 0


async def test_iterating_gives_every_event() -> None:
    async with scripted() as s:

        async def read() -> list[Any]:
            seen = []
            async for event in s.client.on_replay("chat", since=0):
                seen.append((event.seq, event.data))
                if len(seen) == 3:
                    break
            return seen

        reader = asyncio.ensure_future(read())
        await s.settle()
        ask = s.socket.control()[-1]
        for seq in (1, 2):
            s.socket.publish(TOPIC, "msg", {"reqId": ask["reqId"], "seq": seq, "event": "x", "data": seq})
        s.socket.publish(TOPIC, "end", {"reqId": ask["reqId"]})
        s.socket.publish("chat", "x", 3, seq=3)
        assert await reader == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize(
    "data", [None, 5, [], {}, {"reqId": True}, {"reqId": {}}, {"event": 5}, {"event": "x", "seq": "1"}]
)
async def test_answers_that_make_no_sense_are_ignored(data: Any) -> None:
    async with replaying() as r:
        for event in ("msg", "end", "denied", "truncated", "x"):
            r.s.socket.publish(TOPIC, event, data)
        r.msg(6, 6)
        r.end()
        r.live(7, 7)
        await r.s.settle()
        assert r.seen == [6, 7]
