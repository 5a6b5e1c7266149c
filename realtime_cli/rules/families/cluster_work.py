"""Work that is to be done once, and asks or tells all workers. Spec: platform 8.5."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.workers import is_shared, several, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.scopes import FunctionNode
    from realtime_cli.rules.source import Source

__all__ = ["CronEverywhere", "LeaderWithoutBus", "LocalPush", "LocalView", "RelayedTwice", "WorkInInit"]


def configured(project: Project, argument: str, position: int) -> bool:
    """Return whether `configure_cron` is given something other than None for an argument, anywhere."""
    for source in project.code:
        for call in source.calls_of("runtime.configure_cron", "runtime.live.configure_cron"):
            given = next((one.value for one in call.keywords if one.arg == argument), None)
            if given is None and position < len(call.args):
                given = call.args[position]
            if given is not None and not (isinstance(given, ast.Constant) and given.value is None):
                return True
    return False


def has_leader(project: Project) -> bool:
    """Return whether one worker alone runs the jobs: by the settings, or by code."""
    leader = project.settings.get("cron.leader")
    by_settings = leader == "redis" or (leader == "auto" and project.settings.get("redis.url") is not None)
    return by_settings or configured(project, "leader", 0)


class CronEverywhere(Rule):
    """CLU001."""

    id = "CLU001"
    severity = Severity.WARNING
    title = "scheduled functions run on every worker"
    why = "Mails are sent and invoices are written as often as there are workers."
    how = 'set [redis] url and [cron] leader = "redis"; what each worker is to do has @live.cron(..., per_worker=True)'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for schedules without a leader, once for the project."""
        if not several(project) or has_leader(project) or not project.settings.get("cron.enabled"):
            return
        jobs = [
            one for one in project.handlers if one.kind == "cron" and not _is_on(one.option("per_worker"))
        ]
        if jobs:
            names = ", ".join(job.node.name for job in jobs[:3]) + (", ..." if len(jobs) > 3 else "")
            decorator = jobs[0].decorator("cron")
            node = decorator.node if decorator else jobs[0].node
            yield self.at(jobs[0].source, node, f"with {spread(project)} each of them runs {names}")


def _is_on(option: ast.expr | None) -> bool:
    return option is not None and not (isinstance(option, ast.Constant) and not option.value)


SINGLE = re.compile(
    r"(scheduler|migrat|alembic|beat|poller|listener|consumer|watcher|crawler|importer|mailer|outbox)",
    re.IGNORECASE,
)
STARTS = frozenset(
    {"start", "run", "run_forever", "start_in_background", "upgrade", "migrate", "listen", "consume"}
)


class WorkInInit(Rule):
    """CLU002."""

    id = "CLU002"
    severity = Severity.WARNING
    title = "every worker starts what there should be one of"
    why = "init runs in each worker: schedulers, migrations and listeners then run as often as there are workers."
    how = "let the leader do it: leader.on_elected(scheduler.start), or before the workers start"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at what the init hook starts, also through functions of the project."""
        if project.hooks is None or not several(project):
            return
        for node in project.hooks.functions:
            if node.name == "init" and project.hooks.function(node) is None:
                yield from self._in(project, project.hooks, node, 0)

    def _in(self, project: Project, source: Source, node: FunctionNode, depth: int) -> Iterator[Finding]:
        for call in (one for one in source.own(node) if isinstance(one, ast.Call)):
            if _asks_leader(source, call, node):
                continue
            text = source.segment(call.func)
            last = text.rpartition(".")[2]
            resolved = source.name(call.func) or ""
            starts = last in STARTS and SINGLE.search(
                text.rpartition(".")[0] + " " + resolved.rpartition(".")[0]
            )
            if starts or (SINGLE.search(last) and re.match(r"(run|start|apply)_|migrate", last)):
                yield self.at(source, call, f"init starts {text[:60]} in each worker, with {spread(project)}")
                continue
            found = project.definition(resolved) if depth < 2 else None
            if found is not None and isinstance(found[1], ast.FunctionDef | ast.AsyncFunctionDef):
                yield from self._in(project, found[0], found[1], depth + 1)


def _asks_leader(source: Source, call: ast.Call, node: FunctionNode) -> bool:
    """Return whether a call runs only on the leader: below a condition on it, or handed to it."""
    for above in source.parents(call):
        if above is node:
            return False
        test = above.test if isinstance(above, ast.If | ast.IfExp) else None
        if test is not None and re.search(r"leader|elected|WORKER|worker_id", source.segment(test)):
            return True
        if isinstance(above, ast.Call) and re.search(r"leader|elected", source.segment(above.func)):
            return True
    return False


COUNTS = ("connections", "subscribers")


class LocalView(Rule):
    """CLU008."""

    id = "CLU008"
    severity = Severity.WARNING
    title = "one worker's connections are taken for all"
    why = "connections, subscribers and send_to know the worker that they are asked on, not the others."
    how = "ask the registry: await registry.count(); send with publish, or with live.push"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for counts that are used as numbers, and for sends to some of the connections."""
        if not several(project):
            return
        for source in project.code:
            for node in source.nodes(ast.Attribute):
                if node.attr in COUNTS and _of_platform(source, node) and not _is_local(source, node):
                    yield self.at(source, node, f"platform.{node.attr} is that of one of {spread(project)}")
            for call in source.methods.get("send_to", ()):
                if isinstance(call.func, ast.Attribute) and _of_platform(source, call.func):
                    message = f"send_to reaches the connections of one of {spread(project)}"
                    yield self.at(source, call, message)


def _of_platform(source: Source, node: ast.Attribute) -> bool:
    return source.name(node.value) in {"@platform", "runtime.get_platform()"}


def _is_local(source: Source, node: ast.Attribute) -> bool:
    """Return whether a count only decides what this worker does, or is told of it."""
    for above in source.parents(node):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        if isinstance(above, ast.Compare | ast.UnaryOp) or (
            isinstance(above, ast.If | ast.While | ast.IfExp) and _within(above.test, node)
        ):
            return True
        if isinstance(above, ast.Call):
            text = source.segment(above.func)
            if re.search(r"(^|\.)(log|logger|logging|gauge|metric\w*)\.|\.set$|\.observe$", text):
                return True
    return False


def _within(test: ast.AST, node: ast.AST) -> bool:
    return any(one is node for one in ast.walk(test))


class LeaderWithoutBus(Rule):
    """CLU009."""

    id = "CLU009"
    severity = Severity.WARNING
    title = "what the leader publishes stays on its worker"
    why = "Only the clients that happen to be connected to the leader see what scheduled functions publish."
    how = 'set [redis] bus = "pubsub"'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for a leader of jobs while no bus connects the workers."""
        redis = project.settings.settings.redis
        has_bus = redis.bus != "none" and redis.url is not None
        if has_bus or configured(project, "bus", 1) or not several(project) or not has_leader(project):
            return
        has_jobs = any(one.kind == "cron" for one in project.handlers)
        if redis.bus == "none" and (has_jobs or project.settings.get("cron.leader") == "redis"):
            message = 'a leader runs the jobs, and bus = "none" keeps what they publish on its worker'
            yield self.in_settings(project, "redis.bus", message)
            return
        for source in project.code:
            for call in source.calls_of("runtime.configure_cron", "runtime.live.configure_cron"):
                if any(one.arg == "leader" for one in call.keywords) or call.args:
                    yield self.at(
                        source, call, "a leader runs the jobs, and no bus carries what they publish"
                    )


LISTENS = re.compile(
    r"(^|\.)(listen|get_message|subscribe_channel|iter_messages|xread|xreadgroup|blpop|brpop)$"
)
REGISTERS = frozenset({"add_listener", "register_handler", "psubscribe", "on_message"})
RELAYS = ("@platform.publish", "runtime.publish", "runtime.get_platform().publish")


class RelayedTwice(Rule):
    """CLU010."""

    id = "CLU010"
    severity = Severity.WARNING
    title = "a listener of each worker publishes to all workers"
    why = "Every worker hears the message and tells all others: clients get it as often as there are workers."
    how = "publish with relay=False"
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for publishes in loops over a subscription, and in callbacks of one."""
        for source in project.code:
            callbacks = set(_callbacks(source))
            for call in source.calls_of(*RELAYS):
                if any(one.arg in {"relay", None} for one in call.keywords):
                    continue
                function = source.function(call)
                if (function is not None and function.name in callbacks) or _in_listener(source, call):
                    message = (
                        "each worker hears the message and publishes it to all: clients get it several times"
                    )
                    yield self.at(source, call, message, edits=_with_relay(source, call))


def _callbacks(source: Source) -> Iterator[str]:
    """Yield the names of functions that are given to a subscription."""
    for method in REGISTERS:
        for call in source.methods.get(method, ()):
            for given in (*call.args, *(one.value for one in call.keywords)):
                if isinstance(given, ast.Name):
                    yield given.id
                elif isinstance(given, ast.Attribute):
                    yield given.attr


def _in_listener(source: Source, call: ast.Call) -> bool:
    """Return whether a call stands in a loop that reads a subscription."""
    for above in source.parents(call):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        read: list[ast.AST] = []
        if isinstance(above, ast.AsyncFor | ast.For):
            read = [above.iter]
        elif isinstance(above, ast.While):
            read = list(above.body)
        for one in read:
            for node in ast.walk(one):
                if isinstance(node, ast.Call) and LISTENS.search(source.segment(node.func)):
                    return True
                if isinstance(node, ast.Attribute) and node.attr in {"notifies", "messages"}:
                    return True
    return False


def _with_relay(source: Source, call: ast.Call) -> tuple[Edit, ...]:
    span = source.span(call)
    before = source.segment(call)[:-1].rstrip()
    text = "relay=False" if before.endswith(("(", ",")) else ", relay=False"
    at = Span(span.end_line, span.end_col - 1, span.end_line, span.end_col - 1)
    return (Edit(source.path, at, text),)


class LocalPush(Rule):
    """CLU021."""

    id = "CLU021"
    severity = Severity.WARNING
    title = "a push finds only users of its own worker"
    why = "Nobody knows on which worker a user is connected: most pushes end with NOT_FOUND."
    how = 'set [redis] url and registry = "redis"'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for pushes while nothing knows the connections of other workers."""
        if not several(project) or is_shared(project, "registry") or _has_registry(project):
            return
        for source in project.code:
            for call in source.calls_of("runtime.live.push", "runtime.live.notify"):
                yield self.at(source, call, f"with {spread(project)} it reaches users of this one only")


def _has_registry(project: Project) -> bool:
    return any(
        given.arg == "remote_registry"
        for source in project.code
        for call in source.calls_of("runtime.live.configure_push", "runtime.configure_push")
        for given in call.keywords
    )
