from __future__ import annotations

import time

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def rename(ctx, title: str) -> str:
    time.sleep(1)
    return title
