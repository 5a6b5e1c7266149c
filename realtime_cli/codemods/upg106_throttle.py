"""`ctx.throttle`, `ctx.debounce` and a called `ctx.signal` have new names. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Throttle"]

_NEW = {"throttle": ("publish_throttled", "R-01"), "debounce": ("publish_debounced", "R-02")}


class Throttle(Codemod):
    """Names that publish carry `publish_` now; the two-argument form, which gated nothing, becomes `skip`."""

    id: ClassVar[str] = "UPG106"
    title: ClassVar[str] = "ctx.throttle, ctx.debounce, ctx.signal()"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("R-01", "R-02", "R-03", "P-08")
    tokens: ClassVar[tuple[bytes, ...]] = (b"throttle", b"debounce", b".signal")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each use on a live context."""
        for node in file.attributes("throttle", "debounce"):
            found = file.names.of(node)
            old = node.attr.value
            call = file.parents[node]
            called = isinstance(call, cst.Call) and call.func is node
            if found == {f"@ctx.{old}"}:
                if isinstance(call, cst.Call) and called:
                    yield from self._call(file, node, call)
                else:
                    yield from self._taken(file, node)
            elif isinstance(call, cst.Call) and called and _is_publish(call) and _named_ctx(node):
                new, row = _NEW[old]
                yield self.flag(
                    file,
                    call,
                    row,
                    f"ctx.{old}() with four arguments, and nothing shows that ctx is a live context",
                    f"if it is, call ctx.{new}() instead",
                )
        yield from self._signals(file)
        yield from self._by_string(file)

    def _call(self, file: PythonFile, node: cst.Attribute, call: cst.Call) -> Iterator[Finding]:
        old = node.attr.value
        new, row = _NEW[old]
        if _is_publish(call):
            yield self.auto(file, call, row, f"ctx.{old}() is ctx.{new}()", [file.replace(node.attr, new)])
            if any(argument.keyword is not None and argument.keyword.value == "ms" for argument in call.args):
                yield self.flag(
                    file, call, row, f"{old}(ms=) was in milliseconds", "pass the interval in seconds"
                )
        elif old == "throttle" and _is_gate(call):
            yield self._gate(file, node, call)
        else:
            yield self.flag(
                file,
                call,
                row,
                f"ctx.{old}() with {len(call.args)} arguments",
                f"ctx.{new}(topic, event, data, seconds) publishes; ctx.skip(key, seconds) is the gate",
            )

    def _gate(self, file: PythonFile, node: cst.Attribute, call: cst.Call) -> Finding:
        statement = file.parents[call]
        function = file.function_around(call)
        if (
            isinstance(statement, cst.Expr)
            and file.is_alone(statement)
            and isinstance(function, cst.FunctionDef)
            and _returns_nothing(function)
        ):
            written = file.text(call).replace(file.text(node), f"{file.text(node.value)}.skip", 1)
            line = file.parents[statement]
            margin = (file.indent(line) + file.one_indent).decode()
            end = file.newline(file.span(line)[0]).decode()
            return self.assisted(
                file,
                call,
                "R-03",
                "ctx.throttle(key, seconds) gated nothing in 0.4",
                "this call gated nothing in 0.4; skip() now does",
                [file.replace(statement, f"if {written}:{end}{margin}return")],
            )
        return self.flag(
            file,
            call,
            "R-03",
            "ctx.throttle(key, seconds) gated nothing in 0.4",
            "write: if ctx.skip(key, seconds): return ...",
        )

    def _taken(self, file: PythonFile, node: cst.Attribute) -> Iterator[Finding]:
        """A bound method given a name: the attribute is renamed if every call of that name publishes."""
        old = node.attr.value
        new, row = _NEW[old]
        assign = file.parents[node]
        calls: list[cst.CSTNode | None] = []
        if isinstance(assign, cst.Assign) and len(assign.targets) == 1:
            target = assign.targets[0].target
            scope = file.scope(target)
            if isinstance(target, cst.Name) and scope is not None:
                calls = [
                    file.parents.get(access.node) for one in scope[target.value] for access in one.references
                ]
        if calls and all(isinstance(call, cst.Call) and _is_publish(call) for call in calls):
            yield self.auto(file, node, row, f"ctx.{old} is ctx.{new}", [file.replace(node.attr, new)])
        else:
            yield self.flag(
                file,
                node,
                row,
                f"ctx.{old} is taken as a value",
                f"if it is called with a topic, event, data and seconds, take ctx.{new}",
            )

    def _signals(self, file: PythonFile) -> Iterator[Finding]:
        for call in file.calls("signal"):
            if isinstance(call.func, cst.Attribute) and file.names.is_a(call.func, "@ctx.signal"):
                yield self.auto(
                    file,
                    call,
                    "P-08",
                    "ctx.signal() is ctx.send_signal()",
                    [file.replace(call.func.attr, "send_signal")],
                )

    def _by_string(self, file: PythonFile) -> Iterator[Finding]:
        for call in file.calls("getattr"):
            if len(call.args) < 2 or not isinstance(call.func, cst.Name):
                continue
            name = call.args[1].value
            if not isinstance(name, cst.SimpleString) or name.evaluated_value not in _NEW:
                continue
            if file.names.is_a(call.args[0].value, "@ctx"):
                new, row = _NEW[str(name.evaluated_value)]
                yield self.flag(
                    file, call, row, f"getattr(ctx, {name.value})", f"the method is called {new} now"
                )


def _is_publish(call: cst.Call) -> bool:
    return len(call.args) == 4 and not any(argument.star for argument in call.args)


def _is_gate(call: cst.Call) -> bool:
    return len(call.args) == 2 and not any(argument.star for argument in call.args)


def _named_ctx(node: cst.Attribute) -> bool:
    return isinstance(node.value, cst.Name) and node.value.value == "ctx"


def _returns_nothing(function: cst.FunctionDef) -> bool:
    if function.returns is None:
        return True
    kind = function.returns.annotation
    return isinstance(kind, cst.Name) and kind.value == "None"
