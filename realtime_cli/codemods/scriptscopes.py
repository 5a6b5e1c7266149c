"""Which declaration a name of a script means: block scopes, functions, imports, patterns. Spec: upgrade 5.2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node  # noqa: TC004 - only in annotations

__all__ = ["FUNCTIONS", "Binding", "Scope", "Scopes", "parameters", "pattern_names", "string_of"]

FUNCTIONS = frozenset(
    {
        "arrow_function",
        "function_declaration",
        "function_expression",
        "generator_function",
        "generator_function_declaration",
        "method_definition",
    }
)
_BLOCKS = frozenset(
    {
        "catch_clause",
        "class_body",
        "class_static_block",
        "for_in_statement",
        "for_statement",
        "internal_module",
        "program",
        "statement_block",
        "switch_body",
    }
)
_NAMED = {
    "abstract_class_declaration": "class",
    "class_declaration": "class",
    "enum_declaration": "class",
    "function_declaration": "function",
    "function_signature": "function",
    "generator_function_declaration": "function",
    "interface_declaration": "class",
    "internal_module": "class",
    "type_alias_declaration": "class",
}


@dataclass(eq=False, slots=True)
class Binding:
    """A name that is declared somewhere.

    Attributes:
        name: as the scope knows it.
        kind: ``import``, ``variable``, ``function``, ``class``, ``parameter`` or ``other``.
        node: where it is declared.
        value: what a variable is made from; the function itself of a function or parameter.
        path: the keys through which a pattern takes it out of the value; None if that cannot be said.
        module: what an import names.
        imported: ``default``, ``*`` or the exported name.
        index: which parameter it is.
        reassigned: whether it may mean something else later.
    """

    name: str
    kind: str
    node: Node
    value: Node | None = None
    path: tuple[str, ...] | None = ()
    module: str = ""
    imported: str = ""
    index: int = 0
    reassigned: bool = False


@dataclass(eq=False, slots=True)
class Scope:
    """What is declared in one block or function."""

    node: Node | None
    parent: Scope | None
    is_function: bool = False
    names: dict[str, list[Binding]] = field(default_factory=dict)

    def add(self, binding: Binding) -> None:
        """Declare a name."""
        self.names.setdefault(binding.name, []).append(binding)


def text_of(node: Node) -> str:
    """Return what a node says."""
    return (node.text or b"").decode(errors="replace")


def string_of(node: Node | None) -> str | None:
    """Return the value of a string literal without escapes; None if it is something else."""
    if node is None or node.type not in ("string", "template_string"):
        return None
    if any(child.type in ("escape_sequence", "template_substitution") for child in node.named_children):
        return None
    return text_of(node)[1:-1]


def parameters(function: Node) -> list[Node]:
    """Return the patterns of a function's parameters, in order; `this` of TypeScript is none."""
    single = function.child_by_field_name("parameter")
    if single is not None:
        return [single]
    formal = function.child_by_field_name("parameters")
    if formal is None:
        return []
    return [one for one in formal.named_children if one.type != "comment"]


def pattern_of(parameter: Node) -> Node:
    """Return the pattern of a parameter without TypeScript's annotation."""
    if parameter.type in ("required_parameter", "optional_parameter"):
        return parameter.child_by_field_name("pattern") or parameter
    return parameter


def pattern_names(
    pattern: Node, path: tuple[str, ...] | None = ()
) -> Iterator[tuple[Node, tuple[str, ...] | None]]:
    """Yield the names that a pattern declares, with the keys through which each is taken out."""
    kind = pattern.type
    if kind in ("identifier", "shorthand_property_identifier_pattern"):
        if kind != "identifier" and path is not None:
            path = (*path, text_of(pattern))
        yield pattern, path
    elif kind == "object_pattern":
        for part in pattern.named_children:
            yield from pattern_names(part, path)
    elif kind == "pair_pattern":
        key, value = part_fields(pattern)
        inner = (*path, text_of(key)) if path is not None and key.type == "property_identifier" else None
        yield from pattern_names(value, inner)
    elif kind in ("assignment_pattern", "object_assignment_pattern"):
        left = pattern.child_by_field_name("left")
        if left is not None:
            yield from pattern_names(left, None if path == () else path)
    elif kind in ("array_pattern", "rest_pattern"):
        for part in pattern.named_children:
            yield from pattern_names(part, None)
    elif kind in ("required_parameter", "optional_parameter"):
        inner_pattern = pattern.child_by_field_name("pattern")
        if inner_pattern is not None:
            yield from pattern_names(inner_pattern, path)


def part_fields(pair: Node) -> tuple[Node, Node]:
    """Return key and value of a pair."""
    key, value = pair.child_by_field_name("key"), pair.child_by_field_name("value")
    return key or pair, value or pair


class Scopes:
    """The scopes of one file: of its program, or of the blocks of a component."""

    def __init__(self) -> None:
        self.by_node: dict[int, Scope] = {}
        self.parents: dict[int, Node] = {}
        self.nodes: list[Node] = []
        self.tops: list[Scope] = []
        self._within: dict[int, Scope] = {}
        self._writes: list[Node] = []
        self._references: dict[int, list[Node]] | None = None

    def add(self, root: Node, parent: Scope | None = None) -> Scope:
        """Take in a parsed program, whose names are looked up in `parent` when it does not declare them."""
        top = Scope(root, parent, is_function=True)
        self.by_node[root.id] = top
        self.tops.append(top)
        stack: list[tuple[Node, Scope]] = [(root, top)]
        while stack:
            node, scope = stack.pop()
            self.nodes.append(node)
            inner = self._within[node.id] = self._enter(node, scope)
            for child in reversed(node.children):
                self.parents[child.id] = node
                stack.append((child, inner))
        return top

    def _enter(self, node: Node, scope: Scope) -> Scope:
        """Declare what a node declares; return the scope of what is in it."""
        kind = node.type
        if kind in _NAMED:
            name = node.child_by_field_name("name")
            if name is not None:
                scope.add(Binding(text_of(name), _NAMED[kind], name, node))
        elif kind == "variable_declarator":
            self._variable(node, scope)
        elif kind == "import_statement":
            self._import(node, scope)
        elif kind in ("assignment_expression", "augmented_assignment_expression"):
            left = node.child_by_field_name("left")
            if left is not None:
                self._writes.append(left)
        elif kind == "update_expression":
            argument = node.child_by_field_name("argument")
            if argument is not None:
                self._writes.append(argument)
        if kind in FUNCTIONS:
            return self._function(node, scope)
        if kind in _BLOCKS and node.id not in self.by_node:
            above = self.parents.get(node.id)
            if kind == "statement_block" and above is not None and above.type in FUNCTIONS:
                return scope
            inner = Scope(node, scope)
            self.by_node[node.id] = inner
            if kind == "catch_clause":
                caught = node.child_by_field_name("parameter")
                self._declare(caught, inner, "other")
            elif kind == "for_in_statement":
                left = node.child_by_field_name("left")
                if left is not None and node.child_by_field_name("kind") is not None:
                    self._declare(left, inner, "other")
                elif left is not None:
                    self._writes.append(left)
            return inner
        return scope

    def _declare(self, pattern: Node | None, scope: Scope, kind: str) -> None:
        if pattern is not None:
            for name, _ in pattern_names(pattern):
                scope.add(Binding(text_of(name), kind, name, None, None))

    def _function(self, node: Node, scope: Scope) -> Scope:
        inner = Scope(node, scope, is_function=True)
        self.by_node[node.id] = inner
        name = node.child_by_field_name("name")
        if node.type in ("function_expression", "generator_function") and name is not None:
            inner.add(Binding(text_of(name), "function", name, node))
        for index, parameter in enumerate(parameters(node)):
            for declared, path in pattern_names(pattern_of(parameter)):
                inner.add(Binding(text_of(declared), "parameter", declared, node, path, index=index))
        return inner

    def _variable(self, node: Node, scope: Scope) -> None:
        above = self.parents.get(node.id)
        target = scope
        if above is not None and above.type == "variable_declaration":
            while not target.is_function and target.parent is not None:
                target = target.parent
        name = node.child_by_field_name("name")
        if name is None:
            return
        value = node.child_by_field_name("value")
        for declared, path in pattern_names(name):
            target.add(Binding(text_of(declared), "variable", declared, value, path))

    def _import(self, node: Node, scope: Scope) -> None:
        module = string_of(node.child_by_field_name("source"))
        clause = next((child for child in node.named_children if child.type == "import_clause"), None)
        if module is None or clause is None:
            return
        for part in clause.named_children:
            if part.type == "identifier":
                scope.add(Binding(text_of(part), "import", part, module=module, imported="default"))
            elif part.type == "namespace_import":
                for name in part.named_children:
                    scope.add(Binding(text_of(name), "import", name, module=module, imported="*"))
            elif part.type == "named_imports":
                for one in part.named_children:
                    name_node = one.child_by_field_name("name")
                    local = one.child_by_field_name("alias") or name_node
                    if one.type == "import_specifier" and name_node is not None and local is not None:
                        imported = text_of(name_node)
                        scope.add(Binding(text_of(local), "import", local, module=module, imported=imported))

    # Looking names up.

    def scope_of(self, node: Node) -> Scope | None:
        """Return the innermost scope that a node stands in."""
        return self._within.get(node.id)

    def lookup(self, name: str, node: Node) -> Binding | None:
        """Return the one declaration that a name means at a node; None if there is none, or more than one."""
        scope = self.scope_of(node)
        while scope is not None:
            found = scope.names.get(name)
            if found:
                return found[0] if len(found) == 1 else None
            scope = scope.parent
        return None

    def is_bound(self, name: str, node: Node) -> bool:
        """Say whether a name means anything that this file declares."""
        scope = self.scope_of(node)
        while scope is not None:
            if name in scope.names:
                return True
            scope = scope.parent
        return False

    def references(self, binding: Binding) -> list[Node]:
        """Return every place that names a declaration, the declaration itself not among them."""
        if self._references is None:
            self._references = {}
            for node in self.nodes:
                if node.type not in ("identifier", "shorthand_property_identifier", "type_identifier"):
                    continue
                found = self.lookup(text_of(node), node)
                if found is None and text_of(node).startswith("$"):
                    found = self.lookup(text_of(node)[1:], node)
                if found is not None and found.node.id != node.id:
                    self._references.setdefault(id(found), []).append(node)
        return self._references.get(id(binding), [])

    def settle(self) -> None:
        """Note what is assigned again; call when everything has been added."""
        for left in self._writes:
            for name, _ in pattern_names(left):
                scope = self.scope_of(name)
                while scope is not None:
                    found = scope.names.get(text_of(name))
                    if found:
                        for one in found:
                            one.reassigned = True
                        break
                    scope = scope.parent
        self._writes.clear()
