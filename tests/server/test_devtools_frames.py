"""What the devtools keep of the frames of a worker, and when."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.core.capacity import capacity_override
from runtime.core.connection import Connection
from runtime.core.publisher import Publisher
from runtime.core.settings import DevSettings, DevtoolsSettings, WebSocketSettings
from runtime.plugins import Presence
from runtime.server.devtools import Devtools
from runtime.server.devtools.recorder import LEASE, MAX_DECODED_PER_SECOND, MAX_PER_SECOND
from runtime.server.inbound import Inbound
from runtime.testing import FakeClock
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

LIVE = """
    import asyncio
    from runtime import LiveError, live

    gate = live.keep("gate", asyncio.Event)


    @live.public
    @live.stream("todos", key="id")
    async def todos(ctx):
        return [{"id": 1, "secret": "hidden"}]


    @live.public
    @live
    async def add(ctx, text: str, password: str = ""):
        ctx.publish("todos", "created", {"id": 2, "text": text, "token": "hidden"})
        return {"id": 2, "api_key": "hidden"}


    @live.public
    @live
    async def refuse(ctx):
        raise LiveError("NOPE", "not today", data={"cookie": "hidden"})


    @live.public
    @live
    async def wait(ctx, token: str):
        await gate.wait()
        return "done"
"""
FILES = {"live/todos.py": LIVE}


def devtools_of(app: App) -> Devtools:
    assert app.runtime.devtools is not None
    return app.runtime.devtools


def frames_of(app: App) -> list[dict[str, Any]]:
    return [json.loads(bytes(one)) for one in devtools_of(app).recorder.frames.after(0, 10_000)]


async def looked_at(make_app: AppFactory, **options: Any) -> tuple[App, Peer]:
    app = await make_app(FILES, env="dev", **options)
    devtools_of(app).recorder.look()
    return app, await app.connect({"name": "ada", "session_id": "hidden"})


async def test_a_call_its_publish_and_its_reply_are_kept_in_order(make_app: AppFactory) -> None:
    app, peer = await looked_at(make_app)
    await peer.request("todos/add", "milk", "hidden")
    call, publish, reply = frames_of(app)[-3:]
    assert (call["dir"], call["kind"], call["path"], call["conn"]) == (
        "in",
        "call",
        "todos/add",
        peer.connection.id,
    )
    assert call["data"] == ["milk", "[REDACTED]"], (
        "an argument whose parameter has the name of a secret is one"
    )
    assert (publish["dir"], publish["topic"], publish["event"], publish["reach"]) == (
        "pub",
        "todos",
        "created",
        0,
    )
    assert publish["data"] == {"id": 2, "text": "milk", "token": "[REDACTED]"}
    assert publish["seq"] == app.runtime.sequence.current("todos")
    assert (reply["dir"], reply["path"], reply["id"], reply["ok"]) == ("out", "todos/add", call["id"], True)
    assert reply["data"] == {"id": 2, "api_key": "[REDACTED]"}
    assert reply["ms"] >= 0
    assert [frame["n"] for frame in frames_of(app)] == list(range(1, len(frames_of(app)) + 1))


async def test_nothing_that_was_hidden_is_anywhere(make_app: AppFactory) -> None:
    app, peer = await looked_at(make_app)
    await peer.stream("todos/todos")
    await peer.request("todos/add", "milk", "hidden")
    await peer.request("todos/refuse")
    peer.send({"batch": [{"rpc": "todos/add", "id": "b1", "args": ["x", "hidden"]}]})
    await peer.wait(lambda frame: frame.get("event") == "__batch")
    peer.send({"type": "resume", "sessionId": "hidden", "lastSeenSeqs": {}})
    peer.connection.send('{"authorization": "hidden"}')
    await turns()
    state = devtools_of(app)
    everything = json.dumps([frames_of(app), state.read()])
    assert everything.count("[REDACTED]") >= 8
    assert "hidden" not in everything


async def test_what_a_stream_a_batch_and_a_control_frame_are_called(make_app: AppFactory) -> None:
    app, peer = await looked_at(make_app)
    await peer.stream("todos/todos")
    peer.send({"type": "subscribe", "topic": "todos", "ref": 1})
    peer.send(
        {"batch": [{"rpc": "todos/add", "id": "b1", "args": ["x"]}, {"rpc": "todos/refuse", "id": "b2"}]}
    )
    batch = await peer.wait(lambda frame: frame.get("event") == "__batch")
    peer.send(b"\x00\x00\x02{}abc")
    peer.send("no json at all")
    await turns()
    found = frames_of(app)
    kinds = [(frame["dir"], frame["kind"]) for frame in found]
    for expected in (
        ("out", "welcome"), ("in", "hello"), ("in", "stream"), ("out", "reply"), ("in", "subscribe"),
        ("out", "subscribed"), ("in", "batch"), ("out", "batch reply"), ("in", "binary call"), ("in", "message"),
    ):  # fmt: skip
        assert expected in kinds
    replies = next(frame for frame in found if frame["kind"] == "batch reply")["data"]
    assert [(one["path"], one["ok"]) for one in replies] == [("todos/add", True), ("todos/refuse", False)]
    assert len(batch["data"]["batch"]) == 2
    publish = next(frame for frame in found if frame["dir"] == "pub")
    assert publish["reach"] == 1


async def test_a_frame_that_a_slow_peer_loses_is_shown_as_lost(make_app: AppFactory) -> None:
    app, peer = await looked_at(make_app)
    await peer.stream("todos/todos")
    peer.sink.buffered = peer.connection.max_backpressure + 1
    app.runtime.platform.publish("todos", "created", {"id": 3})
    app.runtime.outbox.flush()
    lost = frames_of(app)[-1]
    assert (lost["dir"], lost["topic"], lost["conn"]) == ("drop", "todos", peer.connection.id)


async def test_nothing_is_kept_while_nobody_looks(make_app: AppFactory) -> None:
    clock = FakeClock()
    app = await make_app(FILES, env="dev", clock=clock)
    recorder = devtools_of(app).recorder
    peer = await app.connect()
    await peer.request("todos/add", "before")
    assert (len(recorder.frames), recorder.is_on, recorder.rates.topics()) == (0, False, [])
    recorder.look()
    await peer.request("todos/add", "while")
    kept = len(recorder.frames)
    assert kept == 3
    await clock.advance(LEASE + 0.1)
    await peer.request("todos/add", "after")
    assert (len(recorder.frames), recorder.is_on) == (kept, False)
    recorder.look()
    assert recorder.since == clock.now()


async def test_the_oldest_frames_go(make_app: AppFactory) -> None:
    app, peer = await looked_at(make_app)
    recorder = devtools_of(app).recorder
    with capacity_override(MAX_DEVTOOLS_FRAMES=10):
        for at in range(10):
            await peer.request("todos/add", str(at))
        assert len(recorder.frames) == 10
        assert [frame["n"] for frame in frames_of(app)] == list(
            range(recorder.frames.last - 9, recorder.frames.last + 1)
        )
    with capacity_override(MAX_DEVTOOLS_BYTES=3000):
        for _ in range(10):
            await peer.request("todos/add", "x" * 500)
        assert 0 < recorder.frames.size_bytes <= 3000
    assert recorder.frames.after(recorder.frames.last, 10) == []


async def test_of_a_long_frame_only_its_size_is_kept(make_app: AppFactory) -> None:
    app, peer = await looked_at(make_app)
    await peer.request("todos/add", "hidden" * 20_000)
    call = next(frame for frame in frames_of(app) if frame["size"] > 100_000)
    assert (call["kind"], call["data"]) == ("message", f"[{call['size']} bytes]")
    assert devtools_of(app).recorder.frames.size_bytes < 10_000


async def test_what_is_no_json_is_shown_by_its_beginning_and_without_what_looks_secret(
    make_app: AppFactory,
) -> None:
    app, peer = await looked_at(make_app)
    peer.send("password=hidden " + "z" * 1000)
    peer.send('[{"password": "hidden"}]')
    peer.connection.send('[{"password": "hidden"}]')
    text, given, sent = frames_of(app)[-3:]
    assert text["data"].startswith("password=*** zzz")
    assert len(text["data"]) <= 501
    assert given["data"] == sent["data"] == [{"password": "[REDACTED]"}]


async def test_too_many_frames_at_once_are_counted_only(make_app: AppFactory) -> None:
    clock = FakeClock()
    app = await make_app(FILES, env="dev", clock=clock)
    recorder = devtools_of(app).recorder
    recorder.look()
    for at in range(MAX_PER_SECOND + 7):
        app.runtime.platform.publish("busy", "set", at)
    assert (len(recorder.frames), recorder.skipped) == (MAX_PER_SECOND, 7)
    count = recorder.rates.get("busy")
    assert count is not None
    assert count.events == MAX_PER_SECOND + 7, "rates count everything"
    await clock.advance(1)
    app.runtime.platform.publish("busy", "set", "again")
    assert frames_of(app)[-1]["data"] == "again"


async def test_of_too_many_bytes_at_once_only_the_sizes_are_kept(make_app: AppFactory) -> None:
    clock = FakeClock()
    app = await make_app(FILES, env="dev", clock=clock)
    devtools_of(app).recorder.look()
    text, short = "x" * 60_000, {"a": 1}
    fit = MAX_DECODED_PER_SECOND // len(f'"{text}"')
    for data in (*[text] * (fit + 1), short):
        app.runtime.platform.publish("busy", "set", data)
    *whole, cut, last = [frame["data"] for frame in frames_of(app) if frame["kind"] == "publish"]
    assert len(whole) == fit
    assert all(data.startswith("xxx") for data in whole)
    assert cut == f"[{len(text) + 2} bytes]"
    assert last == short, "what has room is shown"
    await clock.advance(1)
    app.runtime.platform.publish("busy", "set", text)
    assert frames_of(app)[-1]["data"].startswith("xxx")


async def test_counts_of_calls_and_topics_are_bounded(make_app: AppFactory) -> None:
    app, peer = await looked_at(make_app)
    recorder = devtools_of(app).recorder
    with capacity_override(MAX_DEVTOOLS_TOPICS=3, MAX_DEVTOOLS_CALLS=2, MAX_DEVTOOLS_ROWS=2):
        for at in range(5):
            app.runtime.platform.publish(f"t{at}", "set", at)
            peer.send({"rpc": "todos/wait", "id": f"w{at}", "args": ["x"]})
        assert recorder.rates.topics() == ["t4", "t3", "t2"]
        state = devtools_of(app)
        topics = state.read()["topics"]
        assert (len(topics["rows"]), topics["total"]) == (2, 4)
    await turns()
    with capacity_override(MAX_DEVTOOLS_ROWS=2):
        pending = state.read()["pending"]
        assert (len(pending["rows"]), pending["total"]) == (2, 5)
    app.runtime.live.registry.modules["todos"].module.gate.set()
    await peer.reply("w4")


async def test_pending_calls_are_known_also_from_before_anybody_looked(make_app: AppFactory) -> None:
    clock = FakeClock()
    app = await make_app(FILES, env="dev", clock=clock)
    peer = await app.connect()
    peer.send({"rpc": "todos/wait", "id": "w1", "args": ["hidden"]})
    await turns()
    await clock.advance(7)
    state = devtools_of(app)
    [row] = state.read()["pending"]["rows"]
    assert (row["path"], row["age"], row["connection"], row["gone"]) == (
        "todos/wait",
        7,
        peer.connection.id,
        False,
    )
    app.runtime.live.registry.modules["todos"].module.gate.set()
    await peer.reply("w1")
    assert state.read()["pending"]["rows"] == []


async def test_rates_are_those_of_the_last_seconds(make_app: AppFactory) -> None:
    clock = FakeClock()
    app = await make_app(FILES, env="dev", clock=clock)
    devtools_of(app).recorder.look()
    for _ in range(10):
        app.runtime.platform.publish("busy", "set", {"n": 1})
    state = devtools_of(app)

    def row() -> dict[str, Any]:
        return next(one for one in state.read()["topics"]["rows"] if one["topic"] == "busy")

    assert (row()["rate"], row()["events"], row()["lastEvent"], row()["subscribers"]) == (2.0, 10, "set", 0)
    await clock.advance(6)
    assert (row()["rate"], row()["events"]) == (0.0, 10)


async def test_further_keys_are_hidden_by_a_setting(make_app: AppFactory) -> None:
    app, _ = await looked_at(make_app, devtools=DevtoolsSettings(redact=("IBAN",)))
    app.runtime.platform.publish("t", "set", {"iban": "DE1", "token": "x", "kept": 1})
    assert frames_of(app)[-1]["data"] == {"iban": "[REDACTED]", "token": "[REDACTED]", "kept": 1}


@pytest.mark.parametrize("env", ["production", "test"])
async def test_elsewhere_nothing_stands_between(make_app: AppFactory, env: str) -> None:
    app = await make_app(FILES, env=env)
    peer = await app.connect()
    assert app.runtime.devtools is None
    assert app.runtime.live.dispatcher.running is None
    assert (type(peer.connection), type(peer.inbound), type(app.runtime.publisher)) == (
        Connection,
        Inbound,
        Publisher,
    )


async def test_a_developer_can_do_without_them(make_app: AppFactory) -> None:
    app = await make_app(FILES, env="dev", dev=DevSettings(devtools=False))
    assert app.runtime.devtools is None


async def test_they_stand_beside_the_log_of_connections(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "realtime.ws"):
        app, peer = await looked_at(make_app, websocket=WebSocketSettings(ws_debug=True))
        await peer.request("todos/add", "milk")
    assert frames_of(app)[-1]["ok"] is True
    assert any("publish 'todos'" in record.getMessage() for record in caplog.records)


async def test_people_of_a_presence_plugin_are_shown(make_app: AppFactory) -> None:
    app, peer = await looked_at(make_app)
    presence = Presence(select=lambda user: {"name": user["name"], "csrf": "hidden"})
    await presence.join(peer.connection, "lobby", app.runtime.platform)
    [row] = devtools_of(app).read()["presence"]["rows"]
    assert (row["topic"], row["kind"], row["count"]) == ("lobby", "Presence", 1)
    assert row["people"] == [{"name": "ada", "csrf": "[REDACTED]"}]
    await presence.leave(peer.connection, app.runtime.platform, "lobby")
    assert devtools_of(app).read()["presence"]["rows"] == []


async def test_a_lone_surrogate_in_a_frame_or_in_a_user_harms_nobody(make_app: AppFactory) -> None:
    """JSON can hold one, and UTF-8 cannot: a client must not break its own connection by being looked at."""
    app = await make_app(FILES, env="dev")
    devtools_of(app).recorder.look()
    peer = await app.connect({"name": "ada\ud800"})
    await peer.request("todos/add", "\ud800milk")
    [call] = [frame for frame in frames_of(app) if frame["kind"] == "call"]
    assert call["data"] == ["\ud800milk"]
    assert [frame["ok"] for frame in frames_of(app) if frame["kind"] == "reply"] == [True]
