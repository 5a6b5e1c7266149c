"""What expressions mean across the files of a project: the function behind a name, the value behind a constant."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from realtime_cli.rules.scopes import FunctionNode, Scope
from realtime_cli.rules.source import Source

__all__ = ["Meaning", "text_of"]

MAX_STEPS = 20  # names that are followed from one to the next


@dataclass(frozen=True)
class Meaning:
    """Follows names from file to file; `by_module` has every file by its dotted name."""

    by_module: Mapping[str, Source]

    def definition(self, dotted: str) -> tuple[Source, ast.AST] | None:
        """Return the function or class that a dotted name means: `app.x.f`, `app.x.K`, `app.x.K.f`, `app.x.K().f`."""
        found = self._split(dotted)
        if found is None:
            return None
        source, (name, *rest) = found
        assert source.tree is not None  # noqa: S101 - `_split` leaves out files without one
        node = self._defined(source, name.removesuffix("()"))
        for part in rest:
            if not isinstance(node, ast.ClassDef):
                return None
            node = next(
                (
                    one
                    for one in node.body
                    if isinstance(one, FunctionNode | ast.ClassDef) and one.name == part
                ),
                None,
            )
        return (source, node) if node is not None else None

    def _split(self, dotted: str) -> tuple[Source, list[str]] | None:
        """Return the file that a name belongs to and what of the name is behind it."""
        parts = dotted.split(".")
        for end in range(len(parts) - 1, 0, -1):
            source = self.by_module.get(".".join(parts[:end]))
            if source is not None and source.tree is not None:
                return source, parts[end:]
        return None

    def _defined(self, source: Source, name: str) -> ast.AST | None:
        assert source.tree is not None  # noqa: S101
        for binding in source.bindings(name, source.bound.scopes[source.tree]):
            if isinstance(binding.node, FunctionNode | ast.ClassDef):
                return binding.node
        return None

    def function_of(
        self, source: Source, expression: ast.expr, steps: int = MAX_STEPS
    ) -> tuple[Source, FunctionNode | ast.Lambda] | None:
        """Return the function that an expression means, None when it is none of the project."""
        match expression:
            case ast.Lambda():
                return source, expression
            case ast.Name(id=name):
                return self.function_named(source, name, source.scope(expression), expression, steps)
            case ast.Call(func=function, args=[first, *_]) if source.name(function) == "functools.partial":
                return self.function_of(source, first, steps - 1) if steps else None
            case ast.Attribute(value=ast.Name(id=own), attr=name) if holder := source.holder(expression, own):
                found = [one for one in holder.body if isinstance(one, FunctionNode) and one.name == name]
                return (source, found[-1]) if found else None
            case ast.Attribute():
                return self._named(source.name(expression))
            case _:
                return None

    def function_named(
        self,
        source: Source,
        name: str,
        scope: Scope,
        at: ast.expr | None = None,
        steps: int = MAX_STEPS,
    ) -> tuple[Source, FunctionNode | ast.Lambda] | None:
        """Return the function that a bare name means in a scope of a file."""
        if not steps:
            return None
        if scope.find(name) is None:
            return self._named(source.look_up(name, scope, at))  # of a star import
        for binding in source.bindings(name, scope, at):
            if isinstance(binding.node, FunctionNode) and binding.value is None and binding.dotted is None:
                return source, binding.node
            if binding.value is not None:
                found = self.function_of(source, binding.value, steps - 1)
            else:
                found = self._named(source.look_up(name, scope, at)) if binding.dotted else None
            if found is not None:
                return found
        return None

    def _named(self, dotted: str | None) -> tuple[Source, FunctionNode] | None:
        found = self.definition(dotted) if dotted is not None else None
        return (found[0], found[1]) if found is not None and isinstance(found[1], FunctionNode) else None

    def value(self, source: Source, expression: ast.expr, steps: int = MAX_STEPS) -> tuple[Source, ast.expr]:
        """Return the expression that a name was assigned, through names and files; what is no name is itself."""
        found = None
        match expression:
            case ast.NamedExpr(value=value) if steps:
                return self.value(source, value, steps - 1)
            case ast.Name(id=name) if steps:
                for binding in source.bindings(name, source.scope(expression), expression):
                    if binding.value is not None:
                        return self.value(source, binding.value, steps - 1)
                    if binding.dotted is not None:
                        found = self._assigned(binding.dotted, steps - 1)
                        break
                else:
                    dotted = source.look_up(name, source.scope(expression), expression)
                    found = self._assigned(dotted, steps - 1) if dotted is not None else None
            case ast.Attribute() if steps:
                dotted = source.name(expression)
                found = self._assigned(dotted, steps - 1) if dotted is not None else None
        return found if found is not None else (source, expression)

    def _assigned(self, dotted: str, steps: int) -> tuple[Source, ast.expr] | None:
        """Return what a name of a module, or an attribute of a class in it, was assigned."""
        found = self._split(dotted)
        if found is None or steps <= 0:
            return None
        source, (name, *rest) = found
        assert source.tree is not None  # noqa: S101
        if rest:
            holder = self._defined(source, name.removesuffix("()"))
            if not isinstance(holder, ast.ClassDef) or len(rest) > 1:
                return None
            values = [
                one.value
                for one in holder.body
                if isinstance(one, ast.Assign | ast.AnnAssign)
                and any(isinstance(target, ast.Name) and target.id == rest[0] for target in _targets(one))
            ]
            return self.value(source, values[-1], steps) if values and values[-1] is not None else None
        for binding in source.bindings(name, source.bound.scopes[source.tree]):
            if binding.value is not None:
                return self.value(source, binding.value, steps)
            if binding.dotted is not None:
                return self._assigned(binding.dotted, steps - 1)
        behind = source.look_up(name, source.bound.scopes[source.tree])  # of a star import
        return self._assigned(behind, steps - 1) if behind is not None and behind != dotted else None


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def text_of(node: ast.expr | None) -> str | None:
    """Return the text that an expression begins with: a constant, or the start of a formatted string or a sum."""
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        node = node.left
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=[ast.Constant(value=str() as text), *_]):
            return text
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str() as text), attr="format")):
            return text
        case _:
            return None
