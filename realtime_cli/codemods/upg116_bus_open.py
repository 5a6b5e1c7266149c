"""The bus tells clients of trouble through its own open hook, and wraps the platform by itself. Spec: upgrade 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument, without_argument
from realtime_cli.codemods.blanklines import behind_comments, behind_head, needs_blank_after
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.contexts import positional
from realtime_cli.codemods.definitions import function_of, users
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["BusOpen"]

_BUSES = ("runtime.cluster.PubSubBus()", "runtime.cluster.ShardedBus()")


class BusOpen(Codemod):
    """`open` calls the hook of the bus that `init` activates; `create_message` wraps no platform by hand."""

    id: ClassVar[str] = "UPG116"
    title: ClassVar[str] = "open hook of the bus"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-12", "S-20", "P-07")
    tokens: ClassVar[tuple[bytes, ...]] = (b".activate", b"create_message")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield the open hook that lacks the bus, and the wraps by hand."""
        if file.path == file.project.hooks_path:
            yield from self._open(file)
        for call in file.calls("create_message"):
            if file.names.is_a(call.func, "runtime.create_message"):
                yield from self._wrap(file, call)

    def _open(self, file: PythonFile) -> Iterator[Finding]:
        active: dict[str, cst.Call] = {}
        for call in file.calls("activate"):
            if not isinstance(call.func, cst.Attribute) or not file.names.is_a(call.func.value, *_BUSES):
                continue
            function = file.function_around(call)
            if function is not None and file.names.contexts.hook(function) in ("open", "init"):
                active.setdefault(file.text(call.func.value), call)
        if not active or any(
            file.names.is_a(node, *(f"{bus}.hooks.open" for bus in _BUSES))
            for node in file.attributes("open")
        ):
            return
        if len(active) > 1:
            yield self.flag(
                file,
                next(iter(active.values())),
                "S-20",
                f"{len(active)} buses are activated ({', '.join(sorted(active))})",
                "await the open hook of each first in open()",
            )
            return
        ((bus, call),) = active.items()
        assert isinstance(call.func, cst.Attribute)  # noqa: S101 - looked at above
        if _is_silent(file, call.func.value):
            return
        scope = file.scope(file.tree)
        bound = list(scope["open"]) if scope is not None and "open" in scope else []
        opens = [one for one in file.nodes(cst.FunctionDef) if file.names.contexts.hook(one) == "open"]
        if opens:
            yield from self._inserted(file, opens, bus)
        elif not any(type(one).__name__ != "BuiltinAssignment" for one in bound):
            init = next(
                (one for one in file.nodes(cst.FunctionDef) if file.names.contexts.hook(one) == "init"), None
            )
            if init is not None:
                yield self.auto(
                    file,
                    init,
                    "S-20",
                    "clients hear of trouble of the bus through its open hook",
                    [_below(file, init, f"open = {bus}.hooks.open")],
                )
        else:
            yield self.flag(
                file,
                call,
                "S-20",
                "the hook open is no function of this file",
                f"let it await {bus}.hooks.open(ws, ctx) first",
            )

    def _inserted(self, file: PythonFile, opens: list[cst.FunctionDef], bus: str) -> Iterator[Finding]:
        function = opens[0]
        taken = positional(function)
        body = function.body
        message = "clients hear of trouble of the bus through its open hook"
        if len(opens) > 1 or len(taken) < 2 or not isinstance(body, cst.IndentedBlock):
            yield self.flag(
                file,
                function.name,
                "S-20",
                message,
                f"await {bus}.hooks.open(ws, ctx) first in open()",
            )
            return
        ws, ctx = (param.name.value for param in taken[:2])
        line = f"await {bus}.hooks.open({ws}, {ctx})"
        splices = _first(file, function, body, line)
        if function.asynchronous is not None:
            yield self.auto(file, function.name, "S-20", message, splices)
            return
        splices.append(file.before(function, "async "))
        if users(file, function):
            yield self.assisted(
                file,
                function.name,
                "S-20",
                message,
                "open is async now: await it where it is called",
                splices,
            )
        else:
            yield self.auto(file, function.name, "S-20", message, splices)

    def _wrap(self, file: PythonFile, call: cst.Call) -> Iterator[Finding]:
        given = argument(call, "platform")
        if given is None:
            return
        found = function_of(file, given.value)
        if found is not None and _only_wraps(*found):
            yield self.assisted(
                file,
                call,
                "P-07",
                "the platform is wrapped by hand: with the bus of the settings everything would be relayed twice",
                "was: " + " ".join(file.text(given).split()) + "; set [redis] url, and the framework wraps",
                [without_argument(file, call, given)],
            )
        else:
            yield self.flag(
                file,
                given,
                "P-07",
                "create_message is given a platform of its own",
                "the framework wraps with the bus of the settings; leave platform= out if it does the same",
            )


def _below(file: PythonFile, init: cst.FunctionDef, line: str) -> Splice:
    """Return the replacement that puts a statement below a function and the comments that end it."""
    newline = file.newline(file.span(init)[0])
    at = behind_comments(file, init)
    lead = b"" if file.data[:at].endswith((b"\n", b"\r")) else newline
    end = b"" if lead else newline
    return Splice(at, at, lead + newline * 2 + line.encode() + end)


def _first(file: PythonFile, function: cst.FunctionDef, body: cst.IndentedBlock, line: str) -> list[Splice]:
    """Return the replacements that put a statement first in a function, behind docstring and ``global``."""
    head = None
    following: cst.CSTNode | None = None
    for statement in body.body:
        if not _is_head(statement, first=head is None):
            following = statement
            break
        head = statement
    newline = file.newline(file.span(function)[0])
    margin = file.indent(body.body[0])
    at = behind_head(file, function) if head is None else file.line_end(file.span(head)[1])
    lead = b"" if file.data[:at].endswith((b"\n", b"\r")) else newline
    text = lead + margin + line.encode() + (b"" if lead else newline)
    is_close = following is not None and file.comment_lines_above(following) == at
    if following is not None and is_close and needs_blank_after(following):
        text += newline
    return [Splice(at, at, text)]


def _is_head(statement: cst.BaseStatement, *, first: bool) -> bool:
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return False
    only = statement.body[0]
    if isinstance(only, cst.Global | cst.Nonlocal):
        return True
    return (
        first
        and isinstance(only, cst.Expr)
        and isinstance(only.value, cst.SimpleString | cst.ConcatenatedString)
    )


def _is_silent(file: PythonFile, bus: cst.BaseExpression) -> bool:
    """Say whether a bus is made with ``system_channel=None``, anywhere in the project."""
    name = bus.attr.value if isinstance(bus, cst.Attribute) else getattr(bus, "value", "")
    project = file.project
    for path in project.imports.reaching_with(b"system_channel"):
        other = file if path == file.path else project.file(path)
        if other is None:
            continue
        for call in other.calls("PubSubBus", "ShardedBus"):
            given = argument(call, "system_channel")
            if (
                given is None
                or not isinstance(given.value, cst.Name)
                or given.value.value not in ("None", "False")
            ):
                continue
            for above in other.around(call):
                if isinstance(above, cst.Assign):
                    targets = [one.target for one in above.targets]
                    if any(isinstance(one, cst.Name) and one.value == name for one in targets):
                        return True
    return False


def _only_wraps(file: PythonFile, function: cst.FunctionDef | cst.Lambda) -> bool:
    """Say whether all that a function does is to give back its platform wrapped by a bus."""
    taken = positional(function)
    value: cst.CSTNode | None = function.body
    if isinstance(function, cst.FunctionDef):
        body = function.body.body
        rest = (
            body[1:]
            if len(body) == 2
            and isinstance(body[0], cst.SimpleStatementLine)
            and _is_head(body[0], first=True)
            else body
        )
        only = rest[0].body[0] if len(rest) == 1 and isinstance(rest[0], cst.SimpleStatementLine) else None
        value = only.value if isinstance(only, cst.Return) else None
    if not isinstance(value, cst.Call) or len(taken) != 1 or len(value.args) != 1:
        return False
    given = value.args[0].value
    return (
        isinstance(given, cst.Name)
        and given.value == taken[0].name.value
        and file.names.is_a(value.func, *(f"{bus}.wrap" for bus in _BUSES))
    )
