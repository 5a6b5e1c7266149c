from __future__ import annotations

from runtime.plugins import Group

from runtime import guard, live

_guard = guard(authenticated=True)


lobby = Group("lobby")


@live
async def join(ctx) -> bool:
    return await lobby.join(ctx.ws)
