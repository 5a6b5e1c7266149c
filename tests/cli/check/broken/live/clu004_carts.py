from __future__ import annotations

from runtime import Session, guard, live

_guard = guard(authenticated=True)

CARTS = Session(ttl=3600)


@live
async def cart(ctx) -> list[str]:
    return await CARTS.get(ctx.user["id"]) or []
