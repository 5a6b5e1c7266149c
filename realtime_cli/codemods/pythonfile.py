"""One Python file of the project: its tree, where each node stands in the bytes, and what a name means.

Replacements are made by the place of the smallest node; the file is never written from the printed tree.
Spec: upgrade 3.1.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import fields
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import libcst as cst
from libcst.metadata import (
    ByteSpanPositionProvider,
    MetadataWrapper,
    ScopeProvider,
)

from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from libcst.metadata import Scope

    from realtime_cli.codemods.encoded import Encoded
    from realtime_cli.codemods.names import Names
    from realtime_cli.codemods.project import Project

__all__ = ["BrokenSource", "Function", "PythonFile", "Statement"]

Node = TypeVar("Node", bound=cst.CSTNode)
Function = cst.FunctionDef | cst.Lambda
Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement
_STATEMENTS = (
    cst.SimpleStatementLine,
    cst.BaseCompoundStatement,
    cst.ExceptHandler,
    cst.MatchCase,
)


_SKIP = re.compile(r"#\s*realtime-upgrade:\s*skip(?:=([\w,\s]+))?")


@cache
def _fields_of(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


class BrokenSource(Exception):
    """The file does not parse, or not to the end of what can be analysed."""


class PythonFile:
    """A file as it is at one moment of the upgrade; after each edit there is a new one.

    Args:
        project: for looking into other files.
        path: below the project, with ``/``.
        source: the decoded content.

    Raises:
        BrokenSource: LibCST cannot parse it.
    """

    def __init__(self, project: Project, path: str, source: Encoded) -> None:
        self.project = project
        self.path = path
        self.source = source
        self.data = source.data
        self._sorted: dict[type[cst.CSTNode], list[cst.CSTNode]] = {}
        try:
            self.tree = cst.parse_module(source.data.decode())
        except (cst.ParserSyntaxError, RecursionError, ValueError) as problem:
            raise BrokenSource("too deep" if isinstance(problem, RecursionError) else str(problem)) from None

    # Each of these is computed when it is first asked for: scopes are the dearest, and most files need none.

    @cached_property
    def _wrapper(self) -> MetadataWrapper:
        return MetadataWrapper(self.tree, unsafe_skip_copy=True)

    @cached_property
    def _spans(self) -> Mapping[cst.CSTNode, Any]:
        try:
            return self._wrapper.resolve(ByteSpanPositionProvider)
        except RecursionError:
            raise BrokenSource("too deep") from None

    @cached_property
    def _scopes(self) -> Mapping[cst.CSTNode, Scope | None]:
        try:
            return self._wrapper.resolve(ScopeProvider)
        except RecursionError:
            raise BrokenSource("too deep") from None

    @cached_property
    def _walked(self) -> tuple[dict[cst.CSTNode, cst.CSTNode], dict[type[cst.CSTNode], list[cst.CSTNode]]]:
        """The node around each node, and the nodes of each type."""
        parents: dict[cst.CSTNode, cst.CSTNode] = {}
        by_type: dict[type[cst.CSTNode], list[cst.CSTNode]] = {}
        stack: list[cst.CSTNode] = [self.tree]
        while stack:
            node = stack.pop()
            kind = type(node)
            by_type.setdefault(kind, []).append(node)
            for name in _fields_of(kind):
                value = getattr(node, name)
                if isinstance(value, cst.CSTNode):
                    parents[value] = node
                    stack.append(value)
                elif isinstance(value, list | tuple):
                    for one in value:
                        if isinstance(one, cst.CSTNode):
                            parents[one] = node
                            stack.append(one)
        return parents, by_type

    @property
    def parents(self) -> dict[cst.CSTNode, cst.CSTNode]:
        """The node around each node."""
        return self._walked[0]

    @cached_property
    def names(self) -> Names:
        """What the names of this file mean."""
        from realtime_cli.codemods.names import Names

        return Names(self)

    @cached_property
    def module(self) -> str:
        """The dotted name under which the project imports this file."""
        return self.project.module_of(self.path)

    def prepare(self) -> None:
        """Compute places and scopes now; raises `BrokenSource` if the file is nested too deep for that."""
        _ = self._spans, self._scopes

    # Walking.

    def nodes(self, kind: type[Node]) -> list[Node]:
        """Return the nodes of a type in source order."""
        found = self._sorted.get(kind)
        if found is None:
            spans = self._spans
            nodes = [node for node in self._walked[1].get(kind, ()) if node in spans]
            self._sorted[kind] = found = sorted(nodes, key=lambda node: spans[node].start)
        return found  # type: ignore[return-value]  # sorted in by type

    def around(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """Yield what stands around a node, the nearest first, the module last."""
        parents = self.parents
        while (above := parents.get(node)) is not None:
            yield above
            node = above

    def calls(self, *attributes: str) -> Iterator[cst.Call]:
        """Yield the calls of a name, or of an attribute, spelled like one of these."""
        for call in self.nodes(cst.Call):
            name = call.func.attr if isinstance(call.func, cst.Attribute) else call.func
            if isinstance(name, cst.Name) and name.value in attributes:
                yield call

    def attributes(self, *names: str) -> Iterator[cst.Attribute]:
        """Yield ``x.name`` for each of these names, called or not."""
        for node in self.nodes(cst.Attribute):
            if node.attr.value in names:
                yield node

    def function_around(self, node: cst.CSTNode) -> Function | None:
        """Return the innermost function or lambda whose body or parameters hold a node.

        A decorator and a default belong to what is around the function.
        """
        before = node
        for above in self.around(node):
            if isinstance(above, cst.FunctionDef) and before is above.body:
                return above
            if isinstance(above, cst.Lambda) and before is above.body:
                return above
            before = above
        return None

    def is_async(self, node: cst.CSTNode) -> bool:
        """Say whether ``await`` may stand at a node: in an async function, no lambda, class or generator between."""
        before = node
        for above in self.around(node):
            if isinstance(above, cst.FunctionDef) and before is above.body:
                return above.asynchronous is not None
            if isinstance(above, cst.Lambda | cst.ClassDef | cst.GeneratorExp):
                return False
            before = above
        return False

    def statement(self, node: cst.CSTNode) -> cst.CSTNode:
        """Return the innermost thing that has lines of its own: a statement, an ``except`` clause or a ``case``.

        What stands on one line behind ``if x:`` belongs to that ``if``. An ``elif`` counts by itself.
        """
        for above in (node, *self.around(node)):
            if isinstance(above, _STATEMENTS):
                return above
        return self.tree

    def scope(self, node: cst.CSTNode) -> Scope | None:
        """Return the scope that a node is read in."""
        return self._scopes.get(node)

    # Places.

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return where a node starts and ends in `data`, without the blanks and comments around it."""
        if node is self.tree:
            return 0, len(self.data)
        place = self._spans[node]
        return place.start, place.start + place.length

    @cached_property
    def locatable(self) -> int:
        """The byte from which on places are not certain, since the printed tree differs there; past the end if none."""
        printed = self.tree.code.encode()
        if printed == self.data:
            return len(self.data) + 1
        shorter = min(len(printed), len(self.data))
        low, high = 0, shorter
        while low < high:  # the longest common start
            middle = (low + high + 1) // 2
            low, high = (middle, high) if printed[:middle] == self.data[:middle] else (low, middle - 1)
        if low == shorter and not (self.data[low:] + printed[low:]).strip():
            return len(self.data) + 1
        return low

    def text(self, node: cst.CSTNode) -> str:
        """Return a node as it is written."""
        start, end = self.span(node)
        return self.data[start:end].decode()

    def first_byte(self, node: cst.CSTNode) -> int:
        """Return where a statement begins, with its decorators."""
        decorators = getattr(node, "decorators", ())
        return self.span(decorators[0] if decorators else node)[0]

    def line_start(self, offset: int) -> int:
        """Return where the line of a byte begins."""
        return max(self.data.rfind(b"\n", 0, offset), self.data.rfind(b"\r", 0, offset)) + 1

    def line_end(self, offset: int) -> int:
        """Return where the line of a byte ends, behind its line break."""
        found = re.compile(rb"\r\n|\n|\r").search(self.data, offset)
        return found.end() if found else len(self.data)

    def newline(self, offset: int) -> bytes:
        """Return the line break of the line of a byte; of the file if its last line has none."""
        for at in (offset, 0):
            if found := re.compile(rb"\r\n|\n|\r").search(self.data, at):
                return found.group()
        return b"\n"

    def indent(self, node: cst.CSTNode) -> bytes:
        """Return the blanks in front of a statement's line."""
        first = self.first_byte(node)
        start = self.line_start(first)
        return self.data[
            start : start + len(self.data[start:first]) - len(self.data[start:first].lstrip(b" \t\f"))
        ]

    @cached_property
    def one_indent(self) -> bytes:
        """One step of indentation, as the file has it."""
        return self.tree.default_indent.encode()

    @cached_property
    def quote(self) -> str:
        """The quote that most strings of the file have."""
        quotes = [node.quote[0] for node in self.nodes(cst.SimpleString) if len(node.quote) == 1]
        return "'" if quotes.count("'") > quotes.count('"') else '"'

    # Replacements.

    def replace(self, node: cst.CSTNode, text: str) -> Splice:
        """Put text in the place of a node; with a blank where it would grow together with what stands beside it."""
        start, end = self.span(node)
        before = (
            " " if text[:1] and _is_word(text[0].encode()) and _is_word(self.data[start - 1 : start]) else ""
        )
        after = " " if text[:1] and _is_word(text[-1].encode()) and _is_word(self.data[end : end + 1]) else ""
        return Splice(start, end, f"{before}{text}{after}".encode())

    def before(self, node: cst.CSTNode, text: str) -> Splice:
        """Put text directly in front of a node; it must not change what the node itself is."""
        start, _ = self.span(node)
        blank = " " if _is_word(text[:1].encode()) and _is_word(self.data[start - 1 : start]) else ""
        return Splice(start, start, f"{blank}{text}".encode())

    def after(self, node: cst.CSTNode, text: str) -> Splice:
        """Put text directly behind a node; it must not change what the node itself is."""
        _, end = self.span(node)
        return Splice(end, end, text.encode())

    def lines_above(self, node: cst.CSTNode, lines: Iterable[str], *, indent: bytes | None = None) -> Splice:
        """Put whole lines above a statement (and its decorators), at its indentation, with its line break."""
        first = self.first_byte(node)
        start = self.line_start(first)
        margin = self.indent(node) if indent is None else indent
        end = self.newline(first)
        text = b"".join((margin + line.encode() if line else b"") + end for line in lines)
        return Splice(start, start, text)

    def lines_below(self, node: cst.CSTNode, lines: Iterable[str], *, indent: bytes | None = None) -> Splice:
        """Put whole lines below a statement, at its indentation, with its line break."""
        _, last = self.span(node)
        at = self.line_end(last)
        margin = self.indent(node) if indent is None else indent
        end = self.newline(self.first_byte(node))
        text = b"".join((margin + line.encode() if line else b"") + end for line in lines)
        if at == len(self.data) and not self.data.endswith((b"\n", b"\r")):
            text = end + text.removesuffix(end)
        return Splice(at, at, text)

    def without(self, statement: cst.CSTNode) -> Splice:
        """Take a statement away with its whole lines and the comment at its end; comments above it stay."""
        _, last = self.span(statement)
        return Splice(self.line_start(self.first_byte(statement)), self.line_end(last), b"")

    def is_alone(self, node: cst.CSTNode) -> bool:
        """Say whether a small statement has its lines for itself, no other behind or before it with ``;`` or ``:``."""
        line = self.parents.get(node)
        return isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1

    def comment_lines_above(self, node: cst.CSTNode) -> int:
        """Return where the comment lines directly above a statement begin; its own start if none."""
        start = self.line_start(self.first_byte(node))
        margin = self.indent(node)
        while start:
            above = self.line_start(start - 1 - (self.data[start - 2 : start] == b"\r\n"))
            line = self.data[above:start]
            if not line.startswith(margin + b"#"):
                break
            start = above
        return start

    # What people wrote for the command.

    def has_todo(self, statement: cst.CSTNode, codemod: str) -> bool:
        """Say whether a codemod's TODO stands above a statement, left by an earlier run."""
        first = self.line_start(self.first_byte(statement))
        above = self.data[self.comment_lines_above(statement) : first]
        return f"TODO(realtime-upgrade {codemod})".encode() in above

    def is_suppressed(self, statement: cst.CSTNode, node: cst.CSTNode, codemod: str) -> bool:
        """Say whether ``# realtime-upgrade: skip`` stands at the end of a line of the statement, or atop the file."""
        if not self._suppressions:
            return False
        first, last = self.span(statement)
        if not isinstance(statement, cst.SimpleStatementLine):
            last = first
        places = [
            (self.line_number(first), self.line_number(last)),
            (self.line_number(self.span(node)[0]),) * 2,
        ]
        for line, ids in self._suppressions.items():
            if (not ids or codemod in ids) and any(start <= line <= end for start, end in places):
                return True
            if (not ids or codemod in ids) and line <= 10 and self._is_own_line(line):
                return True
        return False

    def line_number(self, offset: int) -> int:
        """Return the line of a byte, from 1."""
        return bisect_right(self._line_starts, offset)

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(found.end() for found in re.compile(rb"\r\n|\n|\r").finditer(self.data))]

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of a byte, from 1, the column in characters."""
        line = self.line_number(offset)
        return line, len(self.data[self._line_starts[line - 1] : offset].decode(errors="replace")) + 1

    def _is_own_line(self, line: int) -> bool:
        starts = [*self._line_starts, len(self.data)]
        return self.data[starts[line - 1] : starts[line]].lstrip().startswith(b"#")

    @cached_property
    def _suppressions(self) -> dict[int, frozenset[str]]:
        """Lines with a comment that asks to skip, and the codemods it names; none named means all."""
        if b"realtime-upgrade: skip" not in self.data:
            return {}
        found = {}
        for node in self.nodes(cst.Comment):
            asked = _SKIP.search(node.value)
            if asked:
                names = asked.group(1) or ""
                line = self.line_number(self.span(node)[0])
                found[line] = frozenset(part.strip() for part in names.split(",") if part.strip())
        return found


def _is_word(byte: bytes) -> bool:
    """Say whether a character, given by one of its bytes, can be part of a name or number."""
    return byte[:1].isalnum() or byte[:1] == b"_" or byte[:1] >= b"\x80"
