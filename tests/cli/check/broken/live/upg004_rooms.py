from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def watch(ctx, room: str) -> bool:
    if ctx.platform.check_subscribe(ctx.ws, "news"):
        return False
    return room == "news"
