"""Rooms over the wire: parts, topics, guards, actions, options. Spec: live-api 12, wire 5.3."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.server.conftest import AppFactory
from tests.server.peers import turns
from tests.server.rooms import (
    ADD,
    ANN,
    BOARD,
    BOB,
    CURSORS,
    DATA,
    PRESENCE,
    SHOWN_ANN,
    SHOWN_BOB,
    leave_topic,
    log_of,
    make,
)


@pytest.mark.spec("WIRE-97", "LIVE-126")
async def test_parts_and_their_topics(make_app: AppFactory) -> None:
    app, clock = await make(make_app)
    assert {path: e.kind for path, e in app.runtime.live.registry.endpoints.items()} == {
        DATA: "stream",
        PRESENCE: "stream",
        CURSORS: "stream",
        ADD: "rpc",
        "m/board/__action/move_cursor": "rpc",
    }
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    assert await ann.stream(DATA, "1") == {
        "id": "q1",
        "ok": True,
        "data": [],
        "topic": "board:1",
        "merge": "crud",
        "key": "id",
    }
    assert await ann.stream(PRESENCE, "1") == {
        "id": "q2",
        "ok": True,
        "data": [SHOWN_ANN],
        "topic": "board:1:presence",
        "merge": "presence",
    }
    assert await ann.stream(CURSORS, "1") == {
        "id": "q3",
        "ok": True,
        "data": [],
        "topic": "board:1:cursors",
        "merge": "cursor",
    }
    await bob.stream(DATA, "1")
    card = {"id": "1-milk", "title": "milk"}
    assert await bob.request(ADD, "1", "milk") == {"id": "q2", "ok": True, "data": card}
    assert ann.events("board:1") == [("created", card)]
    await bob.leave()
    await clock.advance(4.9)
    assert ann.events("board:1:presence") == [("join", SHOWN_BOB)]
    await clock.advance(0.2)
    assert ann.events("board:1:presence") == [("join", SHOWN_BOB), ("leave", {"key": "u2"})]
    # An action is callable through its room only.
    assert (await ann.request("m/add_card", "1", "x"))["code"] == "NOT_FOUND"


# The windows of aggregates are the other half of this item; see test_aggregates.py.
@pytest.mark.spec("LIVE-4")
async def test_parts_are_guarded_by_the_guard_of_their_file(make_app: AppFactory) -> None:
    room = """
        from runtime import guard, live
        _guard = guard(lambda ctx: ctx.user == {GUEST})
        async def act(ctx): return "done"
        async def init(ctx): return []
        ROOM = live.room(topic="ROOM", init=init, presence=lambda ctx: ctx.user, cursors=True, actions={"act": act})
    """
    files = {
        "live/board.py": room.replace("{GUEST}", "'outer'").replace("ROOM", "x"),
        "live/board/inner.py": room.replace("{GUEST}", "'inner'").replace("ROOM", "y"),
    }
    app = await make_app(files)
    outer, inner = await app.connect("outer"), await app.connect("inner")
    for path in ("__data", "__presence", "__cursors", "__action/act"):
        for allowed, refused, prefix in ((outer, inner, "board/x"), (inner, outer, "board/inner/y")):
            reply = await allowed.stream(f"{prefix}/{path}")
            assert reply["ok"], (path, reply)
            assert (await refused.stream(f"{prefix}/{path}"))["code"] == "FORBIDDEN", path
            assert (await refused.request(f"{prefix}/{path}"))["code"] == "FORBIDDEN", path


@pytest.mark.spec("LIVE-5")
async def test_an_action_with_a_bad_name_is_skipped_with_a_warning(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "realtime.live"):
        app, _ = await make(make_app, env="dev")
    assert [record.getMessage() for record in caplog.records] == [
        "live/m.py: board: action 'move-card' is skipped: names are made of letters, digits and _"
    ]
    peer = await app.connect(ANN)
    assert (await peer.request("m/board/__action/move-card", "1", "x"))["code"] == "NOT_FOUND"
    assert (await peer.request(ADD, "1", "x"))["ok"]


@pytest.mark.spec("LIVE-131")
@pytest.mark.parametrize(
    ("board", "code", "text"),
    [
        ("closed", "FORBIDDEN", "Access denied"),
        ("raises", "FORBIDDEN", "Access denied"),
        ("told", "NOT_INVITED", "Ask the owner"),
    ],
)
async def test_the_rooms_guard_covers_every_part(
    make_app: AppFactory, board: str, code: str, text: str
) -> None:
    app, clock = await make(make_app)
    idle = clock.pending
    bob, ann = await app.connect(BOB), await app.connect(ANN)
    for topic in (f"board:{board}", f"board:{board}:presence"):
        bob.send({"type": "subscribe", "topic": topic, "ref": 1})
    for path, args in ((DATA, []), (PRESENCE, []), (CURSORS, []), (ADD, ["x"])):
        for reply in (await ann.stream(path, board, *args), await ann.request(path, board, *args)):
            assert (reply["code"], reply["error"]) == (code, text), path
    assert ann.connection.subscriptions == frozenset()
    await clock.advance(10)
    assert bob.events(f"board:{board}") + bob.events(f"board:{board}:presence") == []
    assert log_of(app) == []
    assert clock.pending == idle


async def test_nobody_is_unauthenticated_where_somebody_is_forbidden(make_app: AppFactory) -> None:
    app, _ = await make(make_app)
    nobody = await app.connect()
    assert (await nobody.stream(DATA, "raises"))["code"] == "UNAUTHENTICATED"
    assert (await nobody.request(ADD, "closed", "x"))["code"] == "UNAUTHENTICATED"


async def test_access_holds_for_every_part_and_without_the_stream_flag(make_app: AppFactory) -> None:
    source = BOARD.replace("guard=can_open", "access=live.access.org()")
    app, _ = await make(make_app, source)
    ann = await app.connect({**ANN, "organization_id": "1"})
    for path, args in ((DATA, []), (PRESENCE, []), (CURSORS, []), (ADD, ["x"])):
        assert (await ann.stream(path, "1", *args))["ok"], path
        assert (await ann.stream(path, "2", *args))["code"] == "FORBIDDEN", path
        assert (await ann.request(path, "2", *args))["code"] == "FORBIDDEN", path


ACTIONS = """
    # realtime-allow-public
    import asyncio
    from runtime import RoomCtx, current_ctx, live

    seen = []
    both = asyncio.Event()

    @live.middleware
    async def around(ctx, next):
        ctx.tenant = "t1"
        result = await next()
        if hasattr(ctx, "acted"):
            ctx.publish("other", "after", ctx.acted)
        return result

    async def init(ctx, a: str, b: int): return []

    async def act(ctx: RoomCtx, a, b, *words: str):
        if len(seen) == 0:
            seen.append(a)
            await both.wait()
        both.set()
        ctx.acted = ctx.room_topic
        assert current_ctx() is ctx
        ctx.publish("said", [ctx.tenant, a, b, *words])
        ctx.platform.publish("other", "direct", a)
        ctx.batch([{"topic": "other", "event": "batched"}])
        return type(b).__name__

    @live(thread=True)
    def block(ctx, a, b):
        ctx.publish("blocked", a)

    r = live.room(topic=lambda a, b: f"{a}/{b}", init=init, actions={"act": act, "block": block})
"""


@pytest.mark.spec("LIVE-130")
async def test_inside_an_action_publish_is_the_rooms_and_each_call_has_its_own(make_app: AppFactory) -> None:
    app, _ = await make(make_app, ACTIONS)
    peer = await app.connect(ANN)
    for a in ("x", "y"):
        await peer.stream("m/r/__data", a, 1)
    peer.send({"type": "subscribe", "topic": "other", "ref": 1})
    act = "m/r/__action/act"
    replies = await asyncio.gather(peer.request(act, "x", 1, "hi"), peer.request(act, "y", 1))
    # Room arguments without annotations have those of init.
    assert [reply["data"] for reply in replies] == ["int", "int"]
    assert (await peer.request(act, "x", "1"))["code"] == "VALIDATION"
    assert peer.events("x/1") == [("said", ["t1", "x", 1, "hi"])]
    assert peer.events("y/1") == [("said", ["t1", "y", 1])]
    assert sorted(peer.events("other")) == [
        ("after", "x/1"),
        ("after", "y/1"),
        ("batched", None),
        ("batched", None),
        ("direct", "x"),
        ("direct", "y"),
    ]
    await peer.request("m/r/__action/block", "y", 1)
    assert peer.events("y/1")[-1] == ("blocked", "y")


@pytest.mark.parametrize(("args", "missing"), [([], ["a", "b"]), (["x"], ["b"])])
async def test_an_action_must_be_told_which_room(
    make_app: AppFactory, args: list[Any], missing: list[str]
) -> None:
    app, _ = await make(make_app, ACTIONS.replace("ctx: RoomCtx, a, b,", "ctx, a=None, b=None,"))
    peer = await app.connect(ANN)
    reply = await peer.request("m/r/__action/act", *args)
    assert reply["issues"] == [{"path": [name], "message": "Required"} for name in missing]


async def test_a_topic_too_long_for_its_parts_is_refused(make_app: AppFactory) -> None:
    app, _ = await make(make_app)
    peer = await app.connect(ANN)
    fits = "x" * (256 - len("board::presence"))
    assert (await peer.stream(DATA, fits))["ok"]
    assert (await peer.stream(PRESENCE, fits))["ok"]
    for path in (DATA, PRESENCE, CURSORS):
        assert (await peer.stream(path, fits + "x"))["code"] == "INVALID_TOPIC"
    assert (await peer.request(ADD, fits + "x", "t"))["code"] == "INVALID_TOPIC"


async def test_options_of_streams_reach_the_data(make_app: AppFactory) -> None:
    source = """
        # realtime-allow-public
        from runtime import live
        log = []
        async def init(ctx): return [1, 2]
        def gone(ctx, topic, remaining): log.append((topic, remaining))
        lobby = live.room(topic="lobby", init=init, merge="latest", max=5, transform=lambda n: n * 10,
                          volatile=True, on_unsubscribe=gone)
    """
    app, _ = await make(make_app, source)
    peer = await app.connect(ANN)
    reply = await peer.stream("m/lobby/__data")
    assert (reply["data"], reply["topic"], reply["merge"], reply["max"]) == ([10, 20], "lobby", "latest", 5)
    leave_topic(peer, "lobby")
    await turns()
    assert log_of(app) == [("lobby", 0)]
