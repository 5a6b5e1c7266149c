"""How a plugin is measured: operations per second and bytes per entry, in turns with a floor, in one process.

A module of this package that has a list `CASES` is found by itself. The floor is what an app would write without the
plugin (a dict, an `asyncio.Lock`); the ratio says what the plugin's bounds, clock and protocol cost.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

__all__ = ["Case", "Figures", "Side", "measure"]

#: Does the operation so many times.
Run = Callable[[int], Awaitable[None]]
#: Returns an object that holds so many entries.
Fill = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Side:
    """One thing that is measured."""

    name: str
    run: Run | None = None
    fill: Fill | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One operation of a plugin, and its floor. `plugin` names the row's group: the module of the plugin."""

    plugin: str
    operation: str
    ours: Side
    floor: Side
    #: Entries for the bytes; fewer where one is large.
    entries: int = 20_000


@dataclass(slots=True)
class Figures:
    """What came out of one case; lists are the rounds. Bytes are `None` where there are no entries."""

    plugin: str
    operation: str
    floor: str
    ours_rate: list[float] = field(default_factory=list)
    floor_rate: list[float] = field(default_factory=list)
    ours_bytes: float | None = None
    floor_bytes: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as long as the floor's an operation takes."""
        if not self.ours_rate or not self.floor_rate:
            return None
        return statistics.median(self.floor_rate) / statistics.median(self.ours_rate)


async def measure(case: Case, *, rounds: int, stretch: float) -> Figures:
    """Measure one case: `rounds` rounds in which both sides work for about `stretch` seconds in turn."""
    figures = Figures(case.plugin, case.operation, case.floor.name)
    if case.ours.run is not None and case.floor.run is not None:
        counts = [await _count_for(run, stretch) for run in (case.ours.run, case.floor.run)]
        for _ in range(rounds):
            figures.ours_rate.append(await _rate(case.ours.run, counts[0]))
            figures.floor_rate.append(await _rate(case.floor.run, counts[1]))
    if case.ours.fill is not None:
        figures.ours_bytes = await _bytes(case.ours.fill, case.entries)
    if case.floor.fill is not None:
        figures.floor_bytes = await _bytes(case.floor.fill, case.entries)
    return figures


async def _count_for(run: Run, stretch: float) -> int:
    """Return about how many operations fill `stretch` seconds; what is measured here is not counted."""
    count = 100
    while True:
        took = await _seconds(run, count)
        if took >= stretch / 4:
            return max(1, int(count * stretch / took))
        count *= 4


async def _rate(run: Run, count: int) -> float:
    return count / await _seconds(run, count)


async def _seconds(run: Run, count: int) -> float:
    gc.collect()
    gc.disable()
    try:
        started = time.perf_counter()
        await run(count)
        return time.perf_counter() - started
    finally:
        gc.enable()
        await asyncio.sleep(0)


async def _bytes(fill: Fill, entries: int) -> float:
    await fill(64)  # what is made once is not an entry's
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = await fill(entries)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        del held
        return (after - before) / entries
    finally:
        tracemalloc.stop()
