"""Keys, topics, names and users that a client chose. Spec: platform 8.4."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.handlers import Handler
    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source
    from realtime_cli.rules.taint import Flow

__all__ = ["ForeignUser", "SentFileName", "SharedKey", "UncheckedTopic"]

#: Plugins that take a key, by the methods that do, and where the key stands.
KEYED = {
    "runtime.Lock().with_lock": 0,
    "runtime.Lock().acquire": 0,
    "runtime.Dedup().claim": 0,
    "runtime.Dedup().seen": 0,
    "runtime.Queue().push": 0,
    "runtime.DistributedLock().with_lock": 0,
    "runtime.DistributedDedup().claim": 0,
}
METHODS = frozenset({"claim", "with_lock"})
PUBLISHES = (
    "@ctx.publish",
    "@ctx.publish_throttled",
    "@ctx.publish_debounced",
    "@platform.publish",
    "runtime.publish",
)
SUBSCRIBES = ("@platform.subscribe", "@ws.subscribe")
CHECKS = re.compile(
    r"(require|check|ensure|assert|verify|authorize|can_|may_|is_member|is_owner|allow|permission|guard|owns)",
    re.IGNORECASE,
)


class SharedKey(Rule):
    """LIV020."""

    id = "LIV020"
    severity = Severity.WARNING
    title = "a key that a client chose and that all clients share"
    why = (
        "Whoever sends the key of another one holds their lock, or lets their message count as a repetition."
    )
    how = "put the caller in front: f\"{ctx.user['id']}:{key}\""

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at keys of locks, dedups, queues and idempotency."""
        for handler in project.handlers:
            flow = project.flow(handler)
            for node in handler.nodes:
                key = _key_of(handler.source, node)
                if key is not None and flow.is_sent(key) and not flow.is_caller(key):
                    text = handler.source.segment(key)[:60]
                    message = f"the key {text} comes from the client alone"
                    yield self.at(handler.source, key, message)
            yield from self._decorators(handler)

    def _decorators(self, handler: Handler) -> Iterator[Finding]:
        for name, keyword in (("lock", "key"), ("idempotent", "key_from")):
            decorator = handler.decorator(name)
            given = decorator.option(keyword, 0) if decorator else None
            if not isinstance(given, ast.Lambda) or not given.args.args:
                continue
            ctx, *others = [argument.arg for argument in given.args.args]
            read = {node.id for node in ast.walk(given.body) if isinstance(node, ast.Name)}
            if read & set(others) and ctx not in read:
                message = f"the key of @live.{name} comes from the client alone"
                yield self.at(handler.source, given, message)


def _key_of(source: Source, call: ast.AST) -> ast.expr | None:
    if not isinstance(call, ast.Call):
        return None
    name = source.name(call.func)
    if name in KEYED and len(call.args) > KEYED[name]:
        return call.args[KEYED[name]]
    if name is None and isinstance(call.func, ast.Attribute) and call.func.attr in METHODS and call.args:
        return call.args[0]
    return None


class UncheckedTopic(Rule):
    """LIV021."""

    id = "LIV021"
    severity = Severity.WARNING
    title = "a topic that a client chose, without a check"
    why = "Whoever names the topic of another tenant publishes to it, or reads it."
    how = "check first that the caller belongs to it, or take the id from ctx.user"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at topics made of arguments in functions that check nothing."""
        for handler in project.handlers:
            if handler.decorator("scoped") is not None or handler.kind == "cron":
                continue
            flow = project.flow(handler)
            for node in handler.nodes:
                topic = _topic_of(handler.source, node)
                if topic is None or not flow.is_sent(topic) or flow.is_caller(topic):
                    continue
                if not _is_checked(handler, flow, node):
                    text = handler.source.segment(topic)[:60]
                    message = (
                        f"the topic {text} comes from the client, and nothing checks that it is the caller's"
                    )
                    yield self.at(handler.source, topic, message)


def _topic_of(source: Source, node: ast.AST) -> ast.expr | None:
    if not isinstance(node, ast.Call):
        return None
    name = source.name(node.func)
    if name in PUBLISHES:
        return node.args[0] if node.args else None
    if name in SUBSCRIBES:
        place = 1 if name == "@platform.subscribe" else 0
        return node.args[place] if len(node.args) > place else None
    if name is not None and re.fullmatch(r"runtime\.\w*Replay\(\)\.\w+", name):
        return next((one for one in node.args if not isinstance(one, ast.Constant)), None)
    return None


def _is_checked(handler: Handler, flow: Flow, node: ast.AST) -> bool:
    """Return whether something before the node looks at what was sent together with who the caller is."""
    line = getattr(node, "lineno", 0)
    for one in handler.nodes:
        if getattr(one, "lineno", line) > line:
            continue
        if isinstance(one, ast.Call):
            given = [*one.args, *(keyword.value for keyword in one.keywords)]
            sent = any(flow.is_sent(value) for value in given)
            by_whom = any(flow.is_caller(value) or handler.source.name(value) == "@ctx" for value in given)
            called = handler.source.segment(one.func)
            if sent and (by_whom or CHECKS.search(called)) and _topic_of(handler.source, one) is None:
                return True
        elif isinstance(one, ast.If | ast.Assert | ast.IfExp):
            test = one.test
            names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
            if names & flow.sent:
                return True
    return False


class SentFileName(Rule):
    """LIV019."""

    id = "LIV019"
    severity = Severity.WARNING
    title = "a path with a file name that a client chose"
    why = "A name such as ../../hooks.py leads out of the folder; two files of one name overwrite each other."
    how = "name the file yourself, such as uuid4().hex, and keep the client's name as data"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at paths that are put together from arguments."""
        for handler in project.handlers:
            flow = project.flow(handler)
            seen: set[int] = set()
            for node in handler.nodes:
                part = _path_part(handler.source, node)
                if part is not None and flow.is_sent(part) and part.lineno not in seen:
                    seen.add(part.lineno)
                    text = handler.source.segment(part)[:60]
                    yield self.at(
                        handler.source, part, f"{text} comes from the client and becomes part of a path"
                    )


OPENS = (
    "builtins.open",
    "io.open",
    "aiofiles.open",
    "anyio.open_file",
    "pathlib.Path",
    "os.path.join",
    "os.open",
)


def _path_part(source: Source, node: ast.AST) -> ast.expr | None:
    if isinstance(node, ast.Call):
        name = source.name(node.func)
        if name in OPENS:
            return next((one for one in reversed(node.args) if not isinstance(one, ast.Constant)), None)
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"joinpath", "with_name"} and node.args:
            return node.args[-1]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is_path(source, node.left):
        return node.right
    return None


def _is_path(source: Source, node: ast.expr) -> bool:
    """Return whether an expression is a path by what made it, or by an upper-case name, as folders have."""
    if isinstance(node, ast.BinOp):
        return _is_path(source, node.left)
    name = source.name(node) or ""
    if name.startswith(("pathlib.Path()", "anyio.Path()")):
        return True
    if isinstance(node, ast.Name):
        return (
            node.id.isupper()
            or "dir" in node.id.lower()
            or "folder" in node.id.lower()
            or "path" in node.id.lower()
        )
    return isinstance(node, ast.Attribute) and node.attr in {"parent"}


class ForeignUser(Rule):
    """LIV027."""

    id = "LIV027"
    severity = Severity.WARNING
    title = "a push to a user that a client chose"
    why = "Any client can then make the devices of anybody ring, with whatever it sends."
    how = "push to ctx.user, or check first that the caller may"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the user of `live.push` and `live.notify`."""
        for handler in project.handlers:
            flow = project.flow(handler)
            for node in handler.nodes:
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                if handler.source.name(node.func) not in {"runtime.live.push", "runtime.live.notify"}:
                    continue
                user = node.args[0]
                if flow.is_sent(user) and not flow.is_caller(user) and not _is_checked(handler, flow, node):
                    text = handler.source.segment(user)[:60]
                    message = f"the user {text} comes from the client, and nothing checks that the caller may"
                    yield self.at(handler.source, user, message)
