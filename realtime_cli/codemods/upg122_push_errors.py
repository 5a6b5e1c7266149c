"""A push that fails has a code; its text is for people. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.literals import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["PushErrors"]


class PushErrors(Codemod):
    """`"timed out" in str(error)` becomes a look at the code."""

    id: ClassVar[str] = "UPG122"
    title: ClassVar[str] = "push errors by code"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("D-26",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"timed out",)

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each comparison by text in a handler around a push."""
        for node in file.nodes(cst.Comparison):
            if len(node.comparisons) != 1 or text_of(node.left) != "timed out":
                continue
            target = node.comparisons[0]
            if not isinstance(target.operator, cst.In | cst.NotIn):
                continue
            name = _text_of_error(target.comparator)
            handler = self._handler(file, node, name)
            if name is None or handler is None:
                continue
            sign = "==" if isinstance(target.operator, cst.In) else "!="
            q = file.quote
            is_ours = handler.type is not None and file.names.is_a(handler.type, "runtime.LiveError")
            code = f"{name}.code" if is_ours else f"getattr({name}, {q}code{q}, None)"
            yield self.assisted(
                file,
                node,
                "D-26",
                "a push that timed out is told by its text",
                "was: " + " ".join(file.text(node).split()),
                [file.replace(node, f"{code} {sign} {q}TIMEOUT{q}")],
            )

    def _handler(self, file: PythonFile, node: cst.CSTNode, name: str | None) -> cst.ExceptHandler | None:
        """Return the clause that catches the error, if what it guards pushes."""
        for above in file.around(node):
            if isinstance(above, cst.FunctionDef | cst.Lambda):
                return None
            if not isinstance(above, cst.ExceptHandler):
                continue
            if (
                above.name is None
                or not isinstance(above.name.name, cst.Name)
                or above.name.name.value != name
            ):
                continue
            block = file.parents[above]
            if not isinstance(block, cst.Try):
                return None
            start, end = file.span(block.body)
            pushes = any(
                start <= file.span(call)[0] < end and file.names.is_a(call.func, "runtime.live.push")
                for call in file.calls("push")
            )
            return above if pushes else None
        return None


def _text_of_error(node: cst.BaseExpression) -> str | None:
    """Return the name in ``str(e)``, ``e.args[0]`` and ``e.message``; None for anything else."""
    if isinstance(node, cst.Call):
        is_str = isinstance(node.func, cst.Name) and node.func.value == "str" and len(node.args) == 1
        given = node.args[0].value if is_str else None
        return given.value if isinstance(given, cst.Name) else None
    if isinstance(node, cst.Subscript):
        node = node.value
        if not isinstance(node, cst.Attribute) or node.attr.value != "args":
            return None
    elif not isinstance(node, cst.Attribute) or node.attr.value != "message":
        return None
    return node.value.value if isinstance(node.value, cst.Name) else None
