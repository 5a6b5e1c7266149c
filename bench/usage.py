"""What the processes of one group have used: processor time and memory, from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.case import CannotMeasure

PROC = Path("/proc")


def _members(group: int) -> Iterator[Path]:
    """Return the folders of the processes in a process group."""
    if not (PROC / "self" / "statm").exists():
        raise CannotMeasure("needs the /proc of Linux")
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[2]) == group:
            yield folder


def cpu_seconds(group: int) -> float:
    """Return the seconds that all threads of a process group have run so far."""
    total = 0
    for folder in _members(group):
        for thread in (folder / "task").iterdir():
            try:
                total += int((thread / "schedstat").read_text().split()[0])
            except FileNotFoundError as missing:
                if not (PROC / "self" / "schedstat").exists():
                    raise CannotMeasure("needs a kernel that counts the time of each thread") from missing
    return total / 1e9


def resident_bytes(group: int) -> int:
    """Return the resident memory of a process group."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int((folder / "statm").read_text().split()[1]) * page for folder in _members(group))


@dataclass(slots=True)
class Stretch:
    """The processor time of a process group between two marks of the generator, "begin" and "end"."""

    group: int
    _taken: dict[str, tuple[float, float]] = field(default_factory=dict)

    def note(self, mark: str) -> None:
        """Take the time at a mark."""
        self._taken[mark] = (time.monotonic(), cpu_seconds(self.group))

    @property
    def percent(self) -> float:
        """The share of a core that was used, in percent."""
        (began, before), (ended, after) = self._taken["begin"], self._taken["end"]
        return 100 * (after - before) / (ended - began)
