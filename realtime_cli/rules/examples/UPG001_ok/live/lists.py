from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def create(ctx, name: str) -> str:
    return name.strip()
