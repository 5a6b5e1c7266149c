from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def ring(ctx) -> None:
    ctx.publish("__signal:1", "ring", None)
