"""Whatever a server sends, the Python client goes on: no exception ends the connection or leaves a stream hanging."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from typing import Any

import pytest

from runtime.client import RpcError
from runtime.live.merge import Merger
from runtime.wire.limits import MAX_OUTBOUND_CHARS
from tests.unit.client.scripted import LIST, answer, rows, scripted

pytestmark = pytest.mark.spec("LIVE-191")

VALUES: list[Any] = [
    None,
    True,
    -1,
    10**30,
    "",
    "x",
    [],
    {},
    [None],
    [{"key": {}}],
    [[]],
    {"reqId": 1, "seq": {}},
    {"__proto__": {"x": 1}},
]
KEYS = ["data", "topic", "merge", "key", "prepend", "max", "seq", "version", "hasMore", "cursor", "replay"]
KEYS += ["delta", "unchanged", "channel", "derived", "gated", "schemaVersion"]


@pytest.mark.parametrize("key", KEYS)
async def test_an_answer_with_any_value_under_a_key_leaves_no_stream_hanging(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    for value in VALUES:
        async with scripted() as s, s.client.stream(LIST) as stream:
            good = {"data": rows(1), "topic": "todos", "merge": "crud", "key": "id"}
            request = await s.request(LIST)
            s.socket.push(
                {"topic": "__rpc", "event": request["id"], "data": {"ok": True, **good, key: value}}
            )
            await s.settle()
            assert stream.status in ("connected", "error"), value
            s.socket.publish("todos", "created", {"id": 2})
            s.socket.drop()
            await s.status("disconnected")
            await s.clock.advance(4)
            await answer(s, rows(5), prepend=False)
            assert (stream.status, stream.value) == ("connected", rows(5))
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_live_events_with_any_data(caplog: pytest.LogCaptureFixture) -> None:
    events = ["created", "updated", "deleted", "refreshed", "join", "leave", "update", "remove", "set"]
    for merge in ("crud", "latest", "set", "presence", "cursor"):
        async with scripted() as s, s.client.stream(LIST) as stream:
            await answer(s, [], merge=merge)
            for event, data in itertools.product(events, VALUES):
                s.socket.publish("todos", event, data)
            await s.settle()
            s.socket.publish("todos", "refreshed", rows(1))
            await s.settle()
            assert stream.value == rows(1)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_an_answer_that_cannot_be_used_is_an_error_of_the_stream(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        with monkeypatch.context() as patch:
            patch.setattr("runtime.client.streamvalue.StreamValue.load", lambda *_: 1 / 0)
            await answer(s, rows(1))
        assert stream.error is not None
        assert (stream.status, stream.error.code) == ("error", "STREAM_ERROR")
        assert "could not be used" in caplog.text
        await s.reopen()
        await s.clock.advance(0.1)
        await answer(s, rows(1))
        assert (stream.status, stream.error, stream.value) == ("connected", None, rows(1))


async def test_a_page_that_cannot_be_used_is_an_error_of_its_caller(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with scripted() as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1), hasMore=True, cursor="c")
        monkeypatch.setattr(Merger, "extend", lambda *_: 1 / 0)
        more = asyncio.ensure_future(stream.load_more())
        await s.settle()
        await answer(s, rows(2), hasMore=True, cursor="d")
        with pytest.raises(RpcError, match="could not be used") as caught:
            await more
        assert (caught.value.code, stream.status, stream.value) == ("LOAD_MORE_ERROR", "connected", rows(1))
        assert "ZeroDivisionError" in caplog.text


async def test_json_that_is_nested_too_deep_is_ignored() -> None:
    async with scripted() as s:
        deep = "[" * 100_000 + "]" * 100_000
        s.socket.push(deep.encode(), f'{{"topic":"t","event":"x","data":{deep}}}'.encode())
        call = s.client.call("a/b")
        s.socket.reply(await s.request("a/b"), 1)
        assert await call == 1


@pytest.mark.parametrize(("character", "units"), [("x", 1), ("é", 1), ("€", 1), ("😀", 2)])
async def test_a_frame_above_the_limit_of_characters_is_dropped_and_counted(
    character: str, units: int
) -> None:
    async with scripted() as s:
        for extra, dropped in ((0, 0), (1, 1)):
            head, tail = '{"topic":"t","event":"x","data":"', '"}'
            room = MAX_OUTBOUND_CHARS - len(head) - len(tail) + extra
            text = head + character * (room // units) + "x" * (room % units) + tail
            seen: list[Any] = []
            s.client.on("t").subscribe(seen.append)
            s.socket.push(text.encode())
            await s.settle()
            assert (len(seen), s.client._inbound.oversized) == (1 - dropped, dropped)


async def test_numbers_that_are_none_are_not_remembered() -> None:
    async with scripted() as s:
        for number, seq in enumerate([-1, 1.5, "5", True, 2**53, 10**30]):
            s.socket.push(json.dumps({"topic": f"t{number}", "event": "x", "seq": seq}).encode())
        s.socket.publish("good", "x", None, 0)
        await s.settle()
        assert s.client._topics.seen == {"good": 0}


async def test_a_batch_entry_or_reply_of_any_form_fails_its_call_only() -> None:
    async with scripted() as s:
        for value in VALUES:
            call = s.client.call("a/b")
            request = await s.request("a/b")
            s.socket.push({"topic": "__rpc", "event": "__batch", "data": {"batch": [value, {"id": value}]}})
            s.socket.push(
                {
                    "topic": "__rpc",
                    "event": request["id"],
                    "data": {"ok": value, "code": value, "issues": value},
                }
            )
            await s.settle()
            if value is True:
                assert await call is None
            else:
                with pytest.raises(RpcError):
                    await call
