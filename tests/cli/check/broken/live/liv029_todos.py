from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


current_user = None


@live
async def rename(ctx, title: str) -> str:
    global current_user
    current_user = ctx.user
    return title
