"""The functions of a hooks file in JavaScript, and what their bodies do. Spec: upgrade 5.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.codemods.scriptscopes import FUNCTIONS, text_of

if TYPE_CHECKING:
    from tree_sitter import Node  # noqa: TC004 - only in annotations

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["Hook", "called_in", "hook_named", "made_async", "names_used", "top_level"]


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook that is a function with a block.

    Attributes:
        function: the function.
        statement: the statement that declares it.
        body: its block.
        is_exported: whether that statement exports it, too; else another does.
    """

    function: Node
    statement: Node
    body: Node
    is_exported: bool


def hook_named(file: ScriptFile, name: str) -> Hook | None:
    """Return the hook of a name; None if there is none, or it is written in another way."""
    for kind in FUNCTIONS:
        for function in file.nodes(kind):
            if file.names.hook(function) != name:
                continue
            body = function.child_by_field_name("body")
            statement = file.statement(function)
            if body is None or body.type != "statement_block":
                return None
            is_exported = statement.type == "export_statement"
            declared = statement.child_by_field_name("declaration") if is_exported else statement
            several = declared is not None and sum(
                one.type == "variable_declarator" for one in declared.named_children
            )
            return None if several and several > 1 else Hook(function, statement, body, is_exported)
    return None


def called_in(file: ScriptFile, node: Node) -> Node | None:
    """Return the call that a statement consists of, awaited or not; None if it does more."""
    if node.type != "expression_statement" or not node.named_children:
        return None
    inner = node.named_children[0]
    if inner.type == "await_expression" and inner.named_children:
        inner = inner.named_children[0]
    return inner if inner.type == "call_expression" else None


def names_used(file: ScriptFile, node: Node) -> list[Node]:
    """Return the names that are read inside of a node, without those of members and keys."""
    kinds = ("identifier", "shorthand_property_identifier")
    return [one for one in file.nodes(*kinds) if node.start_byte <= one.start_byte < node.end_byte]


def made_async(file: ScriptFile, function: Node) -> list[tuple[int, str]]:
    """Return what to insert where so that a function may await: nothing if it may already."""
    if any(child.type == "async" for child in function.children):
        return []
    return [(function.start_byte, "async ")]


def top_level(file: ScriptFile, node: Node) -> bool:
    """Say whether a name is declared at the top of its file, or nowhere in it."""
    binding = file.scopes.lookup(text_of(node), node)
    if binding is None:
        return not file.scopes.is_bound(text_of(node), node)
    return any(binding in known for top in file.scopes.tops for known in top.names.values())
