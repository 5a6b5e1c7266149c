from __future__ import annotations

from runtime import live


async def _guard(ctx) -> bool:
    return ctx.user is not None


@live
async def rename(ctx, title: str) -> str:
    return title.strip()
