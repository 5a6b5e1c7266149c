from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def warn(ctx, text: str) -> None:
    ctx.platform.send_to(lambda user: user["role"] == "admin", "alerts", "warn", text)
