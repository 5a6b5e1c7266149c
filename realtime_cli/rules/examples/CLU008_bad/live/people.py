from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def online(ctx) -> int:
    return ctx.platform.connections
