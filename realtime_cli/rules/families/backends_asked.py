"""What the Redis and the Postgres of a project say of themselves. Spec: platform 8.5."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, ClassVar

from realtime_cli.rules.calculator import ENVELOPE, Load
from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.replays import replays
from realtime_cli.rules.report_capacity import amount
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.workers import kept_where
from runtime.core.backendaddress import split_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from realtime_cli.rules.online import Backends
    from realtime_cli.rules.project import Project

__all__ = [
    "EvictingRedis",
    "ForgetfulRedis",
    "ManyPoolConnections",
    "OldRedis",
    "SlowClock",
    "SmallSubscriberBuffer",
    "TransactionPooler",
    "UnreachableRedis",
    "UnsettledPostgres",
]

SHARDED = [7]  # version of Redis from which on channels can be sharded
MAX_CLOCK_OFFSET = 1.0  # seconds
POOLER_PORT = 6432  # where PgBouncer listens
LISTENERS = ("runtime.NotifyBridge", "runtime.JobQueue", "runtime.TaskRunner")


class _Asked(Rule):
    """A rule about a backend that answered."""

    when = "online"
    backend: ClassVar[str] = "redis"
    key: ClassVar[str] = "redis.url"

    def check_online(self, project: Project, backends: Backends) -> Iterator[Finding]:
        """Look at the answers of the backend."""
        answers = getattr(backends, self.backend)
        if answers and "error" not in answers:
            message = self.wrong(project, answers)
            if message is not None:
                yield self.in_settings(project, self.key, message)

    def wrong(self, project: Project, answers: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the answers."""
        del project, answers
        return None


class UnreachableRedis(Rule):
    """CLU011."""

    id = "CLU011"
    severity = Severity.ERROR
    title = "Redis does not answer"
    why = "The server does not start without it, unless [redis] required is false."
    how = "correct [redis] url, start Redis, or let this machine through to it"
    when = "online"

    def check_online(self, project: Project, backends: Backends) -> Iterator[Finding]:
        """Tell why it could not be reached."""
        if "error" in backends.redis:
            yield self.in_settings(project, "redis.url", backends.redis["error"])


class OldRedis(_Asked):
    """CLU012."""

    id = "CLU012"
    severity = Severity.ERROR
    title = "this Redis cannot shard channels"
    why = "Sharded channels came with Redis 7: workers would not hear each other."
    how = 'set [redis] bus = "pubsub", or upgrade Redis'
    key = "redis.bus"

    def wrong(self, project: Project, answers: Mapping[str, Any]) -> str | None:
        """Compare the version, or ask for the command, with the bus that is wanted."""
        if project.settings.get("redis.bus") != "sharded" or answers.get("sharded"):
            return None
        version = answers.get("version")
        if version is None or (version >= SHARDED and answers.get("sharded") is None):
            return None
        return f'bus = "sharded" with Redis {".".join(map(str, version))}'


class EvictingRedis(_Asked):
    """CLU013."""

    id = "CLU013"
    severity = Severity.WARNING
    title = "Redis throws keys away when its memory is full"
    why = "Locks, sessions and kept events vanish: two workers hold one lock, users are logged out."
    how = "set maxmemory-policy noeviction, or use a Redis of its own for caches"

    def wrong(self, project: Project, answers: Mapping[str, Any]) -> str | None:
        """Look at the policy."""
        del project
        policy = answers.get("policy")
        return None if policy in {None, "noeviction"} else f"maxmemory-policy is {policy}"


class SmallSubscriberBuffer(_Asked):
    """CLU014."""

    id = "CLU014"
    severity = Severity.WARNING
    title = "Redis drops a worker that is late for a moment"
    why = "A subscriber whose buffer is full is disconnected: that worker's clients miss what was published meanwhile."
    how = "raise client-output-buffer-limit pubsub in the configuration of Redis"

    def wrong(self, project: Project, answers: Mapping[str, Any]) -> str | None:
        """Compare the buffer with what is published in a second."""
        limit, load = answers.get("pubsub_limit"), project.load or Load()
        traffic = load.publish_rate * (load.payload + ENVELOPE)
        if not limit or project.settings.get("redis.bus") == "none" or traffic <= limit:
            return None
        return (
            f"client-output-buffer-limit pubsub is {amount(limit, 'bytes')}, "
            f"and the bus carries {amount(traffic, 'bytes')} a second"
        )


class ForgetfulRedis(_Asked):
    """CLU015."""

    id = "CLU015"
    severity = Severity.INFO
    title = "Redis keeps events only until it is restarted"
    why = "After a restart of Redis all clients load everything again, and numbers begin anew."
    how = "set appendonly yes in the configuration of Redis"

    def wrong(self, project: Project, answers: Mapping[str, Any]) -> str | None:
        """Look for a Redis that writes nothing to its disk while it keeps events."""
        if kept_where(project, "replay") != "redis" or answers.get("saves") is None:
            return None
        asked = project.settings.given("redis.replay") or any(True for _ in replays(project))
        if not asked or answers["saves"] or answers.get("appendonly"):
            return None
        return "events are kept in a Redis that saves nothing"


class UnsettledPostgres(Rule):
    """CLU016."""

    id = "CLU016"
    severity = Severity.ERROR
    title = "Postgres does not answer, or lacks tables"
    why = "The server does not start without it; with migrate = false nobody makes the tables."
    how = "correct [postgres] dsn, or start Postgres"
    when = "online"

    def check_online(self, project: Project, backends: Backends) -> Iterator[Finding]:
        """Tell why it could not be reached, or what its schema lacks."""
        if "error" in backends.postgres:
            yield self.in_settings(project, "postgres.dsn", backends.postgres["error"])
            return
        missing = backends.postgres.get("missing") or {}
        if missing and not project.settings.get("postgres.migrate"):
            parts = [
                f"{table} without {', '.join(columns)}" if columns else f"no {table}"
                for table, columns in sorted(missing.items())
            ]
            schema = project.settings.get("postgres.schema")
            message = f"migrate = false, and the schema {schema} has {'; '.join(parts)}"
            yield self.in_settings(project, "postgres.migrate", message, "run: realtime upgrade --db")


class ManyPoolConnections(_Asked):
    """CLU017."""

    id = "CLU017"
    severity = Severity.WARNING
    title = "the pools of all workers want more connections than Postgres has"
    why = "Under load the last workers get none, and each of their calls fails."
    how = "lower [postgres] pool_max, or put a pooler in front"
    backend = "postgres"
    key = "postgres.pool_max"

    def wrong(self, project: Project, answers: Mapping[str, Any]) -> str | None:
        """Add up the pools."""
        most = answers.get("max_connections")
        if most is None:
            return None
        room = most - answers.get("superuser_reserved_connections", 0)
        workers = project.settings.get("server.workers") or project.cpus
        wanted = project.settings.get("postgres.pool_max") * workers
        if wanted <= room:
            return None
        return f"pool_max times {workers} workers is {wanted}, and Postgres gives apps {room} connections"


class TransactionPooler(_Asked):
    """CLU019."""

    id = "CLU019"
    severity = Severity.WARNING
    title = "LISTEN goes through a pooler that forgets it"
    why = "A pooler that changes connections with each transaction drops LISTEN: no notification ever comes."
    how = "name Postgres itself in [postgres] dsn (port 5432)"
    when = "online"
    backend = "postgres"

    def check_online(self, project: Project, backends: Backends) -> Iterator[Finding]:
        """Look at the address, where something listens; whether it answers is another rule's."""
        dsn = project.settings.get("postgres.dsn")
        if dsn is not None and backends.postgres and _is_pooler(dsn) and _listens(project):
            yield self.in_settings(project, "postgres.dsn", "notifications are listened for through a pooler")


def _is_pooler(dsn: str) -> bool:
    address = split_address(dsn)
    labels = [label for host, _ in address.hosts for label in host.lower().split(".")]
    named = any("pooler" in label or "pgbouncer" in label for label in labels)
    has_port = any(port == POOLER_PORT for _, port in address.hosts)
    return has_port or named or "pgbouncer=true" in address.query


def _listens(project: Project) -> bool:
    if project.settings.get("postgres.notify_channels"):
        return True
    for source in project.code:
        if any(True for _ in source.calls_of(*LISTENERS)) or source.methods.get("add_listener"):
            return True
        if "LISTEN " in source.text and any(
            isinstance(node.value, str) and node.value.lstrip().startswith("LISTEN ")
            for node in source.nodes(ast.Constant)
        ):
            return True
    return False


class SlowClock(_Asked):
    """CLU022."""

    id = "CLU022"
    severity = Severity.INFO
    title = "the clock of this machine is not that of Redis"
    why = "Times to live, leases and numbers of events are compared between machines."
    how = "let both take their time from NTP"

    def wrong(self, project: Project, answers: Mapping[str, Any]) -> str | None:
        """Compare the clocks."""
        del project
        offset = answers.get("clock_offset")
        if offset is None or abs(offset) <= MAX_CLOCK_OFFSET:
            return None
        return f"Redis is {abs(offset):.1f} s {'ahead' if offset > 0 else 'behind'}"
