"""The WebSocket endpoint under an ASGI server that is not uvicorn: messages in, messages out, the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.server.app import RealtimeApp, create_app
from runtime.server.assembly import Runtime, assemble
from runtime.server.hooks import Hook, HookSet
from runtime.server.websocket import WebSocketEndpoint
from runtime.testing import FakeClock

TIMEOUT = 5.0


class Socket:
    """One WebSocket of a server that hands every message over in its own time."""

    def __init__(self, runtime: Runtime | RealtimeApp, *, extensions: Any = None, **scope: Any) -> None:
        app = WebSocketEndpoint(runtime) if isinstance(runtime, Runtime) else runtime
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": "/ws",
            "query_string": b"",
            "headers": [(b"host", b"app.example"), (b"origin", b"http://app.example")],
            "client": ("10.0.0.7", 1),
            "subprotocols": [],
            "extensions": extensions,
            **scope,
        }
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.serving = asyncio.ensure_future(app(self.scope, self.incoming.get, self._send))

    async def _send(self, message: Any) -> None:
        await asyncio.sleep(0)
        self.sent.put_nowait(message)

    async def take(self) -> Any:
        async with asyncio.timeout(TIMEOUT):
            return await self.sent.get()

    async def frame(self) -> Any:
        message = await self.take()
        return json.loads(message["text"])

    def say(self, **message: Any) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", **message})

    async def leave(self, code: int = 1000, **more: Any) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": code, **more})
        async with asyncio.timeout(TIMEOUT):
            await self.serving


Started = Callable[..., Any]


@pytest.fixture
async def started() -> AsyncIterator[Started]:
    made: list[Runtime] = []

    async def start(hooks: dict[str, Any] | None = None, **websocket: Any) -> Runtime:
        settings = Settings(
            server=ServerSettings(env="test", shutdown_timeout=0.2), websocket=WebSocketSettings(**websocket)
        )
        runtime = assemble(None, settings, clock=FakeClock())
        runtime.set_hooks(HookSet({name: Hook(name, function) for name, function in (hooks or {}).items()}))
        made.append(runtime)
        await runtime.start()
        return runtime

    yield start
    for runtime in made:
        await runtime.stop()


@pytest.mark.spec("WIRE-1")
async def test_a_connection_from_the_welcome_to_the_close(started: Started) -> None:
    closed: list[Any] = []
    runtime = await started({"close": lambda code, reason: closed.append((code, reason))})
    socket = Socket(runtime, subprotocols=["first", "second"])
    assert await socket.take() == {"type": "websocket.accept", "subprotocol": "first", "headers": []}
    welcome = await socket.frame()
    assert (welcome["type"], list(runtime.connections)) == ("welcome", [welcome["sessionId"]])
    socket.say(text='{"type":"subscribe","topic":"a","ref":1}')
    assert await socket.frame() == {"type": "subscribed", "topic": "a", "ref": 1}
    socket.say(bytes=b'{"rpc":"no/thing","id":"1","args":[]}')
    assert (await socket.frame())["event"] == "1"
    socket.say(text="", bytes=None)
    socket.say(text=None, bytes=None)
    await socket.leave(4000, reason="bye")
    assert closed == [(4000, "bye")]
    assert (runtime.connections, runtime.subscriptions.total) == ({}, 0)
    assert runtime.metrics.get("ws_upgrades_total", "accepted") == 1


async def test_stopping_the_app_says_goodbye_before_it_ends(started: Started) -> None:
    runtime = await started()
    socket = Socket(runtime)
    await socket.take()
    await socket.frame()
    runtime.platform.publish("__realtime", "last", 1)
    await runtime.stop()
    assert (await socket.frame())["event"] == "last"
    assert await socket.take() == {
        "type": "websocket.close",
        "code": 1001,
        "reason": "Server shutting down",
    }
    await socket.leave(1001)


@pytest.mark.spec("WIRE-2")
@pytest.mark.parametrize(("settings", "path"), [({}, "/ws"), ({"path": "/rt/socket"}, "/rt/socket")])
async def test_the_path_is_ws_unless_it_is_set(settings: dict[str, Any], path: str) -> None:
    seen: list[Any] = []

    def upgrade(query: str, cookies: Any) -> None:
        seen.append((query, dict(cookies)))

    app = create_app(
        None, settings=Settings(server=ServerSettings(env="test"), websocket=WebSocketSettings(**settings))
    )
    await app.start()
    app.runtime.set_hooks(HookSet({"upgrade": Hook("upgrade", upgrade)}))
    socket = Socket(app, path=path, query_string=b"room=1")
    socket.scope["headers"].append((b"cookie", b"sid=abc"))
    assert (await socket.take())["type"] == "websocket.accept"
    assert (await socket.frame())["type"] == "welcome"
    await socket.leave()
    assert seen == [("room=1", {"sid": "abc"})]
    other = Socket(app, path="/elsewhere")
    assert (await other.take())["type"] == "websocket.close"
    await other.serving
    assert len(seen) == 1
    await app.stop()


@pytest.mark.spec("WIRE-18")
@pytest.mark.parametrize(
    ("message", "fits"),
    [
        ({"text": "x" * 1024}, True),
        ({"text": "x" * 1025}, False),
        ({"text": "ä" * 512}, True),
        ({"text": "ä" * 513}, False),
        ({"bytes": b"\x7f" * 1024}, True),
        ({"bytes": b"\x7f" * 1025}, False),
    ],
)
async def test_a_message_above_the_limit_in_bytes_closes(
    started: Started, message: dict[str, Any], fits: bool
) -> None:
    seen: list[Any] = []
    runtime = await started({"message": lambda data: seen.append(data)}, max_payload_length=1024)
    socket = Socket(runtime)
    await socket.take()
    await socket.frame()
    socket.say(**message)
    socket.say(text='{"type":"subscribe","topic":"a","ref":1}')
    answer = await socket.take()
    if fits:
        assert json.loads(answer["text"])["type"] == "subscribed"
        assert len(seen) == 1
    else:
        assert (answer["type"], answer["code"]) == ("websocket.close", 1009)
        assert seen == []
    await socket.leave(1009)


async def test_a_refusal_is_an_http_answer_where_the_server_can_give_one(started: Started) -> None:
    runtime = await started({"upgrade": lambda: False})
    socket = Socket(runtime, extensions={"websocket.http.response": {}})
    start, body = await socket.take(), await socket.take()
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert dict(start["headers"])[b"content-length"] == b"12"
    assert body == {"type": "websocket.http.response.body", "body": b"Unauthorized"}
    await socket.serving
    assert runtime.metrics.get("ws_upgrades_total", "denied") == 1


async def test_elsewhere_a_refusal_is_the_403_of_the_server(started: Started) -> None:
    runtime = await started({"upgrade": lambda: False})
    socket = Socket(runtime)
    assert await socket.take() == {"type": "websocket.close", "code": 1008, "reason": "Unauthorized"}
    await socket.serving
    assert runtime.connections == {}


async def test_a_peer_that_leaves_during_the_open_hook_is_closed_after_it(started: Started) -> None:
    gate = asyncio.Event()
    log: list[str] = []

    async def on_open() -> None:
        log.append("open begins")
        await gate.wait()
        log.append("open ends")

    runtime = await started({"open": on_open, "close": lambda: log.append("close")})
    socket = Socket(runtime)
    await socket.take()
    await socket.frame()
    leaving = asyncio.ensure_future(socket.leave(1006))
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == ["open begins"]
    gate.set()
    await leaving
    assert log == ["open begins", "open ends", "close"]


async def test_a_server_that_cancels_the_endpoint_leaves_nothing_behind(started: Started) -> None:
    closed: list[int] = []
    runtime = await started({"close": lambda code: closed.append(code)})
    socket = Socket(runtime)
    await socket.take()
    await socket.frame()
    socket.serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await socket.serving
    assert closed == [1006]
    assert runtime.connections == {}


async def test_a_shutdown_hook_that_fails_is_counted_and_runs_once(started: Started) -> None:
    reasons: list[str] = []

    def shutdown(reason: str) -> None:
        reasons.append(reason)
        raise RuntimeError("broken hook")

    runtime = await started({"shutdown": shutdown})
    await runtime.drain("SIGTERM")
    await runtime.stop("again")
    await runtime.stop("and again")
    assert reasons == ["SIGTERM"]
    assert runtime.metrics.get("hook_errors_total", "shutdown") == 1
    assert (runtime.is_ready, runtime.is_draining) == (False, True)


async def test_the_pressure_is_sampled_once_a_second(started: Started) -> None:
    runtime = await started()
    socket = Socket(runtime)
    await socket.take()
    await socket.frame()
    for _ in range(30):
        runtime.platform.publish("a", "e")
    assert runtime.platform.pressure.publish_rate == 0
    await runtime.clock.advance(1)
    assert runtime.platform.pressure.publish_rate == 30
    assert runtime.platform.pressure.subscriber_ratio == 1
    await runtime.clock.advance(1)
    assert runtime.platform.pressure.publish_rate == 0
    await socket.leave()


@pytest.mark.spec("PLAT-181")
async def test_a_silent_peer_of_another_server_is_left_to_that_server(started: Started) -> None:
    runtime = await started(idle_timeout=8, ping=True, text_keepalive=0)
    socket = Socket(runtime)
    await socket.take()
    await socket.frame()
    await runtime.clock.advance(3600)
    assert (socket.sent.empty(), len(runtime.connections)) == (True, 1)
    await socket.leave()


@pytest.mark.spec("PLAT-181", "WIRE-15")
async def test_another_server_gets_our_text_pings(started: Started) -> None:
    runtime = await started(text_keepalive=60)
    socket = Socket(runtime)
    await socket.take()
    await socket.frame()
    await runtime.clock.advance(90)
    assert await socket.frame() == {"type": "ping"}
    await socket.leave()
