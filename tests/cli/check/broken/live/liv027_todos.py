from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def ring(ctx, user_id: str) -> None:
    await live.push(user_id, "ring")
