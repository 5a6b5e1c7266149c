from __future__ import annotations

from runtime import live

DOWNLOADS: dict[str, int] = {}


@live.public
@live
async def downloads(ctx, name: str) -> int:
    return DOWNLOADS.get(name, 0)
