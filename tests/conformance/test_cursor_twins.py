"""What all cursors do, in this process or shared: one suite for all of them. Spec: platform 7.7, wire 6.2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from runtime.core.connection import Connection
from runtime.core.tasks import TaskOwner
from runtime.plugins import Cursor, CursorProtocol
from tests.conformance.doubles.slow_cursor import SlowCursor
from tests.conformance.roster import pointers, settle, system_events
from tests.unit.core.parts import Core

pytestmark = pytest.mark.spec("PLAT-139")

PREFIX = "__cursor:"
WINDOW = 0.05
ANN, BOB = {"id": "u1", "name": "Ann"}, {"id": "u2", "name": "Bob"}


class Twin:
    """Makes cursors of one kind and moves their time; they are closed at the end."""

    def __init__(self, kind: Callable[..., Any]) -> None:
        self.core = Core()
        self._kind = kind
        self._made: list[CursorProtocol] = []

    def make(self, **options: Any) -> CursorProtocol:
        made: CursorProtocol = self._kind(clock=self.core.clock, throttle=WINDOW, **options)
        self._made.append(made)
        return made

    async def advance(self, seconds: float) -> None:
        await self.core.clock.advance(seconds)
        await settle()

    def connect(self, user: Any, *topics: str) -> Connection:
        return self.core.connect(*topics, user=user)

    def events(self, ws: Connection, topic: str = "canvas") -> list[tuple[str, Any]]:
        return system_events(self.core, ws, PREFIX, topic)

    def moves(self, ws: Connection) -> list[Any]:
        return [data["data"] for event, data in self.events(ws) if event == "update"]

    def pointers(self, ws: Connection) -> dict[Any, Any]:
        """Return the place of each cursor by the id of its user."""
        return {one["user"]["id"]: one["data"] for one in pointers(self.core, ws, "canvas").values()}

    async def close(self) -> None:
        for made in self._made:
            await made.close()


@pytest.fixture(params=[Cursor, SlowCursor], ids=["memory", "slow"])
async def twin(request: pytest.FixtureRequest) -> AsyncIterator[Twin]:
    made = Twin(request.param)
    yield made
    await made.close()


async def move(cursors: CursorProtocol, ws: Connection, *places: Any) -> None:
    for place in places:
        await cursors.update(ws, "canvas", place)
    await settle()


@pytest.mark.spec("WIRE-110")
async def test_the_frames_of_a_cursor(twin: Twin) -> None:
    cursors, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await cursors.attach(bob, "canvas", twin.core.platform)
    await cursors.update(ann, "canvas", {"x": 1, "y": 2}, twin.core.platform)
    await settle()
    entry = (await cursors.list("canvas"))[0]
    assert entry == {"key": entry["key"], "user": ANN, "data": {"x": 1, "y": 2}}
    assert entry["key"].isdecimal()
    await cursors.attach(ann, "canvas", twin.core.platform)
    await cursors.remove(ann, twin.core.platform)
    await settle()
    assert twin.core.events(bob) == [
        (PREFIX + "canvas", "snapshot", [], None),
        (PREFIX + "canvas", "update", entry, 1),
        (PREFIX + "canvas", "remove", {"key": entry["key"]}, 2),
    ]
    assert twin.core.events(ann)[0] == (PREFIX + "canvas", "snapshot", [entry], None)
    assert await cursors.list("canvas") == []


@pytest.mark.spec("WIRE-110")
async def test_the_first_place_is_told_at_once_and_the_last_at_the_end_of_the_window(twin: Twin) -> None:
    cursors, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await cursors.attach(bob, "canvas")
    await move(cursors, ann, 1, 2, 3)
    assert twin.moves(bob) == [1]
    await twin.advance(WINDOW / 2)
    assert twin.moves(bob) == [1]
    await move(cursors, ann, 4)
    await twin.advance(WINDOW / 2)
    assert twin.moves(bob) == [1, 4]
    await move(cursors, ann, 5)
    assert twin.moves(bob) == [1, 4]
    await twin.advance(WINDOW)
    assert twin.moves(bob) == [1, 4, 5]
    await twin.advance(WINDOW)
    await twin.advance(WINDOW)
    assert twin.moves(bob) == [1, 4, 5]
    await move(cursors, ann, 6)
    assert twin.moves(bob) == [1, 4, 5, 6]


async def test_windows_are_of_one_cursor_on_one_topic(twin: Twin) -> None:
    cursors, ann, bob, eve = twin.make(), twin.connect(ANN), twin.connect(BOB), twin.connect({"id": "eve"})
    await cursors.attach(eve, "canvas")
    await cursors.attach(eve, "other")
    await move(cursors, ann, 1)
    await move(cursors, bob, 2)
    await cursors.update(ann, "other", 3)
    await settle()
    assert twin.moves(eve) == [1, 2]
    assert [event for event, _ in twin.events(eve, "other")] == ["snapshot", "update"]
    keys = [entry["key"] for entry in await cursors.list("canvas")]
    assert len(set(keys)) == 2
    assert [entry["key"] for entry in await cursors.list("other")] == keys[:1]


@pytest.mark.spec("WIRE-110")
async def test_a_cursor_that_is_removed_is_not_told_of_again(twin: Twin) -> None:
    cursors, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await cursors.attach(bob, "canvas")
    await move(cursors, ann, 1, 2)
    await cursors.remove(ann, None, "canvas")
    await twin.advance(2 * WINDOW)
    assert [event for event, _ in twin.events(bob)] == ["snapshot", "update", "remove"]
    await move(cursors, ann, 3)
    assert twin.pointers(bob) == {"u1": 3}


@pytest.mark.spec("WIRE-110")
@pytest.mark.parametrize("bad", ["x" * 8191, object(), {1, "a"}.__iter__()])
async def test_what_cannot_be_shown_is_dropped(twin: Twin, bad: Any) -> None:
    cursors, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await cursors.attach(bob, "canvas")
    await move(cursors, ann, bad)
    assert await cursors.list("canvas") == []
    await move(cursors, ann, "x" * 8190)
    assert twin.moves(bob) == ["x" * 8190]
    await twin.advance(WINDOW)
    await move(cursors, ann, bad)
    await twin.advance(WINDOW)
    assert twin.moves(bob) == ["x" * 8190]
    strange: list[Any] = ["", "c" * 257, None, 3]
    for topic in strange:
        await cursors.update(ann, topic, 1)
    assert await cursors.list("c" * 257) == []


@pytest.mark.spec("WIRE-110")
async def test_frames_of_clients_count_only_on_topics_they_are_attached_to(twin: Twin) -> None:
    cursors, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    message = cursors.hooks.message
    await cursors.attach(bob, "canvas")
    assert await message(ann, {"type": "cursor", "topic": "canvas", "data": 1}) is True
    assert await message(ann, {"type": "cursor-snapshot", "topic": "canvas"}) is True
    await settle()
    assert (twin.events(ann), twin.pointers(bob)) == ([], {})
    await cursors.attach(ann, "canvas")
    assert await message(ann, {"type": "cursor", "topic": "canvas", "data": {"x": 1}}, twin.core.platform)
    await settle()
    assert twin.pointers(bob) == {"u1": {"x": 1}}
    assert await message(bob, {"type": "cursor", "topic": "canvas", "position": [3, 4]}, twin.core.platform)
    assert await message(bob, {"type": "cursor-snapshot", "topic": "canvas"}, None)
    await settle()
    assert twin.events(bob)[-1][0] == "snapshot"
    assert twin.pointers(bob) == {"u1": {"x": 1}, "u2": [3, 4]}
    for other in ({"type": "chat"}, {"topic": "canvas"}, "cursor", None, 5, [{"type": "cursor"}]):
        assert await message(bob, other) is False
    for odd in (None, 7, "", ["canvas"]):
        assert await message(bob, {"type": "cursor", "topic": odd, "data": 1}) is True


@pytest.mark.spec("WIRE-110")
async def test_who_subscribes_to_a_topic_is_attached_and_who_leaves_it_is_not(twin: Twin) -> None:
    cursors, ann, bob, early = twin.make(), twin.connect(ANN), twin.connect(BOB), twin.connect({"id": "e"})
    await twin.core.platform.subscribe(early, "canvas")
    await move(cursors, ann, 1)
    assert early.is_subscribed(PREFIX + "canvas")
    assert await twin.core.platform.subscribe(bob, "canvas") is None
    assert twin.pointers(bob) == {"u1": 1}
    await twin.core.platform.subscribe(bob, "canvas")
    assert [event for event, _ in twin.events(bob)] == ["snapshot"]
    await move(cursors, bob, 2)
    assert twin.pointers(early) == {"u1": 1, "u2": 2}
    twin.core.platform.unsubscribe(bob, "canvas")
    await settle()
    assert twin.pointers(early) == {"u1": 1}
    assert not bob.is_subscribed(PREFIX + "canvas")
    denied = twin.connect({"id": "d"})
    twin.core.gate(subscribe=lambda ws, topic: False)
    assert await twin.core.platform.subscribe(denied, "canvas") == "FORBIDDEN"
    assert not denied.is_subscribed(PREFIX + "canvas")


@pytest.mark.spec("WIRE-110")
async def test_a_connection_that_closes_takes_its_cursors_along(twin: Twin) -> None:
    cursors, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    for ws in (ann, bob):
        await twin.core.platform.subscribe(ws, "canvas")
        await move(cursors, ws, 1, 2)
    ann.mark_closed("gone")
    await cursors.hooks.close(ann)
    twin.core.subscriptions.remove_all(ann)
    await twin.advance(2 * WINDOW)
    assert twin.pointers(bob) == {"u2": 2}
    await move(cursors, ann, 3)
    assert [entry["user"] for entry in await cursors.list("canvas")] == [BOB]


async def test_detaching(twin: Twin) -> None:
    cursors, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    for ws in (ann, bob):
        await cursors.attach(ws, "canvas")
    await move(cursors, ann, 1)
    await cursors.detach(ann, "canvas", twin.core.platform)
    await settle()
    assert twin.pointers(bob) == {}
    seen = len(twin.events(ann))
    await move(cursors, bob, 2)
    assert len(twin.events(ann)) == seen


async def test_a_snapshot_replaces_what_is_stale(twin: Twin) -> None:
    cursors, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await cursors.snapshot(bob, "canvas")
    await cursors.hooks.subscribe(bob, "canvas", twin.core.platform)
    assert twin.events(bob) == [("snapshot", [])]
    await move(cursors, ann, 1, 2)
    await cursors.hooks.subscribe(bob, PREFIX + "canvas", twin.core.platform)
    assert twin.pointers(bob) == {"u1": 2}  # the last place, told of or not


@pytest.mark.spec("WIRE-109")
async def test_no_credential_is_shown_with_a_cursor(twin: Twin) -> None:
    user = {**ANN, "session": "s3cr3t", "remote_address": "203.0.113.9", "inner": {"jwt": "s3cr3t"}}
    plain, ws = twin.make(), twin.connect(user)
    await move(plain, ws, 1)
    assert (await plain.list("canvas"))[0]["user"] == {**ANN, "inner": {}}
    chosen = twin.make(select=lambda user: {"who": user["name"], "token": "s3cr3t"})
    await move(chosen, ws, 1)
    assert (await chosen.list("canvas"))[0]["user"] == {"who": "Ann"}


async def test_what_is_listed_is_a_copy(twin: Twin) -> None:
    cursors, ann, place = twin.make(), twin.connect(ANN), {"x": [1]}
    await move(cursors, ann, place)
    place["x"].append(2)
    (await cursors.list("canvas"))[0]["data"]["x"].append(3)
    assert (await cursors.list("canvas"))[0]["data"] == {"x": [1]}
    assert await cursors.list("elsewhere") == []


async def test_clearing_removes_every_cursor(twin: Twin) -> None:
    cursors, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await cursors.attach(bob, "canvas")
    await move(cursors, ann, 1, 2)
    await move(cursors, bob, 3)
    await cursors.clear()
    await twin.advance(2 * WINDOW)
    assert twin.pointers(bob) == {}
    assert await cursors.list("canvas") == []
    await move(cursors, ann, 4, 5)
    await twin.advance(WINDOW)
    assert twin.pointers(bob) == {"u1": 5}


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("what", ["attach", "update", "remove", "snapshot", "detach"])
async def test_a_call_that_is_cancelled_leaves_what_everybody_agrees_on(
    twin: Twin, turns: int, what: str
) -> None:
    cursors, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await cursors.attach(bob, "canvas")
    await move(cursors, ann, 1)
    calls: dict[str, Callable[[], Awaitable[None]]] = {
        "attach": lambda: cursors.attach(ann, "canvas"),
        "update": lambda: cursors.update(ann, "canvas", 2),
        "remove": lambda: cursors.remove(ann),
        "snapshot": lambda: cursors.snapshot(ann, "canvas"),
        "detach": lambda: cursors.detach(ann, "canvas"),
    }

    async def call() -> None:
        await calls[what]()

    owner = TaskOwner("test")
    task = owner.start(call(), name=what)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await twin.advance(2 * WINDOW)
    assert twin.pointers(bob) == {
        entry["user"]["id"]: entry["data"] for entry in await cursors.list("canvas")
    }
    await move(cursors, ann, 9)
    await twin.advance(2 * WINDOW)
    assert twin.pointers(bob) == {"u1": 9}
