from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live.stream(lambda ctx, org: f"org:{org}")
async def todos(ctx, org: str) -> list[str]:
    return []
