from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live.upload(max_size=1024 * 1024, max_concurrent_total=100)
async def put(ctx) -> int:
    size = 0
    while True:
        size += 1
