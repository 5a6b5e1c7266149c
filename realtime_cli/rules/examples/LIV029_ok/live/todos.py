from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def rename(ctx, title: str) -> str:
    current_user = ctx.user
    return f"{current_user}: {title}"
