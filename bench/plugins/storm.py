"""`python -m bench.plugins.storm`: what it costs when everybody joins one topic at once.

The transports only count, so the times are those of the server's own work. What is sent follows from the number of
turns over which the joins come: a frame with the state per member, and per turn one diff to who is there by then.
"""

from __future__ import annotations

import asyncio
import time

from bench.plugins.crowd import Crowd
from runtime.plugins import Presence

__all__ = ["storm"]

MEMBERS = 5000
TURNS = (1, 10, 100, 1000)


async def storm(members: int, turns: int) -> tuple[int, int, float]:
    """Let `members` join one topic over `turns` turns; return frames, bytes and seconds."""
    crowd, presence = Crowd(), Presence()
    people = [crowd.come(f"user-number-{n:05d}") for n in range(members)]
    started = time.perf_counter()
    for turn in range(turns):
        for ws in people[turn * members // turns : (turn + 1) * members // turns]:
            presence.join_nowait(ws, "room")
        presence.flush_diffs()
        crowd.outbox.flush()
    took = time.perf_counter() - started
    frames = crowd.metrics.total("ws_deliveries_total") + members
    sent = sum(meter.bytes for meter in crowd.meters)
    await presence.close()
    return frames, sent, took


async def main() -> None:
    print("| joins come over | frames sent | per member | bytes sent | server time | joins per second |")
    print("|---|---|---|---|---|---|")
    for turns in TURNS:
        frames, sent, took = await storm(MEMBERS, turns)
        print(
            f"| {turns} turn{'s' * (turns > 1)} | {frames:,} | {frames / MEMBERS:,.1f} | {sent / 1e6:,.0f} MB "
            f"| {took:.2f} s | {MEMBERS / took:,.0f} |"
        )


if __name__ == "__main__":
    asyncio.run(main())
