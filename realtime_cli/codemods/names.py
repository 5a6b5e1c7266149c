"""What a name means: by scope, through aliases and through the project's own files. Spec: upgrade 3.1.

A meaning is a dotted path: ``runtime.live.stream`` is ours; ``runtime.plugins.Lock()`` is an object made by a call;
``@ctx``, ``@ws``, ``@platform`` and ``@hookctx`` are what the framework hands to live functions and hooks (a ``?`` in
``@platform?`` means: only the parameter's name says so); ``~services.allowed`` is defined in the project; ``?`` is
unknown, ``?hops`` a chain of re-exports that is too long or a circle, ``?broken`` one through a file that does not
parse. A name that is bound in several ways has several meanings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import Assignment, BuiltinAssignment, ImportAssignment

from realtime_cli.codemods.contexts import Contexts
from realtime_cli.codemods.following import MAX_HOPS, UNKNOWN, Follower, import_base
from realtime_cli.codemods.publicnames import STAR_NAMES

if TYPE_CHECKING:
    from libcst.metadata import BaseAssignment, Scope

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["MAX_HOPS", "UNKNOWN", "Names", "dotted"]


def dotted(node: cst.CSTNode) -> str | None:
    """Return ``a.b.c`` of a name or attribute as written; None for anything else."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        base = dotted(node.value)
        return base and f"{base}.{node.attr.value}"
    return None


class Names(Follower):
    """The meanings of the names of one file."""

    def __init__(self, file: PythonFile) -> None:
        super().__init__(file.project, file.path)
        self.file = file
        self.contexts = Contexts(file, self)
        self._known: dict[cst.CSTNode, frozenset[str]] = {}

    # Questions.

    def of(self, node: cst.CSTNode) -> frozenset[str]:
        """Return every meaning of an expression."""
        return self._of(node, 0)

    def is_a(self, node: cst.CSTNode, *meanings: str) -> bool:
        """Say whether an expression can only mean one of these: the condition for rewriting."""
        found = self.of(node)
        return bool(found) and all(one in meanings for one in found)

    def may_be(self, node: cst.CSTNode, *meanings: str) -> bool:
        """Say whether an expression means one of these in one of its ways."""
        return not self.of(node).isdisjoint(meanings)

    def is_ours(self, node: cst.CSTNode) -> bool:
        """Say whether an expression can only come from the toolkit."""
        found = self.of(node)
        return bool(found) and all(one.startswith(("runtime.", "@")) or one == "runtime" for one in found)

    def made_by(self, node: cst.CSTNode, *makers: str) -> bool:
        """Say whether an expression can only be an object that one of these classes or functions made."""
        return self.is_a(node, *(f"{maker}()" for maker in makers))

    def in_scope(self, node: cst.CSTNode, text: str) -> frozenset[str]:
        """Return the meanings of a dotted text (of an annotation in quotes) where a node stands."""
        first, *rest = text.split(".")
        found = self._name(first, self.file.scope(node), 0)
        for part in rest:
            found = self.attribute(found, part, 0)
        return found

    def is_bound(self, node: cst.CSTNode, name: str) -> bool:
        """Say whether a name has a meaning (also a builtin one) where a node stands."""
        scope = self.file.scope(node)
        return scope is not None and name in scope

    def is_star(self, node: cst.Name) -> bool:
        """Say whether a name comes from ``from runtime import *``."""
        return (
            not self._bindings(node.value, self.file.scope(node))
            and node.value in STAR_NAMES
            and self.has_star
        )

    @property
    def has_star(self) -> bool:
        """Whether the file has ``from runtime import *`` at its top."""
        return "runtime" in self._stars()

    def exported(self, name: str, hops: int = 0) -> frozenset[str]:
        """Return what another file gets that imports `name` from this one."""
        if hops > MAX_HOPS:
            return frozenset({"?hops"})
        return self._name(name, self.file.scope(self.file.tree), hops)

    # Resolution.

    def _of(self, node: cst.CSTNode, hops: int) -> frozenset[str]:
        if node in self._known:
            return self._known[node]
        if node in self._busy:
            return UNKNOWN
        self._busy.add(node)
        try:
            found = self._compute(node, hops)
        except RecursionError:
            found = UNKNOWN
        finally:
            self._busy.discard(node)
        if not hops:
            self._known[node] = found
        return found

    def _compute(self, node: cst.CSTNode, hops: int) -> frozenset[str]:
        if isinstance(node, cst.Name):
            return self._name(node.value, self.file.scope(node), hops)
        if isinstance(node, cst.Attribute):
            return self.attribute(self._of(node.value, hops), node.attr.value, hops)
        if isinstance(node, cst.Call):
            return frozenset(one if one.startswith("?") else f"{one}()" for one in self._of(node.func, hops))
        if isinstance(node, cst.Await):
            return self._of(node.expression, hops)
        if isinstance(node, cst.NamedExpr):
            return self._of(node.value, hops)
        if isinstance(node, cst.IfExp):
            return self._of(node.body, hops) | self._of(node.orelse, hops)
        return UNKNOWN

    def _bindings(self, name: str, scope: Scope | None) -> list[BaseAssignment]:
        if scope is None or name not in scope:
            return []
        return [one for one in scope[name] if not isinstance(one, BuiltinAssignment)]

    def _name(self, name: str, scope: Scope | None, hops: int) -> frozenset[str]:
        bindings = self._bindings(name, scope)
        if not bindings:
            return self._unbound(name, scope, hops)
        found: set[str] = set()
        for binding in bindings:
            found |= self._binding(name, binding, hops)
        return frozenset(found)

    def _unbound(self, name: str, scope: Scope | None, hops: int) -> frozenset[str]:
        found = self.unbound(name, self._stars(), hops)
        return UNKNOWN if scope is None and found == {f"builtins.{name}"} else found

    def _stars(self) -> list[str]:
        return [
            self.import_base(node)
            for node in self.file.nodes(cst.ImportFrom)
            if isinstance(node.names, cst.ImportStar)
        ]

    def _binding(self, name: str, binding: BaseAssignment, hops: int) -> frozenset[str]:
        if isinstance(binding, ImportAssignment):
            return self._imported(name, binding, hops)
        if not isinstance(binding, Assignment):
            return UNKNOWN
        node = binding.node
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            inner = self.file.scope(node) is not self.file.scope(self.file.tree)
            return frozenset({f"~{self.file.module}.{'<locals>.' if inner else ''}{name}"})
        if isinstance(node, cst.Param):
            return self.contexts.parameter(node)
        if isinstance(node, cst.Name):
            parent = self.file.parents.get(node)
            if isinstance(parent, cst.Param):
                return self.contexts.parameter(parent)
            value = self._assigned(node)
            if value is not None:
                # A plain copy of a name at module level is a re-export, too.
                return self._of(value, hops)
        return UNKNOWN

    def _assigned(self, target: cst.Name) -> cst.BaseExpression | None:
        """Return the expression that an assignment gives to a bare name, also by place in a tuple."""
        parent = self.file.parents.get(target)
        if isinstance(parent, cst.AssignTarget):
            statement = self.file.parents[parent]
            return statement.value if isinstance(statement, cst.Assign) else None
        if isinstance(parent, cst.AnnAssign | cst.NamedExpr):
            return parent.value if parent.target is target else None
        if isinstance(parent, cst.Element):
            around = self.file.parents[parent]
            if not isinstance(around, cst.Tuple | cst.List):
                return None
            above = self.file.parents[around]
            statement = self.file.parents[above]
            if isinstance(above, cst.AssignTarget) and isinstance(statement, cst.Assign):
                values = statement.value
                if not isinstance(values, cst.Tuple | cst.List):
                    return None
                every = [*around.elements, *values.elements]
                if len(values.elements) == len(around.elements) and all(
                    isinstance(one, cst.Element) for one in every
                ):
                    return values.elements[list(around.elements).index(parent)].value
        if isinstance(parent, cst.AsName):
            item = self.file.parents[parent]
            if isinstance(item, cst.WithItem):
                return item.item
        return None

    def import_base(self, node: cst.ImportFrom) -> str:
        """Return the full name of the module that a ``from`` statement names."""
        named = dotted(node.module) if node.module is not None else ""
        return import_base(self.path, self.file.module, len(node.relative), named or "")

    def _imported(self, name: str, binding: ImportAssignment, hops: int) -> frozenset[str]:
        node = binding.node
        if isinstance(node, cst.Import):
            for alias in node.names:
                full = dotted(alias.name) or ""
                if alias.asname is not None:
                    if isinstance(alias.asname.name, cst.Name) and alias.asname.name.value == name:
                        return self.absolute(full, hops)
                elif full.partition(".")[0] == name:
                    return self.absolute(name, hops)
        elif isinstance(node, cst.ImportFrom) and not isinstance(node.names, cst.ImportStar):
            base = self.import_base(node)
            for alias in node.names:
                local = alias.evaluated_alias or alias.evaluated_name
                if local == name:
                    return self.absolute(f"{base}.{alias.evaluated_name}".lstrip("."), hops)
        return UNKNOWN
