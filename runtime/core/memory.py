"""How much memory this process has taken, and how much it may take. Spec: platform 2.7."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["Memory", "cgroup_limit", "physical_memory", "worker_limit"]

STATM = Path("/proc/self/statm")
MIB = 1024 * 1024


class Memory:
    """The memory of this worker: `resident()` now, and `limit`, both in bytes."""

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        """Compare with `limit` bytes; 0 when it is not known."""
        self.limit = limit

    def resident(self) -> int:
        """Return the bytes that the process has in memory; 0 where the system does not say.

        Outside Linux it is the highest value so far, which is what those systems offer.
        """
        try:
            return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError, AttributeError):
            return _highest()

    def ratio(self, resident: int) -> float:
        """Return which share of the limit `resident` bytes are; 0 without a limit."""
        return resident / self.limit if self.limit else 0.0


def worker_limit(configured: int | None, workers: int, root: Path = Path("/")) -> int:
    """Return the bytes that one of `workers` processes may take.

    That is its share of `configured`, else of the container's limit, else of the machine's memory.

    Args:
        configured: `[server] memory_limit` in bytes; `None` for automatic.
        workers: number of worker processes that share it.
        root: where `proc` and `sys` are found.
    """
    if configured is not None:
        return configured // workers
    found = [limit for limit in (cgroup_limit(root), physical_memory()) if limit]
    return min(found) // workers if found else 0


def cgroup_limit(root: Path = Path("/")) -> int | None:
    """Return the memory limit that the control groups of this process set, or `None` when none does.

    A limit of a group holds for the groups inside it, so the lowest on the way up counts. Version 2 (`memory.max`) and
    version 1 (`memory.limit_in_bytes`) are looked at.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    limits: list[int] = []
    mount = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            limits += _limits_above(mount, path, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits_above(mount / "memory", path, "memory.limit_in_bytes")
    return min(limits, default=None)


def physical_memory() -> int:
    """Return the bytes of memory of the machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0


def _limits_above(mount: Path, path: str, name: str) -> list[int]:
    """Return the limits of the group `path` and of those around it; inside a container only the mount is there."""
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
    found = []
    for depth in range(len(parts), -1, -1):
        try:
            text = mount.joinpath(*parts[:depth], name).read_text().strip()
        except OSError:
            continue
        # `max`, and in version 1 a number beyond any machine's memory, mean that there is none.
        if text.isdigit() and 0 < int(text) < 1 << 60:
            found.append(int(text))
    return found


def _highest() -> int:
    try:
        import resource
    except ImportError:
        return 0
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024
