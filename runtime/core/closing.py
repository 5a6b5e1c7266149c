"""What a worker closes when it stops, besides its own parts: the plugins that were used with it.

Spec: platform 1.9 (shutdown, steps 6 and 8) and 7.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Protocol

from runtime.core import capacity
from runtime.core.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Closable", "Closing"]

logger = logging.getLogger("realtime.plugins")


class Closable(Protocol):
    """What can belong to a worker and end with it."""

    @property
    def label(self) -> str:
        """Its name in logs."""

    def flush(self) -> None:
        """Send what waits to be sent; called while connections are still there."""

    async def close(self) -> None:
        """Cancel timers and tasks, release who waits, forget the rest."""

    def sizes(self) -> Mapping[str, int]:
        """Return how full it is, by the constant that bounds it."""


class Closing:
    """The things that end with one worker, kept weakly: what nobody uses any more is not kept for its end.

    At `MAX_PLUGINS` further ones are not taken up: they work, but their timers are only ended with the process.
    """

    __slots__ = ("_things", "closed")

    def __init__(self) -> None:
        #: Whether the worker has closed what belonged to it; nothing is taken up any more.
        self.closed = False
        self._things: weakref.WeakSet[Closable] = weakref.WeakSet()

    def __len__(self) -> int:
        return len(self._things)

    def __iter__(self) -> Iterator[Closable]:
        return iter(list(self._things))

    def add(self, thing: Closable) -> bool:
        """Close `thing` with the worker; return whether it is taken up."""
        if self.closed:
            return False
        if len(self._things) >= capacity.get("MAX_PLUGINS") and thing not in self._things:
            capacity.record("MAX_PLUGINS", "skip", hint="make plugins once, at the top of a module")
            return False
        self._things.add(thing)
        return True

    def discard(self, thing: Closable) -> None:
        """Forget `thing`, which was closed by somebody else."""
        self._things.discard(thing)

    def flush(self) -> None:
        """Let everything send what waits to be sent; one that fails does not keep the others from it."""
        for thing in list(self._things):
            try:
                thing.flush()
            except Exception:
                logger.exception("shutdown: %s could not be flushed; going on", thing.label)

    async def close(self, timeout: float) -> None:
        """Close everything at once, within `timeout` seconds; what fails or hangs does not keep the others open."""
        self.closed = True
        owner = TaskOwner("plugins")
        for thing in list(self._things):
            owner.start(thing.close(), name=f"close {thing.label}")
        if not await owner.wait_idle(timeout=timeout):
            logger.warning("shutdown: %d plugins did not close within %g s", owner.running, timeout)
        await owner.close()
        self._things.clear()

    def sizes(self) -> dict[str, int]:
        """Return by constant how full the fullest of the things that it bounds is."""
        found: dict[str, int] = {"MAX_PLUGINS": len(self._things)}
        for thing in list(self._things):
            for name, size in thing.sizes().items():
                found[name] = max(found.get(name, 0), size)
        return found
