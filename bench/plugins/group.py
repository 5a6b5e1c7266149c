"""Groups beside a dict of roles whose connections are subscribed to a topic by hand."""

from __future__ import annotations

import asyncio

from bench.plugins.crowd import Crowd
from bench.plugins.harness import Case, Side
from runtime.plugins import Group

__all__ = ["CASES"]

MEMBERS = 100
TOPIC = "__group:raid-number-00001"


async def _come_and_go(count: int) -> None:
    crowd, group = Crowd(), Group("raid-number-00001")
    people = [crowd.come(f"user-number-{n:05d}") for n in range(MEMBERS)]
    for _ in range(max(1, count // MEMBERS)):
        for ws in people:
            await group.join(ws)
        await asyncio.sleep(0)
        for ws in people:
            await group.leave(ws)
        await asyncio.sleep(0)
    await group.close()


async def _come_and_go_floor(count: int) -> None:
    """Keeps roles and topic, and tells the others nothing."""
    crowd = Crowd()
    roles: dict[object, str] = {}
    people = [crowd.come(f"user-number-{n:05d}") for n in range(MEMBERS)]
    for _ in range(max(1, count // MEMBERS)):
        for ws in people:
            roles[ws] = "member"
            ws.subscribe(TOPIC)
        await asyncio.sleep(0)
        for ws in people:
            del roles[ws]
            ws.unsubscribe(TOPIC)
        await asyncio.sleep(0)


async def _publish(count: int) -> None:
    crowd, group = Crowd(), Group("raid-number-00001")
    for n in range(MEMBERS):
        await group.join(crowd.come(f"user-number-{n:05d}"))
    for n in range(count):
        group.publish_nowait(crowd.platform, "moved", {"n": n})
        await asyncio.sleep(0)
    await group.close()


async def _publish_floor(count: int) -> None:
    crowd = Crowd()
    for n in range(MEMBERS):
        crowd.come(f"user-number-{n:05d}").subscribe(TOPIC)
    for n in range(count):
        crowd.platform.publish(TOPIC, "moved", {"n": n})
        await asyncio.sleep(0)


async def _publish_to_role(count: int) -> None:
    crowd, group = Crowd(), Group("raid-number-00001")
    for n in range(MEMBERS):
        await group.join(crowd.come(f"user-number-{n:05d}"), role="member" if n % 10 else "admin")
    for n in range(count):
        group.publish_nowait(crowd.platform, "moved", {"n": n}, "admin")
        await asyncio.sleep(0)
    await group.close()


async def _in_groups(entries: int) -> object:
    crowd = Crowd()
    groups = [Group(f"raid-number-{n:05d}") for n in range(max(1, entries // 50))]
    people = [crowd.come(f"user-number-{n:07d}") for n in range(entries)]
    for n, ws in enumerate(people):
        await groups[n % len(groups)].join(ws)
    await asyncio.sleep(0)
    return crowd, groups, people


async def _in_groups_floor(entries: int) -> object:
    crowd = Crowd()
    groups = max(1, entries // 50)
    roles: list[dict[object, str]] = [{} for _ in range(groups)]
    people = [crowd.come(f"user-number-{n:07d}") for n in range(entries)]
    for n, ws in enumerate(people):
        roles[n % groups][ws] = "member"
        ws.subscribe(f"__group:raid-number-{n % groups:05d}")
    return crowd, roles, people


CASES = [
    Case(
        "group",
        f"`join` or `leave` of {MEMBERS}, who are told of each other",
        Side("ours", _come_and_go, _in_groups),
        Side("a dict of roles and a subscription; nobody is told", _come_and_go_floor, _in_groups_floor),
        entries=5000,
    ),
    Case(
        "group",
        f"`publish` to {MEMBERS}, one a turn",
        Side("ours", _publish),
        Side("`platform.publish`", _publish_floor),
    ),
    Case(
        "group",
        f"`publish` to the 10 of {MEMBERS} with a role, one a turn",
        Side("ours", _publish_to_role),
        Side("`platform.publish` to all", _publish_floor),
    ),
]
