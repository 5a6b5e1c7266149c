from __future__ import annotations

import nosuch

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def add(ctx, title: str) -> str:
    return nosuch.add(title)
