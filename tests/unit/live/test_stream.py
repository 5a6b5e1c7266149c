"""Stream requests that meet each other on one connection: whose frames are held back, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

STREAM = """
    import asyncio
    from runtime import live

    gates = live.keep("gates", dict)
    loads = live.keep("loads", list)

    @live.stream("rows")
    async def rows(ctx, name: str = "", version: int = 1):
        loads.append(name)
        gate = gates.setdefault(name, asyncio.Event())
        await gate.wait()
        return [name]

    @live
    async def say(ctx, n: int): ctx.publish("rows", "created", n)
"""


async def started(make_app: AppFactory) -> tuple[App, Peer, Any]:
    app = await make_app({"live/a.py": STREAM}, env="dev", capacity={"MAX_HELD_FRAMES": 2})
    return app, await app.connect(), app.runtime.live.registry.modules["a"].module


def ask(peer: Peer, name: str) -> None:
    peer.send({"rpc": "a/rows", "id": name, "args": [name], "stream": True})


def order(peer: Peer, since: int = 1) -> list[Any]:
    """Return replies by id and events by their data, in the order in which they arrived."""
    found = []
    for frame in peer.parsed()[since:]:
        if frame.get("topic") == "__rpc":
            found.append(frame["event"])
        elif frame.get("topic") == "rows":
            found.append(frame["data"])
    return found


@pytest.mark.spec("WIRE-92")
async def test_the_reply_to_a_request_that_was_left_releases_nothing_of_the_next(
    make_app: AppFactory,
) -> None:
    _, peer, module = await started(make_app)
    ask(peer, "old")
    await turns()
    peer.send({"type": "unsubscribe", "topic": "rows"})
    ask(peer, "new")
    await turns()
    peer.send({"rpc": "a/say", "args": [1]})
    module.gates["old"].set()
    await peer.reply("old")
    await turns()
    assert order(peer) == ["old"]
    module.gates["new"].set()
    await peer.reply("new")
    await turns()
    assert order(peer) == ["old", "new", 1]


@pytest.mark.spec("WIRE-92")
async def test_the_overflow_of_a_request_that_was_left_is_not_cleared_for_the_next(
    make_app: AppFactory,
) -> None:
    _, peer, module = await started(make_app)
    ask(peer, "old")
    await turns()
    peer.send({"type": "unsubscribe", "topic": "rows"})
    ask(peer, "new")
    await turns()
    for n in range(3):
        peer.send({"rpc": "a/say", "args": [n]})
    await turns()
    module.gates["old"].set()
    await peer.reply("old")
    module.gates["new"].set()
    await peer.reply("new")
    await turns()
    assert order(peer) == ["old", "new"]
    assert module.loads == ["old", "new", "new"]


async def test_a_refresh_during_a_request_comes_behind_its_reply(make_app: AppFactory) -> None:
    app, peer, module = await started(make_app)
    ask(peer, "first")
    await turns()
    app.write("live/a.py", STREAM.replace("return [name]", "return [name, 'new code']"))
    module.gates["first"].clear()
    reloading = await app.runtime.live.reload([app.project / "live/a.py"])
    assert reloading.ok
    await turns()
    assert module.loads == ["first", "first"]
    module.gates["first"].set()
    await peer.reply("first")
    await turns(20)
    assert order(peer) == ["first", ["first", "new code"]]


async def test_two_requests_for_one_topic_hold_it_back_once(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    ask(peer, "one")
    await turns()
    ask(peer, "two")
    await turns()
    peer.send({"rpc": "a/say", "args": [1]})
    await turns()
    module.gates["two"].set()
    await peer.reply("two")
    assert order(peer) == ["two"]
    module.gates["one"].set()
    await peer.reply("one")
    await turns()
    assert order(peer) == ["two", "one", 1]
