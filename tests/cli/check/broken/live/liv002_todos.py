from __future__ import annotations

from app import database
from runtime import guard, live

_guard = guard(authenticated=True)


@live.public
@live
async def remove(ctx, number: int) -> None:
    await database.delete(number)
