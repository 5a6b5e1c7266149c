from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def follow(ctx, number: int) -> None:
    await require_member(ctx, number)
    ctx.platform.subscribe(ctx.ws, f"list:{number}")


async def require_member(ctx, number: int) -> None: ...
