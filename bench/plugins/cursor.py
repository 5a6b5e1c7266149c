"""Cursors beside a dict of the last place of each connection."""

from __future__ import annotations

import asyncio

from bench.plugins.crowd import Crowd
from bench.plugins.harness import Case, Side
from runtime.plugins import Cursor

__all__ = ["CASES"]

MOVERS = 100


async def _updates(count: int, throttle: float) -> None:
    crowd, cursors = Crowd(), Cursor(throttle=throttle)
    people = [crowd.come(f"user-number-{n:05d}") for n in range(MOVERS)]
    for ws in people:
        await cursors.attach(ws, "canvas")
    for n in range(count):
        cursors.update_nowait(people[n % MOVERS], "canvas", {"x": n, "y": n})
        if n % MOVERS == 0:
            await asyncio.sleep(0)
    await cursors.close()


async def _moving(count: int) -> None:
    await _updates(count, 0.05)


async def _told(count: int) -> None:
    await _updates(count, 0)


async def _note(count: int) -> None:
    places: dict[str, object] = {}
    for n in range(count):
        places[f"user-number-{n % MOVERS:05d}"] = {"x": n, "y": n}


async def _people(entries: int) -> object:
    crowd = Crowd()
    return crowd, [crowd.come(f"user-number-{n:07d}") for n in range(entries)]


async def _pointing(entries: int) -> object:
    crowd, cursors = Crowd(), Cursor(throttle=0)
    people = [crowd.come(f"user-number-{n:07d}") for n in range(entries)]
    for n, ws in enumerate(people):
        cursors.update_nowait(ws, f"canvas-{n % 50}", {"x": n, "y": n})
    return crowd, cursors, people


CASES = [
    Case(
        plugin="cursor",
        operation=f"update inside the window, {MOVERS} movers",
        ours=Side("cursor", run=_moving, fill=_pointing),
        floor=Side("dict; bytes: the connections alone", run=_note, fill=_people),
        entries=5000,
    ),
    Case(
        plugin="cursor",
        operation=f"update that is published, to {MOVERS}",
        ours=Side("cursor", run=_told),
        floor=Side("dict", run=_note),
    ),
]
