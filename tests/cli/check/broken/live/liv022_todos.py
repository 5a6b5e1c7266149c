from __future__ import annotations

import asyncio

from runtime import guard, live

_guard = guard(authenticated=True)


async def _mail(text: str) -> None:
    await asyncio.sleep(0)


@live
async def send(ctx, text: str) -> None:
    asyncio.create_task(_mail(text))
