"""What presence in this process does beyond what its twins share: turns, grace, bounds, life. Spec: platform 7.4."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.core.connection import Connection
from runtime.core.errors import PayloadTooLarge
from runtime.plugins import Presence
from tests.conformance.roster import roster, settle, system_events
from tests.unit.core.parts import Core

pytestmark = pytest.mark.spec("PLAT-136")

CHANNEL = "__presence:room"


@pytest.fixture
def core() -> Core:
    return Core()


def connect(core: Core, key: str, **more: Any) -> Connection:
    return core.connect(user={"id": key, **more})


def diffs(core: Core, ws: Connection) -> list[tuple[list[str], list[str]]]:
    """Return the keys of joins and leaves of each diff."""
    found = system_events(core, ws, "__presence:", "room")
    return [
        (sorted(data["joins"]), sorted(data["leaves"])) for event, data in found if event == "presence_diff"
    ]


@pytest.mark.spec("WIRE-108")
async def test_a_turn_is_one_diff_and_the_last_operation_per_key_wins(core: Core) -> None:
    presence = Presence()
    eve, ann, bob, joe = (connect(core, key) for key in ("eve", "ann", "bob", "joe"))
    await presence.sync(eve, "room")
    for ws in (ann, bob):
        presence.join_nowait(ws, "room")
    await settle()
    assert diffs(core, eve) == [(["ann", "bob"], [])]
    presence.leave_nowait(ann)
    presence.join_nowait(joe, "room")
    presence.leave_nowait(bob)
    presence.join_nowait(bob, "room")
    await settle()
    assert diffs(core, eve)[1:] == [(["bob", "joe"], ["ann"])]
    presence.join_nowait(ann, "room")
    presence.leave_nowait(ann)
    await settle()
    assert len(diffs(core, eve)) == 2, "who came and went in one turn was never seen"
    assert core.events(ann)[-1][1] == "presence_diff", "and is sent nothing"
    presence.leave_nowait(joe)
    presence.join_nowait(joe, "room")
    presence.leave_nowait(joe)
    await settle()
    assert diffs(core, eve)[2:] == [([], ["joe"])]
    assert roster(core, eve, "room") == {"bob": {"id": "bob"}}


async def test_flushing_tells_at_once_the_state_first(core: Core) -> None:
    presence, ann = Presence(), connect(core, "ann")
    presence.join_nowait(ann, "room")
    assert core.events(ann) == []
    presence.flush_diffs()
    assert [event for _, event, _, _ in core.events(ann)] == ["presence_state", "presence_diff"]
    presence.flush_diffs()
    await settle()
    assert len(core.events(ann)) == 2


@pytest.mark.spec("WIRE-108")
async def test_all_who_come_in_a_turn_get_the_same_bytes(core: Core) -> None:
    presence = Presence()
    crowd = [core.connect(user={"id": f"u{n}"}, joins=True) for n in range(50)]
    for ws in crowd:
        presence.join_nowait(ws, "room")
    await settle()
    core.outbox.flush()
    assert [len(core.sink(ws).frames) for ws in crowd] == [2] * 50
    assert core.metrics.get("publish_total", "platform") == 1
    assert len(roster(core, crowd[0], "room")) == 50
    late = core.connect(user={"id": "late"})
    await presence.join(late, "room")
    assert len(roster(core, late, "room")) == 51


@pytest.mark.parametrize("turns", [1, 4])
async def test_a_storm_sends_frames_linear_in_its_members(core: Core, turns: int) -> None:
    presence, members = Presence(), 400
    crowd = [connect(core, f"u{n}") for n in range(members)]
    for part in range(turns):
        for ws in crowd[part * members // turns : (part + 1) * members // turns]:
            presence.join_nowait(ws, "room")
        await settle()
    frames = sum(len(core.texts(ws)) for ws in crowd)
    # One state each, and each turn one diff to those who are there by then.
    assert frames == members + sum(members * (part + 1) // turns for part in range(turns))


async def test_equal_data_in_another_order_is_no_change(core: Core) -> None:
    presence = Presence()
    one, two = (
        core.connect(user={"id": "a", "n": {"x": 1, "y": [2]}}),
        core.connect(user={"n": {"y": [2], "x": 1}, "id": "a"}),
    )
    await presence.join(one, "room")
    await presence.join(two, "room")
    assert len(diffs(core, one)) == 1


async def test_data_that_contains_itself_is_cut(core: Core) -> None:
    user: dict[str, Any] = {"id": "a"}
    user["self"] = user
    user["remote_address"] = "203.0.113.9"
    presence = Presence()
    for _ in range(2):
        await presence.join(core.connect(user=user), "room")
    assert await presence.list("room") == [{"id": "a", "self": None}]


async def test_what_does_not_fit_into_a_frame_follows_in_further_ones() -> None:
    core = Core(max_frame=2000)
    presence = Presence()
    crowd = [connect(core, f"u{n}", text="x" * 100) for n in range(60)]
    for ws in crowd:
        presence.join_nowait(ws, "room")
    await settle()
    assert all(len(text) <= 2000 for text in core.texts(crowd[0]))
    assert len(roster(core, crowd[0], "room")) == 60
    presence.leave_nowait(crowd[0])
    late = connect(core, "late")
    await presence.join(late, "room")
    events = [event for event, _ in system_events(core, late, "__presence:", "room")]
    assert events[:2] == ["presence_state", "presence_diff"]
    assert set(roster(core, late, "room")) == {"late", *(f"u{n}" for n in range(1, 60))}
    for ws in crowd[1:]:
        presence.leave_nowait(ws)
    await settle()
    assert set(roster(core, late, "room")) == {"late"}
    assert all(len(text) <= 2000 for text in core.texts(late))
    with pytest.raises(PayloadTooLarge, match="select less"):
        await presence.join(connect(core, "big", text="x" * 2000), "room")
    assert await presence.count("room") == 1


async def test_heartbeats_of_a_large_topic_are_split_too() -> None:
    core = Core(max_frame=1000)
    presence = Presence(heartbeat=5)
    crowd = [connect(core, f"user-number-{n}") for n in range(200)]
    for ws in crowd:
        presence.join_nowait(ws, "room")
    await settle()
    await core.clock.advance(5)
    beats = [
        data for event, data in system_events(core, crowd[0], "__presence:", "room") if event == "heartbeat"
    ]
    assert len(beats) > 1
    assert [key for beat in beats for key in beat] == [f"user-number-{n}" for n in range(200)]
    for ws in crowd:
        presence.leave_nowait(ws)
    await settle()
    await core.clock.advance(5)
    assert core.clock.pending == 0, "nobody is left to be told"


class TestGrace:
    """`grace`: a page that is loaded again is no leave."""

    async def test_who_comes_back_in_time_never_left(self, core: Core) -> None:
        presence, eve, ann, again = (
            Presence(grace=5),
            connect(core, "eve"),
            *(connect(core, "ann"),) * 1,
            None,
        )
        again = connect(core, "ann")
        await presence.join(eve, "room")
        await presence.join(ann, "room")
        seen = diffs(core, eve)
        presence.leave_nowait(ann)
        await settle()
        assert await presence.count("room") == 2
        await core.clock.advance(4.9)
        await presence.join(again, "room")
        await core.clock.advance(20)
        assert diffs(core, eve) == seen
        assert await presence.count("room") == 2

    async def test_otherwise_the_leave_comes_when_it_is_over(self, core: Core) -> None:
        presence, eve, ann, bob = Presence(grace=5), *(connect(core, key) for key in ("eve", "ann", "bob"))
        for ws in (eve, ann, bob):
            await presence.join(ws, "room")
        presence.leave_nowait(ann)
        await core.clock.advance(2)
        presence.leave_nowait(bob)
        await core.clock.advance(2.9)
        assert await presence.count("room") == 3
        await core.clock.advance(0.2)
        assert [one["id"] for one in await presence.list("room")] == ["eve", "bob"]
        await core.clock.advance(2)
        assert diffs(core, eve)[-2:] == [([], ["ann"]), ([], ["bob"])]
        assert core.clock.pending == 0

    async def test_who_comes_back_with_other_data_is_told_of(self, core: Core) -> None:
        presence, eve, ann = Presence(grace=5), connect(core, "eve"), connect(core, "ann", name="Ann")
        await presence.join(eve, "room")
        await presence.join(ann, "room")
        presence.leave_nowait(ann)
        await presence.join(connect(core, "ann", name="Anna"), "room")
        await settle()
        assert roster(core, eve, "room")["ann"] == {"id": "ann", "name": "Anna"}

    @pytest.mark.spec("LIVE-133")
    async def test_it_ends_early_where_there_is_no_room(self, core: Core) -> None:
        presence, eve = Presence(grace=5), connect(core, "eve")
        with capacity_override(MAX_PRESENCE_REF=2):
            await presence.join(eve, "room")
            ann = connect(core, "ann")
            await presence.join(ann, "room")
            presence.leave_nowait(ann)
            await presence.join(connect(core, "bob"), "room")
            assert set(roster(core, eve, "room")) == {"eve", "bob"}
            skipped = capacity.events["MAX_PRESENCE_REF", "skip"]
            late = connect(core, "late")
            await presence.join(late, "room")
            assert capacity.events["MAX_PRESENCE_REF", "skip"] == skipped + 1
            assert roster(core, late, "room") == roster(core, eve, "room")
            assert set(roster(core, late, "room")) == {"eve", "bob"}
            tab = connect(core, "bob", tab=2)
            await presence.join(tab, "room")
            assert roster(core, late, "room")["bob"] == {"id": "bob", "tab": 2}
            await presence.leave(late)
            assert not late.is_subscribed(CHANNEL)

    async def test_it_is_over_when_the_plugin_is_cleared_or_closed(self, core: Core) -> None:
        for end in (Presence.clear, Presence.close):
            presence, ann = Presence(grace=5), connect(core, "ann")
            await presence.join(ann, "room")
            presence.leave_nowait(ann)
            await end(presence)
            assert core.clock.pending == 0
            assert await presence.count("room") == 0
            await presence.join(connect(core, "bob"), "room")
            assert [one["id"] for one in await presence.list("room")] == ["bob"]


class TestBounds:
    """Whoever is dropped leaves as everybody does."""

    async def test_the_first_connection_goes_for_a_new_one(self, core: Core) -> None:
        presence = Presence(max_connections=2, grace=5)
        eve, ann, bob, joe = (connect(core, key) for key in ("eve", "ann", "bob", "joe"))
        await presence.sync(eve, "room")
        for ws in (ann, bob):
            await presence.join(ws, "room")
            await presence.join(ws, "hall")
        counted = capacity.events["MAX_PRESENCE_CONNECTIONS", "evict"]
        await presence.join(joe, "room")
        assert capacity.events["MAX_PRESENCE_CONNECTIONS", "evict"] == counted + 1
        assert set(roster(core, eve, "room")) == {"bob", "joe"}
        assert [one["id"] for one in await presence.list("hall")] == ["bob"]
        assert not ann.is_subscribed(CHANNEL)
        await presence.join(bob, "yard")
        assert await presence.count("yard") == 1
        assert presence.sizes()["MAX_PRESENCE_CONNECTIONS"] == 2

    async def test_the_oldest_topic_goes_for_a_new_one(self, core: Core) -> None:
        presence = Presence(max_topics=2)
        ann, bob = connect(core, "ann"), connect(core, "bob")
        for topic in ("room", "hall"):
            await presence.join(ann, topic)
        await presence.join(bob, "room")
        await presence.sync(bob, "nobody is here")
        await presence.join(bob, "yard")
        assert await presence.count("room") == 0
        assert diffs(core, bob)[-1] == ([], ["ann", "bob"])
        assert not ann.is_subscribed(CHANNEL)
        assert (await presence.count("hall"), await presence.count("yard")) == (1, 1)
        assert presence.sizes() == {
            "MAX_PRESENCE_CONNECTIONS": 2,
            "MAX_PRESENCE_REF": 2,
            "MAX_PRESENCE_TOPICS": 2,
        }

    async def test_topics_that_nobody_is_in_take_no_place(self, core: Core) -> None:
        presence, ann, bob = Presence(max_topics=2), connect(core, "ann"), connect(core, "bob")
        await presence.join(ann, "room")
        presence.join_nowait(bob, "hall")
        presence.leave_nowait(bob)
        presence.join_nowait(bob, "yard")
        await settle()
        assert await presence.count("room") == 1
        assert await presence.count("yard") == 1

    async def test_the_bounds_of_the_app_count_unless_there_are_own_ones(self, core: Core) -> None:
        with capacity_override(MAX_PRESENCE_CONNECTIONS=1):
            for presence, count in ((Presence(), 1), (Presence(max_connections=None), 3)):
                for key in "abc":
                    await presence.join(connect(core, key), "room")
                assert await presence.count("room") == count

    @pytest.mark.parametrize(
        "options",
        [
            {"key": ""},
            {"key": 3},
            {"select": "name"},
            {"heartbeat": -1},
            {"heartbeat": math.inf},
            {"grace": math.nan},
            {"max_connections": 0},
            {"max_topics": 1.5},
            {"clock": 5},
        ],
    )
    def test_an_option_that_cannot_be_is_named(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=f"Presence: {next(iter(options))}"):
            Presence(**options)

    async def test_a_topic_that_cannot_travel_is_refused(self, core: Core) -> None:
        with pytest.raises(ValueError, match="Presence: topic"):
            await Presence().join(connect(core, "ann"), 'a"b')


async def test_a_select_that_picks_secrets_is_told_of_once(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    presence = Presence(select=lambda user: {"id": user["id"], "author": "x", "deep": [{"api_key": "y"}]})
    for key in ("ann", "bob"):
        await presence.join(connect(core, key), "room")
    told = [record.getMessage() for record in caplog.records if "look like secrets" in record.getMessage()]
    assert len(told) == 1
    assert "'api_key', 'author'" in told[0]
    assert await presence.list("room") == [
        {"id": "ann", "deep": [{"api_key": "y"}]},
        {"id": "bob", "deep": [{"api_key": "y"}]},
    ]


async def test_what_it_counts(core: Core) -> None:
    presence = Presence()
    crowd = [connect(core, key) for key in ("ann", "bob", "ann")]
    for ws in crowd:
        await presence.join(ws, "room:1")
    get = core.metrics.get
    assert (get("presence_joins_total", "room:*"), get("presence_total_online", "room:*")) == (2, 2)
    for ws in crowd[:2]:
        await presence.leave(ws)
    assert (get("presence_leaves_total", "room:*"), get("presence_total_online", "room:*")) == (1, 1)
    await presence.close()
    assert get("presence_total_online", "room:*") == 0


async def test_what_lives_in_the_turn_comes_before_it(core: Core) -> None:
    presence, ann = Presence(), core.connect("room", user={"id": "ann"})
    core.turn.add(core.parts.event("room", "created", 1, seq=True))
    presence.join_nowait(ann, "room")
    presence.flush_diffs()
    assert [event for _, event, _, _ in core.events(ann)] == ["created", "presence_state", "presence_diff"]


async def test_a_reload_keeps_who_is_present(core: Core) -> None:
    old, ann, bob = Presence(heartbeat=10, grace=5), connect(core, "ann"), connect(core, "bob")
    await old.join(ann, "room")
    await old.join(bob, "room")
    old.leave_nowait(bob)
    new = Presence(select=lambda user: {"id": user["id"].upper()}, heartbeat=3)
    assert new.adopt(old)
    assert [one["id"] for one in await new.list("room")] == ["ann", "bob"]
    await core.clock.advance(3)
    assert system_events(core, ann, "__presence:", "room")[-1] == ("heartbeat", ["ann", "bob"])
    await core.clock.advance(2)
    assert await new.count("room") == 1
    await old.hooks.close(ann)
    assert await new.count("room") == 0
    await new.close()
    assert core.clock.pending == 0


async def test_it_belongs_to_the_app_that_closes_it(core: Core) -> None:
    presence, ann = Presence(heartbeat=1, grace=1), connect(core, "ann")
    presence.join_nowait(ann, "room")
    core.parts.closing.flush()
    assert diffs(core, ann) == [(["ann"], [])]
    await core.parts.closing.close(1)
    await asyncio.sleep(0)
    assert core.clock.pending == 0
    assert core.subscriptions._watchers == ()
    assert repr(presence) == "<Presence of 0 in 0 topics>"
    await presence.hooks.close(ann)  # late, as close hooks may be
    await presence.join(ann, "room")
    assert core.subscriptions._watchers == ()
    assert await presence.count("room") == 0
    other = Core()
    bob = connect(other, "bob")
    await presence.join(bob, "room")
    assert roster(other, bob, "room") == {"bob": {"id": "bob"}}
    core.subscriptions.remove_all(ann)
    assert await presence.count("room") == 1
    other.subscriptions.remove_all(bob)
    await other.clock.advance(1)
    assert await presence.count("room") == 0
