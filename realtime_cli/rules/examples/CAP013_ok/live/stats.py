from __future__ import annotations

from runtime import live

DOWNLOADS: dict[str, int] = {}


@live.public
@live.rate_limit(points=10, window=10)
@live
async def downloads(ctx, name: str) -> int:
    return DOWNLOADS.get(name, 0)
