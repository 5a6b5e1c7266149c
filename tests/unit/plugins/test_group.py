"""The group of this process: counts, hooks, connections that go, its bounds, and that a reload keeps it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.core import capacity, currentplatform
from runtime.core.connection import Connection
from runtime.core.errors import PlatformNotReady
from runtime.plugins import Group
from tests.conformance.twins import settle
from tests.unit.core.parts import Core

pytestmark = pytest.mark.spec("PLAT-140")
TOPIC = "__group:raid"


@pytest.fixture
def core() -> Core:
    return Core()


def events(core: Core, ws: Connection) -> list[tuple[str, Any, int | None]]:
    return [(event, data, seq) for topic, event, data, seq in core.events(ws) if topic == TOPIC]


@pytest.mark.parametrize("name", ["", 'a"b', "x" * 249, None, 3])
def test_a_name_must_make_a_topic(name: Any) -> None:
    with pytest.raises(ValueError, match="Group: the name"):
        Group(name)


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_members", 0), ("max_members", "3"), ("meta", [1]), ("on_join", 3), ("on_close", "x")],
)
def test_a_bad_option_is_named(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"Group: {option} must be"):
        Group("raid", **{option: value})


@pytest.mark.spec("WIRE-111")
async def test_frames_have_counts_and_numbers_as_published(core: Core) -> None:
    group = Group("raid")
    ann, bob = core.connect(), core.connect()
    await group.join(ann)
    await group.join(bob, core.platform, "viewer")
    await group.leave(bob)
    await group.close()
    assert events(core, ann) == [
        ("members", [{"role": "member"}], None),
        ("join", {"role": "viewer", "count": 2}, 2),
        ("leave", {"role": "viewer", "count": 1}, 3),
        ("close", None, 4),
    ]
    assert events(core, bob) == [("members", [{"role": "member"}, {"role": "viewer"}], None)]


async def test_a_connection_that_is_gone_leaves_by_itself(core: Core) -> None:
    left: list[Any] = []

    async def on_leave(ws: Connection, role: str) -> None:
        await asyncio.sleep(0)
        left.append((ws, role))

    group = Group("raid", on_leave=on_leave)
    ann, bob = core.connect(), core.connect()
    await group.join(ann)
    await group.join(bob, role="admin")
    bob.mark_closed("gone")
    core.parts.departures.gone(bob)
    await settle()
    assert group.local_members() == [(ann, "member")]
    assert events(core, ann)[-1] == ("leave", {"role": "admin", "count": 1}, 3)
    assert left == [(bob, "admin")]
    assert await group.join(bob) is False  # it would never leave
    assert len(core.parts.departures) == 1
    await group.leave(ann)
    assert len(core.parts.departures) == 0


async def test_hooks_join_and_leave(core: Core) -> None:
    group = Group("raid", max_members=1)
    hooks = group.hooks
    ann, bob = core.connect(), core.connect()
    assert await hooks.subscribe(ann, "other") is None
    assert not group.has(ann)
    assert await hooks.subscribe(ann, "raid", core.platform) is None
    assert group.has(ann)
    assert await hooks.subscribe(bob, TOPIC) is False
    await hooks.unsubscribe(ann, "other")
    assert group.has(ann)
    await hooks.unsubscribe(ann, "raid", core.platform)
    assert not group.has(ann)
    assert await hooks.subscribe(bob, TOPIC) is None
    await hooks.close(bob)
    assert not group.has(bob)


async def test_hooks_decide_about_a_subscription(core: Core) -> None:
    group = Group("raid", max_members=1)
    core.gate(subscribe=group.hooks.subscribe)
    ann, bob = core.connect(), core.connect()
    assert await core.platform.subscribe(ann, "raid") is None
    assert await core.platform.subscribe(bob, "raid") == "FORBIDDEN"
    assert [group.has(ws) for ws in (ann, bob)] == [True, False]


async def test_the_bound_of_the_runtime_holds_without_an_option(core: Core) -> None:
    group = Group("raid")
    with capacity.capacity_override(MAX_GROUPS_LOCAL_MEMBERS=1):
        assert await group.join(core.connect())
        before = capacity.events["MAX_GROUPS_LOCAL_MEMBERS", "reject"]
        assert not await group.join(core.connect())
        assert capacity.events["MAX_GROUPS_LOCAL_MEMBERS", "reject"] == before + 1


async def test_what_it_counts(core: Core) -> None:
    group = Group("org:raid", max_members=1)
    ann = core.connect()
    await group.join(ann)
    await group.join(core.connect())
    await group.publish(core.platform, "e")
    await group.leave(ann)
    names = ("joins", "joins_rejected", "leaves", "publishes")
    assert [core.metrics.get(f"group_{name}_total", "org:*") for name in names] == [1, 1, 1, 1]


@pytest.mark.spec("PLAT-177")
async def test_without_a_platform_it_takes_the_connections_or_the_process_s(core: Core) -> None:
    group = Group("raid")
    with pytest.raises(PlatformNotReady, match="Group"):
        await group.publish(None, "e")
    ann = core.connect()
    await group.join(ann)
    currentplatform.set_platform(core.platform, core.settings)
    try:
        await group.publish(None, "e", 1)
    finally:
        currentplatform.forget_platform(core.platform)
    assert events(core, ann)[-1] == ("e", 1, 2)


async def test_nobody_is_told_of_an_end_without_members() -> None:
    group = Group("raid")
    await group.close()
    assert repr(group) == "<Group 'raid' of 0 closed>"


async def test_the_end_of_the_app_empties_it_quietly(core: Core) -> None:
    left: list[Any] = []
    group = Group("raid", meta={"map": "cave"}, on_leave=lambda *who: left.append(who))
    ann = core.connect()
    await group.join(ann)
    await group.set_meta({})
    await core.parts.closing.close(1)
    assert (group.local_members(), left, len(core.parts.departures)) == ([], [], 0)
    assert [event for event, *_ in events(core, ann)] == ["members"]
    other = Core()
    await group.close()
    await group.destroy()
    assert await group.join(other.connect())
    assert await group.get_meta() == {"map": "cave"}


async def test_a_reload_keeps_the_members_and_takes_the_new_callbacks(core: Core) -> None:
    told: list[str] = []
    old = Group("raid", meta={"map": "cave"}, on_leave=lambda *who: told.append("old"))
    ann, bob = core.connect(), core.connect()
    await old.join(ann)
    await old.join(bob)
    await old.set_meta({"map": "lake"})
    same = Group("raid", meta={"map": "cave"}, max_members=2, on_leave=lambda *who: told.append("new"))
    assert not Group("other").adopt(old)
    assert same.adopt(old)
    assert (same.has(ann), await same.get_meta()) == (True, {"map": "lake"})
    assert await same.join(core.connect()) is False
    core.parts.departures.gone(bob)
    await settle()
    assert told == ["new"]
    changed = Group("raid", meta={"map": "field"})
    assert changed.adopt(same)
    assert await changed.get_meta() == {"map": "field"}


async def test_hooks_of_before_a_reload_go_by_the_new_options(core: Core) -> None:
    refused: list[Any] = []
    old = Group("raid")
    assert Group("raid", max_members=1, on_full=lambda ws, role: refused.append(ws)).adopt(old)
    ann, bob = core.connect(), core.connect()
    assert await old.hooks.subscribe(ann, "raid") is None
    assert await old.hooks.subscribe(bob, "raid") is False
    assert refused == [bob]
