from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def rename(ctx, org: str, title: str) -> None:
    ctx.publish(f"org:{org}", "updated", {"title": title})
