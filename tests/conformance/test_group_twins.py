"""What every group does, in this process or shared: one suite. Spec: platform 7.8, cluster 18.3, wire 6.3."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import pytest

from runtime.core.connection import Connection
from runtime.plugins import Group, GroupProtocol
from runtime.plugins.protocols import Role
from tests.conformance.doubles.slow_group import SlowGroup
from tests.conformance.twins import TURNS, Factory, settle

TWINS: dict[str, Callable[..., GroupProtocol]] = {"memory": Group, "slow": SlowGroup}
pytestmark = pytest.mark.spec("PLAT-140")
TOPIC = "__group:raid"


@pytest.fixture(params=TWINS)
def factory(request: pytest.FixtureRequest) -> Factory[GroupProtocol]:
    return Factory(TWINS[request.param])


def seen(factory: Factory[Any], ws: Connection) -> list[tuple[str, Any]]:
    """Return (event, data) of what a connection got of the group; counts are left out, since they may be missing."""
    found = []
    for topic, event, data, _ in factory.core.events(ws):
        if topic == TOPIC:
            if event in ("join", "leave"):
                data = {key: value for key, value in data.items() if key != "count"}
            found.append((event, data))
    return found


@pytest.mark.spec("WIRE-111")
async def test_the_others_are_told_and_the_joiner_gets_the_members(factory: Factory[GroupProtocol]) -> None:
    group = factory.make("raid")
    ann, bob = factory.core.connect(), factory.core.connect()
    assert await group.join(ann, role="admin") is True
    assert await group.join(bob) is True
    assert seen(factory, ann) == [("members", [{"role": "admin"}]), ("join", {"role": "member"})]
    [(event, data)] = seen(factory, bob)
    assert event == "members"
    assert sorted(entry["role"] for entry in data) == ["admin", "member"]
    assert ann.is_subscribed(TOPIC)


async def test_who_is_in_stays_as_it_is(factory: Factory[GroupProtocol]) -> None:
    group, ann = factory.make("raid", max_members=1), factory.core.connect()
    assert await group.join(ann, role="admin")
    assert await group.join(ann, role="viewer") is True
    assert group.local_members() == [(ann, "admin")]
    assert len(seen(factory, ann)) == 1


async def test_a_full_group_takes_nobody(factory: Factory[GroupProtocol]) -> None:
    refused: list[Any] = []
    group = factory.make("raid", max_members=1, on_full=lambda ws, role: refused.append((ws, role)))
    ann, bob = factory.core.connect(), factory.core.connect()
    assert await group.join(ann)
    assert await group.join(bob, role="viewer") is False
    assert refused == [(bob, "viewer")]
    assert not bob.is_subscribed(TOPIC)
    assert (seen(factory, bob), len(seen(factory, ann))) == ([], 1)
    await group.leave(ann)
    assert await group.join(bob) is True


@pytest.mark.parametrize("role", ["owner", "", None, 3])
async def test_another_role_is_an_error(factory: Factory[GroupProtocol], role: Any) -> None:
    group, ann = factory.make("raid"), factory.core.connect()
    with pytest.raises(ValueError, match="role"):
        await group.join(ann, factory.core.platform, role)
    assert not group.has(ann)
    if role is not None:
        with pytest.raises(ValueError, match="role"):
            await group.publish(factory.core.platform, "hi", None, role)


async def test_leaving_is_told_to_those_who_stay(factory: Factory[GroupProtocol]) -> None:
    left: list[Any] = []
    group = factory.make("raid", on_leave=lambda ws, role: left.append((ws, role)))
    ann, bob = factory.core.connect(), factory.core.connect()
    await group.join(ann)
    await group.join(bob, role="viewer")
    await group.leave(bob)
    await group.leave(bob)
    assert seen(factory, ann)[2:] == [("leave", {"role": "viewer"})]
    assert [event for event, _ in seen(factory, bob)] == ["members"]
    assert not bob.is_subscribed(TOPIC)
    assert left == [(bob, "viewer")]
    assert await group.members() == [{"role": "member"}]


async def test_events_go_to_all_or_to_one_role(factory: Factory[GroupProtocol]) -> None:
    group, platform = factory.make("raid"), factory.core.platform
    roles: list[Role] = ["member", "admin", "viewer"]
    peers = {role: factory.core.connect() for role in roles}
    for role, ws in peers.items():
        await group.join(ws, role=role)
    outsider = factory.core.connect()
    await group.publish(platform, "all", 1)
    await group.publish(platform, "staff", 2, "admin")
    await group.publish(platform, "look", 3, role="viewer")
    own = {
        role: [entry for entry in seen(factory, ws) if entry[0] not in ("members", "join")]
        for role, ws in peers.items()
    }
    assert own == {
        "member": [("all", 1)],
        "admin": [("all", 1), ("staff", 2)],
        "viewer": [("all", 1), ("look", 3)],
    }
    assert seen(factory, outsider) == []


async def test_one_member_can_be_sent_something_and_nobody_else(factory: Factory[GroupProtocol]) -> None:
    group, platform = factory.make("raid"), factory.core.platform
    ann, bob = factory.core.connect(), factory.core.connect()
    await group.join(ann)
    await group.send(platform, ann, "you", {"n": 1})
    await group.send(None, ann, "again")
    assert seen(factory, ann)[1:] == [("you", {"n": 1}), ("again", None)]
    with pytest.raises(ValueError, match="not"):
        await group.send(platform, bob, "you")


async def test_who_is_in(factory: Factory[GroupProtocol]) -> None:
    group = factory.make("raid")
    ann, bob, eve = (factory.core.connect() for _ in range(3))
    assert (await group.count(), await group.members(), group.local_members()) == (0, [], [])
    await group.join(ann, role="admin")
    await group.join(bob)
    assert group.local_members() == [(ann, "admin"), (bob, "member")]
    assert await group.members() == [{"role": "admin"}, {"role": "member"}]
    assert await group.count() == 2
    assert [group.has(ws) for ws in (ann, bob, eve)] == [True, True, False]


async def test_the_end_is_told_once_and_for_good(factory: Factory[GroupProtocol]) -> None:
    ended: list[str] = []
    left: list[Any] = []
    group = factory.make("raid", on_close=lambda: ended.append("end"), on_leave=lambda *who: left.append(who))
    ann, bob = factory.core.connect(), factory.core.connect()
    await group.join(ann)
    await group.close(factory.core.platform)
    await group.close(factory.core.platform)
    assert seen(factory, ann)[1:] == [("close", None)]
    assert not ann.is_subscribed(TOPIC)
    assert (ended, left) == (["end"], [])
    assert await group.join(bob) is False
    assert (await group.count(), group.local_members(), group.has(ann)) == (0, [], False)
    await group.publish(factory.core.platform, "all", 1)
    assert seen(factory, ann)[2:] == []


async def test_what_the_app_keeps_with_it_is_copied(factory: Factory[GroupProtocol]) -> None:
    given = {"map": "cave"}
    group = factory.make("raid", meta=given)
    given["map"] = "field"
    assert await group.get_meta() == {"map": "cave"}
    (await group.get_meta())["map"] = "field"
    assert await group.get_meta() == {"map": "cave"}
    await group.set_meta({"map": "lake"})
    assert await group.get_meta() == {"map": "lake"}
    assert await factory.make("raid").get_meta() == {}


async def test_callbacks_are_waited_for_and_their_failures_change_nothing(
    factory: Factory[GroupProtocol], caplog: pytest.LogCaptureFixture
) -> None:
    joined: list[Any] = []

    async def on_join(ws: Connection, role: Role) -> None:
        await asyncio.sleep(0)
        joined.append((ws, role))
        raise OSError("no")

    def fail(*who: Any) -> None:
        raise OSError("no")

    group = factory.make("raid", max_members=1, on_join=on_join, on_leave=fail, on_full=fail, on_close=fail)
    ann, bob = factory.core.connect(), factory.core.connect()
    with caplog.at_level(logging.ERROR):
        assert await group.join(ann, role="admin") is True
        assert joined == [(ann, "admin")]
        assert await group.join(bob) is False
        await group.leave(ann)
        await group.close()
    assert len(caplog.records) == 4
    assert await group.count() == 0


@pytest.mark.parametrize("end", ["close", "leave"])
async def test_who_is_let_go_while_it_joins_is_not_in(factory: Factory[GroupProtocol], end: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def on_join(*who: Any) -> None:
        begun.set()
        await go_on.wait()

    group = factory.make("raid", on_join=on_join)
    ann = factory.core.connect()
    joining = asyncio.ensure_future(group.join(ann))
    await begun.wait()
    await (group.close() if end == "close" else group.leave(ann))
    go_on.set()
    assert await joining is False
    assert (group.has(ann), ann.is_subscribed(TOPIC), await group.count()) == (False, False, 0)


async def test_the_last_place_is_given_once(factory: Factory[GroupProtocol]) -> None:
    group = factory.make("raid", max_members=3)
    peers = [factory.core.connect() for _ in range(10)]
    found = await asyncio.gather(*(group.join(ws) for ws in peers))
    assert sum(found) == 3
    assert [group.has(ws) for ws in peers] == found
    assert await group.count() == 3


async def test_one_connection_that_joins_twice_at_once_is_in_once(factory: Factory[GroupProtocol]) -> None:
    group, ann = factory.make("raid"), factory.core.connect()
    assert list(await asyncio.gather(group.join(ann), group.join(ann, role="admin"))) == [True, True]
    assert await group.count() == 1
    assert len(seen(factory, ann)) == 1


async def slow(*who: Any) -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def cancelled_after(turns: int, coroutine: Any) -> bool:
    """Cancel after some turns of the loop; return whether that came too late."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(turns):
        await asyncio.sleep(0)
    in_time = task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await settle()
    return not in_time or not task.cancelled()


async def test_a_cancelled_join_is_no_join_wherever_it_waited(factory: Factory[GroupProtocol]) -> None:
    for turns in range(TURNS):
        group = factory.make("raid", max_members=1, on_join=slow, on_leave=slow, on_full=slow)
        ann, bob = factory.core.connect(), factory.core.connect()
        too_late = await cancelled_after(turns, group.join(ann))
        assert group.has(ann) is too_late
        assert ann.is_subscribed(TOPIC) is too_late
        assert await group.count() == int(too_late)
        assert await group.join(bob) is not too_late
        for ws in (ann, bob):
            await group.leave(ws)
        if too_late:
            break
    else:
        raise AssertionError("a join takes too long")
    assert turns > 1


async def test_a_cancelled_leave_is_a_leave_wherever_it_waited(factory: Factory[GroupProtocol]) -> None:
    for turns in range(TURNS):
        group = factory.make("raid", max_members=1, on_leave=slow)
        ann, bob = factory.core.connect(), factory.core.connect()
        await group.join(ann)
        watcher = factory.core.connect(TOPIC)
        too_late = await cancelled_after(turns, group.leave(ann))
        begun = turns > 0
        assert group.has(ann) is not begun
        assert ann.is_subscribed(TOPIC) is not begun
        assert await group.count() == int(not begun)
        assert [event for event, _ in seen(factory, watcher)] == ["leave"] * begun
        assert await group.join(bob) is begun
        if too_late:
            break
    else:
        raise AssertionError("a leave takes too long")
    assert turns > 1


async def test_a_cancelled_refusal_leaves_nothing(factory: Factory[GroupProtocol]) -> None:
    for turns in range(TURNS):
        group = factory.make("raid", max_members=1, on_full=slow)
        ann, bob = factory.core.connect(), factory.core.connect()
        await group.join(ann)
        too_late = await cancelled_after(turns, group.join(bob))
        assert (group.has(bob), await group.count()) == (False, 1)
        if too_late:
            break
    else:
        raise AssertionError("a refusal takes too long")
