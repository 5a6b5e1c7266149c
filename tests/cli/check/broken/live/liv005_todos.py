from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live.stream("todos")
async def todos(ctx) -> list[str]:
    return []


@live.stream("todos")
async def archive(ctx) -> list[str]:
    return []
