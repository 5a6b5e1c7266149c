from __future__ import annotations

from runtime import Lock, guard, live

_guard = guard(authenticated=True)

BOOKING = Lock()


@live
async def book(ctx, seat: str) -> str:
    async def take() -> str:
        return seat

    return await BOOKING.with_lock(f"{ctx.user['id']}:{seat}", take)
