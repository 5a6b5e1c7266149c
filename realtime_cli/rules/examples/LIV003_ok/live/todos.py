from __future__ import annotations

import asyncio

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def rename(ctx, title: str) -> str:
    await asyncio.sleep(1)
    return title
