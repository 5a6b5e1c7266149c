from __future__ import annotations

from topics import TOPICS

from runtime import guard, live

_guard = guard(authenticated=True)


assert TOPICS


@live
async def rename(ctx, title: str) -> None:
    ctx.publish("todos", "renamed", {"title": title})
