"""Worker processes as the parent of `realtime dev` knows them, and what it asks the world to do with them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from realtime_cli.devserver.changes import Changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from realtime_cli.devserver.changes import Layout
    from realtime_cli.devserver.channel import Message

__all__ = ["Outside", "Role", "Worker"]


class Role(enum.Enum):
    """What a worker process is for."""

    STARTING = "starting"
    SERVING = "serving"
    RETIRING = "retiring"
    ABANDONED = "abandoned"


class Outside(Protocol):
    """What the supervision asks the world to do. Workers are named by their number."""

    def spawn(
        self, worker: int, *, may_degrade: bool, changed: Iterable[str], excused: Iterable[str]
    ) -> None:
        """Start a worker process; `changed` are the files because of which, `excused` those that may be broken."""

    def send(self, worker: int, message: Message) -> None:
        """Send a message to a worker; one that is gone is reported as exited anyway."""

    def kill(self, worker: int) -> None:
        """End a worker process by force."""

    def use_layout(self, layout: Layout) -> None:
        """Sort changes by these folders from now on."""

    def serves(self, *, first: bool, duration: float) -> None:
        """Say that a worker serves now, after `duration` seconds; with `first` that the server is up."""

    def hold(self, active: bool) -> None:
        """Keep our lines off the terminal while a debugger has it; show them when it is free again."""

    def note(self, event: str, text: str, **fields: Any) -> None:
        """Show a line on the terminal."""

    def show(self, problems: list[dict[str, Any]]) -> None:
        """Show mistakes on the terminal."""


@dataclass(slots=True)
class Worker:
    """One worker process, as the parent knows it."""

    number: int
    role: Role
    since: float
    batch: Changes = field(default_factory=Changes)
    """What it was started for."""
    held: Changes = field(default_factory=Changes)
    """The part of the batch that the serving worker can take in, and is told of if this one fails."""
    later: Changes = field(default_factory=Changes)
    """What changed while it started."""
    failing: list[str] = field(default_factory=list)
    """Broken files of which it never had working code."""
    kill_at: float | None = None
    answer_by: float | None = None
    """When what it was asked last must be answered."""
    note_at: float | None = None
    """When the user is told that it is still not up."""
    is_stuck: bool = False
    is_rescue: bool = False
    """Whether it was started only because the serving one is stuck."""
    is_debugging: bool = False

    @property
    def causes(self) -> list[str]:
        """The files because of which it was started."""
        return sorted(self.batch.restart | self.batch.python) or sorted(self.batch.live)
