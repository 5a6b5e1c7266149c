"""One load of the live modules: its registry, the calls that run in it, and the tasks that belong to it.

A call ends in the generation in which it began; a generation that was replaced closes after its last call.
Spec: design page, decision 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.core.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.live.registry import Registry

__all__ = ["Generation"]


class Generation:
    """A registry in force, until the next one replaces it."""

    __slots__ = ("_on_drained", "_retired", "number", "registry", "running", "tasks")

    def __init__(self, number: int, registry: Registry) -> None:
        self.number = number
        self.registry = registry
        self.tasks = TaskOwner(f"live generation {number}")
        self.running = 0
        self._retired = False
        self._on_drained: Callable[[Generation], object] | None = None

    def enter(self) -> None:
        """Note that a call began."""
        self.running += 1

    def exit(self) -> None:
        """Note that a call ended."""
        self.running -= 1
        self._maybe_drained()

    def retire(self, on_drained: Callable[[Generation], object]) -> None:
        """Take no new calls from here on; `on_drained(self)` runs when the last one has ended."""
        self._retired = True
        self._on_drained = on_drained
        self._maybe_drained()

    def _maybe_drained(self) -> None:
        if self._retired and self.running == 0 and self._on_drained is not None:
            callback, self._on_drained = self._on_drained, None
            callback(self)
