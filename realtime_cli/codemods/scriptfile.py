"""A JavaScript or TypeScript file, or a component: its trees, its places, and replacements in it. Spec: upgrade 5.2."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING

from realtime_cli.codemods import scriptregions
from realtime_cli.codemods.scriptparser import grammar_of, parse
from realtime_cli.codemods.scriptscopes import FUNCTIONS, Binding, Scopes, text_of
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tree_sitter import Node, Tree

    from realtime_cli.codemods.encoded import Encoded
    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.scriptnames import ScriptNames

__all__ = ["PAGES", "SUFFIXES", "ScriptFile", "is_async_function", "property_of"]

SUFFIXES = (".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".svelte", ".html")
PAGES = (".svelte", ".html")
_LISTS = frozenset({"program", "statement_block", "switch_case", "switch_default", "class_static_block"})
_SKIP = re.compile(r"realtime-upgrade:\s*skip(?:=([A-Z0-9, ]+))?")
_OPAQUE = frozenset(
    {"string", "template_string", "string_fragment", "comment", "html_comment", "jsx_text", "regex"}
)
_JSX = frozenset(
    {"jsx_element", "jsx_fragment", "jsx_expression", "jsx_opening_element", "jsx_self_closing_element"}
)


class ScriptFile:
    """One file parsed. All places are bytes of `data`, those of a component count from its start."""

    def __init__(self, project: Project, path: str, source: Encoded) -> None:
        self.project, self.path, self.source = project, path, source
        self.data = source.data
        self.trees: list[Tree] = []
        self.regions: scriptregions.Regions | None = None
        self.scopes = Scopes()
        self.markup: list[tuple[scriptregions.Expression, Node]] = []
        if path.endswith(PAGES):
            self._read_page()
        else:
            self.scopes.add(self._program(grammar_of(path), self.data))
        self.scopes.settle()

    def _program(self, grammar: str, data: bytes, stretch: tuple[int, int] | None = None) -> Node:
        tree = parse(grammar, data, [stretch] if stretch else [])
        self.trees.append(tree)
        return tree.root_node

    def _read_page(self) -> None:
        is_component = self.path.endswith(".svelte")
        self.regions = regions = scriptregions.cut(self.data, braces=is_component)
        outer = None
        lang = next((one.lang for one in regions.scripts if one.lang), "")
        for script in sorted(regions.scripts, key=lambda one: (not one.shared, one.start)):
            if script.start == script.end:
                continue
            root = self._program(grammar_of("", script.lang or lang), self.data, (script.start, script.end))
            top = self.scopes.add(root, outer if is_component else None)
            outer = top
        buffer = bytearray(self.data)
        for one in regions.expressions:
            buffer[one.start - 1], buffer[one.end : one.end + 1] = 40, b")"
        whole = bytes(buffer)
        for one in regions.expressions:
            root = self._program(grammar_of("", lang), whole, (one.start - 1, min(one.end + 1, len(whole))))
            self.markup.append((one, root))
            top = self.scopes.add(root, outer)
            for name in regions.bound:
                top.add(Binding(name, "other", root, None, None))

    @cached_property
    def names(self) -> ScriptNames:
        """What names and expressions mean."""
        from realtime_cli.codemods.scriptnames import ScriptNames

        return ScriptNames(self)

    # Nodes.

    @cached_property
    def _by_type(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.scopes.nodes:
            found.setdefault(node.type, []).append(node)
        for nodes in found.values():
            nodes.sort(key=lambda node: node.start_byte)
        return found

    def nodes(self, *types: str) -> list[Node]:
        """Return the nodes of such types, in source order."""
        if len(types) == 1:
            return self._by_type.get(types[0], [])
        every = [node for kind in types for node in self._by_type.get(kind, [])]
        return sorted(every, key=lambda node: (node.start_byte, -node.end_byte))

    def parent(self, node: Node) -> Node | None:
        """Return the node that another is directly in."""
        return self.scopes.parents.get(node.id)

    def around(self, node: Node) -> Iterator[Node]:
        """Yield the nodes around one, from inside."""
        at = self.parent(node)
        while at is not None:
            yield at
            at = self.parent(at)

    def function_around(self, node: Node) -> Node | None:
        """Return the function that a node stands in."""
        return next((one for one in self.around(node) if one.type in FUNCTIONS), None)

    def is_async(self, node: Node) -> bool:
        """Say whether ``await`` may stand at a node; at the top of a module it may not, for an old bundler's sake."""
        function = self.function_around(node)
        return function is not None and is_async_function(function)

    def text(self, node: Node) -> str:
        """Return what a node says, as the file has it."""
        return self.data[node.start_byte : node.end_byte].decode(errors="replace")

    def statement(self, node: Node) -> Node:
        """Return the statement that a node is in; for an expression of the markup that expression."""
        at, last = node, node
        while True:
            above = self.parent(at)
            if above is None:
                return at if at.type != "program" or at is node else last
            if above.type in _LISTS:
                return at
            last, at = at, above

    def in_markup(self, node: Node) -> scriptregions.Expression | None:
        """Return the expression of the markup that a node belongs to; None if it is in a script."""
        for one, _ in self.markup:
            if one.start - 1 <= node.start_byte <= one.end:
                return one
        return None

    def body_of(self, function: Node) -> list[Node]:
        """Return the statements of a function with a block, without comments."""
        body = function.child_by_field_name("body")
        if body is None or body.type != "statement_block":
            return []
        return [one for one in body.named_children if one.type != "comment"]

    # Places.

    def span(self, node: Node) -> tuple[int, int]:
        """Return where a node begins and ends."""
        return node.start_byte, node.end_byte

    def line_start(self, offset: int) -> int:
        """Return where the line of a byte begins."""
        return self._line_starts[self.line_number(offset) - 1]

    def line_end(self, offset: int) -> int:
        """Return where the next line begins."""
        line = self.line_number(offset)
        return self._line_starts[line] if line < len(self._line_starts) else len(self.data)

    def line_number(self, offset: int) -> int:
        """Return the line of a byte, from 1."""
        return bisect_right(self._line_starts, offset)

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of a byte, from 1, the column in characters."""
        line = self.line_number(offset)
        return line, len(self.data[self._line_starts[line - 1] : offset].decode(errors="replace")) + 1

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(found.end() for found in re.compile(rb"\r\n|\n|\r").finditer(self.data))]

    def newline(self, offset: int) -> bytes:
        """Return the line break that the line of a byte has, or that of the line before."""
        start = self.line_start(offset)
        line = self.data[start : self.line_end(offset)]
        for end in (b"\r\n", b"\n", b"\r"):
            if line.endswith(end):
                return end
        return self.newline(start - 1) if start else b"\n"

    def margin(self, offset: int) -> bytes:
        """Return the blanks in front of the line of a byte."""
        line = self.data[self.line_start(offset) : self.line_end(offset)]
        return line[: len(line) - len(line.lstrip(b" \t"))]

    @cached_property
    def one_indent(self) -> bytes:
        """One step of indentation, as the file has it."""
        depths = [one.group(1) for one in re.compile(rb"^([ \t]+)[^\s*]", re.MULTILINE).finditer(self.data)]
        if not depths or sum(one.startswith(b"\t") for one in depths) * 2 >= len(depths):
            return b"\t" if depths else b"  "
        return b" " * min((len(one) for one in depths if len(one) > 1), default=2)

    def is_own_line(self, node: Node) -> bool:
        """Say whether nothing else stands on the lines of a statement but a comment at its end."""
        start, end = self.span(node)
        before = self.data[self.line_start(start) : start]
        after = self.data[end : self.line_end(end)].strip().removeprefix(b";").strip()
        return not before.strip() and (not after or after.startswith(b"//"))

    # The way the file is written.

    @cached_property
    def quote(self) -> str:
        """The quote that most strings of the scripts have."""
        quotes = [self.data[node.start_byte : node.start_byte + 1] for node in self.nodes("string")]
        return '"' if quotes.count(b'"') > quotes.count(b"'") else "'"

    def semicolon(self, node: Node) -> str:
        """Return ``;`` if the statement of a node, or most of the file, ends so."""
        statement = self.statement(node)
        if statement.type in ("expression_statement", "lexical_declaration", "import_statement"):
            return ";" if self.text(statement).endswith(";") else ""
        kinds = ("expression_statement", "lexical_declaration", "import_statement")
        ends = [self.text(one).endswith(";") for one in self.nodes(*kinds)]
        return ";" if sum(ends) * 2 >= len(ends) and ends else ""

    def end_before(self, node: Node, offset: int) -> str:
        """Return how a statement ends that is put in front of a place, in the way of a node's.

        Without a ``;`` a statement goes on in the next line if that begins with ``(`` or the like.
        """
        return self.semicolon(node) or (";" if self.goes_on(offset) else "")

    def goes_on(self, offset: int) -> bool:
        """Say whether what comes behind a place could be read as more of a statement in front of it."""
        rest = re.compile(rb"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL).match(self.data, offset)
        at = rest.end() if rest is not None else offset
        return self.data[at : at + 1] in (b"(", b"[", b"`", b"/", b"+", b"-", b"*", b".", b",", b"?")

    def literal(self, value: str) -> str:
        """Return a string in the quotes of the file."""
        return f"{self.quote}{value}{self.quote}"

    # Replacements.

    def replace(self, node: Node, text: str) -> Splice:
        """Put text in the place of a node."""
        return Splice(node.start_byte, node.end_byte, text.encode())

    def before(self, node: Node, text: str) -> Splice:
        """Put text directly in front of a node."""
        return Splice(node.start_byte, node.start_byte, text.encode())

    def after(self, node: Node, text: str) -> Splice:
        """Put text directly behind a node."""
        return Splice(node.end_byte, node.end_byte, text.encode())

    def lines_above(self, node: Node, lines: Iterable[str]) -> Splice:
        """Put whole lines above a statement and its own comments, at its indentation."""
        start = self.comments_above(node)
        return Splice(start, start, self._lines(node, lines))

    def lines_below(self, node: Node, lines: Iterable[str]) -> Splice:
        """Put whole lines below a statement, at its indentation."""
        at = self.line_end(node.end_byte)
        text = self._lines(node, lines)
        if at == len(self.data) and not self.data.endswith((b"\n", b"\r")):
            end = self.newline(node.start_byte)
            text = end + text.removesuffix(end)
        return Splice(at, at, text)

    def _lines(self, node: Node, lines: Iterable[str]) -> bytes:
        margin, end = self.margin(node.start_byte), self.newline(node.start_byte)
        return b"".join((margin + line.encode() if line else b"") + end for line in lines)

    def without(self, node: Node) -> Splice:
        """Take a statement away with its whole lines and the comment at its end."""
        return Splice(self.line_start(node.start_byte), self.line_end(node.end_byte), b"")

    def comments_above(self, node: Node) -> int:
        """Return where the comment lines directly above a statement begin; its own line if there are none."""
        start = self.line_start(node.start_byte)
        block = False
        while start:
            above = self.line_start(start - 1)
            line = self.data[above:start].strip()
            block = block or line.endswith(b"*/")
            if not (block or line.startswith((b"//", b"<!--"))):
                break
            block = block and not line.startswith(b"/*")
            start = above
        return start

    # TODO comments and suppressions.

    def anchor(self, node: Node) -> int | None:
        """Return the line above which a comment about a node can stand; None if there is no such line."""
        expression = self.in_markup(node)
        if expression is not None:
            return self._markup_anchor(expression)
        statement = self.statement(node)
        while True:
            start = self.line_start(statement.start_byte)
            inside = self._node_at(start, statement)
            if inside is None or not (inside.type in _OPAQUE or inside.type in _JSX):
                if self._in_script(start):
                    return start
                return None
            above = self.parent(statement)
            if above is None:
                return None
            statement = self.statement(above)
            if statement.type == "program":
                return None

    def _in_script(self, offset: int) -> bool:
        if self.regions is None:
            return True
        return any(one.start <= offset <= one.end for one in self.regions.scripts)

    def _node_at(self, offset: int, near: Node) -> Node | None:
        """Return the innermost node that begins before a byte and ends behind it."""
        for one in self.around(near):
            if one.start_byte < offset < one.end_byte:
                found = one.descendant_for_byte_range(max(offset - 1, one.start_byte), offset)
                while found is not None and not found.start_byte < offset < found.end_byte:
                    found = found.parent
                return found
        return None

    def _markup_anchor(self, expression: scriptregions.Expression) -> int | None:
        assert self.regions is not None  # noqa: S101 - only components have expressions
        start = self.line_start(expression.owner)
        while True:
            around = [begin for begin, end in self.regions.tags if begin < start < end]
            if not around:
                break
            start = self.line_start(around[0])
        if self._in_script(start) or any(begin <= start <= end for begin, end in self.regions.kept):
            return None
        return start

    def comment(self, node: Node, text: str) -> bytes:
        """Return a comment line for the place above a node, without the line break."""
        if self.in_markup(node) is not None:
            return b"<!-- " + text.replace("--", "- -").encode() + b" -->"
        return b"// " + text.encode()

    def has_todo(self, node: Node, codemod: str) -> bool:
        """Say whether a codemod's TODO stands above the statement of a node, left by an earlier run."""
        anchor = self.anchor(node)
        if anchor is None:
            return False
        start = anchor
        while start:
            above = self.line_start(start - 1)
            if not self.data[above:start].strip().startswith((b"//", b"<!--", b"*", b"/*")):
                break
            start = above
        return f"TODO(realtime-upgrade {codemod})".encode() in self.data[start:anchor]

    def is_suppressed(self, node: Node, codemod: str) -> bool:
        """Say whether a comment ``realtime-upgrade: skip`` stands at a line of the statement, or atop the file."""
        if b"realtime-upgrade: skip" not in self.data:
            return False
        statement = self.statement(node)
        lines = {self.line_number(node.start_byte), self.line_number(statement.start_byte)}
        if statement.type in (
            "expression_statement",
            "lexical_declaration",
            "import_statement",
            "export_statement",
        ):
            lines.add(self.line_number(statement.end_byte))
        for number in range(1, len(self._line_starts) + 1):
            start = self._line_starts[number - 1]
            line = self.data[start : self.line_end(start)].decode(errors="replace")
            asked = _SKIP.search(line)
            if asked is None:
                continue
            ids = {part.strip() for part in (asked.group(1) or "").split(",") if part.strip()}
            atop = number <= 10 and line.strip().startswith(("//", "/*", "<!--"))
            if (not ids or codemod in ids) and (number in lines or atop):
                return True
        return False

    def may_open_with_parenthesis(self, node: Node) -> bool:
        """Say whether a ``(`` in front of a node cannot be read as a call of what the line before it says."""
        statement = self.statement(node)
        if statement.start_byte != node.start_byte or self.in_markup(node) is not None:
            return True
        before = statement.prev_named_sibling
        return before is None or self.text(before).endswith(";")

    def is_broken(self, node: Node) -> bool:
        """Say whether the parser could not read the statement of a node."""
        return self.statement(node).has_error


def is_async_function(function: Node) -> bool:
    """Say whether a function is declared ``async``."""
    return any(child.type == "async" for child in function.children)


def property_of(pair_or_member: Node) -> str:
    """Return the name of an object's entry or of a member that is read; empty if it is computed."""
    kind = pair_or_member.type
    key = pair_or_member.child_by_field_name("property" if kind == "member_expression" else "key")
    if kind in ("method_definition",):
        key = pair_or_member.child_by_field_name("name")
    if kind == "shorthand_property_identifier":
        return text_of(pair_or_member)
    if key is None:
        return ""
    if key.type == "string":
        return text_of(key)[1:-1]
    return text_of(key) if key.type == "property_identifier" else ""
