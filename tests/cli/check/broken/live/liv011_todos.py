from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live.idempotent(key=lambda ctx, title: f"{ctx.user['id']}:{title}")
@live
async def add(ctx, title: str) -> str:
    return title
