"""The client's status "closed" is two states: "disconnected" and "failed". Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.clientobjects import is_status
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile
    from realtime_cli.codemods.splices import Splice

__all__ = ["ClientStatus"]

_NEW = ("disconnected", "failed")
_OLD_STATES = {"connecting", "open", "closed"}


class ClientStatus(Codemod):
    """Comparisons with the old state become ones with both new states."""

    id: ClassVar[str] = "UPG110"
    title: ClassVar[str] = "states of the client's connection"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("D-01", "D-02", "D-03", "D-04")
    tokens: ClassVar[tuple[bytes, ...]] = (b'"closed"', b"'closed'")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield comparisons, arms of `match`, dictionary keys and `Literal` types."""
        for comparison in file.nodes(cst.Comparison):
            yield from self._comparison(file, comparison)
        for match in file.nodes(cst.Match):
            if is_status(file, match.subject):
                yield from self._match(file, match)
        for subscript in file.nodes(cst.Subscript):
            yield from self._table(file, subscript)
        yield from self._types(file)

    def _comparison(self, file: PythonFile, node: cst.Comparison) -> Iterator[Finding]:
        operands = [node.left, *(one.comparator for one in node.comparisons)]
        if len(operands) > 2:
            # ``a == status == "closed"`` means ``a == status and status == "closed"``: its parts do not stand alone.
            if any(is_status(file, one) for one in operands) and any(map(_holds_closed, operands)):
                yield self.flag(
                    file, node, "D-02", "a chain of comparisons with closed", "compare with both new states"
                )
            return
        target = node.comparisons[0]
        operator, right = target.operator, target.comparator
        if isinstance(operator, cst.Equal | cst.NotEqual):
            value, literal = (node.left, right) if _is_closed(right) else (right, node.left)
            if _is_closed(literal) and is_status(file, value):
                assert isinstance(literal, cst.SimpleString)  # noqa: S101 - it says closed
                word = "in" if isinstance(operator, cst.Equal) else "not in"
                states = f"({', '.join(_like(literal, state) for state in _NEW)})"
                splices = [self._operator(file, node, word), file.replace(right, states)]
                if value is not node.left:
                    text = file.text(value)
                    splices.append(file.replace(literal, f"({text})" if value.lpar else text))
                yield self.auto(file, node, "D-02", "closed is disconnected or failed", splices)
            return
        if _is_closed(node.left) and any(is_status(file, one) for one in _elements(right)):
            yield self.flag(
                file,
                node,
                "D-02",
                "closed is looked for among states",
                "look for disconnected and failed there",
            )
            return
        if not isinstance(operator, cst.In | cst.NotIn) or not is_status(file, node.left):
            return
        for element in _elements(right):
            if isinstance(element, cst.SimpleString) and _is_closed(element):
                both = ", ".join(_like(element, state) for state in _NEW)
                message = "closed is disconnected or failed"
                yield self.auto(file, element, "D-02", message, [file.replace(element, both)])

    def _operator(self, file: PythonFile, node: cst.Comparison, word: str) -> Splice:
        return file.replace(node.comparisons[0].operator, _spaced(file, node, word))

    def _match(self, file: PythonFile, match: cst.Match) -> Iterator[Finding]:
        seen: set[str] = set()
        open_ended = False
        for case in match.cases:
            open_ended |= (
                case.guard is None and isinstance(case.pattern, cst.MatchAs) and case.pattern.pattern is None
            )
            for literal in self._literals(case.pattern):
                seen.add(str(literal.evaluated_value))
                if not _is_closed(literal):
                    continue
                both = " | ".join(_like(literal, state) for state in _NEW)
                yield self.auto(
                    file, case, "D-02", "closed is disconnected or failed", [file.replace(literal, both)]
                )
        if not open_ended and seen and seen <= _OLD_STATES | set(_NEW) and "suspended" not in seen:
            yield self.flag(
                file,
                match.subject,
                "D-04",
                "a match over the states of 0.4",
                "0.5 has five: connecting, open, suspended, disconnected, failed",
            )

    def _literals(self, pattern: cst.MatchPattern) -> Iterator[cst.SimpleString]:
        if isinstance(pattern, cst.MatchValue) and isinstance(pattern.value, cst.SimpleString):
            yield pattern.value
        elif isinstance(pattern, cst.MatchOr):
            for one in pattern.patterns:
                yield from self._literals(one.pattern)
        elif isinstance(pattern, cst.MatchAs) and pattern.pattern is not None:
            yield from self._literals(pattern.pattern)

    def _table(self, file: PythonFile, node: cst.Subscript) -> Iterator[Finding]:
        if len(node.slice) != 1 or not isinstance(node.slice[0].slice, cst.Index):
            return
        if not is_status(file, node.slice[0].slice.value) or not isinstance(node.value, cst.Dict):
            return
        for one in node.value.elements:
            if isinstance(one, cst.DictElement) and _is_closed(one.key):
                yield self.flag(
                    file,
                    one.key,
                    "D-02",
                    "a table of states has closed",
                    "give it entries for disconnected and failed (and suspended)",
                )

    def _types(self, file: PythonFile) -> Iterator[Finding]:
        if b"runtime.client" not in file.data and b"runtime import client" not in file.data:
            return
        for node in file.nodes(cst.Subscript):
            if not file.names.is_a(node.value, "typing.Literal", "typing_extensions.Literal"):
                continue
            values = {
                str(one.slice.value.evaluated_value)
                for one in node.slice
                if isinstance(one.slice, cst.Index) and isinstance(one.slice.value, cst.SimpleString)
            }
            if "closed" in values and values <= _OLD_STATES:
                yield self.flag(
                    file,
                    node,
                    "D-02",
                    "a type of the states of 0.4",
                    "0.5 has disconnected and failed instead of closed",
                )


def _is_closed(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.SimpleString) and node.evaluated_value == "closed"


def _elements(node: cst.BaseExpression) -> list[cst.BaseExpression]:
    """Return what a tuple, list or set is written with."""
    return [one.value for one in node.elements] if isinstance(node, cst.Tuple | cst.List | cst.Set) else []


def _holds_closed(node: cst.BaseExpression) -> bool:
    return _is_closed(node) or any(map(_is_closed, _elements(node)))


def _like(literal: cst.SimpleString, state: str) -> str:
    return f"{literal.prefix}{literal.quote}{state}{literal.quote}"


def _spaced(file: PythonFile, node: cst.Comparison, word: str) -> str:
    """Return an operator made of letters, with the blanks around it that it needs."""
    operator = node.comparisons[0].operator
    start, end = file.span(operator)
    before = "" if file.data[start - 1 : start].isspace() else " "
    after = "" if file.data[end : end + 1].isspace() else " "
    return f"{before}{word}{after}"
