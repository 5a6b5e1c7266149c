from __future__ import annotations

from app import require_member

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def rename(ctx, org: str, title: str) -> None:
    await require_member(ctx, org)
    ctx.publish(f"org:{org}", "updated", {"title": title})
