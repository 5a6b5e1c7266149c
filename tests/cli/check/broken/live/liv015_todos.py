from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


async def _is_admin(user) -> bool:
    return user["role"] == "admin"


@live
async def warn(ctx, text: str) -> None:
    ctx.platform.send_to(_is_admin, "alerts", "warn", text)
