"""What hooks and live functions do with credentials and input. Spec: platform 8.2."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.taint import flow_of
from runtime.server.advice import SENSITIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.scopes import FunctionNode
    from realtime_cli.rules.source import Source
    from realtime_cli.rules.taint import Flow

__all__ = ["CookieOnUpgrade", "InputInHeader", "LetsInOnFailure", "OpenCookie", "SecretInUser"]

#: Parameters of hooks that hold what a client sent.
SENT = ("request", "headers", "cookies", "url", "query", "data", "topic", "topics")
SAFE_ATTRIBUTES = {"http_only": "True", "secure": "True", "same_site": '"lax"'}
_CREDENTIAL = re.compile(r"^(sid|session|auth|token|jwt|remember)|(session|token|auth|_sid)$", re.IGNORECASE)


def _hooks(project: Project) -> Iterator[tuple[Source, FunctionNode]]:
    if project.hooks is not None:
        for node in project.hooks.functions:
            yield project.hooks, node


def _flow(source: Source, node: FunctionNode) -> Flow:
    arguments = node.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return flow_of(source, node, [name for name in names if name in SENT])


def cookie_calls(source: Source) -> Iterator[ast.Call]:
    """Yield the calls that set a cookie."""
    for method in ("set", "set_cookie"):
        for call in source.methods.get(method, ()):
            assert isinstance(call.func, ast.Attribute)  # noqa: S101 - `methods` has no others
            text = source.segment(call.func.value).rpartition(".")[2]
            if method == "set_cookie" or text in {"cookies", "jar"}:
                yield call


class OpenCookie(Rule):
    """SEC025."""

    id = "SEC025"
    severity = Severity.WARNING
    title = "a session cookie that scripts or foreign pages can use"
    why = (
        "Without http_only a script reads it, without secure it goes over plain HTTP, without same_site foreign pages "
        "send it along."
    )
    how = 'add http_only=True, secure=True, same_site="lax"'
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at cookies whose name tells of a session."""
        for source in project.code:
            for call in cookie_calls(source):
                name = call.args[0] if call.args else None
                if not isinstance(name, ast.Constant) or not _CREDENTIAL.search(str(name.value)):
                    continue
                given = {one.arg: one.value for one in call.keywords}
                if None in given:
                    continue  # ** may hold them
                aliases = {"http_only": {"http_only", "httponly"}, "same_site": {"same_site", "samesite"}}
                missing = [
                    attribute
                    for attribute in SAFE_ATTRIBUTES
                    if not any(
                        one in given and not _is_off(given[one])
                        for one in aliases.get(attribute, {attribute})
                    )
                ]
                if missing:
                    message = f"the cookie {name.value!r} is set without {', '.join(missing)}"
                    edits = self._edits(source, call, missing, {str(one) for one in given})
                    yield self.at(source, call, message, edits=edits)

    def _edits(self, source: Source, call: ast.Call, missing: list[str], given: set[str]) -> tuple[Edit, ...]:
        """Add what is missing at the end of the call; what was switched off stays for a person."""
        if given & set(missing) or (isinstance(call.func, ast.Attribute) and call.func.attr == "set_cookie"):
            return ()
        span = source.span(call)
        text = ", ".join(f"{one}={SAFE_ATTRIBUTES[one]}" for one in missing)
        before = source.segment(call)[:-1].rstrip()
        text = text if before.endswith(("(", ",")) else f", {text}"
        at = Span(span.end_line, span.end_col - 1, span.end_line, span.end_col - 1)
        return (Edit(source.path, at, text),)


def _is_off(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in {False, None}


class InputInHeader(Rule):
    """SEC026."""

    id = "SEC026"
    severity = Severity.ERROR
    title = "input of a client in a cookie's path or domain, or in a header"
    why = (
        "It adds attributes to the cookie or a header to the answer, for whoever follows the attacker's link."
    )
    how = "write a constant"

    def check(self, project: Project) -> Iterator[Finding]:
        """Follow what hooks are given into cookies and headers."""
        for source, node in _hooks(project):
            flow = _flow(source, node)
            for call in cookie_calls(source):
                if source.function(call) is not node:
                    continue
                for given in call.keywords:
                    if given.arg in {"path", "domain"} and flow.is_sent(given.value):
                        message = f"what a client sent becomes the cookie's {given.arg}"
                        yield self.at(
                            source, given.value, message, f'write a constant, such as {given.arg}="/"'
                        )
            yield from self._headers(source, node, flow)

    def _headers(self, source: Source, node: FunctionNode, flow: Flow) -> Iterator[Finding]:
        for one in source.own(node):
            if isinstance(one, ast.Call):
                for given in one.keywords:
                    if given.arg == "headers" and isinstance(given.value, ast.Dict):
                        for value in given.value.values:
                            if flow.is_sent(value):
                                yield self.at(
                                    source, value, "what a client sent becomes the value of a header"
                                )
            elif isinstance(one, ast.Assign):
                for target in one.targets:
                    is_header = isinstance(target, ast.Subscript) and source.segment(target.value).endswith(
                        ".headers"
                    )
                    if is_header and flow.is_sent(one.value):
                        yield self.at(source, one.value, "what a client sent becomes the value of a header")


class SecretInUser(Rule):
    """SEC027."""

    id = "SEC027"
    severity = Severity.WARNING
    title = "a secret or a person's data in what a connection carries"
    why = "What the upgrade hook returns stays in memory, and reaches logs, rosters and with them other clients."
    how = "return an id, and look the rest up where it is needed"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the keys that the hook returns."""
        for source, node in _hooks(project):
            if node.name != "upgrade" or source.function(node) is not None:
                continue
            for one in source.own(node):
                value = one.value if isinstance(one, ast.Return) else None
                for key in _keys(value):
                    word = str(key.value).lower()
                    if _tells(word):
                        yield self.at(source, key, f"the upgrade hook returns {word!r}")


def _keys(value: ast.expr | None) -> Iterator[ast.Constant]:
    match value:
        case ast.Dict(keys=keys):
            yield from (key for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
        case ast.IfExp(body=one, orelse=other):
            yield from _keys(one)
            yield from _keys(other)
        case ast.BoolOp(values=values):
            for one in values:
                yield from _keys(one)
        case ast.Call(args=args, keywords=keywords):
            for one in (*args, *(keyword.value for keyword in keywords)):
                yield from _keys(one)
        case _:
            return


def _tells(word: str) -> bool:
    parts = re.split(r"[_\-\s]", word)
    return any(part in SENSITIVE for part in parts) or any(
        len(secret) > 4 and secret in word.replace("_", "") for secret in SENSITIVE
    )


class LetsInOnFailure(Rule):
    """SEC028."""

    id = "SEC028"
    severity = Severity.ERROR
    title = "the upgrade hook lets in when it fails"
    why = "A database that is away, or a token that cannot be read, makes everybody welcome."
    how = "return False in the except block, or leave the exception alone: it refuses"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at what the except blocks of the hook return."""
        for source, node in _hooks(project):
            if node.name not in {"upgrade", "authenticate"} or source.function(node) is not None:
                continue
            for block in source.own(node):
                if not isinstance(block, ast.ExceptHandler):
                    continue
                for one in (inner for statement in block.body for inner in ast.walk(statement)):
                    if isinstance(one, ast.Return) and _lets_in(node.name, one.value):
                        shown = source.segment(one)[:60]
                        yield self.at(source, one, f"an except block of {node.name} says {shown!r}")


def _lets_in(hook: str, value: ast.expr | None) -> bool:
    """Return whether an answer of a hook lets in; of `upgrade` an empty mapping does, nothing and False do not."""
    if value is None:
        return False
    if isinstance(value, ast.Constant):
        return value.value not in {False, None}
    return hook == "upgrade" or not isinstance(value, ast.Call)


class CookieOnUpgrade(Rule):
    """SEC031."""

    id = "SEC031"
    severity = Severity.WARNING
    title = "a cookie on the answer to a WebSocket handshake"
    why = "Some proxies drop the header, and some then the connection: people stay logged out, and nobody sees why."
    how = "set it in an authenticate hook, whose answer is an ordinary one"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for the header in an `UpgradeResponse`."""
        for source in project.code:
            for call in source.calls_of("runtime.UpgradeResponse"):
                for node in ast.walk(call):
                    if isinstance(node, ast.Constant) and str(node.value).lower() == "set-cookie":
                        yield self.at(
                            source, node, "UpgradeResponse sets a cookie on the answer to a handshake"
                        )
