"""What a client sees of presence and cursors when it follows the frames of its connection. Spec: wire 6.1 and 6.2."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime.core.connection import Connection
from tests.unit.core.parts import Core

__all__ = ["pointers", "roster", "settle", "system_events"]

#: More turns of the loop than anything slow needs.
TURNS = 60


async def settle() -> None:
    """Let everything that is under way arrive."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def system_events(core: Core, ws: Connection, prefix: str, topic: str) -> list[tuple[str, Any]]:
    """Return (event, data) of the frames of one system topic."""
    return [(event, data) for name, event, data, _ in core.events(ws) if name == prefix + topic]


def roster(core: Core, ws: Connection, topic: str) -> dict[str, Any]:
    """Return key to data of those whom the client shows."""
    seen: dict[str, Any] = {}
    for event, data in system_events(core, ws, "__presence:", topic):
        if event == "presence_state":
            seen = dict(data)
        elif event == "presence_diff":
            assert set(data) == {"joins", "leaves"}
            for key in data["leaves"]:
                seen.pop(key, None)
            seen.update(data["joins"])
    return seen


def pointers(core: Core, ws: Connection, topic: str) -> dict[str, Any]:
    """Return key to entry of the cursors that the client shows."""
    seen: dict[str, Any] = {}
    for event, data in system_events(core, ws, "__cursor:", topic):
        if event == "remove":
            seen.pop(data["key"], None)
            continue
        if event == "snapshot":
            seen.clear()
        for entry in [data] if event == "update" else data:
            seen[entry["key"]] = entry
    return seen
