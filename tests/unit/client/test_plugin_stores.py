"""Presence, cursors and groups of the Python client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.client import TopicEvent
from runtime.client.topicstores import MAX_PLUGIN_ENTRIES, MAX_TOPIC_STORES, AgingMap
from tests.unit.client.scripted import Scripted, scripted

pytestmark = pytest.mark.spec("LIVE-201", "LIVE-191")


async def publish(s: Scripted, topic: str, *events: tuple[str, Any]) -> None:
    for event, data in events:
        s.socket.publish(topic, event, data)
    await s.settle()


async def test_presence_follows_its_topic_without_naming_it() -> None:
    async with scripted() as s:
        seen: list[Any] = []
        off = s.client.presence("room").subscribe(seen.append)
        await publish(
            s,
            "__presence:room",
            ("presence_state", {"u1": "Ann", "u2": "Bob"}),
            ("presence_diff", {"joins": {"u3": "Cid"}, "leaves": {"u1": "Ann"}}),
            ("presence_diff", {"joins": {"u2": "Bo"}, "leaves": {"u2": "Bob"}}),
            ("heartbeat", ["u2"]),
            ("presence_state", {"u9": "Zoe"}),
        )
        off()
        off()
        await publish(s, "__presence:room", ("presence_state", {}))
        assert seen == [[], ["Ann", "Bob"], ["Bob", "Cid"], ["Cid", "Bo"], ["Zoe"]]
        assert s.socket.control() == []
        assert s.client.presence("room").value == []


async def test_presence_with_an_age_forgets_who_is_in_no_heartbeat() -> None:
    async with scripted() as s, s.client.presence("room", max_age=1) as present:
        await publish(s, "__presence:room", ("presence_state", {"u1": "Ann", "u2": "Bob"}))
        await s.clock.advance(0.8)
        await publish(s, "__presence:room", ("heartbeat", ["u1", "nobody"]))
        await s.clock.advance(0.5)
        assert present.value == ["Ann"]
        await s.clock.advance(1.5)
        assert present.value == []


async def test_leaving_a_store_stops_its_timer() -> None:
    async with scripted() as s:
        async with s.client.presence("room", max_age=1), s.client.cursor("room", max_age=1):
            assert s.timers == 2
        assert s.timers == 0


async def test_a_snapshot_of_cursors_is_asked_for_at_each_open_behind_the_topics() -> None:
    async with scripted(opened=False) as s:
        s.client.on("canvas").subscribe(lambda event: None)
        async with s.client.cursor("canvas") as cursors:
            await s.status("open")
            ask = {"type": "cursor-snapshot", "topic": "canvas"}
            assert [frame["type"] for frame in s.socket.sent] == [
                "hello",
                "subscribe-batch",
                "cursor-snapshot",
            ]
            assert s.socket.sent[-1] == ask
            topic = "__cursor:canvas"
            await publish(s, topic, ("snapshot", [{"key": "1", "user": "Ann", "data": 1}]))
            await publish(s, topic, ("update", {"key": "2", "user": "Bob", "data": 2}))
            before = cursors.value
            await publish(s, topic, ("bulk", [{"key": "2", "user": "Bob", "data": 3}, {"key": "3"}]))
            await publish(s, topic, ("remove", {"key": "1"}))
            assert before == {"1": {"user": "Ann", "data": 1}, "2": {"user": "Bob", "data": 2}}
            assert cursors.value == {"2": {"user": "Bob", "data": 3}, "3": {"user": None, "data": None}}
            await publish(s, topic, ("snapshot", []))
            assert cursors.value == {}
            await s.reopen()
            await s.settle()
            assert s.socket.control()[-1] == ask
        await s.reopen()
        await s.settle()
        assert ask not in s.socket.sent


async def test_a_snapshot_is_asked_for_behind_the_subscribe_of_the_same_turn() -> None:
    async with scripted() as s, s.client.cursor("canvas", max_age=0.4) as cursors:
        s.client.on("canvas").subscribe(lambda event: None)
        await s.settle()
        assert [frame["type"] for frame in s.socket.control()] == ["subscribe", "cursor-snapshot"]
        await publish(s, "__cursor:canvas", ("update", {"key": "1", "user": None, "data": 1}))
        await s.clock.advance(0.3)
        assert len(cursors.value) == 1
        await s.clock.advance(0.3)
        assert cursors.value == {}


async def test_a_group_has_a_last_event_and_members() -> None:
    async with scripted() as s:
        group = s.client.group("g")
        events: list[TopicEvent | None] = []
        roles: list[Any] = []
        group.subscribe(events.append)
        group.members.subscribe(lambda members: roles.append([member["role"] for member in members]))
        await publish(
            s,
            "__group:g",
            ("members", [{"role": "admin"}, {"role": "member"}]),
            ("join", {"role": "viewer", "count": 3}),
            ("leave", {"role": "member", "count": 2}),
            ("leave", {"role": "nobody"}),
            ("news", {"n": 1}),
            ("close", None),
        )
        names = [event.event if event else None for event in events]
        assert names == [None, "members", "join", "leave", "leave", "news", "close"]
        assert events[5] == TopicEvent("__group:g", "news", {"n": 1})
        assert roles == [[], ["admin", "member"], ["admin", "member", "viewer"], ["admin", "viewer"], []]


async def test_following_the_members_alone_follows_the_group() -> None:
    async with scripted() as s:
        async with s.client.group("g").members as members:
            await publish(s, "__group:g", ("members", [{"role": "admin"}]))
            assert members.value == [{"role": "admin"}]
        assert s.client.group("g").members.value == []


async def test_a_store_can_be_iterated() -> None:
    async with scripted() as s:

        async def read() -> Any:
            async for present in s.client.presence("room"):
                if present:
                    return present
            return None

        reader = asyncio.ensure_future(read())
        await s.settle()
        await publish(s, "__presence:room", ("presence_state", {"u1": "Ann"}))
        assert await reader == ["Ann"]


async def test_equal_arguments_give_the_same_store_and_unused_ones_go_first() -> None:
    async with scripted() as s:
        client = s.client
        assert client.presence("a") is client.presence("a")
        assert client.presence("a") is not client.presence("a", max_age=5)
        assert client.cursor("a") is client.cursor("a")
        assert client.group("a") is client.group("a")
        assert client.on_replay("a", since=1) is not client.on_replay("a", since=2)
        async with client.presence("used") as used:
            unused = client.presence("unused")
            for number in range(MAX_TOPIC_STORES):
                client.presence(f"p{number}")
            assert client.presence("used") is used
            assert client.presence("unused") is not unused
        assert len(client._stores._stores) == MAX_TOPIC_STORES


async def test_bad_arguments_are_errors() -> None:
    async with scripted() as s:
        for make in (s.client.presence, s.client.cursor, s.client.group):
            with pytest.raises(ValueError, match="non-empty string"):
                make("")  # type: ignore[operator]  # all three take a name
        with pytest.raises(ValueError, match="max_age"):
            s.client.presence("a", max_age=-1)
        for since in (-1, 1.5, True, "3"):
            with pytest.raises(ValueError, match="since"):
                s.client.on_replay("a", since=since)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    "data", [None, 5, "x", [], {}, [None], [{"key": {}}], {"key": []}, {"joins": 5, "leaves": [[]]}]
)
async def test_what_makes_no_sense_changes_nothing_and_breaks_nothing(data: Any) -> None:
    async with scripted() as s:
        client = s.client
        async with client.presence("t") as present, client.cursor("t") as cursors, client.group("t") as group:
            await publish(s, "__presence:t", ("presence_state", {"u": 1}))
            for topic in ("__presence:t", "__cursor:t", "__group:t"):
                names = [
                    "presence_diff",
                    "heartbeat",
                    "update",
                    "bulk",
                    "remove",
                    "members",
                    "join",
                    "leave",
                    "x",
                ]
                await publish(s, topic, *((name, data) for name in names))
            assert present.value == [1]
            assert cursors.value == {}
            assert group.value is not None


def test_entries_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    entries: AgingMap[int] = AgingMap(lambda: 0.0)
    for number in range(MAX_PLUGIN_ENTRIES + 2):
        entries.set(str(number), number)
    assert len(entries.values()) == MAX_PLUGIN_ENTRIES
    assert list(entries.items())[:1] == ["2"]
    assert caplog.text.count("the oldest go") == 1
