"""What every suite of a protocol is handed: a factory that makes one implementation and lets time pass for it.

The suites know nothing else, so that they run on the in-process primitives with a fake clock, on the slow doubles, and
on what keeps its state in a server with real time. For the latter, derive from `Factory`: `make` gives each thing a
prefix of its own in the server, `advance` waits.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tests.unit.core.parts import Core

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Factory", "settle"]

T = TypeVar("T")
#: Turns of the loop in which everything that was begun comes to its end, however slow a double is.
TURNS = 60


@dataclass
class Factory(Generic[T]):
    """Makes implementations of one kind beside one app, whose clock is theirs; a block closes them at its end."""

    kind: Callable[..., T]
    core: Core = field(default_factory=Core)
    made: list[T] = field(default_factory=list)

    def make(self, *args: Any, **options: Any) -> T:
        """Return an empty one, independent of those before."""
        if "clock" in inspect.signature(self.kind).parameters:
            options.setdefault("clock", self.core.clock)
        self.made.append(self.kind(*args, **options))
        return self.made[-1]

    async def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        await self.core.clock.advance(seconds)

    async def __aenter__(self) -> Factory[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self.made:
            close = getattr(one, "close", None)
            if close is not None:
                await close()


async def settle() -> None:
    """Let everything that was begun come to its end."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
