"""What each worker keeps for itself although several serve the app. Spec: platform 8.5."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, ClassVar

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.workers import is_shared, several, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from realtime_cli.rules.handlers import Handler
    from realtime_cli.rules.project import Project

__all__ = ["LocalLock", "LocalMemory", "LocalReplay", "LocalRoster"]


class _Local(Rule):
    """Plugins that live in one process, by the key of `[redis]` that moves them."""

    kinds: ClassVar[Mapping[str, str]] = {}  # name of the class or function -> key of [redis]
    decorators: ClassVar[Mapping[str, str]] = {}  # decorator of `live` -> the same
    message = ""

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for plugins that are made in a project with several workers."""
        if not several(project):
            return
        for source in project.code:
            for kind, key in self.kinds.items():
                if not is_shared(project, key):
                    for call in source.calls_of(f"runtime.{kind}"):
                        yield self.at(source, call, self.told(project, f"{kind}()"))
        for handler in project.handlers:
            for name, key in self.decorators.items():
                found = handler.decorator(name)
                has_own = found is not None and any(
                    found.option(one) is not None for one in ("lock", "store")
                )
                if found is not None and not has_own and not is_shared(project, key):
                    yield self.at(handler.source, found.node, self.told(project, f"@live.{name}"))
            yield from self.streams(project, handler)

    def streams(self, project: Project, handler: Handler) -> Iterator[Finding]:
        """Yield what a stream has by an option."""
        del project, handler
        yield from ()

    def told(self, project: Project, what: str) -> str:
        """Return what is wrong with one of them."""
        return f"{what} with {spread(project)}: {self.message}"


class LocalLock(_Local):
    """CLU003."""

    id = "CLU003"
    severity = Severity.ERROR
    title = "a lock that each worker has for itself"
    why = "Two workers hold it at the same time, so that what it protects runs twice."
    how = 'use DistributedLock, or set [redis] url and locks = "redis"'
    kinds: ClassVar = {"Lock": "locks"}
    decorators: ClassVar = {"lock": "locks"}
    message = "each worker locks only itself"


class LocalMemory(_Local):
    """CLU004."""

    id = "CLU004"
    severity = Severity.WARNING
    title = "sessions or known ids that each worker has for itself"
    why = "The next request of a user reaches another worker, which knows neither the session nor that it was done."
    how = "use DistributedSession or DistributedDedup, or set [redis] url"
    kinds: ClassVar = {"Session": "sessions", "Dedup": "sessions", "MemoryIdempotencyStore": "idempotency"}
    decorators: ClassVar = {"idempotent": "idempotency"}
    message = "another worker knows nothing of it"


class LocalRoster(_Local):
    """CLU005."""

    id = "CLU005"
    severity = Severity.WARNING
    title = "presence, cursors or groups of one worker"
    why = "Each page sees only the people whose connections happen to be on the same worker."
    how = 'set [redis] url and presence = "redis"'
    kinds: ClassVar = {"Presence": "presence", "Cursor": "presence", "Group": "presence"}
    message = "people on other workers are missing"


class LocalReplay(_Local):
    """CLU006."""

    id = "CLU006"
    severity = Severity.WARNING
    title = "events are kept and numbered by each worker for itself"
    why = "A client that comes back to another worker gets other numbers and other events: it misses some."
    how = 'set [redis] url and replay = "redis"'
    kinds: ClassVar = {"Replay": "replay"}
    message = "a client that comes back to another worker misses events"

    def streams(self, project: Project, handler: Handler) -> Iterator[Finding]:
        """Yield the streams that keep events."""
        option = handler.option("replay") if handler.kind == "stream" else None
        is_off = isinstance(option, ast.Constant) and not option.value
        if option is not None and not is_off and not is_shared(project, "replay"):
            yield self.at(handler.source, option, self.told(project, "replay"))
