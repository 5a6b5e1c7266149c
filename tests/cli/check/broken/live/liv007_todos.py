from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


async def add(ctx, title: str) -> str:
    return title.strip()
