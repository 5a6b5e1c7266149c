from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live.stream("__todos")
async def todos(ctx) -> list[str]:
    return []
