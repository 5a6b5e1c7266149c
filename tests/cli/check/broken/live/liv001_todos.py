from __future__ import annotations

from runtime import live


@live
async def rename(ctx, title: str) -> str:
    return title.strip()
