"""Who is in a room: roster, join, leave and the grace between them. Spec: live-api 12, wire 5.3."""

from __future__ import annotations

import asyncio

import pytest

from runtime.core import capacity
from runtime.core.capacity import capacity_override
from tests.server.conftest import AppFactory
from tests.server.peers import turns
from tests.server.rooms import (
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
    roster,
)


@pytest.mark.spec("LIVE-127")
async def test_a_second_tab_neither_joins_nor_leaves(make_app: AppFactory) -> None:
    app, clock = await make(make_app)
    bob = await app.connect(BOB)
    await bob.stream(PRESENCE, "1")
    first, second = await app.connect(ANN), await app.connect(ANN)
    await first.stream(DATA, "1")
    await first.stream(DATA, "1")
    await second.stream(DATA, "1")
    assert bob.events("board:1:presence") == [("join", SHOWN_ANN)]
    await first.leave()
    await clock.advance(60)
    assert bob.events("board:1:presence") == [("join", SHOWN_ANN)]
    leave_topic(second)
    await clock.advance(5.1)
    assert bob.events("board:1:presence") == [("join", SHOWN_ANN), ("leave", {"key": "u1"})]
    assert await roster(bob) == []


@pytest.mark.spec("LIVE-128")
async def test_coming_back_within_the_grace_is_neither_leave_nor_join(make_app: AppFactory) -> None:
    app, clock = await make(make_app)
    bob, ann = await app.connect(BOB), await app.connect(ANN)
    await bob.stream(PRESENCE, "1")
    await ann.stream(DATA, "1")
    for _ in range(3):
        await ann.leave()
        await clock.advance(4.9)
        assert await roster(bob) == [SHOWN_ANN]
        ann = await app.connect(ANN)
        await ann.stream(DATA, "1")
    await clock.advance(60)
    assert bob.events("board:1:presence") == [("join", SHOWN_ANN)]


@pytest.mark.spec("LIVE-129")
async def test_the_roster_has_those_who_came_before(make_app: AppFactory) -> None:
    app, _ = await make(make_app)
    ann, bob, nobody = await app.connect(ANN), await app.connect(BOB), await app.connect()
    await ann.stream(DATA, "1")
    await bob.stream(DATA, "1")
    await bob.stream(DATA, "2")
    await nobody.stream(DATA, "1")  # its payload is falsy
    reply = await nobody.stream(PRESENCE, "1")
    assert reply["data"] == [SHOWN_ANN, SHOWN_BOB]
    assert await roster(ann, "2") == [SHOWN_BOB]
    assert await roster(ann, "3") == []


async def test_guests_are_told_apart_without_giving_their_session_away(make_app: AppFactory) -> None:
    app, _ = await make(make_app, BOARD.replace("if ctx.user else None", 'if ctx.user else {"name": "?"}'))
    one, two = await app.connect(), await app.connect()
    await one.stream(DATA, "1")
    await two.stream(DATA, "1")
    keys = [entry["key"] for entry in await roster(one)]
    assert len(set(keys)) == 2
    assert all(key.startswith("__guest_") for key in keys)
    assert not any(peer.connection.id in key for peer in (one, two) for key in keys)


async def test_a_failed_load_leaves_at_once_and_runs_no_hook(make_app: AppFactory) -> None:
    app, clock = await make(make_app)
    idle = clock.pending
    bob, ann = await app.connect(BOB), await app.connect(ANN)
    await bob.stream(PRESENCE, "broken")
    assert (await ann.stream(DATA, "broken"))["code"] == "NO_BOARD"
    await turns()
    assert bob.events("board:broken:presence") == [("join", SHOWN_ANN), ("leave", {"key": "u1"})]
    assert log_of(app) == [("init", "broken")]
    assert clock.pending == idle


@pytest.mark.spec("LIVE-132")
async def test_on_join_after_each_first_load_and_on_leave_after_the_grace(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, clock = await make(make_app)
    ann, tab = await app.connect(ANN), await app.connect(ANN)
    assert (await ann.stream(DATA, "1"))["ok"]
    assert (await tab.stream(DATA, "1"))["ok"]
    assert (await tab.request(DATA, "1"))["ok"]  # no subscription, no join
    joins = [("init", "1"), ("join", "1")] * 2 + [("init", "1")]
    assert log_of(app) == joins
    await ann.leave()
    await tab.leave()
    await clock.advance(4.9)
    assert log_of(app) == joins
    await clock.advance(0.2)
    assert log_of(app) == [*joins, ("leave", "board:1", "u1")]
    failed = [record.getMessage() for record in caplog.records if record.name == "realtime.room"]
    assert failed == ["on_join of the room board:1 failed"] * 2 + ["on_leave of the room board:1 failed"]


async def test_without_presence_on_leave_has_no_grace(make_app: AppFactory) -> None:
    app, clock = await make(make_app, BOARD.replace("presence=who, ", ""))
    idle = clock.pending
    assert PRESENCE not in app.runtime.live.registry.endpoints
    ann, tab = await app.connect(ANN), await app.connect(ANN)
    await ann.stream(DATA, "1")
    await tab.stream(DATA, "1")
    await ann.leave()
    await turns()
    assert ("leave", "board:1", "u1") not in log_of(app)
    await tab.leave()
    await turns()
    assert log_of(app)[-1] == ("leave", "board:1", "u1")
    assert clock.pending == idle


async def test_who_left_during_the_load_has_not_joined(make_app: AppFactory) -> None:
    app, clock = await make(make_app)
    gates = app.runtime.live.registry.modules["m"].module.gates
    gates["1"] = asyncio.Event()
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    await bob.stream(PRESENCE, "1")
    ann.send({"rpc": DATA, "id": "slow", "args": ["1"], "stream": True})
    await bob.wait(lambda frame: frame.get("event") == "join")
    await ann.leave()
    gates["1"].set()
    await clock.advance(5.1)
    assert log_of(app) == [("init", "1")]
    assert [event for event, _ in bob.events("board:1:presence")] == ["join", "leave"]


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_slow_presence_shows_only_who_is_still_there(make_app: AppFactory, leaves: bool) -> None:
    slow = BOARD.replace("async def who(ctx):", "async def who(ctx):\n        await gates['who'].wait()")
    app, clock = await make(make_app, slow)
    gate = app.runtime.live.registry.modules["m"].module.gates["who"] = asyncio.Event()
    first, second, bob = await app.connect(ANN), await app.connect(ANN), await app.connect(BOB)
    await bob.stream(PRESENCE, "1")
    for peer in (first, second):
        peer.send({"rpc": DATA, "id": "slow", "args": ["1"], "stream": True})
    await turns(20)
    assert await roster(bob) == []
    await first.leave()
    if leaves:
        await second.leave()
    gate.set()
    await turns(20)
    shown = [] if leaves else [SHOWN_ANN]
    assert await roster(bob) == shown
    assert bob.events("board:1:presence") == [("join", entry) for entry in shown]
    await clock.advance(10)
    assert await roster(bob) == shown


async def test_who_left_before_on_subscribe_is_not_told_of_behind_on_unsubscribe(
    make_app: AppFactory,
) -> None:
    hooks = """
        on_subscribe=lambda ctx, topic: log.append(("on", topic)),
        on_unsubscribe=lambda ctx, topic: log.append(("off", topic)),
    """
    slow = BOARD.replace("async def who(ctx):", "async def who(ctx):\n        await gates['who'].wait()")
    app, _ = await make(make_app, slow.replace("board = live.room(", "board = live.room(" + hooks))
    gate = app.runtime.live.registry.modules["m"].module.gates["who"] = asyncio.Event()
    ann = await app.connect(ANN)
    ann.send({"rpc": DATA, "id": "a", "args": ["1"], "stream": True})
    await turns()
    await ann.leave()
    await turns()
    gate.set()
    await turns()
    assert [entry for entry in log_of(app) if entry[0] in ("on", "off")] == [("off", "board:1")]


@pytest.mark.parametrize("payload", ["1 / 0", "object()", "'x' * 2_000_000", "[]"])
async def test_a_presence_that_fails_hides_its_user_and_nobody_else(
    make_app: AppFactory, payload: str
) -> None:
    source = BOARD.replace("if ctx.user else None", f"if ctx.user['id'] == 'u2' else {payload}")
    app, clock = await make(make_app, source)
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    assert (await ann.stream(DATA, "1"))["ok"]
    assert (await bob.stream(DATA, "1"))["ok"]
    assert (await ann.stream(PRESENCE, "1"))["data"] == [SHOWN_BOB]
    await bob.leave()
    leave_topic(ann)
    await clock.advance(6)
    assert ann.events("board:1:presence") == [("leave", {"key": "u2"})]


@pytest.mark.spec("LIVE-133")
async def test_a_full_roster_ends_graces_early_and_then_hides_newcomers(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, clock = await make(make_app)
    met = capacity.events.copy()
    with capacity_override(MAX_PRESENCE_REF=2):
        watcher = await app.connect()
        await watcher.stream(PRESENCE, "1")
        peers = [await app.connect({"id": f"u{n}", "name": f"N{n}"}) for n in range(5)]
        for peer in peers[:2]:
            await peer.stream(DATA, "1")
        await peers[1].leave()
        await clock.advance(1)
        await peers[0].leave()
        await clock.advance(1)
        await peers[2].stream(DATA, "1")  # u1 has waited longest
        await peers[3].stream(DATA, "1")  # then u0
        assert watcher.events("board:1:presence") == [
            ("join", {"key": "u0", "data": {"name": "N0"}}),
            ("join", {"key": "u1", "data": {"name": "N1"}}),
            ("leave", {"key": "u1"}),
            ("join", {"key": "u2", "data": {"name": "N2"}}),
            ("leave", {"key": "u0"}),
            ("join", {"key": "u3", "data": {"name": "N3"}}),
        ]
        for _ in range(2):  # nobody leaves: u4 gets the data and is not shown
            assert (await peers[4].stream(DATA, "1"))["ok"]
        assert [entry["key"] for entry in await roster(watcher)] == ["u2", "u3"]
        assert log_of(app).count(("join", "1")) == 6
        added = {action: count for (name, action), count in (capacity.events - met).items()}
        assert added == {"evict": 2, "skip": 2}
        await peers[4].leave()
        await peers[2].leave()
        await clock.advance(6)
        assert [entry["key"] for entry in await roster(watcher)] == ["u3"]
        warned = [r for r in caplog.records if "MAX_PRESENCE_REF" in r.getMessage()]
        assert len(warned) <= 1
        late = await app.connect(ANN)  # there is room again
        await late.stream(DATA, "1")
        assert [entry["key"] for entry in await roster(watcher)] == ["u3", "u1"]


async def test_a_reload_keeps_who_is_there_and_uses_the_new_hooks(make_app: AppFactory) -> None:
    app, clock = await make(make_app)
    bob, ann = await app.connect(BOB), await app.connect(ANN)
    for path in (DATA, PRESENCE, CURSORS):
        await bob.stream(path, "1")
    await ann.stream(DATA, "1")
    changed = BOARD.replace("return {", 'return {"new": True, ').replace('"leave", topic', '"gone", topic')
    result = await app.runtime.live.reload([app.write("live/m.py", changed)])
    assert result.ok
    await bob.wait(lambda f: f.get("topic") == "board:1:presence" and f["event"] == "refreshed")
    assert await roster(bob) == [SHOWN_BOB, SHOWN_ANN]
    assert bob.events("board:1:cursors") == []
    await ann.leave()
    await clock.advance(5.1)
    assert bob.events("board:1:presence")[-1] == ("leave", {"key": "u1"})
    assert ("gone", "board:1", "u1") in log_of(app)
    back = await app.connect(ANN)
    await back.stream(DATA, "1")
    assert bob.events("board:1:presence")[-1] == ("join", {"key": "u1", "data": {"new": True, "name": "Ann"}})


async def test_stopping_ends_every_grace(make_app: AppFactory) -> None:
    app, clock = await make(make_app)
    idle = clock.pending
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    await ann.stream(DATA, "1")
    await bob.stream(DATA, "1")
    await ann.leave()
    assert clock.pending == idle + 1
    await app.runtime.stop()
    await bob.leave()
    assert clock.pending == 0
    assert not any(entry[0] == "leave" for entry in log_of(app))
