"""What the settings and the code may take of the machine. Spec: platform 8.3, 8.6."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from realtime_cli.rules.calculator import Capacity, Load, capacity_of
from realtime_cli.rules.families.guarding import changes_without_user
from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.replays import number, replay_bytes, replays
from realtime_cli.rules.report_capacity import amount
from realtime_cli.rules.rule import Rule
from runtime.core.capacity import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.handlers import Handler
    from realtime_cli.rules.project import Project

__all__ = ["FewDescriptors", "LargeReplay", "LargeUploads", "NoConnectionLimit", "UnlimitedPublic"]

MAX_BUFFERED = 256 * 1024 * 1024  # bytes of an upload that may wait for its handler
REPLAY_SHARE = 10  # a replay may take one part of so many of the memory
ROUND = 100  # limits are named in steps of so many connections


def estimate(project: Project, load: Load | None = None) -> Capacity:
    """Calculate what a load takes of a project, with what its replays keep."""
    load = load or project.load or Load()
    return capacity_of(project, load, replay_bytes(project, load.payload))


class NoConnectionLimit(Rule):
    """CAP001."""

    id = "CAP001"
    severity = Severity.ERROR
    title = "connections may take more memory than there is"
    why = "Slow clients fill their buffers until the system kills the process, and everybody is disconnected."
    how = 'set [websocket] max_connections, or [capacity] profile = "small"'

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare the worst case with the memory, where nothing limits connections."""
        if project.settings.get("websocket.max_connections") is not None or not project.in_production:
            return
        found = estimate(project)
        memory = found.memory
        if memory.share > 1:
            workers = found.machine.workers
            fits = (memory.at or 0) * workers
            fits = max(1, fits // ROUND * ROUND if fits > ROUND else fits)
            limit = amount(memory.limit * workers, "bytes")
            message = (
                f"worst case {amount(memory.worst * workers, 'bytes')} exceeds the limit of {limit} "
                f"{memory.share:.0f} times, and max_connections is 0"
            )
            fix = f'[websocket] max_connections = {fits}, or [capacity] profile = "small"'
            yield self.in_settings(project, "websocket.max_connections", message, fix)


class FewDescriptors(Rule):
    """CAP002."""

    id = "CAP002"
    severity = Severity.WARNING
    title = "fewer descriptors than connections"
    why = "From there on no connection is accepted and no file opened, and the health check fails as well."
    how = "raise the limit: ulimit -n 65536, in a unit file LimitNOFILE=65536"

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare what max_connections needs with what a process may open."""
        if project.settings.get("websocket.max_connections") is None or not project.in_production:
            return
        found = estimate(project).descriptors
        if found.share > 1:
            message = f"a worker needs {found.worst:,.0f} descriptors, and may open {found.limit:,.0f}"
            key = (
                "check.fd_limit" if project.settings.given("check.fd_limit") else "websocket.max_connections"
            )
            yield self.in_settings(project, key, message, found.remedy)


class LargeUploads(Rule):
    """CAP007."""

    id = "CAP007"
    severity = Severity.WARNING
    title = "uploads together may be larger than the memory"
    why = "Each client may send several at once; what handlers have not read yet is held in memory."
    how = "set max_concurrent_total, and lower max_size to what people need"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the bounds of each upload, once for each."""
        for handler in project.handlers:
            if handler.kind == "upload":
                message = self._wrong(project, handler)
                if message is not None:
                    decorator = handler.decorator("upload")
                    node = decorator.node if decorator is not None else handler.node
                    yield self.at(handler.source, node, message)

    def _wrong(self, project: Project, handler: Handler) -> str | None:
        bounds = {**DEFAULTS, **project.settings.settings.capacity}
        size = _option(handler, "max_size", bounds["UPLOAD_MAX_SIZE"])
        chunks = _option(handler, "max_buffered_chunks", bounds["UPLOAD_MAX_BUFFERED_CHUNKS"])
        waiting = (chunks or 0) * project.settings.get("websocket.max_payload_length")
        if waiting > MAX_BUFFERED:
            return f"pieces of {amount(waiting, 'bytes')} may wait for {handler.node.name}"
        total = handler.option("max_concurrent_total")
        if total is None or (isinstance(total, ast.Constant) and total.value is None):
            is_bounded = "UPLOAD_MAX_CONCURRENT_TOTAL" in project.settings.settings.capacity
            if is_bounded or (
                size is not None and size <= DEFAULTS["UPLOAD_MAX_SIZE"] and not _keeps_all(handler)
            ):
                return None
            return f"{handler.node.name} takes any number of uploads at once: max_concurrent_total is not set"
        count = number(handler.source, total)
        memory = estimate(project).memory.limit
        if size and count and memory and _keeps_all(handler) and size * count > memory:
            both = amount(size * count, "bytes")
            return f"{count} uploads are {both} together, which {handler.node.name} holds in memory"
        return None


def _option(handler: Handler, name: str, default: int) -> int | None:
    """Return a bound of an upload, None when it cannot be read."""
    node = handler.option(name)
    if node is None:
        return default
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        from runtime.core.settingkinds import size

        try:
            return int(size(1, 2**60).parse(node.value))
        except ValueError:
            return None
    return number(handler.source, node)


def _keeps_all(handler: Handler) -> bool:
    """Return whether a handler puts all pieces together before it goes on."""
    for node in handler.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in {"extend", "join", "read_all", "getvalue"}:
                return True
            if node.func.attr == "read" and handler.source.segment(node.func.value).endswith("stream"):
                return True
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            return True
    return False


class LargeReplay(Rule):
    """CAP011."""

    id = "CAP011"
    severity = Severity.INFO
    title = "a replay asks for a large part of the memory"
    why = "Its bound in bytes drops events of whole topics long before: those clients load everything again."
    how = "ask for fewer events or topics"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the replays of the project."""
        machine = estimate(project).machine
        for kept in replays(project):
            if machine.memory and kept.wanted() > machine.memory / REPLAY_SHARE:
                message = (
                    f"{kept.size:,} events of {kept.topics:,} topics are about {amount(kept.wanted(), 'bytes')}, "
                    f"of {amount(machine.memory, 'bytes')} that a worker has"
                )
                yield self.at(kept.source, kept.node, message)


class UnlimitedPublic(Rule):
    """CAP013."""

    id = "CAP013"
    severity = Severity.WARNING
    title = "anybody may call a function as often as they like"
    why = "A public function without a limit is where a script begins."
    how = "add @live.rate_limit(points=10, window=10), or set [rate_limits] default"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for public functions that nothing limits."""
        limits = project.settings.settings.rate_limits
        if limits.default is not None:
            return
        for handler in project.handlers:
            if not handler.is_public or handler.kind not in {"rpc", "binary", "upload", "action"}:
                continue
            limited = handler.decorator("rate_limit") is not None or handler.path in limits.overrides
            if not limited and not changes_without_user(project, handler):
                yield self.at(handler.source, handler.node, f"{handler.node.name} is public and has no limit")
