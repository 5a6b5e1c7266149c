from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live.upload(max_size=1024 * 1024 * 1024)
async def video(ctx, title: str) -> int:
    size = 0
    async for chunk in ctx.stream:
        size += len(chunk)
    return size
