"""Which name means what: the scopes of a module, as Python sees them.

Not sensitive to the order of statements: a name that is bound several times in its scope means the first of its
bindings that leads anywhere, so that `try: import orjson as json / except ImportError: import json` is one of both.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Binding", "FunctionNode", "Scope", "ScopeNode", "bind_scopes"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
ScopeNode = ast.Module | ast.ClassDef | FunctionNode | ast.Lambda | _Comprehension
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_OPENING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_PARTS = frozenset({ast.arguments, ast.arg, ast.comprehension})
#: The parser gives one object for all `+` of all files, so it has no place of its own and stands in no one node.
_SHARED = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)


@dataclass(frozen=True, slots=True)
class Binding:
    """One way in which a name gets its meaning.

    Attributes:
        node: the statement or argument that binds.
        dotted: of an import, the full name of what is imported.
        value: of an assignment to the bare name, the expression.
    """

    node: ast.AST
    dotted: str | None = None
    value: ast.expr | None = None


@dataclass(slots=True, eq=False)
class Scope:
    """The names of a module, class, function or comprehension."""

    node: ScopeNode
    above: Scope | None
    names: dict[str, list[Binding]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)

    @property
    def is_class(self) -> bool:
        """Whether functions inside do not see its names."""
        return isinstance(self.node, ast.ClassDef)

    def bind(self, name: str, binding: Binding) -> None:
        """Add a meaning; names that are declared `global` belong to the module, `nonlocal` ones further out."""
        self._home(name).names.setdefault(name, []).append(binding)

    def _home(self, name: str) -> Scope:
        if name in self.globals:
            return self._module
        if name not in self.nonlocals:
            return self
        scope, around = self.above, []
        while scope is not None and scope.above is not None:
            if isinstance(scope.node, FunctionNode | ast.Lambda):
                around.append(scope)
            scope = scope.above
        return next((one for one in around if name in one.names), around[0] if around else self)

    @property
    def _module(self) -> Scope:
        scope = self
        while scope.above is not None:
            scope = scope.above
        return scope

    def find(self, name: str) -> tuple[Scope, list[Binding]] | None:
        """Return the scope that a name is read from and its bindings there, None for a builtin or an unknown one."""
        scope: Scope | None = self
        first = True
        while scope is not None:
            if first or not scope.is_class:
                if name in scope.globals:
                    scope = scope._module
                if name in scope.names:
                    return scope, scope.names[name]
            first = False
            scope = scope.above
        return None


class _Binder:
    """Walks a module once; keeps every node by type, its parent, and the scope of each node that opens one."""

    def __init__(self, module: str, is_package: bool, has_global: bool) -> None:
        self.has_global = has_global
        self.package = module if is_package else module.rpartition(".")[0]
        self.parents: dict[ast.AST, ast.AST] = {}
        self.by_type: dict[type[ast.AST], list[ast.AST]] = {}
        self.scopes: dict[ast.AST, Scope] = {}
        self.seen_from: dict[ast.AST, Scope] = {}
        self.order: list[ast.AST] = []
        self.places: dict[ast.AST, int] = {}

    def walk(self, tree: ast.Module) -> None:
        scope = Scope(tree, None)
        self.scopes[tree] = scope
        stack: list[tuple[ast.AST, Scope]] = [(tree, scope)]
        parents, by_type, order = self.parents, self.by_type, self.order
        while stack:
            node, scope = stack.pop()
            kind = type(node)
            order.append(node)
            by_type.setdefault(kind, []).append(node)
            if kind is ast.Name:
                self.seen_from[node] = scope
                continue
            if isinstance(node, ast.stmt):
                self.places[node] = len(order) - 1
            handler = _BIND.get(kind)
            inner = scope if handler is None else handler(self, node, scope)
            around = scope
            outside: Collection[ast.AST] = ()
            if inner is not scope:
                outside = _outside(node)
            elif kind in _PARTS and scope.above is not None and self._is_part(node, scope.node):
                outside, around = _outside(node), scope.above
            for name in reversed(kind._fields):
                value = getattr(node, name, None)
                if isinstance(value, list):
                    for item in reversed(value):
                        if isinstance(item, ast.AST) and not isinstance(item, _SHARED):
                            parents[item] = node
                            stack.append((item, around if item in outside else inner))
                elif isinstance(value, ast.AST) and not isinstance(value, _SHARED):
                    parents[value] = node
                    stack.append((value, around if value in outside else inner))

    def _is_part(self, node: ast.AST, opener: ScopeNode) -> bool:
        """Return whether a node belongs to the head of what opens its scope."""
        above = self.parents[node]
        if isinstance(node, ast.comprehension):
            return above is opener and getattr(above, "generators", [None])[0] is node
        return (self.parents[above] if isinstance(node, ast.arg) else above) is opener

    def open(self, node: ScopeNode, scope: Scope) -> Scope:
        self.scopes[node] = inner = Scope(node, scope)
        if self.has_global and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            stack: list[ast.AST] = list(node.body)
            while stack:
                statement = stack.pop()
                if isinstance(statement, ast.Global):
                    inner.globals.update(statement.names)
                elif isinstance(statement, ast.Nonlocal):
                    inner.nonlocals.update(statement.names)
                elif isinstance(statement, ast.stmt) and not isinstance(statement, _OPENING):
                    stack.extend(ast.iter_child_nodes(statement))
                elif isinstance(statement, ast.ExceptHandler | ast.match_case):
                    stack.extend(statement.body)
        return inner

    def target(self, target: ast.expr, scope: Scope, node: ast.AST, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            scope.bind(target.id, Binding(node, value=value))
        elif isinstance(target, ast.Tuple | ast.List):
            values: list[ast.expr | None] = [None] * len(target.elts)
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                values = list(value.elts)
            for item, one in zip(target.elts, values, strict=True):
                self.target(item, scope, node, one)
        elif isinstance(target, ast.Starred):
            self.target(target.value, scope, node, None)


def _outside(node: ast.AST) -> set[ast.AST]:
    """Return what of a node that opens a scope is evaluated around it."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return {*node.decorator_list, *([node.returns] if node.returns else [])}
        case ast.ClassDef():
            return {*node.bases, *node.keywords, *node.decorator_list}
        case ast.arguments():
            return {*node.defaults, *(one for one in node.kw_defaults if one is not None)}
        case ast.arg(annotation=ast.expr() as annotation):
            return {annotation}
        case ast.comprehension():
            return {node.iter}
        case _:
            return set()


def _import(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.Import)  # noqa: S101 - the table says so
    for alias in node.names:
        if alias.asname:
            scope.bind(alias.asname, Binding(node, dotted=alias.name))
        else:
            first = alias.name.partition(".")[0]
            scope.bind(first, Binding(node, dotted=first))
    return scope


def _import_from(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.ImportFrom)  # noqa: S101
    base = node.module or ""
    if node.level:
        parts = binder.package.split(".") if binder.package else []
        parts = parts[: len(parts) - (node.level - 1)] if node.level > 1 else parts
        base = ".".join([*parts, *([node.module] if node.module else [])])
    for alias in node.names:
        if alias.name == "*":
            scope.stars.append(base)
        else:
            scope.bind(alias.asname or alias.name, Binding(node, dotted=f"{base}.{alias.name}".lstrip(".")))
    return scope


def _function(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)  # noqa: S101
    if not isinstance(node, ast.Lambda):
        scope.bind(node.name, Binding(node))
    inner = binder.open(node, scope)
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [one for one in (arguments.vararg, arguments.kwarg) if one]
    for one in every:
        inner.names.setdefault(one.arg, []).append(Binding(one))
    return inner


def _class(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.ClassDef)  # noqa: S101
    scope.bind(node.name, Binding(node))
    return binder.open(node, scope)


def _assign(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.Assign)  # noqa: S101
    for target in node.targets:
        binder.target(target, scope, node, node.value)
    return scope


def _ann_assign(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.AnnAssign)  # noqa: S101
    binder.target(node.target, scope, node, node.value)
    return scope


def _aug_assign(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.AugAssign)  # noqa: S101
    binder.target(node.target, scope, node, None)
    return scope


def _walrus(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.NamedExpr)  # noqa: S101
    around = scope
    while isinstance(around.node, _COMPREHENSIONS) and around.above is not None:
        around = around.above
    binder.target(node.target, around, node, node.value)
    return scope


def _for(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.For | ast.AsyncFor | ast.comprehension)  # noqa: S101
    binder.target(node.target, scope, node, None)
    return scope


def _with_item(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.withitem)  # noqa: S101
    if node.optional_vars is not None:
        binder.target(node.optional_vars, scope, node, node.context_expr)
    return scope


def _except(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, ast.ExceptHandler)  # noqa: S101
    if node.name:
        scope.bind(node.name, Binding(node))
    return scope


def _capture(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    name = getattr(node, "name", None) or getattr(node, "rest", None)
    if name:
        scope.bind(name, Binding(node))
    return scope


def _comprehension(binder: _Binder, node: ast.AST, scope: Scope) -> Scope:
    assert isinstance(node, _COMPREHENSIONS)  # noqa: S101
    return binder.open(node, scope)


_BIND = {
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.Lambda: _function,
    ast.ClassDef: _class,
    ast.Assign: _assign,
    ast.AnnAssign: _ann_assign,
    ast.AugAssign: _aug_assign,
    ast.NamedExpr: _walrus,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.comprehension: _for,
    ast.withitem: _with_item,
    ast.ExceptHandler: _except,
    ast.MatchAs: _capture,
    ast.MatchStar: _capture,
    ast.MatchMapping: _capture,
    **dict.fromkeys(_COMPREHENSIONS, _comprehension),
}


@dataclass(frozen=True, slots=True)
class Bound:
    """A module's nodes by type in source order, the parent of each, its scopes by the node that opens them.

    `seen_from` is the scope that each name is read or bound in, `order` has every node with what it holds right behind
    it, `places` where the statements stand in it.
    """

    by_type: dict[type[ast.AST], list[ast.AST]]
    parents: dict[ast.AST, ast.AST]
    scopes: dict[ast.AST, Scope]
    seen_from: dict[ast.AST, Scope]
    order: list[ast.AST]
    places: dict[ast.AST, int]


def bind_scopes(tree: ast.Module, module: str, *, is_package: bool, has_global: bool = True) -> Bound:
    """Walk a module. `module` is its dotted name, from which its relative imports start."""
    binder = _Binder(module, is_package, has_global)
    binder.walk(tree)
    return Bound(binder.by_type, binder.parents, binder.scopes, binder.seen_from, binder.order, binder.places)
