"""The Python client against the real server over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runtime.client import ClientOptions, Realtime, RpcError
from runtime.testing import FakeClock, RunningServer, eventually, running_server

LIVE = """
import asyncio
from dataclasses import dataclass
from typing import Any
from runtime import LiveError, live

ROWS = [{"id": 1, "text": "milk"}]
STARTED = []

@dataclass
class New:
    text: str

@live
async def add(ctx, text: str):
    row = {"id": len(ROWS) + 1, "text": text}
    ROWS.append(row)
    ctx.publish("things", "created", row)
    return row

@live
async def emit(ctx, topic: str, event: str, data: Any = None):
    ctx.publish(topic, event, data)

@live
async def echo(ctx, value: Any = None):
    return value

@live
async def whoami(ctx):
    return ctx.user

@live
async def make(ctx, new: New):
    return new.text

@live
async def locked(ctx):
    raise LiveError("LOCKED", "List is locked", {"by": "ann"})

@live
async def crash(ctx):
    raise RuntimeError("secret detail")

@live
async def hang(ctx):
    STARTED.append(True)
    await asyncio.Event().wait()

@live.stream("things")
async def list(ctx):
    return [*ROWS]

@live.stream(lambda ctx, room: f"chat:{room}", merge="latest", max=3)
async def chat(ctx, room: str):
    return ["hello " + room]

@live.stream("settings", merge="set")
async def settings(ctx):
    return {"dark": False}

@live.stream("who", merge="presence")
async def who(ctx):
    return [{"key": "ann", "data": 1}]

@live.stream("mice", merge="cursor")
async def mice(ctx):
    return []

@live.stream("news", prepend=True, max=2)
async def news(ctx):
    return [{"id": 1}]

@live.stream("pages")
async def pages(ctx):
    page = int(ctx.cursor or 1)
    return {"data": [{"id": page}], "hasMore": page < 3, "cursor": str(page + 1)}

@live.stream("secret")
async def secret(ctx):
    return []

@live.stream("broken")
async def broken(ctx):
    raise LiveError("NO_LUCK", "not today")
"""
HOOKS = """
RESUMES = []
CLOSES = []

def upgrade(headers, cookies):
    return {"name": headers.get("x-name", "nobody"), "session": cookies.get("session")}

def subscribe(ws, topic):
    return "MEMBERS_ONLY" if topic == "secret" else True

def resume(session_id, last_seen_seqs):
    RESUMES.append((session_id, last_seen_seqs))

def close(code):
    CLOSES.append(code)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "things.py").write_text(LIVE)
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "realtime.toml").write_text("")
    return tmp_path


@pytest.fixture(params=["auto", "off"], ids=["fast", "asgi"])
async def server(request: pytest.FixtureRequest, project: Path) -> AsyncIterator[RunningServer]:
    (project / "realtime.toml").write_text(f'[websocket]\nfast_path = "{request.param}"\n')
    async with running_server(project) as running:
        yield running


@pytest.fixture
async def rt(server: RunningServer) -> AsyncIterator[Realtime]:
    async with server.connect() as client:
        yield client


def hook_list(server: RunningServer, name: str) -> list[Any]:
    """A list that `hooks.py` of the running server fills."""
    hook = server.runtime.hooks.get("resume")
    assert hook is not None
    values: list[Any] = hook._function.__globals__[name]
    return values


@contextlib.asynccontextmanager
async def timed(server: RunningServer, **options: Any) -> AsyncIterator[tuple[Realtime, FakeClock]]:
    """A client whose waits pass when the test says so."""
    clock = FakeClock()
    client = Realtime(server.ws_url, ClientOptions.of(options), clock=clock)
    client.start()
    try:
        await client.ready()
        await client.call("things/echo")  # the server has the connection in its table now
        yield client, clock
    finally:
        await client.close()


async def code_of(awaitable: Any) -> str:
    with pytest.raises(RpcError) as caught:
        await awaitable
    return caught.value.code


@pytest.mark.spec("LIVE-204")
async def test_calls_and_their_results(rt: Realtime) -> None:
    assert await rt.call("things/echo", {"a": [1, None, "é", 1.5]}) == {"a": [1, None, "é", 1.5]}
    assert await rt.live.things.make({"text": "milk"}) == "milk"
    assert await rt.call("things/echo") is None
    assert await asyncio.gather(*(rt.call("things/echo", number) for number in range(100))) == list(
        range(100)
    )


@pytest.mark.spec("LIVE-204")
async def test_every_store_has_a_value_and_tells_changes(server: RunningServer) -> None:
    seen: list[str] = []
    async with server.connect() as rt:
        rt.status.subscribe(seen.append)
        stores = (rt.status, rt.failure, rt.quiescent, rt.health, rt.denials, rt.resumed)
        assert [store.value for store in stores] == ["open", None, True, "healthy", None, None]
        async for status in rt.status:
            assert status == "open"
            break
        rt.configure(timeout=0.05)
        assert await code_of(rt.call("things/hang")) == "TIMEOUT"
    assert seen == ["open", "failed"]
    rt = await server.connect()
    assert await rt.call("things/echo", 1) == 1
    await rt.close()


@pytest.mark.spec("LIVE-27")
async def test_errors(rt: Realtime) -> None:
    with pytest.raises(RpcError) as caught:
        await rt.call("things/locked")
    error = caught.value
    assert (error.code, error.message, error.data) == ("LOCKED", "List is locked", {"by": "ann"})
    with pytest.raises(RpcError) as caught:
        await rt.call("things/make", {"text": 5})
    assert caught.value.code == "VALIDATION"
    assert caught.value.issues
    with pytest.raises(RpcError) as caught:
        await rt.call("things/crash")
    error = caught.value
    assert (error.code, error.message, error.data) == ("INTERNAL_ERROR", "Internal server error", None)
    assert await code_of(rt.call("things/nope")) == "NOT_FOUND"
    assert await code_of(rt.call("no-slash")) == "INVALID_REQUEST"
    assert await code_of(rt.call("things/hang", timeout=0.05)) == "TIMEOUT"
    assert await rt.call("things/echo", "still there") == "still there"


async def test_headers_and_cookies_reach_the_upgrade_hook(server: RunningServer) -> None:
    async with server.connect(headers={"X-Name": "ann", "Cookie": "session=s1"}) as rt:
        user = await rt.call("things/whoami")
    assert (user["name"], user["session"]) == ("ann", "s1")


@pytest.mark.spec("LIVE-191")
async def test_batches(rt: Realtime) -> None:
    both = await rt.batch(lambda: [rt.call("things/echo", 1), rt.call("things/echo", 2)], sequential=True)
    assert both == [1, 2]
    good: list[Any] = []

    def collect() -> list[Any]:
        good.append(rt.call("things/echo", "good"))
        return [rt.call("things/make", 5), *good]

    with pytest.raises(RpcError) as caught:
        await rt.batch(collect)
    assert caught.value.code == "VALIDATION"
    assert caught.value.issues
    assert await good[0] == "good"
    full = await rt.batch(lambda: [rt.call("things/echo", number) for number in range(50)])
    assert full == list(range(50))


@pytest.mark.spec("WIRE-103", "LIVE-191")
@pytest.mark.parametrize(
    ("path", "args", "topic", "events", "end"),
    [
        (
            "things/list",
            (),
            "things",
            [
                ("created", {"id": 2}),
                ("created", {"id": 3}),
                ("updated", {"id": 1, "n": 1}),
                ("deleted", {"id": 2}),
            ],
            [{"id": 1, "n": 1}, {"id": 3}],
        ),
        ("things/chat", ("a",), "chat:a", [("x", 1), ("y", 2), ("z", 3)], [1, 2, 3]),
        ("things/settings", (), "settings", [("set", {"dark": True})], {"dark": True}),
        (
            "things/who",
            (),
            "who",
            [("join", {"key": "bob"}), ("leave", {"key": "ann"}), ("join", {"key": "cy"})],
            [{"key": "bob"}, {"key": "cy"}],
        ),
        (
            "things/mice",
            (),
            "mice",
            [("update", {"key": "a", "x": 1}), ("remove", {"key": "b"})],
            [{"key": "a", "x": 1}],
        ),
        ("things/news", (), "news", [("created", {"id": 2}), ("created", {"id": 3})], [{"id": 3}, {"id": 2}]),
    ],
)
async def test_streams_follow_their_topic(
    rt: Realtime, path: str, args: tuple[Any, ...], topic: str, events: list[tuple[str, Any]], end: Any
) -> None:
    async with rt.stream(path, *args) as stream:
        await stream.ready()
        assert stream.topic == topic
        backlog = stream.events()
        for event, data in events:
            await rt.call("things/emit", topic, event, data)
        await eventually(lambda: stream.value == end)
        seen = [await anext(backlog) for _ in events]
        assert [(item.event, item.data) for item in seen] == events


async def test_several_clients_see_the_same(server: RunningServer, rt: Realtime) -> None:
    async with (
        server.connect() as other,
        other.stream("things/list") as theirs,
        rt.stream("things/list") as ours,
    ):
        await theirs.ready()
        await ours.ready()
        await rt.call("things/add", "tea")
        await eventually(lambda: len(theirs.value) == 2 and theirs.value == ours.value)


async def test_leaving_a_stream_ends_it_on_the_server(server: RunningServer, rt: Realtime) -> None:
    async with rt.stream("things/list") as stream:
        await stream.ready()
        assert server.runtime.platform.subscribers("things") == 1
    await eventually(lambda: server.runtime.platform.subscribers("things") == 0)
    async with rt.stream("things/list") as stream:
        assert stream.value == [{"id": 1, "text": "milk"}]
        await stream.ready()
        await rt.call("things/add", "tea")
        await eventually(lambda: len(stream.value) == 2)


async def test_refused_streams(rt: Realtime) -> None:
    async with rt.stream("things/secret") as secret, rt.stream("things/broken") as broken:
        with pytest.raises(RpcError) as caught:
            await secret.ready()
        assert caught.value.code == "MEMBERS_ONLY"
        assert await code_of(broken.ready()) == "NO_LUCK"
        assert (secret.status, secret.value) == ("error", None)


async def test_a_refused_topic_is_told(rt: Realtime) -> None:
    off = rt.on("secret").subscribe(lambda event: None)
    await eventually(lambda: rt.denials.value)
    assert rt.denials.value is not None
    assert (rt.denials.value["topic"], rt.denials.value["reason"]) == ("secret", "MEMBERS_ONLY")
    off()


async def test_pages(rt: Realtime) -> None:
    async with rt.stream("things/pages") as stream:
        await stream.ready()
        assert stream.has_more
        assert await stream.load_more() is True
        assert await stream.load_more() is False
        assert stream.value == [{"id": 1}, {"id": 2}, {"id": 3}]


async def test_fire_is_run_and_not_answered(server: RunningServer, rt: Realtime) -> None:
    async with rt.stream("things/list") as stream:
        await stream.ready()
        rt.fire("things/add", "tea")
        await eventually(lambda: len(stream.value) == 2)
    assert rt.volatile_dropped == 0


async def test_what_was_fired_right_before_the_end_arrives(server: RunningServer, rt: Realtime) -> None:
    async with rt.stream("things/list") as stream:
        await stream.ready()
        async with server.connect() as other:
            other.fire("things/add", "last words")
        await eventually(lambda: stream.value[-1]["text"] == "last words")


@pytest.mark.spec("WIRE-106", "WIRE-115", "WIRE-116")
async def test_a_restart_is_survived_with_streams_and_a_resume(server: RunningServer) -> None:
    async with timed(server) as (rt, clock), rt.stream("things/list") as stream:
        await stream.ready()
        await rt.call("things/add", "tea")
        await eventually(lambda: len(stream.value) == 2)
        session = rt._inbound.session_id
        seen = dict(rt._topics.seen)
        server.runtime.close_connections(1012, "Handler reloaded")
        await eventually(lambda: rt.status.value == "disconnected")
        assert rt.failure.value == {
            "kind": "ws-close",
            "class": "RETRY",
            "code": 1012,
            "reason": "Handler reloaded",
        }
        server.runtime.live.registry.modules["things"].module.ROWS.append({"id": 9})
        shown: list[int] = []
        off = stream.subscribe(lambda value: shown.append(len(value)))
        await clock.advance(0.25)
        await eventually(lambda: rt.status.value == "open")
        await clock.advance(0.1)
        await eventually(lambda: stream.value[-1] == {"id": 9})
        assert hook_list(server, "RESUMES") == [(session, seen)]
        assert list(seen) == ["things"]
        assert rt.resumed.value == {"things": {"state": "truncated"}}
        off()
        assert shown == [2, 3]
        await rt.call("things/add", "coffee")
        await eventually(lambda: stream.value[-1].get("text") == "coffee")
        assert server.runtime.platform.subscribers("things") == 1
        assert server.runtime.metrics.get("stream_subscriptions") == 1


@pytest.mark.spec("WIRE-115")
async def test_a_cut_is_survived(server: RunningServer) -> None:
    async with timed(server) as (rt, clock), rt.stream("things/list") as stream:
        await stream.ready()
        hanging = rt.call("things/hang")
        started = server.runtime.live.registry.modules["things"].module.STARTED
        await eventually(lambda: started)
        for connection in list(server.runtime.connections.values()):
            connection.terminate()
        assert await code_of(hanging) == "DISCONNECTED"
        await eventually(lambda: rt.status.value == "disconnected")
        await clock.advance(3.75)
        await eventually(lambda: rt.status.value == "open")
        await clock.advance(0.1)
        await eventually(lambda: stream.status == "connected")
        await rt.call("things/add", "tea")
        await eventually(lambda: stream.value[-1].get("text") == "tea")


@pytest.mark.spec("WIRE-115", "LIVE-191")
async def test_a_terminal_close_is_the_end(server: RunningServer) -> None:
    async with timed(server) as (rt, clock):
        for connection in list(server.runtime.connections.values()):
            await connection.close(4403, "not you")
        await eventually(lambda: rt.status.value == "failed")
        assert await code_of(rt.call("things/echo")) == "CONNECTION_CLOSED"
        assert clock.pending == 0


async def test_a_stopped_server_says_goodbye(project: Path) -> None:
    async with running_server(project) as server, server.connect(open_timeout=5) as rt:
        assert await rt.call("things/echo", 1) == 1
        server.runtime.close_connections(1001, "Server shutting down")
        await eventually(lambda: rt.status.value == "disconnected")
        assert rt.failure.value is not None
        assert rt.failure.value["code"] == 1001


@pytest.mark.spec("LIVE-191")
async def test_the_offline_queue_over_a_restart(server: RunningServer) -> None:
    from runtime.client import Offline

    async with timed(server, offline=Offline(queue=True)) as (rt, clock):
        server.runtime.close_connections(1012, "Handler reloaded")
        await eventually(lambda: rt.status.value == "disconnected")
        calls = [rt.call("things/echo", number) for number in range(3)]
        await clock.advance(0.25)
        assert await asyncio.gather(*calls) == [0, 1, 2]


@pytest.mark.spec("LIVE-204")
async def test_a_stream_is_iterated_directly(server: RunningServer, rt: Realtime) -> None:
    async for value in rt.stream("things/list"):
        if len(value) == 1:
            await rt.call("things/add", "tea")
        else:
            break
    await eventually(lambda: server.runtime.platform.subscribers("things") == 0)


@pytest.mark.spec("LIVE-191")
async def test_mutate_against_a_server(rt: Realtime) -> None:
    async with rt.stream("things/list") as stream:
        await stream.ready()
        made = await stream.mutate(
            lambda: rt.call("things/add", "tea"), ("created", {"id": 2, "text": "tea", "pending": True})
        )
        assert made == {"id": 2, "text": "tea"}
        assert stream.value == [{"id": 1, "text": "milk"}, {"id": 2, "text": "tea"}]
        shown: list[int] = []
        off = stream.subscribe(lambda value: shown.append(len(value)))
        assert (
            await code_of(stream.mutate(lambda: rt.call("things/locked"), ("deleted", {"id": 1}))) == "LOCKED"
        )
        off()
        assert shown == [2, 1, 2]


async def test_close_codes_reach_the_close_hook(server: RunningServer) -> None:
    async with server.connect() as rt:
        await rt.call("things/echo")
    await eventually(lambda: hook_list(server, "CLOSES") == [1000])
