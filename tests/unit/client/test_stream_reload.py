"""Streams when the dev server says that their code has changed. Spec: live-api 21.1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.client.scripted import LIST, Scripted, answer, rows, scripted

pytestmark = pytest.mark.spec("LIVE-191")


async def reload(s: Scripted, *paths: Any, modules: Any = ()) -> None:
    s.socket.publish("__realtime", "reload", {"modules": list(modules), "resubscribe": list(paths)})
    await s.settle()


@pytest.mark.parametrize("kind", ["channel", "derived"])
async def test_a_stream_that_keeps_its_value_takes_the_new_one_once(kind: str) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, 1, LIST, merge="set", **{kind: True})
        await reload(s, LIST)
        assert (stream.status, stream.value) == ("reconnecting", 1)
        await answer(s, 2, LIST, merge="set", **{kind: True})
        assert stream.value == 2
        await s.reopen()
        await s.clock.advance(0.1)
        await answer(s, None, LIST, merge="set", **{kind: True})
        assert stream.value == 2, "only the first answer after the change replaces it"


async def test_the_new_value_is_taken_also_when_the_first_request_for_it_fails() -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, 1, merge="set", derived=True)
        await reload(s, LIST)
        s.socket.refuse(await s.request(LIST), "INTERNAL_ERROR")
        await s.reopen()
        await s.clock.advance(0.1)
        await answer(s, 2, merge="set", derived=True)
        assert stream.value == 2


async def test_a_stream_in_its_grace_time_takes_the_new_value_when_somebody_comes_back() -> None:
    async with scripted() as s:
        async with s.client.stream(LIST):
            await answer(s, 1, merge="set", derived=True, seq=5)
        await s.settle()
        await reload(s, LIST)
        assert len(s.socket.requests(LIST)) == 1, "nobody uses it"
        async with s.client.stream(LIST) as stream:
            assert stream.value == 1
            assert "seq" not in await answer(s, 2, merge="set", derived=True)
            assert stream.value == 2


async def test_streams_of_changed_modules_that_had_failed_ask_anew_and_no_others() -> None:
    paths = (LIST, "todos/count", "todosmore/list")
    async with (
        scripted() as s,
        s.client.stream(paths[0]) as broken,
        s.client.stream(paths[1]) as count,
        s.client.stream(paths[2]) as other,
    ):
        await answer(s, 1, paths[1], merge="set")
        for path in (paths[0], paths[2]):
            s.socket.refuse(await s.request(path), "INTERNAL_ERROR")
        await s.settle()
        await reload(s, modules=["todos"])
        assert [len(s.socket.requests(path)) for path in paths] == [2, 1, 1]
        assert [stream.status for stream in (broken, count, other)] == ["reconnecting", "connected", "error"]
        await answer(s, rows(1))
        assert (broken.status, broken.error, broken.value) == ("connected", None, rows(1))


@pytest.mark.parametrize("data", [None, 7, [LIST], {}, {"resubscribe": LIST, "modules": "todos"}])
async def test_a_notice_that_is_none_changes_nothing(data: Any) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1))
        s.socket.publish("__realtime", "reload", data)
        await reload(s, 7, None, modules=[None, 7])
        assert (stream.status, len(s.socket.requests(LIST))) == ("connected", 1)
