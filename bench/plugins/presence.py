"""Presence beside a dict of the users of a topic."""

from __future__ import annotations

import asyncio

from bench.plugins.crowd import Crowd
from bench.plugins.harness import Case, Side
from runtime.core.connection import Connection
from runtime.plugins import Presence

__all__ = ["CASES"]

#: Joins of one turn of the loop.
TURN = 100
ROOMS = 50


async def _join(count: int) -> None:
    crowd, presence = Crowd(), Presence()
    people = [crowd.come(f"user-number-{n % 1000:05d}") for n in range(min(count, 5000))]
    done = 0
    while done < count:
        for ws in people[: count - done]:
            presence.join_nowait(ws, f"room-{done % ROOMS}")
            done += 1
            if done % TURN == 0:
                await asyncio.sleep(0)
        for ws in people:
            presence.leave_nowait(ws)
    await asyncio.sleep(0)
    await presence.close()


async def _note(count: int) -> None:
    rooms: dict[str, dict[str, object]] = {}
    for n in range(count):
        rooms.setdefault(f"room-{n % ROOMS}", {})[f"user-number-{n % 1000:05d}"] = {"id": n}


def _people(entries: int) -> tuple[Crowd, list[Connection]]:
    crowd = Crowd()
    return crowd, [crowd.come(f"user-number-{n:07d}") for n in range(entries)]


async def _connected(entries: int) -> object:
    return _people(entries)


async def _present(entries: int) -> object:
    presence, held = Presence(), _people(entries)
    for n, ws in enumerate(held[1]):
        presence.join_nowait(ws, f"room-{n % ROOMS}")
        if n % TURN == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    return presence, held


CASES = [
    Case(
        plugin="presence",
        operation=f"join and leave, {TURN} joins a turn, {ROOMS} topics",
        ours=Side("presence", run=_join, fill=_present),
        floor=Side("dict per topic; bytes: the connections alone", run=_note, fill=_connected),
        entries=5000,
    )
]
