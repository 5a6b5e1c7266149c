"""Object literals of scripts: their entries, and replacements in the way they are written. Spec: upgrade 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_cli.codemods.scriptfile import property_of
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["added_entry", "added_specifier", "entries", "entry", "has_spread", "value_of", "without_entry"]


def entries(node: Node) -> list[Node]:
    """Return the entries of an object or of a list of names, without comments."""
    return [one for one in node.named_children if one.type != "comment"]


def entry(node: Node | None, name: str) -> Node | None:
    """Return the entry of an object literal with a name; None if there is none."""
    if node is None or node.type != "object":
        return None
    return next((one for one in entries(node) if property_of(one) == name), None)


def value_of(item: Node | None) -> Node | None:
    """Return the value of an entry; of a shorthand or a method the entry itself."""
    if item is None:
        return None
    return item.child_by_field_name("value") if item.type == "pair" else item


def has_spread(node: Node) -> bool:
    """Say whether an object takes entries over from another, which cannot be seen."""
    return any(one.type == "spread_element" for one in entries(node))


def added_entry(file: ScriptFile, node: Node, text: str) -> list[Splice]:
    """Add an entry at the end of an object literal, on a line of its own where the others have lines of their own."""
    return _added(file, node, text)


def added_specifier(file: ScriptFile, node: Node, text: str) -> list[Splice]:
    """Add a name at the end of the list of an import, export or object pattern."""
    return _added(file, node, text)


def _added(file: ScriptFile, node: Node, text: str) -> list[Splice]:
    present = entries(node)
    if not present:
        inner = text if file.data[node.start_byte : node.start_byte + 2] == b"{}" else f" {text}"
        return [Splice(node.start_byte + 1, node.start_byte + 1, inner.encode())]
    last = present[-1]
    comma = next((one for one in node.children if one.type == "," and one.start_byte >= last.end_byte), None)
    first = present[0]
    spread = file.line_number(node.start_byte) != file.line_number(first.start_byte)
    if spread:
        line = file.newline(last.start_byte) + file.margin(last.start_byte) + text.encode()
        if comma is None:
            return [Splice(last.end_byte, last.end_byte, b"," + line)]
        return [Splice(comma.end_byte, comma.end_byte, line + b",")]
    at = last.end_byte
    return [Splice(at, at, f", {text}".encode())]


def without_entry(file: ScriptFile, item: Node) -> Splice:
    """Take an entry out of its object with its comma, and with its lines if it has them for itself."""
    above = file.parent(item)
    siblings = entries(above) if above is not None else [item]
    index = next(number for number, one in enumerate(siblings) if one.id == item.id)
    start, end = file.span(item)
    rest = file.data[end:]
    after = rest.lstrip(b" \t")
    if after.startswith(b","):
        end += len(rest) - len(after) + 1
        line_end = file.line_end(end)
        if not file.data[file.line_start(start) : start].strip() and not file.data[end:line_end].strip():
            return Splice(file.line_start(start), line_end, b"")
        end += len(file.data[end:]) - len(file.data[end:].lstrip(b" \t"))
        return Splice(start, end, b"")
    if index:
        return Splice(siblings[index - 1].end_byte, end, b"")
    return Splice(start, end, b"")
