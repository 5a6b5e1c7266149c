from __future__ import annotations

from app import database
from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def find(ctx, title: str) -> list[str]:
    return await database.fetch(f"select title from todos where title = '{title}'")
