"""What the load cases call: an echo, and a burst of publishes."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime import live

TOPIC = "bench"
PADDING = "x" * 120


@live.public
@live
async def echo(ctx: Any, value: int) -> int:
    """Give the argument back."""
    return value


@live.public
@live
async def burst(ctx: Any, count: int, per_turn: int) -> None:
    """Publish numbered events, so many per turn of the loop."""
    for number in range(count):
        ctx.publish(TOPIC, "tick", {"n": number, "text": PADDING})
        if (number + 1) % per_turn == 0:
            await asyncio.sleep(0)
