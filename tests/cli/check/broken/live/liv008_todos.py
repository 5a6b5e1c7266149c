from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


async def _topic(ctx, org: str) -> str:
    return f"org:{org}"


@live.stream(_topic)
async def todos(ctx, org: str) -> list[str]:
    return []
