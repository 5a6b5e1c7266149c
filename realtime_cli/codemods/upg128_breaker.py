"""The bus tells clients of its breaker by itself. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.definitions import body_nodes, function_of
from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.literals import text_start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["BreakerWiring"]

_BREAKERS = (
    "runtime.cluster.PubSubBus().breaker",
    "runtime.cluster.ShardedBus().breaker",
    "runtime.cluster.CircuitBreaker()",
    "runtime.plugins.CircuitBreaker()",
    "runtime.plugins.Breaker()",
)


class BreakerWiring(Codemod):
    """A breaker whose state is published by hand to a topic of the framework."""

    id: ClassVar[str] = "UPG128"
    title: ClassVar[str] = "breaker state by hand"
    change: ClassVar[Change] = Change.FLAG
    rows: ClassVar[tuple[str, ...]] = ("D-37",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"on_state_change",)

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each function that does so."""
        for call in file.nodes(cst.Call):
            given = self._listener(file, call)
            found = function_of(file, given) if given is not None else None
            if found is None or given is None:
                continue
            where, function = found
            for one in body_nodes(where, function, cst.Call):
                if not isinstance(one, cst.Call) or not isinstance(one.func, cst.Attribute):
                    continue
                if one.func.attr.value != "publish":
                    continue
                topics = [
                    argument for argument in one.args[:2] if text_start(argument.value).startswith("__")
                ]
                if topics:
                    yield self.flag(
                        file,
                        topics[0].value if where is file else given,
                        "D-37",
                        f"the state of a breaker is published by hand to {where.text(topics[0].value)}",
                        "delete it: the bus sends degraded and recovered on __realtime; on_degraded= stays",
                        severity=Severity.ERROR,
                    )
                    break

    def _listener(self, file: PythonFile, call: cst.Call) -> cst.BaseExpression | None:
        func = call.func
        if isinstance(func, cst.Attribute) and func.attr.value == "on_state_change":
            if file.names.is_a(func.value, *_BREAKERS) and call.args and not call.args[0].star:
                return call.args[0].value
            return None
        given = argument(call, "on_state_change")
        if given is None or not isinstance(func, cst.Name | cst.Attribute):
            return None
        makers = [one.removesuffix("()") for one in _BREAKERS if one.endswith("()")]
        return given.value if file.names.is_a(func, *makers) else None
