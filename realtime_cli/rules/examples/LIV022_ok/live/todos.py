from __future__ import annotations

import asyncio

from runtime import guard, live

_guard = guard(authenticated=True)


TASKS: set[asyncio.Task[None]] = set()


async def _mail(text: str) -> None:
    await asyncio.sleep(0)


@live
async def send(ctx, text: str) -> None:
    task = asyncio.create_task(_mail(text))
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)
