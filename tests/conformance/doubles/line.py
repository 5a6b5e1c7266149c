"""The line to a store that is far away: a command takes some turns of the loop there, runs alone, and some back.

Doubles of primitives keep their state behind one, as their cluster twins keep it in a server. So what the suites ask
for cannot rest on anything being done at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Line"]

T = TypeVar("T")


class Line:
    """Runs scripts of a store, each alone. Who stops waiting does not stop the script, once it is on its way."""

    def __init__(self, turns: int = 4) -> None:
        self._turns = turns

    async def run(self, script: Callable[[], T]) -> T:
        """Return what `script` returns, some turns later."""
        return await asyncio.shield(self._travel(script))

    async def _travel(self, script: Callable[[], T]) -> T:
        for _ in range(self._turns):
            await asyncio.sleep(0)
        result = script()
        for _ in range(self._turns):
            await asyncio.sleep(0)
        return result
