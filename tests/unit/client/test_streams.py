from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from runtime.client import RpcError, StreamLagged
from runtime.core.capacity import MAX_HELD_FRAMES
from tests.unit.client.scripted import Scripted, scripted

pytestmark = pytest.mark.spec("LIVE-191")

LIST = "todos/list"


def rows(*ids: Any) -> list[dict[str, Any]]:
    return [{"id": id} for id in ids]


async def answer(s: Scripted, data: Any, path: str = LIST, **keys: Any) -> dict[str, Any]:
    """Answer the last request for the stream; the topic is `todos`, the strategy crud unless it is said."""
    request = await s.request(path)
    keys = {"topic": "todos", "merge": "crud", **keys}
    if keys["merge"] == "crud":
        keys.setdefault("key", "id")
    s.socket.reply(request, data, **{name: value for name, value in keys.items() if value is not None})
    await s.settle()
    return request


async def test_a_stream_asks_when_it_is_entered_and_leaves_when_it_is_left() -> None:
    async with scripted() as s:
        handle = s.client.stream(LIST, "room1")
        await s.settle()
        assert s.socket.requests() == []
        async with handle as stream:
            assert (stream.value, stream.status, stream.error, stream.is_loaded) == (
                None,
                "loading",
                None,
                False,
            )
            request = await answer(s, rows(1))
            assert list(request) == ["rpc", "id", "args", "stream"]
            assert (request["args"], request["stream"]) == (["room1"], True)
            assert (stream.value, stream.status, stream.topic) == (rows(1), "connected", "todos")
            assert s.socket.control() == [{"type": "subscribe", "topic": "todos", "ref": 1}]
            s.socket.publish("todos", "created", {"id": 2}, seq=9)
            await s.settle()
            assert stream.value == rows(1, 2)
        await s.settle()
        assert s.socket.control()[-1] == {"type": "unsubscribe", "topic": "todos"}


@pytest.mark.spec("WIRE-116")
async def test_streams_of_one_turn_share_a_frame() -> None:
    async with scripted() as s:
        streams = [s.client.stream(LIST, number) for number in range(52)]
        for stream in streams:
            stream.open()
        await s.settle()
        frames = s.socket.sent[1:]
        assert [len(frame.get("batch", [])) for frame in frames] == [50, 2]
        assert all(entry["stream"] is True for frame in frames for entry in frame["batch"])
        one = s.client.stream("a/alone")
        one.open()
        await s.settle()
        assert s.socket.sent[-1]["rpc"] == "a/alone"


async def test_equal_streams_share_one_subscription() -> None:
    async with scripted() as s:
        one, two = s.client.stream(LIST, 1), s.client.stream(LIST, 1)
        one.open()
        two.open()
        two.open()
        await answer(s, rows(1))
        assert one.value == two.value == rows(1)
        assert len(s.socket.requests()) == 1
        await one.close()
        await s.settle()
        s.socket.publish("todos", "created", {"id": 2})
        await s.settle()
        assert two.value == rows(1, 2)
        await two.close()
        await two.close()
        await s.settle()
        assert s.socket.control()[-1]["type"] == "unsubscribe"


@pytest.mark.spec("WIRE-103")
@pytest.mark.parametrize(
    ("merge", "start", "events", "end"),
    [
        ("crud", rows(1, 2), [("created", {"id": 3}), ("deleted", {"id": 1})], rows(2, 3)),
        ("latest", [1], [("x", 2), ("y", 3)], [1, 2, 3]),
        ("set", 1, [("set", 2), ("whatever", {"a": 1})], {"a": 1}),
        (
            "presence",
            [],
            [("join", {"key": "a"}), ("join", {"key": "b"}), ("leave", {"key": "a"})],
            [{"key": "b"}],
        ),
        ("cursor", [], [("update", {"key": "a", "x": 1}), ("remove", {"key": "b"})], [{"key": "a", "x": 1}]),
        ("crud", rows(1), [("refreshed", rows(8))], rows(8)),
    ],
)
async def test_every_strategy_of_the_reply_is_followed(
    merge: str, start: Any, events: list[tuple[str, Any]], end: Any
) -> None:
    async with scripted() as s, s.client.stream(LIST, merge="set") as stream:
        await answer(s, start, merge=merge)
        for event, data in events:
            s.socket.publish("todos", event, data)
        await s.settle()
        assert stream.value == end


async def test_key_prepend_and_max_of_the_reply_hold() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, [{"slug": "a"}], key="slug", prepend=True, max=2)
        for slug in ("b", "c"):
            s.socket.publish("todos", "created", {"slug": slug})
        await s.settle()
        assert stream.value == [{"slug": "c"}, {"slug": "b"}]


async def test_events_before_the_reply_are_kept_and_applied_after_it() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        request = await s.request(LIST)
        s.socket.publish("other", "created", {"id": 8})
        s.socket.publish("todos", "created", {"id": 2})
        s.socket.publish("todos", "deleted", {"id": 1})
        s.socket.reply(request, rows(1), topic="todos", merge="crud", key="id")
        await s.settle()
        assert stream.value == rows(2)


async def test_more_events_before_the_reply_than_are_kept_make_it_ask_again() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await s.settle()
        for number in range(MAX_HELD_FRAMES + 5):
            s.socket.publish("todos", "created", {"id": number})
        await answer(s, [])
        assert len(s.socket.requests(LIST)) == 2
        assert stream.status == "reconnecting"
        await answer(s, rows(7))
        assert stream.value == rows(7)
        assert len(s.socket.requests(LIST)) == 2


async def test_a_reply_that_is_unchanged_keeps_the_value_and_a_delta_changes_rows() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1, 2), version="v1", schemaVersion=2)
        await s.reopen()
        await s.clock.advance(0.1)
        request = await answer(s, [], unchanged=True, version="v1")
        assert (request["version"], request["schemaVersion"]) == ("v1", 2)
        assert stream.value == rows(1, 2)
        await s.reopen()
        await s.clock.advance(0.1)
        await answer(s, [{"id": 1, "n": 1}, {"id": 2, "_deleted": True}, {"id": 3}], delta=True, version="v2")
        assert stream.value == [{"id": 1, "n": 1}, {"id": 3}]
        await s.reopen()
        await s.clock.advance(0.1)
        assert (await s.request(LIST))["version"] == "v2"


async def test_a_replay_applies_the_missed_events_and_moves_the_position() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1), seq=40)
        s.socket.publish("todos", "created", {"id": 2}, seq=41)
        await s.reopen()
        await s.clock.advance(0.1)
        missed = [
            {"seq": 41, "topic": "todos", "event": "created", "data": {"id": 2}},
            {"seq": 42, "topic": "todos", "event": "deleted", "data": {"id": 1}},
            "nonsense",
        ]
        request = await answer(s, missed, replay=True)
        assert request["seq"] == 40
        assert stream.value == rows(2)
        await s.reopen()
        await s.clock.advance(0.1)
        request = await answer(s, rows(9), replay=False, seq=50)
        assert request["seq"] == 42
        assert stream.value == rows(9)


@pytest.mark.parametrize("flag", ["channel", "derived"])
async def test_channels_and_derived_streams_keep_a_value_they_have(flag: str) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, 1, merge="set", **{flag: True})
        assert stream.value == 1
        s.socket.publish("todos", "set", 5)
        await s.reopen()
        await s.clock.advance(0.1)
        await answer(s, None, merge="set", **{flag: True})
        assert stream.value == 5


async def test_a_gated_stream_is_none_without_a_subscription() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        s.socket.reply(await s.request(LIST), None, gated=True)
        assert await stream.ready() is None
        assert (stream.status, stream.topic, stream.error) == ("connected", None, None)
        assert s.socket.control() == []


@pytest.mark.spec("LIVE-183")
async def test_an_error_keeps_the_value_and_success_clears_it() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        s.socket.push({"type": "subscribe-denied", "topic": "todos", "ref": 1, "reason": ""})
        await s.settle()
        assert stream.error is not None
        assert (stream.status, stream.error.code, stream.value) == ("error", "FORBIDDEN", rows(1))
        s.socket.publish("todos", "created", {"id": 2})
        await s.settle()
        assert stream.value == rows(1, 2)
        await s.reopen()
        await s.clock.advance(0.1)
        s.socket.refuse(await s.request(LIST), "UNAUTHENTICATED", "Authentication required")
        await s.settle()
        assert (stream.status, stream.error.code, stream.value) == ("error", "UNAUTHENTICATED", rows(1, 2))
        await s.reopen()
        await s.clock.advance(0.1)
        await answer(s, rows(3))
        assert (stream.status, stream.error, stream.value) == ("connected", None, rows(3))


async def test_no_answer_is_a_timeout() -> None:
    async with scripted(timeout=4) as s, s.client.stream(LIST) as stream:
        await s.clock.advance(4)
        assert stream.error is not None
        assert (stream.status, stream.error.code) == ("error", "TIMEOUT")
        with pytest.raises(RpcError, match="TIMEOUT"):
            await stream.ready()


@pytest.mark.spec("WIRE-106")
async def test_a_reconnect_resubscribes_then_leaves_and_asks_anew() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        statuses: list[str] = []
        stream._state.changes.add(lambda state: statuses.append(state.status))
        await s.reopen()
        assert s.socket.control() == [{"type": "subscribe-batch", "topics": ["todos"], "ref": 2}]
        assert (stream.status, stream.value) == ("reconnecting", rows(1))
        s.socket.publish("todos", "created", {"id": 2})
        await s.clock.advance(0.015)
        assert stream.value == rows(1, 2)
        assert len(s.socket.control()) == 1
        await s.clock.advance(0.085)
        assert [frame.get("type", frame.get("rpc")) for frame in s.socket.sent[1:]] == [
            "subscribe-batch",
            "unsubscribe",
            LIST,
        ]
        await answer(s, rows(1, 2, 3))
        assert stream.value == rows(1, 2, 3)
        assert s.socket.control()[-1] == {"type": "subscribe", "topic": "todos", "ref": 3}
        assert statuses[0] == "reconnecting"
        assert statuses[-1] == "connected"
        assert "loading" not in statuses


async def test_a_stream_whose_answer_was_lost_asks_anew_and_only_once() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await s.settle()
        s.socket.drop()
        await s.status("disconnected")
        assert stream.error is not None
        assert (stream.status, stream.error.code) == ("error", "DISCONNECTED")
        ready = asyncio.ensure_future(stream.ready())
        await s.clock.advance(4)
        await s.status("open")
        assert stream.status == "reconnecting"
        await s.clock.advance(0.1)
        assert len(s.socket.requests(LIST)) == 1
        await answer(s, rows(1))
        assert await ready == rows(1)


async def test_a_stream_opened_before_the_connection_is_asked_for_once() -> None:
    async with scripted(opened=False) as s, s.client.stream(LIST) as stream:
        await s.status("open")
        await answer(s, rows(1))
        await s.clock.advance(1)
        assert len(s.socket.requests(LIST)) == 1
        assert stream.status == "connected"


async def test_renewals_without_an_answer_come_slower_and_slower() -> None:
    async with scripted() as s, s.client.stream(LIST):
        for _ in range(2):
            await s.reopen()
            await s.clock.advance(0.1)
            assert len(s.socket.requests(LIST)) == 1
        await s.reopen()
        await s.clock.advance(0.7)
        assert s.socket.requests(LIST) == []
        await s.clock.advance(0.6)
        assert len(s.socket.requests(LIST)) == 1


@pytest.mark.spec("LIVE-184")
async def test_within_the_grace_time_the_value_is_there_at_once_and_the_position_kept() -> None:
    async with scripted(resume_grace=60) as s:
        async with s.client.stream(LIST) as stream:
            await answer(s, rows(1), seq=7, version=3)
        await s.clock.advance(59)
        async with s.client.stream(LIST) as stream:
            assert stream.value == rows(1)
            request = await answer(s, [], replay=True, seq=8)
            assert (request["seq"], request["version"]) == (7, 3)
            assert stream.value == rows(1)
        await s.clock.advance(61)
        async with s.client.stream(LIST) as stream:
            assert (stream.value, stream.is_loaded) == (None, False)
            request = await s.request(LIST)
            assert "seq" not in request
            assert "version" not in request


async def test_without_grace_everything_is_forgotten_at_once() -> None:
    async with scripted(resume_grace=0) as s:
        async with s.client.stream(LIST):
            await answer(s, rows(1), seq=7)
        await s.settle()
        assert s.client.stream(LIST).value is None


async def test_leaving_before_the_answer_sends_nothing_and_its_frames_are_ignored() -> None:
    async with scripted() as s:
        async with s.client.stream(LIST) as stream:
            request = await s.request(LIST)
        await s.settle()
        s.socket.reply(request, rows(1), topic="todos", merge="crud")
        s.socket.publish("todos", "created", {"id": 2})
        await s.settle()
        assert s.socket.control() == []
        assert stream.value is None
        assert s.client._calls.waiting == 0


async def test_a_replay_end_marker_is_not_merged_and_a_truncated_one_renews() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1), seq=5)
        s.socket.publish("todos", "created", {"reqId": "r1", "id": 9})
        await s.settle()
        assert stream.value == rows(1)
        s.socket.publish("todos", "end", {"reqId": "r1", "truncated": True})
        await s.settle()
        assert stream.status == "reconnecting"
        request = await answer(s, rows(2))
        assert "seq" not in request
        assert stream.value == rows(2)


async def test_the_server_names_streams_whose_code_changed() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream, s.client.stream("a/other"):
        await answer(s, rows(1))
        s.socket.reply(await s.request("a/other"), 1, topic="other", merge="set")
        await s.settle()
        s.socket.publish("__realtime", "reload", {"modules": ["todos"], "resubscribe": [LIST]})
        await s.settle()
        assert (stream.status, stream.value) == ("reconnecting", rows(1))
        assert len(s.socket.requests(LIST)) == 2
        assert len(s.socket.requests("a/other")) == 1
        assert s.socket.control()[-1] == {"type": "unsubscribe", "topic": "todos"}
        await answer(s, rows(2), topic="moved")
        s.socket.publish("moved", "created", {"id": 3})
        await s.settle()
        assert stream.value == rows(2, 3)


# ---------------------------------------------------------------- reading


@pytest.mark.spec("LIVE-204")
async def test_a_stream_can_be_iterated_directly_and_closes_when_the_loop_is_left() -> None:
    async with scripted() as s:

        async def read() -> list[Any]:
            seen = []
            async for value in s.client.stream(LIST):
                seen.append(value)
                if len(value) == 3:
                    return seen
            return seen

        reader = asyncio.ensure_future(read())
        await answer(s, rows(1))
        s.socket.publish("todos", "created", {"id": 2})
        s.socket.publish("todos", "created", {"id": 3})
        seen = await reader
        assert seen[-1] == rows(1, 2, 3)
        gc.collect()
        await s.settle()
        assert s.socket.control()[-1] == {"type": "unsubscribe", "topic": "todos"}


async def test_values_gives_the_newest_only_and_ends_with_its_stream() -> None:
    async with scripted() as s:
        async with s.client.stream(LIST) as stream:
            values = stream.values()
            await answer(s, rows(1))
            assert await anext(values) == rows(1)
            for number in (2, 3, 4):
                s.socket.publish("todos", "created", {"id": number})
            await s.settle()
            assert await anext(values) == rows(1, 2, 3, 4)
            late = stream.values()
            assert await anext(late) == rows(1, 2, 3, 4)
        assert await anext(values, "ended") == "ended"


async def test_values_raises_when_the_stream_is_refused_and_waits_when_it_is_only_lost() -> None:
    async with scripted() as s:
        refused = s.client.stream(LIST).values()
        s.socket.refuse(await s.request(LIST), "FORBIDDEN", "Access denied")
        with pytest.raises(RpcError, match="FORBIDDEN"):
            await anext(refused)
        waiting = s.client.stream("a/other").values()
        reader = asyncio.ensure_future(anext(waiting))
        await s.reopen()
        await s.clock.advance(0.1)
        s.socket.reply(await s.request("a/other"), 5, topic="o", merge="set")
        assert await reader == 5
        reader = asyncio.ensure_future(anext(waiting))
        await s.settle()
        s.socket.drop(4401)
        with pytest.raises(RpcError, match="CONNECTION_CLOSED"):
            await reader


async def test_events_gives_every_event_and_says_when_its_reader_lagged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        monkeypatch.setattr("runtime.client.feeds.Backlog.__init__.__defaults__", (2,))
        events = stream.events()
        await answer(s, rows(1))
        for number in (2, 3, 4):
            s.socket.publish("todos", "created", {"id": number})
        await s.settle()
        assert [(e.event, e.data) for e in [await anext(events), await anext(events)]] == [
            ("created", {"id": 2}),
            ("created", {"id": 3}),
        ]
        with pytest.raises(StreamLagged):
            await anext(events)
        assert stream.value == rows(1, 2, 3, 4)


async def test_subscribe_uses_the_stream_until_it_is_ended() -> None:
    async with scripted() as s:
        seen: list[Any] = []
        off = s.client.stream(LIST).subscribe(seen.append)
        await answer(s, rows(1))
        off()
        off()
        await s.settle()
        assert seen == [None, rows(1)]
        assert s.socket.control()[-1]["type"] == "unsubscribe"


async def test_a_set_stream_with_an_equal_value_is_silent() -> None:
    async with scripted() as s:
        seen: list[Any] = []
        stream = s.client.stream(LIST)
        off = stream.subscribe(seen.append)
        await answer(s, 1, merge="set")
        s.socket.publish("todos", "set", 1)
        s.socket.publish("todos", "set", 2)
        await s.settle()
        off()
        assert seen == [None, 1, 2]


async def test_map_is_a_store_of_the_rows(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        ids = stream.map(lambda row: row["id"])
        assert ids.value == []
        await answer(s, rows(1, 2))
        assert ids.value == [1, 2]
        seen: list[Any] = []
        off = ids.subscribe(seen.append)
        s.socket.publish("todos", "created", {"id": 3})
        await s.settle()
        off()
        assert seen == [[1, 2], [1, 2, 3]]
        s.socket.publish("todos", "refreshed", {"no": "list"})
        await s.settle()
        assert ids.value == []
        assert "no list" in caplog.text


async def test_hydrate_shows_a_value_before_the_server_does() -> None:
    async with scripted() as s:
        stream = s.client.stream(LIST).hydrate(rows(1))
        assert (stream.value, stream.is_loaded) == (rows(1), True)
        async with stream:
            await answer(s, rows(2))
            assert stream.value == rows(2)


@pytest.mark.spec("LIVE-189")
async def test_quiescent_follows_the_streams_in_use() -> None:
    async with scripted() as s:
        states: list[bool] = []
        s.client.quiescent.subscribe(states.append)
        async with s.client.stream(LIST):
            await answer(s, rows(1))
            await s.reopen()
            await s.clock.advance(0.1)
            s.socket.refuse(await s.request(LIST), "FORBIDDEN")
            await s.settle()
        async with s.client.stream("a/other"):
            pass
        await s.settle()
        assert states == [True, False, True, False, True, False, True]


async def test_the_table_of_streams_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.client.streams.MAX_STREAM_STATES", 2)
    async with scripted() as s:
        one, two, three = (s.client.stream(LIST, number) for number in range(3))
        for stream in (one, two, three):
            stream.open()
        await s.settle()
        assert len(s.socket.requests(LIST)) == 3
        assert len(s.client._streams._states) == 2
        assert s.client.stream(LIST, 1)._state is two._state
        await three.close()
        await s.settle()
        s.client.stream(LIST, 4).open()
        assert len(s.client._streams._states) == 2


# ---------------------------------------------------------------- pages


async def test_load_more_sends_the_cursor_appends_and_ends() -> None:
    async with scripted() as s, s.client.stream(LIST, "room") as stream:
        assert await stream.load_more() is False
        await answer(s, rows(1), hasMore=True, cursor="c1")
        assert stream.has_more
        page = asyncio.ensure_future(stream.load_more("extra"))
        await s.settle()
        assert await stream.load_more() is False
        request = await s.request(LIST)
        assert (request["cursor"], request["args"], request["stream"]) == ("c1", ["room", "extra"], True)
        s.socket.reply(request, rows(2), topic="todos", merge="crud", hasMore=True, cursor="c2")
        assert await page is True
        assert stream.value == rows(1, 2)
        page = asyncio.ensure_future(stream.load_more())
        s.socket.reply(await s.request(LIST), rows(3), hasMore=False)
        assert await page is False
        assert stream.value == rows(1, 2, 3)
        assert await stream.load_more() is False
        s.socket.publish("todos", "deleted", {"id": 3})
        await s.settle()
        assert stream.value == rows(1, 2)


async def test_a_page_that_fails_raises_and_leaves_the_stream_alone() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1), hasMore=True, cursor="c1")
        page = asyncio.ensure_future(stream.load_more())
        s.socket.refuse(await s.request(LIST), "INTERNAL_ERROR")
        with pytest.raises(RpcError, match="INTERNAL_ERROR"):
            await page
        assert (stream.status, stream.value, stream.has_more) == ("connected", rows(1), True)
        page = asyncio.ensure_future(stream.load_more())
        await s.settle()
        s.socket.drop()
        with pytest.raises(RpcError, match="DISCONNECTED"):
            await page


async def test_a_page_of_an_older_value_is_not_appended_to_a_newer_one() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1), hasMore=True, cursor="c1")
        page = asyncio.ensure_future(stream.load_more())
        old = await s.request(LIST)
        s.socket.publish("__realtime", "reload", {"resubscribe": [LIST]})
        await answer(s, rows(5), hasMore=True, cursor="c5")
        s.socket.reply(old, rows(2), hasMore=False)
        assert await page is True
        assert stream.value == rows(5)


async def test_leaving_a_stream_ends_its_page() -> None:
    async with scripted() as s:
        async with s.client.stream(LIST) as stream:
            await answer(s, rows(1), hasMore=True, cursor="c1")
            page = asyncio.ensure_future(stream.load_more())
            await s.settle()
        await s.settle()
        with pytest.raises(RpcError, match="CANCELLED"):
            await page


# ---------------------------------------------------------------- changes from this side


@pytest.mark.spec("LIVE-186")
async def test_optimistic_applies_an_event_and_rollback_restores_the_snapshot() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        rollback = stream.optimistic("created", {"id": 2})
        assert stream.value == rows(1, 2)
        s.socket.publish("todos", "created", {"id": 3})
        await s.settle()
        assert stream.value == rows(1, 2, 3)
        rollback()
        assert stream.value == rows(1)


@pytest.mark.spec("LIVE-185")
async def test_mutate_shows_the_change_until_it_is_confirmed_or_failed() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        operations = [asyncio.get_running_loop().create_future() for _ in range(2)]
        good = asyncio.ensure_future(stream.mutate(lambda: operations[0], ("created", {"id": "tmp-a"})))
        bad = asyncio.ensure_future(
            stream.mutate(lambda: operations[1], {"event": "created", "data": {"id": "tmp-b"}})
        )
        await s.settle()
        assert stream.value == rows(1, "tmp-a", "tmp-b")
        s.socket.publish("todos", "created", {"id": 2})
        await s.settle()
        assert stream.value == rows(1, 2, "tmp-a", "tmp-b")
        operations[1].set_exception(RpcError("LOCKED"))
        with pytest.raises(RpcError, match="LOCKED"):
            await bad
        assert stream.value == rows(1, 2, "tmp-a")
        operations[0].set_result("done")
        assert await good == "done"
        assert stream.value == rows(1, 2, "tmp-a")


@pytest.mark.spec("LIVE-185")
async def test_an_event_for_the_same_row_confirms_a_mutation() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        operation = asyncio.get_running_loop().create_future()
        change = asyncio.ensure_future(
            stream.mutate(lambda: operation, ("updated", {"id": 1, "text": "mine"}))
        )
        await s.settle()
        assert stream.value == [{"id": 1, "text": "mine"}]
        s.socket.publish("todos", "updated", {"id": 1, "text": "server"})
        await s.settle()
        assert stream.value == [{"id": 1, "text": "server"}]
        operation.set_result(None)
        await change
        assert stream.value == [{"id": 1, "text": "server"}]


async def test_mutate_takes_a_function_of_a_copy() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        before = stream.value

        async def succeed() -> str:
            return "ok"

        assert await stream.mutate(succeed, lambda draft: draft.append({"id": 2})) == "ok"
        assert stream.value == rows(1, 2)
        assert before == rows(1)
        await stream.mutate(succeed, lambda draft: [row for row in draft if row["id"] != 1])
        assert stream.value == rows(2)


async def test_mutate_refuses_what_it_cannot_do_and_too_much() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        ran: list[bool] = []

        async def run() -> None:
            ran.append(True)

        with pytest.raises(TypeError, match="operation"):
            await stream.mutate(5, ("created", {}))  # type: ignore[arg-type]  # what is tested
        for change in (5, {"data": 1}, ("created",)):
            with pytest.raises(TypeError, match="change"):
                await stream.mutate(run, change)  # type: ignore[arg-type]  # what is tested
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("runtime.client.streamvalue.MAX_OPTIMISTIC_QUEUE_DEPTH", 1)
            hanging = asyncio.ensure_future(stream.mutate(asyncio.Event().wait, ("created", {"id": 2})))
            await s.settle()
            with pytest.raises(Exception, match="1 mutations of this stream wait"):
                await stream.mutate(run, ("created", {"id": 3}))
        assert not ran
        hanging.cancel()
        await asyncio.wait([hanging])
        assert stream.value == rows(1)


@pytest.mark.spec("LIVE-187")
async def test_history_goes_back_forth_and_forgets_what_a_change_replaced() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        stream.undo()
        assert not stream.can_undo
        for number in (2, 3):
            s.socket.publish("todos", "created", {"id": number})
        await s.settle()
        assert (stream.can_undo, stream.can_redo) == (True, False)
        stream.undo()
        assert stream.value == rows(1, 2)
        stream.undo()
        stream.undo()
        assert stream.value == rows(1)
        stream.redo()
        assert (stream.value, stream.can_redo) == (rows(1, 2), True)
        s.socket.publish("todos", "created", {"id": 9})
        await s.settle()
        assert not stream.can_redo
        stream.pause_history()
        s.socket.publish("todos", "created", {"id": 10})
        s.socket.publish("todos", "created", {"id": 11})
        await s.settle()
        stream.resume_history()
        assert stream.value == rows(1, 2, 9, 10, 11)
        stream.undo()
        assert stream.value == rows(1, 2, 9)


@pytest.mark.spec("LIVE-187")
async def test_history_is_bounded_and_skips_long_lists() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        stream.enable_history(max=2)
        await answer(s, rows(1))
        s.socket.publish("todos", "refreshed", rows(*range(201)))
        for number in (2, 3):
            s.socket.publish("todos", "refreshed", rows(number))
        await s.settle()
        stream.undo()
        assert stream.value == rows(2)
        assert not stream.can_undo
        with pytest.raises(ValueError, match="max"):
            stream.enable_history(max=0)
