from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def remind(ctx, text: str) -> None:
    await live.push({"user_id": ctx.user["id"]}, "reminder", text)
