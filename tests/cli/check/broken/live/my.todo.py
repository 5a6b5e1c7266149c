from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def count(ctx, title: str) -> int:
    return len(title)
