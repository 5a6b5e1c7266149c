"""What cursors in this process do beyond what their twins share: bounds, timers, life. Spec: platform 7.7."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.core.connection import Connection
from runtime.plugins import Cursor
from tests.conformance.roster import pointers, settle, system_events
from tests.unit.core.parts import Core

pytestmark = pytest.mark.spec("PLAT-139")

WINDOW = 0.05


@pytest.fixture
def core() -> Core:
    return Core()


def connect(core: Core, key: str, **more: Any) -> Connection:
    return core.connect(user={"id": key, **more})


def shown(core: Core, ws: Connection, topic: str = "canvas") -> dict[str, Any]:
    return {one["user"]["id"]: one["data"] for one in pointers(core, ws, topic).values()}


async def test_one_timer_serves_all_windows(core: Core) -> None:
    cursors, eve = Cursor(), connect(core, "eve")
    await cursors.attach(eve, "canvas")
    movers = [connect(core, f"u{n}") for n in range(30)]
    for round_ in range(3):
        for ws in movers:
            cursors.update_nowait(ws, "canvas", round_)
        await core.clock.advance(0.01)
        assert core.clock.pending == 1
    assert set(shown(core, eve).values()) == {0}
    await core.clock.advance(WINDOW)
    assert set(shown(core, eve).values()) == {2}
    await core.clock.advance(3 * WINDOW)
    assert core.clock.pending == 0
    updates = [event for event, _ in system_events(core, eve, "__cursor:", "canvas") if event == "update"]
    assert len(updates) == 60


async def test_windows_that_began_at_other_times_end_within_a_fraction_of_one(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursors, eve = Cursor(), connect(core, "eve")
    await cursors.attach(eve, "canvas")
    movers = [connect(core, f"u{n}") for n in range(20)]
    ends: list[float] = []
    call_later = core.clock.call_later
    monkeypatch.setattr(core.clock, "call_later", lambda *args: (ends.append(args[0]), call_later(*args))[1])
    for ws in movers:
        cursors.update_nowait(ws, "canvas", "first")
        cursors.update_nowait(ws, "canvas", "last")
        await core.clock.advance(0.001)
    before = len(ends)
    await core.clock.advance(WINDOW + WINDOW / 8)
    assert shown(core, eve) == {f"u{n}": "last" for n in range(20)}
    assert len(ends) - before <= 12, "not a timer for each of them"


async def test_without_a_throttle_every_move_is_told(core: Core) -> None:
    cursors, eve, ann = Cursor(throttle=0), connect(core, "eve"), connect(core, "ann")
    await cursors.attach(eve, "canvas")
    for place in range(5):
        cursors.update_nowait(ann, "canvas", place)
    moves = [
        data["data"] for event, data in system_events(core, eve, "__cursor:", "canvas") if event == "update"
    ]
    assert moves == [0, 1, 2, 3, 4]
    assert core.clock.pending == 0


async def test_a_new_name_is_shown_after_a_pause(core: Core) -> None:
    cursors, ann = Cursor(), connect(core, "ann", name="Ann")
    cursors.update_nowait(ann, "canvas", 1)
    ann.user_data["name"] = "Anna"
    await core.clock.advance(2 * WINDOW)
    cursors.update_nowait(ann, "canvas", 2)
    assert cursors.list_nowait("canvas")[0]["user"] == {"id": "ann", "name": "Anna"}


@pytest.mark.parametrize("topics", [["canvas"], {"canvas"}, lambda topic: topic == "canvas"])
async def test_only_the_topics_that_are_named_get_cursors(core: Core, topics: Any) -> None:
    cursors, ann, first = Cursor(topics=topics), connect(core, "ann"), connect(core, "first")
    await core.platform.subscribe(first, "canvas")
    await core.platform.subscribe(first, "chat")
    cursors.update_nowait(ann, "canvas", 1)
    for topic in ("canvas", "chat"):
        await core.platform.subscribe(ann, topic)
    for ws in (ann, first):
        assert {topic for topic in ws.all_topics if topic.startswith("__")} == {"__cursor:canvas"}


async def test_system_topics_have_no_cursors(core: Core) -> None:
    cursors, ann = Cursor(), connect(core, "ann")
    cursors.update_nowait(ann, "canvas", 1)
    await core.platform.subscribe(ann, "__presence:canvas")
    assert ann.all_topics == {"__presence:canvas"}


async def test_topics_that_cannot_be_told_have_no_cursors(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    cursors, ann = Cursor(topics=lambda topic: bool(1 / 0)), connect(core, "ann")
    cursors.update_nowait(ann, "canvas", 1)
    assert await core.platform.subscribe(ann, "chat") is None
    assert ann.all_topics == {"chat"}
    assert "topics failed for chat" in caplog.text


async def test_the_oldest_connection_loses_its_cursors_for_a_new_one(core: Core) -> None:
    cursors, eve = Cursor(max_connections=2), connect(core, "eve")
    ann, bob, joe = (connect(core, key) for key in ("ann", "bob", "joe"))
    await cursors.attach(eve, "canvas")
    for ws in (ann, bob):
        cursors.update_nowait(ws, "canvas", 1)
        cursors.update_nowait(ws, "canvas", 2)
        cursors.update_nowait(ws, "other", 1)
    counted = capacity.events["MAX_CURSOR_CONNECTIONS", "evict"]
    cursors.update_nowait(joe, "canvas", 3)
    assert capacity.events["MAX_CURSOR_CONNECTIONS", "evict"] == counted + 1
    await core.clock.advance(2 * WINDOW)
    assert shown(core, eve) == {"bob": 2, "joe": 3}
    assert [one["user"]["id"] for one in cursors.list_nowait("other")] == ["bob"]


async def test_the_oldest_topic_loses_its_cursors_and_their_timers(core: Core) -> None:
    cursors, eve, ann = Cursor(), connect(core, "eve"), connect(core, "ann")
    with capacity_override(MAX_CURSOR_TOPICS=1):
        await cursors.attach(eve, "canvas")
        cursors.update_nowait(ann, "canvas", 1)
        cursors.update_nowait(ann, "canvas", 2)
        cursors.update_nowait(ann, "other", 1)
        await core.clock.advance(2 * WINDOW)
        assert [event for event, _ in system_events(core, eve, "__cursor:", "canvas")] == [
            "snapshot",
            "update",
            "remove",
        ]
        assert cursors.sizes() == {"MAX_CURSOR_CONNECTIONS": 1, "MAX_CURSOR_TOPICS": 1}
        cursors.remove_nowait(ann)
        assert cursors.sizes() == {"MAX_CURSOR_CONNECTIONS": 0, "MAX_CURSOR_TOPICS": 0}


async def test_what_is_dropped_is_counted(core: Core) -> None:
    cursors, ann = Cursor(max_data_bytes=10, max_topic_length=8), connect(core, "ann")
    strange: list[Any] = ["a long topic", "", 'q"', None]
    assert not any(cursors.update_nowait(ann, topic, 1) for topic in strange)
    assert not any(cursors.update_nowait(ann, "canvas", data) for data in ("x" * 9, object()))
    assert core.metrics.get("ws_frames_dropped_total", "cursor") == 6
    assert cursors.update_nowait(ann, "canvas", "x" * 8)


async def test_a_user_that_no_frame_can_carry_has_no_cursor() -> None:
    core = Core(max_frame=500)
    cursors, ann = Cursor(), connect(core, "ann", text="x" * 500)
    assert not cursors.update_nowait(ann, "canvas", 1)
    assert cursors.list_nowait("canvas") == []


async def test_a_large_snapshot_goes_on_as_bulk() -> None:
    core = Core(max_frame=1000)
    cursors, eve = Cursor(), connect(core, "eve")
    for n in range(40):
        cursors.update_nowait(connect(core, f"u{n}"), "canvas", n)
    await cursors.attach(eve, "canvas")
    events = [event for event, _ in system_events(core, eve, "__cursor:", "canvas")]
    assert events[0] == "snapshot"
    assert set(events[1:]) == {"bulk"}
    assert all(len(text) <= 1000 for text in core.texts(eve))
    assert shown(core, eve) == {f"u{n}": n for n in range(40)}


async def test_what_it_counts(core: Core) -> None:
    cursors, ann = Cursor(), connect(core, "ann")
    for place in range(4):
        cursors.update_nowait(ann, "canvas:1", place)
    await core.clock.advance(WINDOW)
    counts = [
        core.metrics.get(f"cursor_{name}_total", "canvas:*")
        for name in ("updates", "broadcasts", "throttled")
    ]
    assert counts == [4, 2, 2]


async def test_a_reload_keeps_the_cursors(core: Core) -> None:
    old, eve, ann = Cursor(), connect(core, "eve"), connect(core, "ann")
    await core.platform.subscribe(eve, "canvas")
    old.update_nowait(ann, "canvas", 1)
    old.update_nowait(ann, "canvas", 2)
    new = Cursor(throttle=0.2, max_data_bytes=5)
    assert new.adopt(old)
    await core.clock.advance(WINDOW)
    assert shown(core, eve) == {"ann": 2}
    await old.hooks.message(eve, {"type": "cursor", "topic": "canvas", "data": "x" * 9})
    await new.hooks.close(ann)
    assert shown(core, eve) == {}
    await new.close()
    assert core.clock.pending == 0


async def test_it_belongs_to_the_app_that_closes_it(core: Core) -> None:
    cursors, eve, ann = Cursor(), connect(core, "eve"), connect(core, "ann")
    await cursors.attach(eve, "canvas")
    cursors.update_nowait(ann, "canvas", 1)
    cursors.update_nowait(ann, "canvas", 2)
    core.parts.closing.flush()
    assert shown(core, eve) == {"ann": 2}
    await core.parts.closing.close(1)
    await asyncio.sleep(0)
    assert core.clock.pending == 0
    assert core.subscriptions._watchers == ()
    assert repr(cursors) == "<Cursor of 0 connections on 0 topics>"
    await cursors.hooks.close(ann)  # late, as close hooks may be
    assert not cursors.update_nowait(ann, "canvas", 3)
    assert core.subscriptions._watchers == ()
    assert await core.platform.subscribe(ann, "canvas") is None
    assert not ann.is_subscribed("__cursor:canvas")
    other = Core()
    bob = other.connect(user={"id": "bob"})
    cursors.update_nowait(bob, "canvas", 1)
    await other.platform.subscribe(bob, "canvas")
    await settle()
    assert shown(other, bob) == {"bob": 1}
    other.subscriptions.remove_all(bob)
    assert await cursors.list("canvas") == []


@pytest.mark.parametrize(
    "options",
    [
        {"throttle": -1},
        {"select": 5},
        {"topics": "canvas"},
        {"topics": 5},
        {"max_connections": 0},
        {"max_topics": "x"},
        {"max_topic_length": 0},
        {"max_data_bytes": None},
        {"clock": 5},
    ],
)
def test_an_option_that_cannot_be_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"Cursor: {next(iter(options))}"):
        Cursor(**options)
