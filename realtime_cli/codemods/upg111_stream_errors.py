"""A failed stream keeps its value; what went wrong is in `.error`. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.clientobjects import is_stream_value
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["StreamErrors"]

_ADVICE = "read .error of the stream (and .status): a value is data in 0.5, never an error"


class StreamErrors(Codemod):
    """Reads of an error inside of a value find nothing any more."""

    id: ClassVar[str] = "UPG111"
    title: ClassVar[str] = "errors of streams"
    change: ClassVar[Change] = Change.FLAG
    rows: ClassVar[tuple[str, ...]] = ("D-05",)
    tokens: ClassVar[tuple[bytes, ...]] = (b'"error"', b"'error'")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield ``value["error"]``, ``value.get("error")`` and ``"error" in value``."""
        for node in file.nodes(cst.Subscript):
            index = node.slice[0].slice if len(node.slice) == 1 else None
            if isinstance(index, cst.Index) and _is_error(index.value) and is_stream_value(file, node.value):
                yield self._told(file, node)
        for call in file.calls("get"):
            if not isinstance(call.func, cst.Attribute) or not call.args or not _is_error(call.args[0].value):
                continue
            if is_stream_value(file, call.func.value):
                yield self._told(file, call)
        for comparison in file.nodes(cst.Comparison):
            target = comparison.comparisons[0]
            asks = isinstance(target.operator, cst.In) and _is_error(comparison.left)
            if asks and is_stream_value(file, target.comparator):
                yield self._told(file, comparison)

    def _told(self, file: PythonFile, node: cst.CSTNode) -> Finding:
        return self.flag(
            file, node, "D-05", f"{file.text(node)}: the value of a stream is never an error", _ADVICE
        )


def _is_error(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.SimpleString) and node.evaluated_value == "error"
