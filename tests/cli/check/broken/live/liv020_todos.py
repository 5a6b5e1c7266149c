from __future__ import annotations

from runtime.plugins import Dedup

from runtime import guard, live

_guard = guard(authenticated=True)


dedup = Dedup()


@live
async def send(ctx, message_id: str) -> bool:
    return dedup.claim(message_id)
