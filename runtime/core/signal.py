"""Tells code that runs for somebody that nobody waits for it any more."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Signal"]


class Signal:
    """Tells a running call that nobody waits for it any more. Spec: design page, translation rule 4."""

    __slots__ = ("_event", "reason")

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None
        self.reason: Any = None

    @property
    def aborted(self) -> bool:
        """Whether the signal has fired."""
        return self.reason is not None

    def abort(self, reason: Any) -> None:
        """Fire once with `reason`; later calls change nothing."""
        if self.reason is None:
            self.reason = reason
            if self._event is not None:
                self._event.set()

    async def wait(self) -> Any:
        """Wait until the signal fires and return its reason. Without a bound: the caller's own task is the bound."""
        if self.reason is None:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()
        return self.reason
