from __future__ import annotations

from runtime import LiveError, guard, live

_guard = guard(authenticated=True)


@live
async def join(ctx, seats: int) -> int:
    if seats < 1:
        raise LiveError("CONFLICT", "full")
    return seats - 1
