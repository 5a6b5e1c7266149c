"""Groups over real sockets: the frames, byte for byte, what a page shows of them, and other plugins in the same hooks.

Spec: wire 6.3 and 6.5, platform 7.6 to 7.12.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runtime.plugins import Group
from runtime.testing import eventually
from tests.server.conftest import AppFactory
from tests.server.crowd import Crowd, gathered

HOOKS = """
from urllib.parse import parse_qsl

from live.raid import raid
from runtime.plugins import Channel, Middleware, RateLimit

limit = RateLimit(points=2, interval=600, key_by="connection")
channel = Channel("chat", {"said": str})


def upgrade(query):
    return dict(parse_qsl(query))


async def subscribe(ws, topic, ctx):
    return await raid.hooks.subscribe(ws, topic, ctx)


unsubscribe = raid.hooks.unsubscribe


async def limited(ctx, next):
    if (await limit.consume(ctx.ws)).allowed:
        await next()


async def named(ctx, next):
    ctx.data = f"{ctx.ws.user_data['id']}: {ctx.data}"
    await next()


chain = Middleware(limited, named)


async def message(ws, msg, platform):
    if msg.get("event") == "staff":
        return await raid.publish(platform, "order", msg["data"], "admin")
    passed = await chain.run(ws, msg)
    if passed is not None:
        channel.publish(platform, "said", passed.data)
"""
LIVE = """
# realtime-allow-public: a test
from runtime import live
from runtime.plugins import Group

raid = Group("raid", max_members=2)

@live
async def lead(ctx):
    return await raid.join(ctx.ws, role="admin")

@live
async def end(ctx):
    await raid.close()
"""
TOPIC = "__group:raid"


def group_of(crowd: Crowd) -> Group:
    (group,) = crowd.plugins(Group)
    assert isinstance(group, Group)
    return group


def write_project(folder: Path) -> None:
    (folder / "hooks.py").write_text(HOOKS, encoding="utf-8")
    (folder / "live").mkdir()
    (folder / "live" / "raid.py").write_text(LIVE, encoding="utf-8")


@pytest.fixture(params=["auto", "off"])
async def crowd(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Crowd]:
    write_project(tmp_path)
    async with gathered(tmp_path, request.param) as crowd:
        yield crowd


@pytest.mark.spec("WIRE-111", "PLAT-140")
async def test_joining_and_leaving(crowd: Crowd) -> None:
    ann, bob, eve = await crowd.come("u1"), await crowd.come("u2"), await crowd.come("u3")
    assert await ann.subscribe("raid") == [
        f'{{"topic":"{TOPIC}","event":"members","data":[{{"role":"member"}}]}}',
        '{"type":"subscribed","topic":"raid","ref":1}',
    ]
    assert await bob.subscribe("raid") == [
        f'{{"topic":"{TOPIC}","event":"members","data":[{{"role":"member"}},{{"role":"member"}}]}}',
        '{"type":"subscribed","topic":"raid","ref":1}',
    ]
    assert await ann.until("join") == [
        f'{{"topic":"{TOPIC}","event":"join","data":{{"role":"member","count":2}},"seq":2}}'
    ]
    refused = await eve.subscribe("raid")
    assert refused == ['{"type":"subscribe-denied","topic":"raid","ref":1,"reason":"FORBIDDEN"}']
    await bob.send(type="unsubscribe", topic="raid")
    assert await ann.until("leave") == [
        f'{{"topic":"{TOPIC}","event":"leave","data":{{"role":"member","count":1}},"seq":3}}'
    ]
    assert "subscribed" in (await eve.subscribe("raid"))[-1]


@pytest.mark.spec("PLAT-140")
async def test_its_topic_is_nobody_s_to_subscribe_to(crowd: Crowd) -> None:
    eve = await crowd.come("u3")
    await eve.send(type="subscribe", topic=TOPIC, ref=1)
    assert "INVALID_TOPIC" in (await eve.until("subscribe-denied"))[-1]
    await eve.subscribe("raid")
    assert await group_of(crowd).count() == 1


@pytest.mark.spec("PLAT-140")
async def test_a_peer_that_vanishes_makes_room(crowd: Crowd) -> None:
    ann, bob, eve = await crowd.come("u1"), await crowd.come("u2"), await crowd.come("u3")
    await ann.subscribe("raid")
    await bob.subscribe("raid")
    bob.socket.transport.abort()
    assert '"leave"' in (await ann.until("leave"))[-1]
    assert await group_of(crowd).count() == 1
    assert "subscribed" in (await eve.subscribe("raid"))[-1]


@pytest.mark.spec("WIRE-111", "LIVE-201")
async def test_the_python_client_shows_the_group(crowd: Crowd) -> None:
    async with crowd.server.connect() as client:
        group = client.group("raid")
        events: list[Any] = []
        async with group.members as members:
            off = group.subscribe(events.append)
            assert await client.call("raid/lead") is True
            await eventually(lambda: members.value == [{"role": "admin"}])
            ann = await crowd.come("u1")
            await ann.subscribe("raid")
            await eventually(lambda: members.value == [{"role": "admin"}, {"role": "member"}])
            await ann.send(event="staff", data="back")
            await eventually(lambda: events and (events[-1].event, events[-1].data) == ("order", "back"))
            await ann.send(type="unsubscribe", topic="raid")
            await eventually(lambda: members.value == [{"role": "admin"}])
            await client.call("raid/end")
            await eventually(lambda: members.value == [])
            assert events[-1].event == "close"
            assert "subscribe-denied" in (await ann.subscribe("raid"))[-1]
            off()


@pytest.mark.spec("PLAT-138", "PLAT-141", "PLAT-144")
async def test_a_message_goes_through_a_limit_a_chain_and_a_channel(crowd: Crowd) -> None:
    ann, bob = await crowd.come("u1"), await crowd.come("u2")
    await ann.subscribe("chat")
    for n in range(4):
        await bob.send(event="said", data=n)
    await ann.send(event="said", data="mine")
    said = [json.loads(frame)["data"] for frame in await ann.until("mine")]
    assert said == ["u2: 0", "u2: 1", "u1: mine"]


@pytest.mark.spec("PLAT-140")
async def test_it_ends_with_the_app(tmp_path: Path) -> None:
    write_project(tmp_path)
    async with gathered(tmp_path) as crowd:
        ann = await crowd.come("u1")
        await ann.subscribe("raid")
        group = group_of(crowd)
        assert await group.count() == 1
    assert await group.count() == 0


@pytest.mark.spec("PLAT-140")
async def test_a_reload_keeps_the_members_for_hooks_of_before(make_app: AppFactory) -> None:
    hooks = "from live.raid import raid\nsubscribe = raid.hooks.subscribe\n"
    app = await make_app({"live/raid.py": LIVE, "hooks.py": hooks}, env="dev")
    for _ in range(4):
        await app.connect()
    ann, bob, eve, last = app.runtime.connections.values()
    platform = app.runtime.platform
    assert [await platform.subscribe(ws, "raid") for ws in (ann, bob)] == [None, None]
    assert await platform.subscribe(eve, "raid") == "FORBIDDEN"
    app.write("live/raid.py", LIVE.replace("max_members=2", "max_members=3"))
    assert (await app.runtime.live.reload([app.project / "live/raid.py"])).ok
    assert [await platform.subscribe(ws, "raid") for ws in (eve, last)] == [None, "FORBIDDEN"]
