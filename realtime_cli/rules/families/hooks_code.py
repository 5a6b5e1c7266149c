"""What hooks and live functions do with credentials and input. Spec: platform 8.2."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.scopes import FunctionNode
from runtime.server.advice import SENSITIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

__all__ = ["CookieOnUpgrade", "InputInHeader", "LetsInOnFailure", "OpenCookie", "SecretInUser"]

SAFE_ATTRIBUTES = {"http_only": "True", "secure": "True", "same_site": '"lax"'}
_CREDENTIAL = re.compile(r"^(sid|session|auth|token|jwt|remember)|(session|token|auth|_sid)$", re.IGNORECASE)


MAX_STEPS = 5  # names and functions that are followed from what is returned


def cookie_calls(source: Source) -> Iterator[ast.Call]:
    """Yield the calls that set a cookie: of the cookies of a hook, or `set_cookie` of an answer."""
    yield from source.calls_of("@cookies.set")
    for method in ("set", "set_cookie"):
        for call in source.methods.get(method, ()):
            assert isinstance(call.func, ast.Attribute)  # noqa: S101 - `methods` has no others
            text = source.segment(call.func.value).rpartition(".")[2]
            if method == "set_cookie" or (source.name(call.func) is None and text in {"cookies", "jar"}):
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
                first = next(
                    iter([*call.args, *(k.value for k in call.keywords if k.arg in {"name", "key"})]), None
                )
                _, name = project.value(source, first) if first is not None else (source, None)
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
                        one in given and not _is_off(project.value(source, given[one])[1])
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
        if source.in_text(call) or not call.args:
            return ()
        text = ", ".join(f"{one}={SAFE_ATTRIBUTES[one]}" for one in missing)
        last = max(source.span(one) for one in (*call.args, *(keyword.value for keyword in call.keywords)))
        line, column = _behind_brackets(source, last, source.span(call))
        return (Edit(source.path, Span(line, column, line, column), f", {text}"),)


def _behind_brackets(source: Source, last: Span, call: Span) -> tuple[int, int]:
    """Return where the last argument of a call ends, with the brackets around it."""
    place = last.end_line, last.end_col
    for line in range(last.end_line, call.end_line + 1):
        text = source.lines[line - 1]
        start = last.end_col - 1 if line == last.end_line else 0
        stop = call.end_col - 2 if line == call.end_line else len(text)
        for column in range(start, stop):
            if text[column] == "#":
                break
            if text[column] == ")":
                place = line, column + 2
    return place


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
        for flow in project.flows:
            source = flow.source
            for call in cookie_calls(source):
                if source.function(call) is not flow.node:
                    continue
                for given in call.keywords:
                    if given.arg in {"path", "domain"} and flow.is_sent(given.value, harmful=True):
                        message = f"what a client sent becomes the cookie's {given.arg}"
                        yield self.at(
                            source, given.value, message, f'write a constant, such as {given.arg}="/"'
                        )
            for value in _header_values(source, flow.node):
                if flow.is_sent(value, harmful=True):
                    yield self.at(source, value, "what a client sent becomes the value of a header")


def _header_values(source: Source, node: FunctionNode) -> Iterator[ast.expr]:
    """Yield what a function writes as the value of a header of an answer."""
    for one in source.own(node):
        if isinstance(one, ast.Call):
            name = source.name(one.func) or ""
            answers = (name or source.segment(one.func)).endswith("Response")
            given = [keyword.value for keyword in one.keywords if keyword.arg == "headers"]
            if name == "runtime.UpgradeResponse":
                given += one.args[1:2]
            if answers:
                for value in given:
                    yield from _values_of(source, node, value)
        elif isinstance(one, ast.Assign):
            for target in one.targets:
                if isinstance(target, ast.Subscript) and source.segment(target.value).endswith(".headers"):
                    yield one.value


def _values_of(source: Source, node: FunctionNode, headers: ast.expr) -> Iterator[ast.expr]:
    """Yield the values of a mapping of headers, also of one with a name in the function."""
    if isinstance(headers, ast.Dict):
        yield from headers.values
    elif isinstance(headers, ast.Name):
        for one in source.own(node):
            if not isinstance(one, ast.Assign):
                continue
            for target in one.targets:
                if (
                    isinstance(target, ast.Name)
                    and target.id == headers.id
                    and isinstance(one.value, ast.Dict)
                ):
                    yield from one.value.values
                elif (
                    isinstance(target, ast.Subscript)
                    and isinstance(target.value, ast.Name)
                    and target.value.id == headers.id
                ):
                    yield one.value


class SecretInUser(Rule):
    """SEC027."""

    id = "SEC027"
    severity = Severity.WARNING
    title = "a secret or a person's data in what a connection carries"
    why = "What the upgrade hook returns stays in memory, and reaches logs, rosters and with them other clients."
    how = "return an id, and look the rest up where it is needed"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the keys that the hook returns."""
        for name, source, node in project.hook_functions:
            if name != "upgrade":
                continue
            told: set[ast.AST] = set()
            for where, key, word in _returned_keys(project, source, node, MAX_STEPS):
                if _tells(word.lower()) and key not in told:
                    told.add(key)
                    yield self.at(where, key, f"the upgrade hook returns {word.lower()!r}")


def _returned_keys(
    project: Project, source: Source, node: FunctionNode, steps: int
) -> Iterator[tuple[Source, ast.AST, str]]:
    """Yield the keys of what a function returns, with their place and text."""
    for one in source.own(node):
        if isinstance(one, ast.Return) and one.value is not None and source.function(one) is node:
            yield from _keys(project, source, node, one.value, steps)


def _keys(
    project: Project, source: Source, node: FunctionNode, value: ast.expr, steps: int
) -> Iterator[tuple[Source, ast.AST, str]]:
    if steps <= 0:
        return
    match value:
        case ast.Dict(keys=keys, values=values):
            for key, inner in zip(keys, values, strict=True):
                if key is None:
                    yield from _keys(project, source, node, inner, steps - 1)
                elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield source, key, key.value
        case ast.IfExp(body=one, orelse=other):
            yield from _keys(project, source, node, one, steps)
            yield from _keys(project, source, node, other, steps)
        case ast.BoolOp(values=values):
            for one in values:
                yield from _keys(project, source, node, one, steps)
        case ast.Await(value=inner) | ast.NamedExpr(value=inner):
            yield from _keys(project, source, node, inner, steps)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _keys(project, source, node, left, steps)
            yield from _keys(project, source, node, right, steps)
        case ast.Name(id=name):
            yield from _filled(project, source, node, name, steps - 1)
        case ast.Call(func=function, args=args, keywords=keywords):
            called = project.function_of(source, function)
            if called is not None and isinstance(called[1], FunctionNode) and called[1] is not node:
                yield from _returned_keys(project, called[0], called[1], steps - 1)
                return
            if source.name(function) == "builtins.dict":
                yield from ((source, keyword, keyword.arg) for keyword in keywords if keyword.arg is not None)
            if source.name(function) in {"builtins.dict", "runtime.UpgradeResponse"}:
                given = [
                    *args[:1],
                    *(one.value for one in keywords if one.arg in {None, "user", "user_data"}),
                ]
                for one in given:
                    yield from _keys(project, source, node, one, steps)
        case _:
            return


def _filled(
    project: Project, source: Source, node: FunctionNode, name: str, steps: int
) -> Iterator[tuple[Source, ast.AST, str]]:
    """Yield the keys of a mapping with a name: of what it was assigned, and what was put into it."""
    for one in source.own(node):
        targets = (
            one.targets
            if isinstance(one, ast.Assign)
            else [one.target]
            if isinstance(one, ast.AnnAssign)
            else []
        )
        for target in targets:
            assert isinstance(one, ast.Assign | ast.AnnAssign)  # noqa: S101 - only they have targets here
            match target:
                case ast.Name(id=found) if found == name and one.value is not None:
                    yield from _keys(project, source, node, one.value, steps)
                case ast.Subscript(value=ast.Name(id=found), slice=ast.Constant(value=str() as key)) if (
                    found == name
                ):
                    yield source, target, key


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
        """Look at what the except blocks of the hook return, and those of the functions whose answer it returns."""
        told: set[ast.AST] = set()
        for name, source, node in project.hook_functions:
            if name in {"upgrade", "authenticate"}:
                for where, one in self._answers(project, source, node, MAX_STEPS):
                    if one not in told and self._is_open(project, name, where, one):
                        told.add(one)
                        shown = where.segment(one)[:60]
                        yield self.at(where, one, f"an except block of {name} says {shown!r}")

    def _is_open(self, project: Project, hook: str, source: Source, answer: ast.Return) -> bool:
        if answer.value is None:
            return False
        where, value = project.value(source, answer.value)
        called = project.function_of(where, value.func) if isinstance(value, ast.Call) else None
        if called is None or not isinstance(called[1], FunctionNode):
            return _lets_in(hook, value)
        returned = [one.value for one in called[0].own(called[1]) if isinstance(one, ast.Return)]
        return any(_lets_in(hook, one) for one in returned)

    def _answers(
        self, project: Project, source: Source, node: FunctionNode, steps: int
    ) -> Iterator[tuple[Source, ast.Return]]:
        for one in source.own(node):
            if not isinstance(one, ast.Return) or source.function(one) is not node:
                continue
            if any(isinstance(above, ast.ExceptHandler) for above in _within(source, one)):
                yield source, one
            value = one.value.value if isinstance(one.value, ast.Await) else one.value
            called = (
                project.function_of(source, value.func) if isinstance(value, ast.Call) and steps else None
            )
            if called is not None and isinstance(called[1], FunctionNode) and called[1] is not node:
                yield from self._answers(project, called[0], called[1], steps - 1)


def _within(source: Source, node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node stands in, up to its function."""
    for above in source.parents(node):
        if isinstance(above, FunctionNode):
            return
        yield above


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
        """Look for the header in an `UpgradeResponse`, also in a mapping with a name that it is given."""
        for source in project.code:
            for call in source.calls_of("runtime.UpgradeResponse"):
                function = source.function(call)
                places: list[ast.AST] = [call]
                for given in [*call.args, *(keyword.value for keyword in call.keywords)]:
                    if isinstance(given, ast.Name):
                        places.append(project.value(source, given)[1])
                        places += _put_into(source, function, given.id)
                for node in (one for place in places for one in ast.walk(place)):
                    if isinstance(node, ast.Constant) and str(node.value).lower() == "set-cookie":
                        message = "UpgradeResponse sets a cookie on the answer to a handshake"
                        yield self.at(source, node, message)


def _put_into(source: Source, function: FunctionNode | None, name: str) -> list[ast.AST]:
    """Return the keys that a function puts into a mapping with a name."""
    return [
        one.slice
        for one in (source.own(function) if function is not None else ())
        if isinstance(one, ast.Subscript) and isinstance(one.value, ast.Name) and one.value.id == name
    ]
