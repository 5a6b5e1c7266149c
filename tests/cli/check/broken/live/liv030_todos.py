from __future__ import annotations

from app import database

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def profile(ctx) -> dict[str, str]:
    user_row = await database.user(ctx.user["id"])
    return user_row
