"""Scheduled functions and leaders as apps write them, with the types that both type checkers must find."""

from __future__ import annotations

from typing import assert_type
from zoneinfo import ZoneInfo

from runtime import CronCtx, configure_cron, live
from runtime.plugins import Leader, LeaderProtocol


@live.cron("*/5 * * * *", "stats", tz="Europe/Berlin")
async def stats(ctx: CronCtx) -> dict[str, int]:
    """Keep its signature."""
    ctx.publish("news", "created", {"id": 1})
    return {"n": 1}


@live.cron("@daily", tz=ZoneInfo("UTC"), per_worker=True)
def forget() -> None:
    """Take nothing."""


async def uses(ctx: CronCtx) -> None:
    """Call what was declared above, and wire leaders."""
    assert_type(await stats(ctx), dict[str, int])
    forget()
    leader = Leader(key="cron", on_elected=lambda epoch: None)
    shared: LeaderProtocol = leader
    configure_cron(leader=shared)
    configure_cron(leader=leader.is_leader, bus=None)
    configure_cron(leader)
    configure_cron(None)
    assert_type(await leader.wait_elected(5), int)


@live.cron(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a schedule is a text
@live.cron("* * * * *", zone="UTC")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # tz
async def wrong() -> None:
    """Declare what cannot be."""
    configure_cron(leader=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # no leader
