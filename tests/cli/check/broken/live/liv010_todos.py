from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live.stream("todos", volatile=True, replay=True)
async def todos(ctx) -> list[str]:
    return []
