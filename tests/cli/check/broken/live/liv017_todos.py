from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def join(ctx, seats: int) -> int:
    if seats < 1:
        raise ValueError("full")
    return seats - 1
