"""Presence sends `presence_state` and `presence_diff`: those who read the frames read others. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["PresenceFrames"]

_ARMS = {
    "list": "presence_state, with all that are there",
    "join": "presence_diff, in joins",
    "leave": "presence_diff, in leaves",
    "updated": "presence_diff, in joins",
}
_SKELETON = (
    "def decode_presence(present, event, data):",
    '    if event == "presence_state":',
    "        present.clear()",
    "        present.update(data)",
    '    elif event == "presence_diff":',
    '        present.update(data["joins"])',
    '        for key in data["leaves"]:',
    "            present.pop(key, None)",
)


class PresenceFrames(Codemod):
    """Each arm for an old event is told; the shape of the data is another one, so nothing is rewritten."""

    id: ClassVar[str] = "UPG112"
    title: ClassVar[str] = "frames of presence"
    change: ClassVar[Change] = Change.FLAG
    rows: ClassVar[tuple[str, ...]] = ("D-06",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"__presence:", b"updated")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield the arms of functions that read presence frames."""
        arms: dict[cst.CSTNode, list[cst.SimpleString]] = {}
        for string in self._arms(file):
            function: cst.CSTNode = file.function_around(string) or file.tree
            arms.setdefault(function, []).append(string)
        speaking = {
            file.function_around(string) or file.tree
            for string in (*file.nodes(cst.SimpleString), *file.nodes(cst.FormattedStringText))
            if _names_presence(string)
        }
        for where, strings in arms.items():
            if where not in speaking and len({str(one.evaluated_value) for one in strings}) < 2:
                continue
            offered = file.project.options.interactive and not self._has_skeleton(file)
            for number, string in enumerate(strings):
                event = str(string.evaluated_value)
                message = f"presence sends no {event!r}: it is {_ARMS[event]}"
                if offered and not number:
                    yield self._with_skeleton(file, where, string, message)
                else:
                    yield self.flag(file, string, "D-06", message, "\n".join(_SKELETON))

    def _arms(self, file: PythonFile) -> Iterator[cst.SimpleString]:
        """Yield literals of old events that something called event is compared with."""
        for comparison in file.nodes(cst.Comparison):
            if len(comparison.comparisons) != 1 or not _is_event(comparison.left):
                continue
            target = comparison.comparisons[0]
            values = [target.comparator]
            if isinstance(target.comparator, cst.Tuple | cst.List | cst.Set):
                values = [one.value for one in target.comparator.elements]
            for value in values:
                if isinstance(value, cst.SimpleString) and value.evaluated_value in _ARMS:
                    yield value
        for match in file.nodes(cst.Match):
            if not _is_event(match.subject):
                continue
            for case in match.cases:
                literal = case.pattern.value if isinstance(case.pattern, cst.MatchValue) else None
                if isinstance(literal, cst.SimpleString) and literal.evaluated_value in _ARMS:
                    yield literal

    def _has_skeleton(self, file: PythonFile) -> bool:
        return b"presence_state" in file.data

    def _with_skeleton(
        self, file: PythonFile, function: cst.CSTNode, string: cst.SimpleString, message: str
    ) -> Finding:
        """Offer a decoder above the function; written only if the person takes it."""
        names = {one.name.value for one in file.nodes(cst.FunctionDef)}
        name = next(
            one
            for one in ("decode_presence", "decode_presence_05", "decode_presence_new")
            if one not in names
        )
        lines = [_SKELETON[0].replace("decode_presence", name), *_SKELETON[1:], "", ""]
        top: cst.CSTNode = function
        for above in file.around(function):
            if isinstance(above, cst.FunctionDef | cst.ClassDef):
                top = above
        anchor = top if isinstance(top, cst.FunctionDef | cst.ClassDef) else file.statement(string)
        return self.assisted(
            file,
            string,
            "D-06",
            message,
            f"presence sends presence_state and presence_diff in 0.5; {name} reads those",
            [file.lines_above(anchor, lines, indent=b"")],
        )


def _names_presence(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.SimpleString):
        return str(node.evaluated_value).startswith("__presence:")
    return isinstance(node, cst.FormattedStringText) and node.value.startswith("__presence:")


def _is_event(node: cst.CSTNode) -> bool:
    """Say whether an expression is called event: a name, an attribute, or an entry of a frame."""
    if isinstance(node, cst.Name):
        return node.value == "event"
    if isinstance(node, cst.Attribute):
        return node.attr.value == "event"
    if (
        isinstance(node, cst.Subscript)
        and len(node.slice) == 1
        and isinstance(node.slice[0].slice, cst.Index)
    ):
        value = node.slice[0].slice.value
        return isinstance(value, cst.SimpleString) and value.evaluated_value == "event"
    return False
