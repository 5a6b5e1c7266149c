from __future__ import annotations

from runtime import guard, live

_guard = guard(authenticated=True)


@live.cron("0 6 * * *")
async def send_digest(ctx) -> None:
    await ctx.publish("clu009-digest", "ready", None)
