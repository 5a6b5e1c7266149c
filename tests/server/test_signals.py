"""Signals over real sockets: every device of a user hears them, and nobody else. Spec: live-api 14."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from runtime import enable_signals, get_platform
from runtime.core.settings import WebSocketSettings
from runtime.testing import RunningServer, eventually, running_server
from tests.server.conftest import AppFactory

HOOKS = """
import json
from runtime import enable_signals

def upgrade(headers):
    return json.loads(headers.get("x-user", "null"))

def subscribe(ws, topic):
    return not topic.startswith("__")
"""
OPEN = """
def open(ws):
    enable_signals(ws)
"""
LIVE = """
# realtime-allow-public
from runtime import live

@live
async def poke(ctx, user: str, data: dict):
    return ctx.send_signal(user, "poke", data)
"""


@pytest.fixture(params=["setting", "hook"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningServer]:
    """Signals by the setting, and by the call in the `open` hook."""
    is_setting = request.param == "setting"
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "m.py").write_text(LIVE)
    (tmp_path / "hooks.py").write_text(HOOKS + ("" if is_setting else OPEN))
    (tmp_path / "realtime.toml").write_text(f"[websocket]\nsignals = {str(is_setting).lower()}\n")
    async with running_server(tmp_path) as running:
        yield running


def hear(heard: list[Any], name: str, event: str, data: Any) -> None:
    heard.append((name, event, data))


def user(**data: Any) -> dict[str, str]:
    return {"x-user": json.dumps(data)}


@pytest.mark.spec("LIVE-137", "PLAT-164")
async def test_a_signal_reaches_every_device_of_its_user_and_nobody_else(server: RunningServer) -> None:
    heard: list[Any] = []
    ann, tab, bob, nobody = [
        await server.connect(headers=headers)
        for headers in (user(id="ann"), user(id="ann"), user(id="bob"), {"x-user": "null"})
    ]
    for name, client in (("ann", ann), ("tab", tab), ("bob", bob), ("nobody", nobody)):
        client.on_signal("ann", functools.partial(hear, heard, name))
        await client.call("m/poke", "zoe", {})
    assert await bob.call("m/poke", "ann", {"n": 1}) is True
    await eventually(lambda: len(heard) == 2)
    assert await bob.call("m/poke", "nobody", {}) is False, "nobody listens, and nothing happens"
    for client in (ann, tab, bob, nobody):
        await client.call("m/poke", "zoe", {})
    assert sorted(heard) == [("ann", "poke", {"n": 1}), ("tab", "poke", {"n": 1})]
    platform = get_platform()
    assert platform is not None
    assert [platform.subscribers(f"__signal:{name}") for name in ("ann", "bob", "None")] == [2, 1, 0]
    for client in (ann, tab, bob, nobody):
        await client.close()
    await eventually(lambda: platform.subscribers("__signal:ann") == 0)


async def ask(raw: ClientConnection, frame: dict[str, Any]) -> Any:
    await raw.send(json.dumps(frame))
    return json.loads(await raw.recv())


@pytest.mark.spec("LIVE-139")
async def test_a_client_cannot_put_itself_on_the_signals_of_anybody(server: RunningServer) -> None:
    async with connect(server.ws_url, compression=None, additional_headers=user(id="bob")) as raw:
        await raw.recv()
        for frame in (
            {"type": "subscribe", "topic": "__signal:ann"},
            {"type": "subscribe", "topic": "__signal:bob"},
        ):
            assert await ask(raw, {**frame, "ref": 1}) == {
                "type": "subscribe-denied",
                "topic": frame["topic"],
                "ref": 1,
                "reason": "INVALID_TOPIC",
            }
        batch = {"type": "subscribe-batch", "topics": ["__signal:ann"], "ref": 2}
        assert (await ask(raw, batch))["reason"] == "INVALID_TOPIC"
        await raw.send('{"rpc":"m/poke","id":"1","args":["ann",{}]}')
        assert json.loads(await raw.recv())["event"] == "1"
        # Nor can it leave its own.
        await raw.send('{"type":"unsubscribe","topic":"__signal:bob"}')
        await raw.send('{"rpc":"m/poke","id":"2","args":["bob",{}]}')
        assert json.loads(await raw.recv())["topic"] == "__signal:bob"


@pytest.mark.spec("LIVE-138")
async def test_enabling_without_an_id_does_nothing_and_with_a_bad_one_raises(make_app: AppFactory) -> None:
    app = await make_app({})
    users: list[Any] = [{}, {"id": None}, {"id": "ann"}, {"name": "bob"}]
    nameless, none, ann, bob = [(await app.connect(user)).connection for user in users]
    assert [enable_signals(ws) for ws in (nameless, none, ann, ann)] == [False, False, True, False]
    assert [enable_signals(bob), enable_signals(bob, id_field="name")] == [False, True]
    assert (ann.is_subscribed("__signal:ann"), bob.is_subscribed("__signal:bob")) == (True, True)
    for bad in ("", "a" * 257, 'a"b', "a\\b", "a\nb", "a\x7fb", 7):
        ann.user_data["id"] = bad
        with pytest.raises(ValueError, match="cannot name a user"):
            enable_signals(ann)
    ann.user_data["id"] = "ä" * 256
    assert enable_signals(ann)
    assert app.runtime.platform.publish("__signal:" + "ä" * 256, "poke"), "the longest id can be reached"


async def test_an_id_that_cannot_name_a_user_costs_the_signals_and_no_connection(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({}, websocket=WebSocketSettings(signals=True))
    for user_id in ('a"b', 'c"d', 7):
        await app.connect({"id": user_id})
    assert app.runtime.platform.subscribers("__signal:7") == 1
    assert caplog.text.count("[websocket] signals") == 1
    assert len(app.runtime.connections) == 3
