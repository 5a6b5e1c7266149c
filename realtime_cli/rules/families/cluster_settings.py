"""Settings of several workers that do not fit to each other or to the machine. Spec: platform 8.5."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.workers import is_shared, several, shared_setting, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project

__all__ = ["LocalLimits", "SharedChannels", "WrongWorkers"]

MANY_CPUS = 4  # from more on one worker leaves most of the machine idle


class LocalLimits(Rule):
    """CLU007."""

    id = "CLU007"
    severity = Severity.WARNING
    title = "each worker counts calls for itself"
    why = "A client whose connections are spread may do the limit once on each worker."
    how = 'set [redis] url and rate_limits = "redis"'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for limits in settings and code, once for the project."""
        if not several(project) or is_shared(project, "rate_limits"):
            return
        limits = project.settings.settings.rate_limits
        decorated = any(handler.decorator("rate_limit") for handler in project.handlers)
        made = any(True for source in project.code for _ in source.calls_of("runtime.RateLimit"))
        if limits.default is not None or limits.overrides or decorated or made:
            key = shared_setting(project, "rate_limits")
            yield self.in_settings(project, key, f"rate limits in memory with {spread(project)} multiply")


class SharedChannels(Rule):
    """CLU018."""

    id = "CLU018"
    severity = Severity.WARNING
    title = "apps that share a Redis hear each other"
    why = "key_prefix keeps their keys apart; raw_channels leaves it off the channels that publishes go through."
    how = "remove raw_channels"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for a prefix that channels do not get."""
        prefix = project.settings.get("redis.key_prefix")
        if prefix and project.settings.get("redis.raw_channels"):
            message = f"channels are not prefixed with {prefix!r}: apps on this Redis hear each other"
            yield self.in_settings(project, "redis.raw_channels", message)


class WrongWorkers(Rule):
    """CLU020."""

    id = "CLU020"
    severity = Severity.WARNING
    title = "the number of workers does not fit to the machine"
    why = "Many more workers than processors take memory and turns from each other; one alone leaves processors idle."
    how = 'set [server] workers = "auto"'

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare workers with processors."""
        workers = project.settings.get("server.workers")
        if workers is None or not project.in_production:
            return
        if workers > project.cpus * 2:
            message = f"{workers} workers on {project.cpus} CPUs"
            yield self.in_settings(project, "server.workers", message)
        elif workers == 1 and project.cpus > MANY_CPUS and project.settings.given("server.workers"):
            message = f"1 worker uses one of {project.cpus} CPUs"
            found = self.in_settings(project, "server.workers", message)
            yield replace(found, severity=Severity.INFO)
