from __future__ import annotations

from runtime import LiveError, live


async def _guard(ctx) -> None:
    if ctx.user is None:
        raise LiveError("UNAUTHENTICATED")


@live
async def rename(ctx, title: str) -> str:
    return title.strip()
