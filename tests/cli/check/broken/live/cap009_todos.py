from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def move(ctx, x: int, y: int) -> None:
    ctx.publish(f"cursor:{ctx.user['id']}", "moved", {"x": x, "y": y})
