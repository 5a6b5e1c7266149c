"""Stream requests that meet each other on one connection: whose frames are held back, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core.settings import WebSocketSettings
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


LOADERS = """
    from runtime import Page, live

    def star(item): return f"*{item}"

    @live.stream("list", transform=star)
    async def many(ctx): return [1, 2]

    @live.stream("one", merge="set", transform=star)
    async def one(ctx): return 1

    @live.stream("none", merge="set", transform=star)
    async def none(ctx): return None

    @live.stream("page", transform=star)
    async def page(ctx): return Page([1], True, "next")

    @live.stream("dict", transform=star)
    async def mapping(ctx): return {"data": (1, 2), "hasMore": 0}

    @live.stream("large")
    async def large(ctx): return ["x" * 5000]

    @live.stream("huge", volatile=True)
    async def huge(ctx): return "x" * 4000
"""


@pytest.mark.parametrize(
    ("path", "data", "more"),
    [
        ("many", ["*1", "*2"], {}),
        ("one", "*1", {}),
        ("none", None, {}),
        ("page", ["*1"], {"hasMore": True, "cursor": "next"}),
        ("mapping", ["*1", "*2"], {"hasMore": False}),
    ],
)
async def test_a_transform_is_applied_to_items_and_pages_keep_their_shape(
    make_app: AppFactory, path: str, data: Any, more: dict[str, Any]
) -> None:
    peer = await (await make_app({"live/a.py": LOADERS})).connect()
    reply = await peer.stream(f"a/{path}")
    assert reply["data"] == data
    assert {key: reply[key] for key in ("hasMore", "cursor") if key in reply} == more


@pytest.mark.spec("WIRE-22")
async def test_a_first_value_that_clients_would_drop_is_refused_and_leaves_nothing(
    make_app: AppFactory,
) -> None:
    app = await make_app({"live/a.py": LOADERS}, websocket=WebSocketSettings(max_outbound_frame=4096))
    peer = await app.connect()
    for path in ("large", "huge"):
        reply = await peer.stream(f"a/{path}")
        assert (reply["code"], reply["error"]) == ("PAYLOAD_TOO_LARGE", "Response too large")
        assert app.runtime.platform.subscribers(path) == 0


async def test_a_connection_with_too_many_streams_is_refused_and_stays_as_it_was(
    make_app: AppFactory,
) -> None:
    app = await make_app({"live/a.py": LOADERS}, capacity={"MAX_STREAM_SUBSCRIPTIONS": 1})
    peer = await app.connect()
    assert (await peer.stream("a/many"))["ok"] is True
    assert (await peer.stream("a/many"))["ok"] is True
    assert (await peer.stream("a/one"))["code"] == "RATE_LIMITED"
    assert not peer.connection.is_subscribed("one")
    assert peer.connection.is_subscribed("list")


@pytest.mark.spec("LIVE-45")
@pytest.mark.parametrize(("user", "code"), [(None, "UNAUTHENTICATED"), ({"id": 1}, "FORBIDDEN")])
@pytest.mark.parametrize("access", ["lambda ctx, n: False", "live.access.org()", "live.access.all(no, no)"])
async def test_denied_access_subscribes_to_nothing(
    make_app: AppFactory, user: Any, code: str, access: str
) -> None:
    source = f"""
        from runtime import live

        subscribed = []
        async def no(ctx, n): return False

        @live.stream("rows", access={access}, on_subscribe=lambda ctx, topic: subscribed.append(topic))
        async def rows(ctx, n: int): return []
    """
    app = await make_app({"live/a.py": source})
    peer = await app.connect(user)
    assert (await peer.stream("a/rows", 7))["code"] == code
    await turns()
    assert not peer.connection.is_subscribed("rows")
    assert app.runtime.platform.subscribers("rows") == 0
    assert app.runtime.live.registry.modules["a"].module.subscribed == []
