from __future__ import annotations

from services import registry

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def online(ctx) -> int:
    return await registry.count()
