from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.client import RpcError
from runtime.core.capacity import MAX_HELD_FRAMES
from tests.unit.client.scripted import LIST, answer, rows, scripted

pytestmark = pytest.mark.spec("LIVE-191")


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


async def test_a_reconnect_resubscribes_then_leaves_and_asks_anew() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        statuses: list[str] = []
        stream._state.changes.add(lambda state: statuses.append(state.status))
        await s.reopen()
        assert s.socket.control() == [{"type": "subscribe-batch", "topics": ["todos"], "ref": 2}]
        assert (stream.status, stream.value) == ("reconnecting", rows(1))
        events: list[Any] = []
        stream.on_event(lambda event: events.append(event.data))
        s.socket.publish("todos", "created", {"id": 2})
        await s.clock.advance(0.015)
        assert events == rows(2)
        assert stream.value == rows(1), "the value waits for the answer, which has what was missed before"
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


async def test_leaving_before_the_answer_sends_nothing_until_that_comes() -> None:
    async with scripted() as s:
        async with s.client.stream(LIST) as stream:
            request = await s.request(LIST)
        await s.settle()
        assert s.socket.control() == []
        s.socket.reply(request, rows(1), topic="todos", merge="crud")
        s.socket.publish("todos", "created", {"id": 2})
        await s.settle()
        assert s.socket.control() == [{"type": "unsubscribe", "topic": "todos"}]
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
        await answer(s, rows(1), seq=5, version=1)
        s.socket.reply(await s.request("a/other"), 1, topic="other", merge="set")
        await s.settle()
        s.socket.publish("__realtime", "reload", {"modules": ["todos"], "resubscribe": [LIST]})
        await s.settle()
        assert (stream.status, stream.value) == ("reconnecting", rows(1))
        assert len(s.socket.requests(LIST)) == 2
        assert len(s.socket.requests("a/other")) == 1
        assert s.socket.control()[-1] == {"type": "unsubscribe", "topic": "todos"}
        request = await answer(s, rows(2), topic="moved")
        assert "seq" not in request, "what was missed is not what the new code gives"
        assert "version" not in request
        s.socket.publish("moved", "created", {"id": 3})
        await s.settle()
        assert stream.value == rows(2, 3)
