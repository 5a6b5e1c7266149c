"""A number that every open page shares."""

from __future__ import annotations

from runtime import Ctx, live

_state: dict[str, int] = live.keep("state", dict)  # survives a reload of this file


@live.public
@live.stream("count", merge="set")
async def count(ctx: Ctx) -> int:
    """The number now; pages follow every change."""
    return _state.get("count", 0)


@live.public
@live
async def add(ctx: Ctx, step: int = 1) -> int:
    """Change the number for everybody."""
    _state["count"] = _state.get("count", 0) + step
    ctx.publish("count", "set", _state["count"])
    return _state["count"]
