"""How many upgrades are completed in one turn of the event loop. Spec: platform 1.6 step 9.

A storm of reconnecting clients would otherwise be accepted in one turn, in which nobody else is served.
"""

from __future__ import annotations

import asyncio
from collections import deque

from runtime.core import capacity

__all__ = ["TurnBudget"]

DEFERRED = "MAX_DEFERRED_UPGRADES"


class TurnBudget:
    """Lets `budget` upgrades through in each turn of the loop; the others wait for theirs, first come, first served."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._left = budget
        self._is_turning = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Number of upgrades that wait for a turn."""
        return len(self._waiting)

    async def turn(self) -> bool:
        """Return `True` when it is the caller's turn; `False`, at once, when too many wait already."""
        if self._left and not self._waiting:
            self._left -= 1
            self._turn_later()
            return True
        if len(self._waiting) >= capacity.get(DEFERRED):
            capacity.record(DEFERRED, "reject", hint="raise [websocket.upgrade_admission] per_tick_budget")
            return False
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        self._turn_later()
        await mine
        return True

    def _turn_later(self) -> None:
        if not self._is_turning:
            self._is_turning = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._is_turning = False
        self._left = self._budget
        while self._left and self._waiting:
            mine = self._waiting.popleft()
            if not mine.done():  # else its task was cancelled
                mine.set_result(None)
                self._left -= 1
        if self._left < self._budget:
            self._turn_later()
