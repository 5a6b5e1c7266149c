from __future__ import annotations

from runtime import Lock, guard, live

_guard = guard(authenticated=True)

TABLES = Lock()


@live
async def close_room(ctx) -> None:
    TABLES.clear()
