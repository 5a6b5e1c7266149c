from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def add(ctx, data) -> None:
    print(data)
