"""`live.push` and `live.notify` over real sockets: who is asked, what comes back, what a caller is told instead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.client import connect

from runtime import ConnectionClosed, LiveError, PlatformNotReady, RequestFailed, live
from runtime.client import Realtime
from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.testing import RunningServer, eventually, running_server

HOOKS = """
from runtime import LiveError, live, publish

AT_INIT = []

async def init(platform):
    publish("news", "created", {"id": 1})
    AT_INIT.append(platform.subscribers("news"))
    try:
        await live.push("ann", "ask")
    except LiveError as error:
        AT_INIT.append(error.code)

def upgrade(headers):
    name = headers.get("x-name")
    return {"user_id": name} if name else {}

def close(ws):
    pass
"""
LIVE = """
# realtime-allow-public
from runtime import live

@live
async def ask(ctx, user: str, question: dict):
    return await live.push(user, "ask", question, timeout=2)

@live
async def tell(ctx, user: str, news: str):
    await live.notify(user, "news", news)
    return "told"

@live(thread=True)
def tell_from_a_thread(ctx, user: str, news: str):
    live.notify(to={"user_id": user}, event="news", data=news)
"""


@pytest.fixture(params=["auto", "off"], ids=["fast", "asgi"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningServer]:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "people.py").write_text(LIVE)
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "realtime.toml").write_text(f'[websocket]\nfast_path = "{request.param}"\n')
    async with running_server(tmp_path) as running:
        yield running


async def device(server: RunningServer, name: str) -> Realtime:
    """A connected client of that user, which the server has registered."""
    client: Realtime = await server.connect(headers={"x-name": name})
    known = len(server.runtime.connections)
    await eventually(lambda: len(server.runtime.connections) >= max(known, 1))
    await client.call("people/tell", "nobody", "")  # what a client sends is read behind the registration
    return client


def count(server: RunningServer, name: str, result: str) -> int:
    return server.runtime.metrics.get(name, result)


@pytest.mark.spec("LIVE-140")
async def test_the_answer_of_the_handler_comes_back_to_the_call(server: RunningServer) -> None:
    ann, bob = await device(server, "ann"), await device(server, "bob")
    asked: list[Any] = []

    async def answer(question: Any) -> Any:
        asked.append(question)
        await asyncio.sleep(0)
        return {"answer": question["n"] * 2}

    ann.on_push("ask", answer)
    assert await bob.call("people/ask", "ann", {"n": 21}) == {"answer": 42}
    assert asked == [{"n": 21}]
    assert await live.push(to={"user_id": "ann"}, event="ask", data={"n": 1}) == {"answer": 2}
    assert await live.push({"userId": "ann"}, "ask", {"n": 2}) == {"answer": 4}
    assert count(server, "push_total", "ok") == 3
    await ann.close()
    await bob.close()


@pytest.mark.spec("LIVE-140")
async def test_what_a_caller_is_told_when_there_is_no_answer(server: RunningServer) -> None:
    ann, bob = await device(server, "ann"), await device(server, "bob")
    release = asyncio.Event()
    ann.on_push("hang", lambda data: release.wait())

    def fail(data: Any) -> None:
        raise ValueError("no idea")

    ann.on_push("fail", fail)
    with pytest.raises(LiveError) as caught:
        await live.push("ann", "hang", timeout=0.05)
    assert (caught.value.code, str(caught.value.__cause__)) == ("TIMEOUT", "request timed out")
    with pytest.raises(RequestFailed, match="no idea"):
        await live.push("ann", "fail")
    with pytest.raises(RequestFailed, match="no push handler registered for event 'unheard'"):
        await live.push("ann", "unheard")
    with pytest.raises(LiveError) as caught:
        await live.push("cid", "ask")
    assert (caught.value.code, caught.value.message) == ("NOT_FOUND", "no active connection for userId 'cid'")
    with pytest.raises(Exception, match="no active connection") as refused:
        await bob.call("people/ask", "cid", {})
    assert getattr(refused.value, "code", None) == "NOT_FOUND"

    waiting = asyncio.ensure_future(live.push("ann", "hang"))
    await eventually(lambda: any(one.requests for one in server.runtime.connections.values()))
    await ann.close()
    with pytest.raises(ConnectionClosed, match="connection closed"):
        await waiting
    assert [count(server, "push_total", result) for result in ("ok", "timeout", "error", "offline")] == [
        0, 1, 3, 3,
    ]  # fmt: skip
    await bob.close()


@pytest.mark.spec("LIVE-140", "LIVE-143")
async def test_bad_arguments_raise_at_the_call(server: RunningServer) -> None:
    bad: list[tuple[Any, Any]] = [
        ("", "ask"),
        (None, "ask"),
        (7, "ask"),
        ({"id": "ann"}, "ask"),
        ({"user_id": "ann", "x": 1}, "ask"),
        ({"user_id": ""}, "ask"),
        ("ann", ""),
        ("ann", 7),
    ]
    for user, event in bad:
        for function in (live.push, live.notify):
            with pytest.raises(LiveError) as caught:
                function(user, event)
            assert caught.value.code == "VALIDATION", (function, user, event)
    for timeout in (0, -1, float("inf"), float("nan"), True, "5"):
        with pytest.raises(LiveError) as caught:
            _ = live.push("ann", "ask", timeout=cast("float", timeout))
        assert caught.value.code == "VALIDATION"
    with pytest.raises(LiveError, match=r"live\.notify"):
        _ = live.push("ann", "ask", timeout=0)


@pytest.mark.spec("LIVE-141")
async def test_of_several_devices_the_latest_is_asked_and_older_ones_not_when_it_goes(
    server: RunningServer,
) -> None:
    phone, desk = await device(server, "ann"), await device(server, "ann")
    phone.on_push("where", lambda data: "phone")
    desk.on_push("where", lambda data: "desk")
    assert await live.push("ann", "where") == "desk"
    await desk.close()
    await eventually(lambda: len(server.runtime.connections) == 1)
    with pytest.raises(LiveError, match="no active connection"):
        await live.push("ann", "where")
    (left,) = server.runtime.connections.values()
    server.runtime.live.pushes.opened(left)
    assert await live.push("ann", "where") == "phone"
    await phone.close()
    await eventually(lambda: len(server.runtime.live.pushes) == 0)


@pytest.mark.spec("LIVE-141")
async def test_the_end_of_an_older_device_changes_nothing(server: RunningServer) -> None:
    phone, desk = await device(server, "ann"), await device(server, "ann")
    desk.on_push("where", lambda data: "desk")
    await phone.close()
    await eventually(lambda: len(server.runtime.connections) == 1)
    assert await live.push("ann", "where") == "desk"
    await desk.close()


@pytest.mark.spec("LIVE-143")
async def test_a_notification_arrives_and_whatever_fails_is_only_counted(server: RunningServer) -> None:
    ann, bob = await device(server, "ann"), await device(server, "bob")
    before = count(server, "notify_total", "offline")
    heard: list[Any] = []
    ann.on_push("news", heard.append)
    assert await bob.call("people/tell", "ann", "rain") == "told"
    await bob.call("people/tell_from_a_thread", "ann", "sun")
    await eventually(lambda: heard == ["rain", "sun"])
    await eventually(lambda: count(server, "notify_total", "ok") == 2)

    _ = live.notify("ann", "unheard")  # on its way, awaited or not
    await live.notify("nobody", "news")
    _ = live.notify("ann", "news", object())
    await eventually(lambda: count(server, "notify_total", "error") == 2)
    await eventually(lambda: count(server, "notify_total", "offline") == before + 1)
    await ann.close()
    await bob.close()


@pytest.mark.spec("LIVE-143")
async def test_a_client_that_does_not_answer_a_notification_is_waited_for_one_second(
    server: RunningServer,
) -> None:
    async with connect(server.ws_url, compression=None, additional_headers={"x-name": "raw"}) as raw:
        assert json.loads(await raw.recv())["type"] == "welcome"
        await eventually(lambda: server.runtime.live.pushes.connection_of("raw") is not None)
        _ = live.notify("raw", "news", [1])
        frame = json.loads(await raw.recv())
        assert {**frame, "ref": 0} == {"type": "request", "ref": 0, "event": "news", "data": [1]}
        await eventually(lambda: count(server, "notify_total", "timeout") == 1)
        await raw.send(json.dumps({"type": "reply", "ref": frame["ref"], "data": "late"}))
        await raw.send('{"rpc":"people/tell","id":"1","args":["nobody",""]}')
        assert json.loads(await raw.recv())["event"] == "1"


async def test_a_notification_is_sent_before_the_reply_of_the_call_that_made_it(
    server: RunningServer,
) -> None:
    headers = {"x-name": "raw"}
    async with connect(server.ws_url, compression=None, additional_headers=headers) as raw:
        await raw.recv()
        await raw.send('{"rpc":"people/tell","id":"q","args":["raw","rain"]}')
        frames = [json.loads(await raw.recv()) for _ in range(2)]
        assert [frame.get("type") for frame in frames] == ["request", None]


@pytest.mark.spec("LIVE-140")
async def test_what_travels_is_a_request_and_its_reply(server: RunningServer) -> None:
    headers = {"x-name": "raw"}
    async with connect(server.ws_url, compression=None, additional_headers=headers) as raw:
        await raw.recv()
        await raw.send('{"rpc":"people/ask","id":"q","args":["raw",{"n":1}]}')
        frame = json.loads(await raw.recv())
        assert {**frame, "ref": 0} == {"type": "request", "ref": 0, "event": "ask", "data": {"n": 1}}
        await raw.send(json.dumps({"type": "reply", "ref": frame["ref"], "data": {"a": 1}}))
        assert await raw.recv() == (
            '{"topic":"__rpc","event":"q","data":{"id":"q","ok":true,"data":{"a":1}}}'
        )


@pytest.mark.spec("LIVE-144")
async def test_at_the_bound_a_user_is_not_pushable_and_all_else_works(
    server: RunningServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "_told", {})
    with capacity_override(MAX_PUSH_REGISTRY=1):
        ann = await device(server, "ann")
        bob, cid, again = (
            await device(server, "bob"),
            await device(server, "cid"),
            await device(server, "ann"),
        )
        again.on_push("ask", lambda data: "here")
        bob.on_push("ask", lambda data: "never")
        assert await bob.call("people/ask", "ann", {}) == "here", "a user who is known may change devices"
        for name in ("bob", "cid"):
            with pytest.raises(LiveError, match="no active connection"):
                await live.push(name, "ask")
        assert caplog.text.count("MAX_PUSH_REGISTRY") == 1
        for client in (ann, bob, cid, again):
            await client.close()


@pytest.mark.spec("PLAT-7")
async def test_publish_and_push_work_inside_init(server: RunningServer) -> None:
    hook = server.runtime.hooks.get("close")
    assert hook is not None
    assert hook._function.__globals__["AT_INIT"] == [0, "NOT_FOUND"]


async def test_who_has_no_id_is_nobody(server: RunningServer) -> None:
    async with server.connect() as nobody:
        await nobody.call("people/tell", "x", "")
        assert len(server.runtime.live.pushes) == 0


async def test_there_is_nobody_to_push_to_without_an_app() -> None:
    for function in (live.push, live.notify):
        with pytest.raises(PlatformNotReady, match="before the app was started"):
            function("ann", "ask")
