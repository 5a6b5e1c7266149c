"""Rooms say how many arguments their topic takes, and `on_leave` gets the topic. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import added_keyword, argument, has_stars
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.contexts import positional
from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import Function, PythonFile

__all__ = ["Rooms"]


class Rooms(Codemod):
    """`topic_args` is required where a room has actions; `on_leave(ctx)` is `on_leave(ctx, topic)`."""

    id: ClassVar[str] = "UPG108"
    title: ClassVar[str] = "topic_args and on_leave of rooms"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-14", "S-15", "S-16")
    tokens: ClassVar[tuple[bytes, ...]] = (b"room",)

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield what each room needs."""
        for call in file.calls("room"):
            if not file.names.is_a(call.func, "runtime.live.room"):
                continue
            yield from self._topic_args(file, call)
            yield from self._on_leave(file, call)
            joined = argument(call, "on_join")
            if joined is not None:
                yield self.flag(
                    file,
                    joined,
                    "S-16",
                    "on_join ran before init, and runs only after an init that went well",
                    "see that nothing in init needs what on_join does",
                )

    # topic_args

    def _topic_args(self, file: PythonFile, call: cst.Call) -> Iterator[Finding]:
        if argument(call, "topic_args") is not None or argument(call, "actions") is None:
            return
        if has_stars(call):
            yield self._uncounted(file, call, "options are handed on, topic_args may be among them")
            return
        topic = argument(call, "topic", 0)
        if topic is None:
            return
        function = self._function(file, topic.value)
        if function is None:
            yield self._uncounted(file, call, "where topic comes from cannot be followed")
            return
        if (
            not isinstance(function.params.star_arg, cst.MaybeSentinel)
            or function.params.star_kwarg is not None
        ):
            yield self._uncounted(file, call, "topic takes any number of arguments")
            return
        taken = len(positional(function))
        if not taken:
            yield self._uncounted(file, call, "topic takes no ctx")
            return
        splices = self._added(file, call, f"topic_args={taken - 1}")
        if splices:
            yield self.auto(file, call, "S-14", f"topic_args={taken - 1}: the arguments of topic", splices)

    def _uncounted(self, file: PythonFile, call: cst.Call, why: str) -> Finding:
        return self.flag(
            file,
            call,
            "S-14",
            f"a room with actions needs topic_args, and {why}",
            "write topic_args= with the number of arguments of topic, without ctx",
            severity=Severity.ERROR,
        )

    def _added(self, file: PythonFile, call: cst.Call, text: str) -> list[Splice]:
        """Return the replacements that add the keyword: above `actions` if that is the last line, else at the end."""
        actions = argument(call, "actions")
        assert actions is not None  # noqa: S101 - the caller looked
        start = file.span(actions)[0]
        line = file.line_start(start)
        margin = file.data[line:start]
        if call.args[-1] is actions and not margin.strip() and line > file.span(call)[0]:
            return [Splice(line, line, margin + text.encode() + b"," + file.newline(start))]
        return added_keyword(file, call, text)

    def _function(self, file: PythonFile, node: cst.BaseExpression) -> Function | None:
        """Return the lambda, or the function of this file or of another one of the project, that an expression is."""
        if isinstance(node, cst.Lambda):
            return node
        found = file.names.of(node)
        if len(found) != 1:
            return None
        path = next(iter(found))
        if not path.startswith("~"):
            return None
        module, _, name = path[1:].rpartition(".")
        other = file if module == file.module else file.project.module(module)
        if other is None:
            return None
        functions = [
            one
            for one in other.nodes(cst.FunctionDef)
            if one.name.value == name and other.scope(one) is other.scope(other.tree)
        ]
        return functions[0] if len(functions) == 1 and not functions[0].decorators else None

    # on_leave

    def _on_leave(self, file: PythonFile, call: cst.Call) -> Iterator[Finding]:
        given = argument(call, "on_leave")
        if given is None:
            return
        value = given.value
        function = self._function(file, value)
        if function is None:
            if file.names.of(value) and not file.names.may_be(value, "builtins.None"):
                yield from self._unknown(file, given)
            return
        parameters = function.params
        if not isinstance(parameters.star_arg, cst.MaybeSentinel) or parameters.star_kwarg is not None:
            yield from self._unknown(file, given)
            return
        taken = positional(function)
        if len(taken) != 1:
            return
        message = "on_leave gets the topic as its second argument"
        own = function is value or function in file.parents
        name = self._free_name(file, function) if own else None
        if isinstance(function, cst.Lambda) or (
            own and self._only_use(file, function, value) and name is not None
        ):
            yield self.auto(file, given, "S-15", message, self._parameter(file, function, name))
        else:
            first = taken[0].name.value
            wrapped = f"lambda {first}, topic: {file.text(value)}({first})"
            yield self.auto(file, given, "S-15", message, [file.replace(value, wrapped)])

    def _unknown(self, file: PythonFile, given: cst.Arg) -> Iterator[Finding]:
        if isinstance(given.value, cst.Name) and given.value.value == "None":
            return
        yield self.flag(
            file,
            given,
            "S-15",
            "on_leave gets the topic as its second argument, and what it is cannot be followed",
            "make it take (ctx, topic)",
        )

    def _parameter(self, file: PythonFile, function: Function, name: str | None) -> list[Splice]:
        last = positional(function)[0]
        _, end = file.span(last)
        return [Splice(end, end, f", {name or '_topic'}".encode())]

    def _free_name(self, file: PythonFile, function: Function) -> str | None:
        """Return how the new parameter is called: ``topic``, or another name if the function reads such a one."""
        start, end = file.span(function)
        names = {one.value for one in file.nodes(cst.Name) if start <= file.span(one)[0] < end}
        return next((name for name in ("topic", "_topic", "_left_topic") if name not in names), None)

    def _only_use(self, file: PythonFile, function: cst.FunctionDef, value: cst.BaseExpression) -> bool:
        """Say whether nothing else uses a function: not in its file, and no other file takes it."""
        scope = file.scope(function)
        if scope is None or len(scope[function.name.value]) != 1:
            return False
        uses = [access.node for one in scope[function.name.value] for access in one.references]
        if uses != [value]:
            return False
        module = file.module.rpartition(".")[2].encode()
        for path in file.project.mentions(function.name.value.encode()):
            raw = file.project.tree.read(path)
            if path != file.path and module in raw and b"import" in raw:
                return False
        return True
