from __future__ import annotations

from app import database

from runtime import guard, live

_guard = guard(authenticated=True)


@live.public
@live.stream("liv026-report")
async def report(ctx) -> list[dict[str, int]]:
    return await database.report()
