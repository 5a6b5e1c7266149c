"""Streams of the load cases: rows that are reshaped on their way out, and rows that a thousand pages ask for at once.

A publish through `ctx` runs the transform of the topic's stream, and the counters tell how often.
"""

from __future__ import annotations

import asyncio
from typing import Any

from runtime import guard, live

ROWS = [{"id": number, "title": f"row {number}", "done": number % 3 == 0} for number in range(20)]
QUERY = 0.005  # seconds that the store takes for a read
STORE = asyncio.Semaphore(10)  # the connections that the store has
PADDING = "x" * 120

_guard = guard(authenticated=True)
_counts = {"publishes": 0, "transforms": 0, "loads": 0}


def without_owner(item: dict[str, Any]) -> dict[str, Any]:
    """Keep what everybody may see, and count the run."""
    _counts["transforms"] += 1
    return {"n": item["n"], "text": item["text"]}


@live.stream("shaped", merge="latest", max=1, transform=without_owner)
async def shaped(ctx: Any) -> list[Any]:
    """Offer events that a transform goes over."""
    return []


@live.stream("plain", merge="latest", max=1)
async def plain(ctx: Any) -> list[Any]:
    """Offer the same events as they are."""
    return []


@live
async def burst(ctx: Any, topic: str, count: int, per_turn: int) -> None:
    """Publish numbered events with a field that not everybody may see, or without it where nothing takes it out."""
    for number in range(count):
        item: dict[str, Any] = {"n": number, "text": PADDING}
        if topic == "shaped":
            item["owner"] = "somebody"
        _counts["publishes"] += 1
        ctx.publish(topic, "tick", item)
        if (number + 1) % per_turn == 0:
            await asyncio.sleep(0)


async def _read() -> list[dict[str, Any]]:
    _counts["loads"] += 1
    async with STORE:
        await asyncio.sleep(QUERY)
    return ROWS


@live.stream("shared", invalidate_on="shared-source")
async def shared(ctx: Any) -> list[dict[str, Any]]:
    """Load what is the same for everybody, as `invalidate_on` says."""
    return await _read()


@live.stream("own")
async def own(ctx: Any) -> list[dict[str, Any]]:
    """Load what may be another for each subscriber."""
    return await _read()


@live
async def counts(ctx: Any) -> dict[str, int]:
    """Return the counters and begin anew."""
    found = dict(_counts)
    _counts.update(dict.fromkeys(_counts, 0))
    return found
