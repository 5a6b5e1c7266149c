"""Cursors of rooms over the wire: moved by an action, throttled per user, gone with the user. Spec: live-api 12."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.capacity import capacity_override
from tests.server.conftest import AppFactory
from tests.server.peers import Peer, turns
from tests.server.rooms import ANN, BOARD, BOB, CURSORS, DATA, PRESENCE, leave_topic, make

MOVE = "m/board/__action/move_cursor"
TOPIC = "board:1:cursors"


async def move(peer: Peer, x: Any, board: str = "1") -> None:
    """Move as clients do: nobody waits for an answer."""
    peer.send({"rpc": MOVE, "args": [board, {"x": x}]})
    await turns()


def xs(peer: Peer, topic: str = TOPIC) -> list[Any]:
    """What a peer saw: the places of updates, and `-key` of removals."""
    return [data["x"] if event == "update" else f"-{data['key']}" for event, data in peer.events(topic)]


@pytest.mark.spec("LIVE-126")
async def test_a_move_is_published_under_who_moved(make_app: AppFactory) -> None:
    app, _ = await make(make_app)
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    for peer in (ann, bob):
        await peer.stream(CURSORS, "1")
    assert await ann.request(MOVE, "1", {"x": 1, "y": 2, "key": "u2"}) == {
        "id": "q2",
        "ok": True,
        "data": None,
    }
    assert bob.events(TOPIC) == [("update", {"key": "u1", "x": 1, "y": 2})]
    await move(bob, 5)
    assert ann.events(TOPIC)[1:] == [("update", {"key": "u2", "x": 5})]


async def test_moves_are_throttled_per_user_and_rest_at_the_last_place(make_app: AppFactory) -> None:
    app, clock = await make(make_app)
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    await bob.stream(CURSORS, "1")
    await ann.stream(DATA, "1")
    for x in range(10):
        await move(ann, x)
    await move(bob, 100)
    assert xs(bob) == [0, 100], "one user does not slow another"
    await clock.advance(0.04)
    assert xs(bob) == [0, 100]
    await clock.advance(0.02)
    assert xs(bob) == [0, 100, 9]
    await move(ann, 11)
    assert xs(bob) == [0, 100, 9], "the trailing one begins a new rest"
    await clock.advance(0.05)
    assert xs(bob) == [0, 100, 9, 11]
    await clock.advance(0.1)
    await move(ann, 12)
    assert xs(bob) == [0, 100, 9, 11, 12]


async def test_the_throttle_can_be_set(make_app: AppFactory) -> None:
    app, clock = await make(make_app, BOARD.replace("cursors=True", 'cursors={"throttle": 2}'))
    ann = await app.connect(ANN)
    await ann.stream(CURSORS, "1")
    await move(ann, 1)
    await move(ann, 2)
    await clock.advance(1.9)
    assert xs(ann) == [1]
    await clock.advance(0.2)
    assert xs(ann) == [1, 2]


@pytest.mark.spec("LIVE-126")
@pytest.mark.parametrize("path", [DATA, CURSORS])
async def test_the_cursor_goes_with_the_last_subscription_of_its_user(
    make_app: AppFactory, path: str
) -> None:
    app, clock = await make(make_app)
    idle = clock.pending
    ann, tab, bob = await app.connect(ANN), await app.connect(ANN), await app.connect(BOB)
    await bob.stream(CURSORS, "1")
    await ann.stream(path, "1")
    await tab.stream(path, "1")
    await move(ann, 1)
    await move(ann, 2)
    await ann.leave()
    assert xs(bob) == [1], "the other tab is still there"
    leave_topic(tab, "board:1" if path == DATA else TOPIC)
    await turns()
    assert xs(bob) == [1, "-u1"], "at once, and what waited is not shown any more"
    await clock.advance(10)
    assert xs(bob) == [1, "-u1"]
    await bob.leave()
    assert len(app.runtime.live.streams.presence.cursors) == 0
    await clock.advance(10)
    assert clock.pending == idle


async def test_who_did_not_move_leaves_without_a_word(make_app: AppFactory) -> None:
    app, _ = await make(make_app)
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    for peer in (ann, bob):
        await peer.stream(CURSORS, "1")
    await ann.leave()
    await turns()
    assert bob.events(TOPIC) == []


async def test_a_cursor_of_somebody_without_a_subscription_goes_with_the_connection(
    make_app: AppFactory,
) -> None:
    app, _ = await make(make_app)
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    await bob.stream(CURSORS, "1")
    await ann.stream(PRESENCE, "1")
    await move(ann, 1)
    leave_topic(ann, "board:1:presence")
    await turns()
    assert xs(bob) == [1]
    await ann.leave()
    await turns()
    assert xs(bob) == [1, "-u1"]
    assert len(app.runtime.live.streams.presence.cursors) == 0


async def test_a_subscription_takes_over_a_cursor_that_was_there_before_it(make_app: AppFactory) -> None:
    app, _ = await make(make_app)
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    await bob.stream(CURSORS, "1")
    await move(ann, 1)
    await ann.stream(DATA, "1")
    leave_topic(ann)
    await turns()
    assert xs(bob) == [1, "-u1"]


async def test_another_tab_of_the_user_keeps_such_a_cursor(make_app: AppFactory) -> None:
    app, _ = await make(make_app)
    ann, tab, bob = await app.connect(ANN), await app.connect(ANN), await app.connect(BOB)
    await bob.stream(CURSORS, "1")
    await move(ann, 1)
    await tab.stream(DATA, "1")
    await ann.leave()
    await turns()
    assert xs(bob) == [1]
    await tab.leave()
    await turns()
    assert xs(bob) == [1, "-u1"]


async def test_rooms_and_guests_are_apart(make_app: AppFactory) -> None:
    app, _ = await make(make_app)
    ann, guest, other = await app.connect(ANN), await app.connect(), await app.connect()
    for board in ("1", "2"):
        await ann.stream(CURSORS, board)
    await move(guest, 1)
    await move(other, 2)
    await move(guest, 3, "2")
    keys = [data["key"] for _, data in ann.events(TOPIC)]
    assert len(set(keys)) == 2
    assert all(key.startswith("__guest_") for key in keys)
    assert ann.events("board:2:cursors") == [("update", {"key": keys[0], "x": 3})]


@pytest.mark.parametrize("data", [None, 5, [1], "x"])
async def test_what_is_no_place_is_refused(make_app: AppFactory, data: Any) -> None:
    app, _ = await make(make_app)
    ann = await app.connect(ANN)
    await ann.stream(CURSORS, "1")
    refused = await ann.request(MOVE, "1", data)
    assert (refused["code"], refused["issues"][0]["path"][0]) == ("VALIDATION", "data")
    refused = await ann.request(MOVE)
    assert refused["code"] == "VALIDATION"
    assert xs(ann) == []


@pytest.mark.spec("LIVE-131")
async def test_the_rooms_guard_covers_moves(make_app: AppFactory) -> None:
    app, clock = await make(make_app)
    idle = clock.pending
    ann = await app.connect(ANN)
    assert (await ann.request(MOVE, "closed", {"x": 1}))["code"] == "FORBIDDEN"
    assert clock.pending == idle


async def test_a_move_nobody_waits_for_is_no_mistake(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = await make(make_app, env="dev")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        await move(await app.connect(ANN), 1)
    assert "without waiting for an answer" not in caplog.text


async def test_an_action_of_that_name_is_the_apps(make_app: AppFactory) -> None:
    source = BOARD.replace('"add_card": add_card', '"move_cursor": add_card')
    app, _ = await make(make_app, source)
    ann = await app.connect(ANN)
    assert (await ann.request(MOVE, "1", "milk"))["data"] == {"id": "1-milk", "title": "milk"}


async def test_without_cursors_there_is_nothing_to_move(make_app: AppFactory) -> None:
    app, _ = await make(make_app, BOARD.replace("cursors=True", "cursors=False"))
    assert (await (await app.connect(ANN)).request(MOVE, "1", {}))["code"] == "NOT_FOUND"


async def test_cursors_have_a_bound(make_app: AppFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "_told", {})
    app, _ = await make(make_app)
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    for peer in (ann, bob):
        await peer.stream(CURSORS, "1")
    before = capacity.events["MAX_PRESENCE_REF", "skip"]
    with capacity_override(MAX_PRESENCE_REF=1):
        await move(ann, 1)
        await move(bob, 2)
        assert xs(ann) == [1]
        assert capacity.events["MAX_PRESENCE_REF", "skip"] == before + 1
        await ann.leave()
        await move(bob, 3)
    assert xs(bob) == [1, "-u1", 3]


async def test_one_connection_cannot_take_all_cursors(make_app: AppFactory) -> None:
    app, _ = await make(make_app)
    ann, bob = await app.connect(ANN), await app.connect(BOB)
    with capacity_override(MAX_STREAM_SUBSCRIPTIONS=2):
        for board in ("2", "3", "2"):
            assert (await ann.request(MOVE, board, {"x": 1}))["ok"]
        refused = await ann.request(MOVE, "4", {"x": 1})
        assert (refused["code"], refused["error"]) == (
            "RATE_LIMITED",
            "Too many rooms with a moved cursor and no subscription on this connection",
        )
        await ann.stream(CURSORS, "1")
        await ann.stream(DATA, "2")  # one of the two is a room that it is in from now on
        for board in ("1", "3", "4"):
            assert (await ann.request(MOVE, board, {"x": 2}))["ok"]
        assert (await bob.request(MOVE, "5", {"x": 1}))["ok"]
    await ann.leave()
    await bob.leave()
    assert len(app.runtime.live.dispatcher._streams.presence.cursors) == 0


async def test_a_move_that_cannot_be_published_later_is_reported(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, clock = await make(make_app)
    ann = await app.connect(ANN)
    await ann.stream(CURSORS, "1")
    await move(ann, 1)
    await move(ann, "x" * 2_000_000)
    await clock.advance(0.1)
    assert "timer failed" in caplog.text
    await move(ann, 2)
    assert xs(ann) == [1, 2]
