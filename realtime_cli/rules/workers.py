"""Whether a project runs in several processes, and what they then share. Spec: platform 8.5."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtime_cli.rules.project import Project

__all__ = ["is_shared", "kept_where", "several", "shared_setting", "spread"]


def several(project: Project) -> bool:
    """Return whether more than one process serves the app: several workers, or several machines with one Redis."""
    return project.settings.get("server.workers") != 1 or project.settings.get("redis.url") is not None


def spread(project: Project) -> str:
    """Return in words what the app is spread over."""
    workers = project.settings.get("server.workers")
    if workers == 1:
        return "several machines"
    return "a worker for each CPU" if workers is None else f"{workers} workers"


def kept_where(project: Project, what: str) -> str:
    """Return where the key `what` of `[redis]` has something kept: `redis`, `postgres` or `memory`."""
    said = project.settings.get(f"redis.{what}")
    if said is not None:
        return str(said)
    return "memory" if project.settings.get("redis.url") is None else "redis"


def is_shared(project: Project, what: str) -> bool:
    """Return whether all processes see the same of it."""
    return kept_where(project, what) != "memory"


def shared_setting(project: Project, what: str) -> str:
    """Return the key that decides where something is kept, or the number of workers where nobody wrote it."""
    key = f"redis.{what}"
    return key if project.settings.given(key) else "server.workers"
