"""One Python file of a project: its text, its tree, and what its names mean."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from realtime_cli.rules.finding import Span
from realtime_cli.rules.scopes import Binding, Bound, FunctionNode, Scope, bind_scopes

__all__ = ["Kind", "Source", "canonical"]

MAX_STEPS = 20  # aliases that are followed from one name to the next

#: What a file is for: ``live`` (a live module), ``hooks``, ``test`` or ``code``.
Kind = str
_Node = TypeVar("_Node", bound=ast.AST)

#: Parameters that mean the same wherever a function has one of that name or of that annotation.
PARAMETERS = {"ctx": "@ctx", "ws": "@ws", "platform": "@platform"}
ANNOTATIONS = {
    "Ctx": "@ctx",
    "UploadCtx": "@ctx",
    "RoomCtx": "@ctx",
    "Connection": "@ws",
    "Platform": "@platform",
}
_ROOTS = {"@ctx.platform": "@platform", "@ctx.ws": "@ws"}
_INTERNAL = {"plugins", "server", "core", "cluster", "testing"}


def canonical(dotted: str) -> str:
    """Return one name for what has several: `runtime.plugins.Lock` is `runtime.Lock`, `@ctx.ws` is `@ws`."""
    for long, short in _ROOTS.items():
        if dotted == long or dotted.startswith(long + "."):
            dotted = short + dotted[len(long) :]
    parts = dotted.split(".")
    if parts[0] == "runtime" and len(parts) > 2 and parts[1] in _INTERNAL:
        named = [index for index, part in enumerate(parts) if index > 1 and part[:1].isupper()]
        start = named[0] if named else 2 if len(parts) == 3 else 3
        return ".".join(["runtime", *parts[start:]])
    return dotted


@dataclass(eq=False)
class Source:
    """A parsed file.

    Attributes:
        path: below the project, with ``/``.
        module: dotted name, such as ``live.todos``.
        kind: what the file is for.
        text: its content.
        tree: None when it is not valid Python; then `error` says why.
        elsewhere: finds what a dotted name of another file of the project means.
    """

    path: str
    module: str
    kind: Kind
    text: str
    tree: ast.Module | None
    error: SyntaxError | None = None
    elsewhere: Callable[[str], tuple[Source, ast.expr | FunctionNode | ast.ClassDef] | str | None] = field(
        default=lambda dotted: None, repr=False
    )
    _names: dict[ast.expr, str | None] = field(default_factory=dict, repr=False)
    _own_nodes: dict[FunctionNode, list[ast.AST]] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, path: str, module: str, kind: Kind, text: str) -> Source:
        """Parse the text of a file; a mistake in it is kept in `error`."""
        try:
            return cls(path, module, kind, text, ast.parse(text))
        except SyntaxError as error:
            return cls(path, module, kind, text, None, error)
        except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes, nested too deeply
            return cls(path, module, kind, text, None, SyntaxError(str(error) or type(error).__name__))

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends."""
        return self.text.split("\n")

    @cached_property
    def bound(self) -> Bound:
        """The nodes by type, their parents and scopes."""
        tree = self.tree if self.tree is not None else ast.Module([], [])
        is_package = self.path.endswith("__init__.py")
        return bind_scopes(tree, self.module, is_package=is_package, has_global="global " in self.text)

    def nodes(self, *kinds: type[_Node]) -> Iterator[_Node]:
        """Yield every node of the given types, in the order of the file for each type."""
        for kind in kinds:
            yield from self.bound.by_type.get(kind, ())  # type: ignore[misc]  # the key is the type

    @cached_property
    def functions(self) -> list[FunctionNode]:
        """Every function, also those inside of others, in the order of the file."""
        found: list[FunctionNode] = [*self.nodes(ast.FunctionDef), *self.nodes(ast.AsyncFunctionDef)]
        return sorted(found, key=lambda node: (node.lineno, node.col_offset))

    def own(self, function: FunctionNode) -> list[ast.AST]:
        """Return every node of the body of a function, with the functions that are nested in it."""
        if function not in self._own_nodes:
            self._own_nodes[function] = [node for one in function.body for node in ast.walk(one)]
        return self._own_nodes[function]

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Return what a node stands in, None for the module."""
        return self.bound.parents.get(node)

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what a node stands in, from the inside to the module."""
        above = self.bound.parents.get(node)
        while above is not None:
            yield above
            above = self.bound.parents.get(above)

    def function(self, node: ast.AST) -> FunctionNode | None:
        """Return the innermost function that a node stands in, lambdas aside."""
        for above in self.parents(node):
            if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
                return above
        return None

    def scope(self, node: ast.AST) -> Scope:
        """Return the scope in which a node is evaluated."""
        known = self.bound.seen_from.get(node)
        if known is not None:
            return known
        inside = node
        for above in self.parents(node):
            if above in self.bound.scopes and not _is_around(above, inside):
                return self.bound.scopes[above]
            inside = above
        return self.bound.scopes[self.tree] if self.tree is not None else Scope(ast.Module([], []), None)

    def span(self, node: ast.AST) -> Span:
        """Return where a node stands."""
        line, end = getattr(node, "lineno", 1), getattr(node, "end_lineno", None)
        return Span(
            line,
            self._column(line, getattr(node, "col_offset", 0)),
            end or line,
            self._column(end or line, getattr(node, "end_col_offset", None) or 0),
        )

    def segment(self, node: ast.AST) -> str:
        """Return the text of a node."""
        return ast.get_source_segment(self.text, node) or ""

    def _column(self, line: int, offset: int) -> int:
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return offset + 1 if text.isascii() else len(text.encode()[:offset].decode(errors="ignore")) + 1

    # What names mean.

    def name(self, expression: ast.expr) -> str | None:
        """Return the dotted name of what an expression means, None when that cannot be said.

        `time.sleep` for whatever leads to it: an import under another name, an alias, a name of another file of the
        project. `runtime.Lock()` is an instance that was made so, `@ctx`, `@ws` and `@platform` what the framework
        hands to a function, `live.todos.add` a function of the project, `builtins.open` a builtin.
        """
        if expression in self._names:
            return self._names[expression]
        self._names[expression] = None  # of a name that leads back to itself
        found = self._name(expression)
        self._names[expression] = canonical(found) if found is not None else None
        return self._names[expression]

    def _name(self, expression: ast.expr) -> str | None:
        match expression:
            case ast.Name(id=name):
                return self.look_up(name, self.scope(expression))
            case ast.Attribute(value=ast.Name(id=own), attr=attribute) if found := self._attribute(
                expression, own, attribute
            ):
                return found
            case ast.Attribute(value=value, attr=attribute):
                above = self.name(value)
                return None if above is None else self._follow(canonical(f"{above}.{attribute}"))
            case ast.Call(
                func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str() as attribute), *_]
            ):
                above = self.name(value)
                return None if above is None else self._follow(canonical(f"{above}.{attribute}"))
            case ast.Call(func=function):
                above = self.name(function)
                return None if above is None else f"{above}()"
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.name(value)
            case ast.Subscript(value=value):
                above = self.name(value)
                return None if above is None else f"{above}[]"
            case ast.IfExp(body=one, orelse=other):
                return self.name(one) or self.name(other)
            case ast.BoolOp(values=values):
                return next((found for value in values if (found := self.name(value))), None)
            case _:
                return None

    def look_up(self, name: str, scope: Scope) -> str | None:
        """Return what a bare name means in a scope."""
        found = scope.find(name)
        if found is None:
            return self._starred(name) or (f"builtins.{name}" if hasattr(builtins, name) else None)
        where, bindings = found
        for binding in bindings:
            meaning = self._meaning(name, where, binding)
            if meaning is not None:
                return meaning
        return None

    def _meaning(self, name: str, scope: Scope, binding: Binding) -> str | None:
        if binding.dotted is not None:
            return self._follow(binding.dotted)
        if binding.value is not None:
            return self.name(binding.value)
        if isinstance(binding.node, ast.arg):
            return self._parameter(binding.node)
        if isinstance(binding.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return f"{self.module}.{name}" if scope.above is None else f"{self.module}.<locals>.{name}"
        return None

    def _parameter(self, node: ast.arg) -> str | None:
        annotation = node.annotation
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            last = annotation.value.rpartition(".")[2]
        elif isinstance(annotation, ast.Attribute):
            last = annotation.attr
        else:
            last = annotation.id if isinstance(annotation, ast.Name) else ""
        return ANNOTATIONS.get(last) or PARAMETERS.get(node.arg)

    def _starred(self, name: str) -> str | None:
        if self.tree is None:
            return None
        for module in self.bound.scopes[self.tree].stars:
            if module.split(".")[0] == "runtime":
                import runtime

                if name in runtime.__all__:
                    return f"runtime.{name}"
            elif (found := self.elsewhere(f"{module}.{name}")) is not None:
                return found if isinstance(found, str) else f"{module}.{name}"
        return None

    def _attribute(self, node: ast.AST, own: str, attribute: str) -> str | None:
        """Return what `self.attribute` was set to, anywhere in the class."""
        function = self.function(node)
        if function is None or not function.args.args or function.args.args[0].arg != own:
            return None
        holder = self.parent(function)
        if not isinstance(holder, ast.ClassDef):
            return None
        for statement in ast.walk(holder):
            if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
                continue
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Attribute):
                    found = isinstance(target.value, ast.Name) and target.attr == attribute
                else:
                    in_body = self.parent(statement) is holder
                    found = in_body and isinstance(target, ast.Name) and target.id == attribute
                if found:
                    return self.name(statement.value)
        return None

    def _follow(self, dotted: str) -> str:
        """Follow a name into the other files of the project, as far as it leads."""
        for _ in range(MAX_STEPS):
            found = self.elsewhere(dotted)
            if not isinstance(found, str) or found == dotted:
                return dotted
            dotted = found
        return dotted

    # What is called.

    @cached_property
    def calls(self) -> dict[str, list[ast.Call]]:
        """Every call whose function has a known name, by that name."""
        found: dict[str, list[ast.Call]] = {}
        for call in self.nodes(ast.Call):
            name = self.name(call.func)
            if name is not None:
                found.setdefault(name, []).append(call)
        return found

    @cached_property
    def methods(self) -> dict[str, list[ast.Call]]:
        """Every call of an attribute, by the attribute, whatever it belongs to."""
        found: dict[str, list[ast.Call]] = {}
        for call in self.nodes(ast.Call):
            if isinstance(call.func, ast.Attribute):
                found.setdefault(call.func.attr, []).append(call)
        return found

    def calls_of(self, *names: str) -> Iterator[ast.Call]:
        """Yield the calls of what has one of the names."""
        for name in names:
            yield from self.calls.get(name, ())


def _is_around(above: ast.AST, inside: ast.AST) -> bool:
    """Return whether `inside`, a child of a node that opens a scope, is evaluated outside of it."""
    if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
        return inside in above.decorator_list
    if isinstance(above, ast.ClassDef):
        return inside in above.decorator_list or inside in above.bases or inside in above.keywords
    return False
