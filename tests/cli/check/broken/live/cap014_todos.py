from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


SEEN: dict[str, bool] = {}


@live
async def see(ctx, title: str) -> None:
    SEEN[title] = True
