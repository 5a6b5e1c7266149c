from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live.cron("61 * * * *", "tick")
async def tick(ctx) -> int:
    return 1
