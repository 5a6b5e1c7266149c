"""Presence and cursors over real sockets: the frames, byte for byte, and their order. Spec: wire 6.1, 6.2 and 11.7."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.plugins import Cursor, Presence
from runtime.testing import eventually
from tests.server.crowd import Crowd, gathered

HOOKS = """
from urllib.parse import parse_qsl

from runtime.plugins import Cursor, Presence

presence = Presence()
cursors = Cursor(topics={"canvas"})


def upgrade(query):
    return {**dict(parse_qsl(query)), "access_token": "s3cr3t"}


async def subscribe(ws, topic, ctx):
    if topic == "vip":
        return False
    await presence.hooks.subscribe(ws, topic, ctx)


unsubscribe, message = presence.hooks.unsubscribe, cursors.hooks.message


async def close(ws, ctx):
    await presence.hooks.close(ws, ctx)
    await cursors.hooks.close(ws, ctx)
"""
PRESENCE, CURSOR = "__presence:room", "__cursor:canvas"
U1, U2 = '"u1":{"id":"u1","name":"Ann"}', '"u2":{"id":"u2","name":"Bob"}'


@pytest.fixture(params=["auto", "off"])
async def crowd(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Crowd]:
    (tmp_path / "hooks.py").write_text(HOOKS, encoding="utf-8")
    async with gathered(tmp_path, request.param) as crowd:
        yield crowd


@pytest.mark.spec("WIRE-108", "WIRE-109", "PLAT-136")
async def test_joining_and_leaving(crowd: Crowd) -> None:
    ann = await crowd.subscribed("u1", "Ann", "room")
    bob = await crowd.come("u2", "Bob")
    await bob.send(type="subscribe", topic="room", ref=1)
    assert await bob.until('"subscribed"') == [
        f'{{"topic":"{PRESENCE}","event":"presence_state","data":{{{U1},{U2}}}}}',
        f'{{"topic":"{PRESENCE}","event":"presence_diff","data":{{"joins":{{{U2}}},"leaves":{{}}}},"seq":2}}',
        '{"type":"subscribed","topic":"room","ref":1}',
    ]
    assert await ann.until("presence_diff") == [
        f'{{"topic":"{PRESENCE}","event":"presence_diff","data":{{"joins":{{{U2}}},"leaves":{{}}}},"seq":2}}'
    ]
    tab = await crowd.come("u2", "Bob")
    await tab.send(type="subscribe", topic="room", ref=1)
    assert await tab.until('"subscribed"') == [
        f'{{"topic":"{PRESENCE}","event":"presence_state","data":{{{U1},{U2}}}}}',
        '{"type":"subscribed","topic":"room","ref":1}',
    ]
    await bob.socket.close()
    await tab.send(type="unsubscribe", topic="room")
    assert await ann.until("presence_diff") == [
        f'{{"topic":"{PRESENCE}","event":"presence_diff","data":{{"joins":{{}},"leaves":{{{U2}}}}},"seq":3}}'
    ]


async def test_who_may_not_subscribe_is_not_present(crowd: Crowd) -> None:
    ann = await crowd.come("u1", "Ann")
    await ann.send(type="subscribe", topic="vip", ref=1)
    assert await ann.until("subscribe-denied") == [
        '{"type":"subscribe-denied","topic":"vip","ref":1,"reason":"FORBIDDEN"}'
    ]
    await ann.send(type="subscribe", topic=PRESENCE, ref=2)
    assert "INVALID_TOPIC" in (await ann.until("subscribe-denied"))[-1]


@pytest.mark.spec("WIRE-108")
async def test_a_peer_that_vanishes_leaves(crowd: Crowd) -> None:
    ann = await crowd.subscribed("u1", "Ann", "room")
    bob = await crowd.subscribed("u2", "Bob", "room")
    await ann.until('"u2"')
    bob.socket.transport.abort()
    assert f'"leaves":{{{U2}}}' in (await ann.until("presence_diff"))[-1]


@pytest.mark.spec("WIRE-110", "PLAT-139")
async def test_cursors(crowd: Crowd) -> None:
    ann = await crowd.come("u1", "Ann")
    await ann.send(type="cursor", topic="canvas", data={"x": 0})  # not attached: ignored
    await ann.send(type="subscribe", topic="canvas", ref=1)
    first = [frame for frame in await ann.until('"subscribed"') if "__cursor" in frame]
    assert first == [f'{{"topic":"{CURSOR}","event":"snapshot","data":[]}}']
    bob = await crowd.subscribed("u2", "Bob", "canvas")
    await ann.send(type="cursor", topic="canvas", data={"x": 1, "y": 2})
    (told,) = [frame for frame in await bob.until('"update"') if "__cursor" in frame]
    key = json.loads(told)["data"]["key"]
    entry = f'{{"key":"{key}","user":{{"id":"u1","name":"Ann"}},"data":{{"x":1,"y":2}}}}'
    assert told == f'{{"topic":"{CURSOR}","event":"update","data":{entry},"seq":1}}'
    for x in range(2, 9):
        await ann.send(type="cursor", topic="canvas", position=x)
    later = [frame for frame in await bob.until('"data":8}') if "__cursor" in frame]
    assert 1 <= len(later) <= 3
    await bob.send(type="cursor", topic="canvas", data="x" * 9000)
    await bob.send(type="cursor-snapshot", topic="canvas")
    shown = entry.replace('{"x":1,"y":2}', "8")
    assert (await bob.until("snapshot"))[-1] == f'{{"topic":"{CURSOR}","event":"snapshot","data":[{shown}]}}'
    await ann.socket.close()
    removed = json.loads((await bob.until('"remove"'))[-1])
    assert (removed["event"], removed["data"]) == ("remove", {"key": key})


async def test_cursors_are_of_the_topics_that_are_named(crowd: Crowd) -> None:
    ann = await crowd.subscribed("u1", "Ann", "canvas")
    await ann.send(type="cursor-snapshot", topic="canvas")
    await ann.until("snapshot")
    bob = await crowd.come("u2", "Bob")
    await bob.send(type="subscribe", topic="chat", ref=1)
    assert not any("__cursor" in frame for frame in await bob.until('"subscribed"'))


async def test_the_plugins_end_with_the_app(tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(HOOKS, encoding="utf-8")
    async with gathered(tmp_path) as crowd:
        ann = await crowd.subscribed("u1", "Ann", "canvas")
        (presence,) = crowd.plugins(Presence)
        assert await presence.count("canvas") == 1
        assert crowd.plugins(Cursor) == []
        await ann.send(type="cursor", topic="canvas", data=1)
        await eventually(lambda: len(crowd.plugins(Cursor)) == 1)
    assert await presence.count("canvas") == 0
