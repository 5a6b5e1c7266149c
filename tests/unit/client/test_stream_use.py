"""Reading a stream and changing it from this side."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from runtime.client import RpcError, StreamLagged
from runtime.testing import capacity_override
from tests.unit.client.scripted import LIST, answer, rows, scripted

pytestmark = pytest.mark.spec("LIVE-191")


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


async def test_leaving_a_stream_ends_its_callbacks_and_what_was_derived() -> None:
    async with scripted() as s, s.client.stream(LIST) as other:
        values: list[Any] = []
        events: list[Any] = []
        lengths: list[int] = []
        async with s.client.stream(LIST) as stream:
            await answer(s, rows(1))
            off = stream.subscribe(values.append)
            stream.subscribe(values.append)
            stream.on_event(events.append)
            names = stream.map(lambda row: row["id"])
            names.subscribe(lambda value: lengths.append(len(value)))
            derived = aiter(names)
            assert await anext(derived) == [1]
            s.socket.publish("todos", "created", {"id": 2})
            await s.settle()
        expected = ([rows(1), rows(1), rows(1, 2), rows(1, 2)], 1, [1, 2])
        assert (values, len(events), lengths) == expected
        assert await anext(derived) == [1, 2]
        assert await anext(derived, "ended") == "ended"
        off()
        s.socket.publish("todos", "created", {"id": 3})
        await s.settle()
        assert other.value == rows(1, 2, 3)
        assert (values, len(events), lengths) == expected
        later: list[Any] = []
        stream.subscribe(later.append)
        s.socket.publish("todos", "created", {"id": 4})
        await s.settle()
        assert later == [rows(1, 2, 3), rows(1, 2, 3, 4)]
        await stream.close()


async def test_the_last_callback_ends_with_its_stream_and_so_does_the_subscription() -> None:
    async with scripted() as s:
        async with s.client.stream(LIST) as stream:
            await answer(s, rows(1))
            stream.subscribe(lambda value: None)
        await s.settle()
        assert s.socket.control()[-1] == {"type": "unsubscribe", "topic": "todos"}


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


@pytest.mark.spec("LIVE-96")
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


async def test_a_change_of_a_whole_value_is_contained_in_what_came_since() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, 1, merge="set")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        counted = asyncio.ensure_future(stream.mutate(lambda: done, lambda n: n + 1))
        await s.settle()
        assert stream.value == 2
        s.socket.publish("todos", "set", 2)
        await s.settle()
        done.set_result(None)
        await counted
        assert stream.value == 2


async def test_an_event_confirms_one_change_of_its_row_at_a_time() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, [{"id": 1, "n": 0}])
        waits = [asyncio.get_running_loop().create_future() for _ in range(2)]
        changes = [
            asyncio.ensure_future(stream.mutate(lambda wait=wait: wait, ("updated", {"id": 1, "n": n})))
            for n, wait in enumerate(waits, 1)
        ]
        await s.settle()
        s.socket.publish("todos", "updated", {"id": 1, "n": 1})
        await s.settle()
        assert stream.value == [{"id": 1, "n": 2}], "the second change is still on top"
        waits[0].set_result(None)
        waits[1].set_exception(RuntimeError("mine"))
        await asyncio.gather(*changes, return_exceptions=True)
        assert stream.value == [{"id": 1, "n": 1}]


async def test_a_change_that_raises_is_not_shown_and_nothing_is_run(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        runs: list[int] = []
        with pytest.raises(ZeroDivisionError):
            await stream.mutate(lambda: runs.append(1), lambda draft: 1 / 0)  # type: ignore[arg-type,func-returns-value]  # never run
        assert (runs, stream.value) == ([], rows(1))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        fits_once = asyncio.ensure_future(stream.mutate(lambda: done, lambda draft: draft[0] and draft))
        await s.settle()
        s.socket.publish("todos", "deleted", {"id": 1})
        await s.settle()
        assert "raised on a newer value" in caplog.text
        s.socket.publish("todos", "created", {"id": 2})
        await s.settle()
        assert stream.value == rows(2)
        done.set_result(None)
        await fits_once


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
        with capacity_override(MAX_OPTIMISTIC_QUEUE_DEPTH=1):
            hanging = asyncio.ensure_future(stream.mutate(asyncio.Event().wait, ("created", {"id": 2})))
            await s.settle()
            with pytest.raises(Exception, match="1 mutations of this stream wait"):
                await stream.mutate(run, ("created", {"id": 3}))
        assert not ran
        hanging.cancel()
        await asyncio.wait([hanging])
        assert stream.value == rows(1)


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
