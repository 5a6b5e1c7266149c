"""What other files get from a module of the project, read with `ast` and kept as a few words for each name.

A file that is only imported from need not be parsed with LibCST, which takes twenty times as long and keeps a tree.
Meanings are those of `names`, which is asked for what only functions of the module bind at its top (``global``).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.codemods.following import MAX_HOPS, UNKNOWN, Follower, import_base
from realtime_cli.codemods.syntax import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project

__all__ = ["Outline"]


@dataclass(frozen=True, slots=True)
class _Imported:
    """A name for something with a full dotted path."""

    path: str


@dataclass(frozen=True, slots=True)
class _Defined:
    """A function or class of the module itself."""


# Expressions that mean something; everything else is None. Two of equal parts are two.


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    of: _Copied
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    by: _Copied


@dataclass(frozen=True, slots=True, eq=False)
class _Either:
    one: _Copied
    other: _Copied


_Copied = _Read | _Member | _Made | _Either | None
_Binding = _Imported | _Defined | _Copied
_DEFINED = _Defined()


class Outline(Follower):
    """The names that one module binds at its top, and what to.

    Args:
        project: its files.
        path: of the module's file below the project.
        data: its source in UTF-8.

    Raises:
        SyntaxError: it does not parse; also `ValueError`, `RecursionError` or `MemoryError`.
    """

    def __init__(self, project: Project, path: str, data: bytes) -> None:
        super().__init__(project, path)
        self.module = project.module_of(path)
        top = _Top(path, self.module, data)
        self._bound, self._stars, self._elsewhere = top.bound, top.stars, top.elsewhere
        self._told: dict[tuple[str, int], frozenset[str]] = {}

    def exported(self, name: str, hops: int = 0) -> frozenset[str]:
        """Return what another file gets that imports `name` from this one."""
        if hops > MAX_HOPS:
            return frozenset({"?hops"})
        if name in self._elsewhere:
            whole = self.project.file(self.path)
            return frozenset({"?broken"}) if whole is None else whole.names.exported(name, hops)
        # In the middle of something the answer depends on where that began: a circle is cut there.
        if self.project.following:
            return self._name(name, hops)
        key = name, hops
        if key not in self._told:
            self.project.following = True
            try:
                self._told[key] = self._name(name, hops)
            finally:
                self.project.following = False
        return self._told[key]

    # Resolution.

    def _name(self, name: str, hops: int) -> frozenset[str]:
        bindings = self._bound.get(name)
        if bindings is None:
            return self.unbound(name, self._stars, hops)
        found: set[str] = set()
        for binding in bindings:
            if isinstance(binding, _Imported):
                found |= self.absolute(binding.path, hops)
            elif isinstance(binding, _Defined):
                found.add(f"~{self.module}.{name}")
            else:
                found |= self._of(binding, hops)
        return frozenset(found)

    def _of(self, copied: _Copied, hops: int) -> frozenset[str]:
        if copied is None or copied in self._busy:
            return UNKNOWN
        self._busy.add(copied)
        try:
            return self._meaning(copied, hops)
        except RecursionError:
            return UNKNOWN
        finally:
            self._busy.discard(copied)

    def _meaning(self, copied: _Read | _Member | _Made | _Either, hops: int) -> frozenset[str]:
        if isinstance(copied, _Read):
            return self._name(copied.name, hops)
        if isinstance(copied, _Member):
            return self.attribute(self._of(copied.of, hops), copied.name, hops)
        if isinstance(copied, _Made):
            return frozenset(one if one.startswith("?") else f"{one}()" for one in self._of(copied.by, hops))
        return self._of(copied.one, hops) | self._of(copied.other, hops)


class _Top:
    """What the statements of a module bind at its top."""

    def __init__(self, path: str, module: str, data: bytes) -> None:
        self.path, self.module = path, module
        self.bound: dict[str, list[_Binding]] = {}
        self.stars: list[str] = []
        self.elsewhere: set[str] = set()
        self._copies = _Copies()
        tree = parsed(data, path)
        for statement in _statements(tree.body):
            self._statement(statement)
            if b":=" in data:
                self._walrus(statement)
        if b"global" in data:
            self.elsewhere = {
                name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names
            }

    def _bind(self, name: str, binding: _Binding) -> None:
        self.bound.setdefault(name, []).append(binding)

    def _statement(self, node: ast.stmt | ast.excepthandler | ast.match_case) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.partition(".")[0]
                self._bind(local, _Imported(alias.name if alias.asname else local))
        elif isinstance(node, ast.ImportFrom):
            base = import_base(self.path, self.module, node.level, node.module or "")
            for alias in node.names:
                if alias.name == "*":
                    self.stars.append(base)
                else:
                    whole = f"{base}.{alias.name}".lstrip(".")
                    self._bind(alias.asname or alias.name, _Imported(whole))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._bind(node.name, _DEFINED)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assigned(target, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            self._bind(node.target.id, self._copies.of(node.value))
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                if isinstance(item.optional_vars, ast.Name):
                    self._bind(item.optional_vars.id, self._copies.of(item.context_expr))
                else:
                    self._unknown(item.optional_vars)
        elif isinstance(node, ast.AugAssign | ast.For | ast.AsyncFor):
            self._unknown(node.target)
        elif isinstance(node, ast.ExceptHandler):
            if node.name is not None:
                self._bind(node.name, None)
        elif isinstance(node, ast.match_case):
            self._unknown(node.pattern)
        elif type(node).__name__ == "TypeAlias":  # of Python 3.12
            self._unknown(getattr(node, "name", None))

    def _assigned(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, self._copies.of(value))
            return
        if (
            isinstance(target, ast.Tuple | ast.List)
            and isinstance(value, ast.Tuple | ast.List)
            and len(target.elts) == len(value.elts)
            and not any(isinstance(one, ast.Starred) for one in (*target.elts, *value.elts))
        ):
            for one, its in zip(target.elts, value.elts, strict=True):
                if isinstance(one, ast.Name):
                    self._bind(one.id, self._copies.of(its))
                else:
                    self._unknown(one)
            return
        self._unknown(target)

    def _unknown(self, target: ast.AST | None) -> None:
        """Bind what a target or pattern holds to nothing that is known."""
        for node in ast.walk(target) if target is not None else ():
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._bind(node.id, None)
            elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name is not None:
                self._bind(node.name, None)
            elif isinstance(node, ast.MatchMapping) and node.rest is not None:
                self._bind(node.rest, None)

    def _walrus(self, statement: ast.AST) -> None:
        """Bind the names that expressions of a statement give, those of functions and of inner statements left out."""
        waiting = [
            (node, False)
            for node in ast.iter_child_nodes(statement)
            if not isinstance(node, ast.stmt | ast.excepthandler | ast.match_case)
        ]
        while waiting:
            node, repeated = waiting.pop()
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, ast.NamedExpr):
                self._bind(node.target.id, None if repeated else self._copies.of(node.value))
            repeated |= isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
            waiting += [(child, repeated) for child in ast.iter_child_nodes(node)]


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt | ast.excepthandler | ast.match_case]:
    """Yield the statements that run in the module's own scope, in source order."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        yield from _statements(getattr(node, "body", []))
        for inner in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            yield inner
            yield from _statements(inner.body)
        yield from _statements(getattr(node, "orelse", []))
        yield from _statements(getattr(node, "finalbody", []))


class _Copies:
    """What is kept of expressions: the same for the same one, for what comes back to it goes in a circle."""

    def __init__(self) -> None:
        self._known: dict[ast.expr, _Copied] = {}

    def of(self, node: ast.expr | None) -> _Copied:
        """Return what is kept of an expression; None if nothing is known of it."""
        if isinstance(node, ast.Await | ast.NamedExpr):
            return self.of(node.value)
        if not isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.IfExp):
            return None
        if node not in self._known:
            self._known[node] = self._new(node)
        return self._known[node]

    def _new(self, node: ast.Name | ast.Attribute | ast.Call | ast.IfExp) -> _Copied:
        if isinstance(node, ast.Name):
            return _Read(node.id)
        if isinstance(node, ast.Attribute):
            return _Member(self.of(node.value), node.attr)
        if isinstance(node, ast.Call):
            return _Made(self.of(node.func))
        return _Either(self.of(node.body), self.of(node.orelse))
