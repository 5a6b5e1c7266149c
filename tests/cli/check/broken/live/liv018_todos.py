from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def follow(ctx) -> None:
    ctx.ws.subscribe(f"list:{ctx.user['id']}")
