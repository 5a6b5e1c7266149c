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

#: Plugins that take a key, by the methods that do, and where the key stands or what it is called.
_LOCK = {"with_lock": "key", "acquire": "key"}
_DEDUP = {"claim": "id", "seen": "id"}
_QUEUE = {"push": "key"}
_IDEMPOTENCY = {"acquire": "idempotency_key", "handle": "idempotency_key"}
KEYED = {
    f"runtime.{kind}().{method}": keyword
    for kinds, methods in (
        (("Lock", "DistributedLock", "default_lock"), _LOCK),
        (("Dedup", "DistributedDedup"), _DEDUP),
        (("Queue",), _QUEUE),
        (("MemoryIdempotencyStore", "IdempotencyStore", "default_idempotency_store"), _IDEMPOTENCY),
    )
    for kind in kinds
    for method, keyword in methods.items()
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
        for flow in project.flows:
            if flow.handler is None:
                continue
            for node in flow.calls_made:
                key = _key_of(flow.source, node)
                if key is not None and flow.is_sent(key) and not flow.is_caller(key):
                    text = flow.source.segment(key)[:60]
                    yield self.at(flow.source, key, f"the key {text} comes from the client alone")
        for handler in project.handlers:
            yield from self._decorators(project, handler)

    def _decorators(self, project: Project, handler: Handler) -> Iterator[Finding]:
        for name, keyword in (("lock", "key"), ("idempotent", "key_from")):
            decorator = handler.decorator(name)
            given = decorator.option(keyword, 0) if decorator else None
            found = project.function_of(handler.source, given) if given is not None else None
            if found is None or given is None:
                continue
            source, function = found
            names = [
                one.arg
                for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
            ]
            names += [one.arg for one in (function.args.vararg, function.args.kwarg) if one is not None]
            body: list[ast.AST] = (
                [function.body] if isinstance(function, ast.Lambda) else source.own(function)
            )
            read = {node.id for part in body for node in ast.walk(part) if isinstance(node, ast.Name)}
            if read & set(names[1:]) and names[0] not in read:
                yield self.at(handler.source, given, f"the key of @live.{name} comes from the client alone")


def _key_of(source: Source, call: ast.Call) -> ast.expr | None:
    name = source.name(call.func)
    keyword = KEYED.get(name or "")
    if keyword is not None:
        return next(
            iter([*call.args, *(one.value for one in call.keywords if one.arg in {keyword, "key"})]), None
        )
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
        for flow in project.flows:
            if flow.handler is None or _is_scoped(flow.handler) or flow.handler.kind == "cron":
                continue
            for node in flow.calls_made:
                topic = _topic_of(flow.source, node)
                if topic is None or not flow.is_sent(topic) or flow.is_caller(topic):
                    continue
                if not is_checked(project, flow, node, flow.origins_of(topic)):
                    text = flow.source.segment(topic)[:60]
                    message = (
                        f"the topic {text} comes from the client, and nothing checks that it is the caller's"
                    )
                    yield self.at(flow.source, topic, message)


def _is_scoped(handler: Handler) -> bool:
    """Return whether a predicate of its own lets in to a function."""
    return handler.decorator("scoped") is not None or handler.option("access") is not None


def _topic_of(source: Source, node: ast.Call) -> ast.expr | None:
    name = source.name(node.func)
    place = 1 if name in {"@platform.subscribe", "runtime.get_platform().subscribe"} else 0
    if name in PUBLISHES or name in SUBSCRIBES:
        named = [one.value for one in node.keywords if one.arg == "topic"]
        return next(iter([*node.args[place : place + 1], *named]), None)
    if name is not None and re.fullmatch(r"runtime\.\w*Replay\(\)\.\w+", name):
        return next((one for one in node.args if not isinstance(one, ast.Constant)), None)
    return None


def is_checked(project: Project, flow: Flow, node: ast.AST, wanted: set[str], depth: int = 4) -> bool:
    """Return whether something before a node checks parameters, or before every call that leads to the function."""
    if _is_checked_here(project, flow, node, wanted):
        return True
    leads = [one for one in flow.calls if one[0].node is not flow.node]
    if not leads or not depth:
        return False
    return all(
        is_checked(project, caller, call, caller.origins_of(call), depth - 1) for caller, call in leads
    )


def _is_checked_here(project: Project, flow: Flow, node: ast.AST, wanted: set[str]) -> bool:
    """Return whether a function looks at parameters, with who the caller is or by what is named as a check."""
    line = getattr(node, "lineno", 0)
    for one in flow.source.own(flow.node):
        if one is node or getattr(one, "lineno", line + 1) > line:
            continue
        if isinstance(one, ast.Call):
            given = [*one.args, *(keyword.value for keyword in one.keywords)]
            if any(node is inner for value in given for inner in ast.walk(value)):
                continue
            sent = any(flow.is_sent(value) and wanted & flow.origins_of(value) for value in given)
            by_whom = any(flow.is_caller(value) or flow.source.name(value) == "@ctx" for value in given)
            if sent and _topic_of(flow.source, one) is None and _may_refuse(project, flow, one, by_whom):
                return True
        elif isinstance(one, ast.If | ast.Assert | ast.IfExp | ast.Match):
            test = one.subject if isinstance(one, ast.Match) else one.test
            if wanted & flow.origins_of(test) and (isinstance(one, ast.Match) or _asks(flow, test)):
                return True
    return False


def _asks(flow: Flow, test: ast.expr) -> bool:
    """Return whether a test is more than whether there is something: it compares, or asks a function or the caller."""
    if flow.is_caller(test):
        return True
    for one in ast.walk(test):
        if isinstance(one, ast.Compare):
            if isinstance(one.ops[0], ast.In | ast.NotIn):
                return True
            empty = [side for side in one.comparators if isinstance(side, ast.Constant) and not side.value]
            if isinstance(one.ops[0], ast.Eq | ast.NotEq) and not empty:
                return True
        elif isinstance(one, ast.Call):
            name = flow.source.name(one.func) or ""
            is_own = isinstance(one.func, ast.Attribute) and flow.is_sent(one.func.value)
            if not is_own and not name.startswith("builtins."):
                return True
    return False


def _may_refuse(project: Project, flow: Flow, call: ast.Call, by_whom: bool) -> bool:
    """Return whether a call is a check: by its name, or as a function that knows the caller and may raise."""
    if CHECKS.search(flow.source.segment(call.func)):
        return True
    if not by_whom:
        return False
    found = project.function_of(flow.source, call.func)
    if found is None or isinstance(found[1], ast.Lambda):
        return True
    return any(isinstance(one, ast.Raise | ast.Assert) for one in found[0].own(found[1]))


class SentFileName(Rule):
    """LIV019."""

    id = "LIV019"
    severity = Severity.WARNING
    title = "a path with a file name that a client chose"
    why = "A name such as ../../hooks.py leads out of the folder; two files of one name overwrite each other."
    how = "name the file yourself, such as uuid4().hex, and keep the client's name as data"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at paths that are put together from arguments."""
        for flow in project.flows:
            if flow.handler is None:
                continue
            seen: set[int] = set()
            for node in flow.source.own(flow.node):
                part = _path_part(project, flow.source, node)
                if part is None or not flow.is_sent(part, harmful=True) or part.lineno in seen:
                    continue
                if not _stays_inside(flow, part):
                    seen.add(part.lineno)
                    text = flow.source.segment(part)[:60]
                    message = f"{text} comes from the client and becomes part of a path"
                    yield self.at(flow.source, part, message)


def _stays_inside(flow: Flow, part: ast.expr) -> bool:
    """Return whether the function asks whether a path that is made of the same leads out of a folder."""
    wanted = flow.origins_of(part)
    return any(
        isinstance(one.func, ast.Attribute)
        and one.func.attr == "is_relative_to"
        and wanted <= flow.origins_of(one.func.value)
        for one in flow.calls_made
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


def _path_part(project: Project, source: Source, node: ast.AST) -> ast.expr | None:
    if isinstance(node, ast.Call):
        name = source.name(node.func)
        parent = source.parent(node)
        if isinstance(parent, ast.Attribute) and parent.attr in {"suffix", "suffixes"}:
            return None  # of a name that is only taken apart
        if name in OPENS:
            given = node.args[:1] if name in {"builtins.open", "io.open", "os.open"} else node.args
            if len(given) == 1 and _path_part(project, source, given[0]) is not None:
                return None  # told of where it is put together
            return next((one for one in reversed(given) if not isinstance(one, ast.Constant)), None)
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"joinpath", "with_name"} and node.args:
            return node.args[-1]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is_path(project, source, node.left):
        return node.right
    return None


def _is_path(project: Project, source: Source, node: ast.expr) -> bool:
    """Return whether an expression is a path by what made it, or by an upper-case name, as folders have."""
    if isinstance(node, ast.BinOp):
        return _is_path(project, source, node.left)
    name = source.name(node) or ""
    if name.startswith(("pathlib.Path()", "anyio.Path()")):
        return True
    if isinstance(node, ast.Name):
        where, value = project.value(source, node)
        if value is not node and value is not None and (where.name(value) or "").startswith("pathlib."):
            return True
        is_number = isinstance(value, ast.Constant | ast.BinOp) or (where.name(value) or "").startswith(
            "builtins."
        )
        word = node.id.lower()
        return not is_number and (
            node.id.isupper() or any(part in word for part in ("dir", "folder", "path"))
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
        for flow in project.flows:
            for node in flow.calls_made if flow.handler is not None else ():
                if flow.source.name(node.func) not in {"runtime.live.push", "runtime.live.notify"}:
                    continue
                named = [one.value for one in node.keywords if one.arg in {"user_id", "to"}]
                user = next(iter([*node.args[:1], *named]), None)
                if user is None or not flow.is_sent(user) or flow.is_caller(user):
                    continue
                if not is_checked(project, flow, node, flow.origins_of(user)):
                    text = flow.source.segment(user)[:60]
                    message = f"the user {text} comes from the client, and nothing checks that the caller may"
                    yield self.at(flow.source, user, message)
