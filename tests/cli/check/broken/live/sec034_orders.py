from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live.stream("sec034", access=live.access.role({"staff": True}))
async def orders(ctx) -> list[str]:
    return []
