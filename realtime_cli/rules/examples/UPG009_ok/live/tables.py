from __future__ import annotations

from runtime import LiveError, Lock, LockCleared, guard, live

_guard = guard(authenticated=True)

TABLES = Lock()


@live
async def close_room(ctx) -> None:
    TABLES.clear()


@live
async def sit(ctx, table: str) -> str:
    async def take() -> str:
        return table

    try:
        return await TABLES.with_lock(f"{ctx.user['id']}:{table}", take)
    except LockCleared:
        raise LiveError("CONFLICT", "the room was closed") from None
