"""One Python file of a project: its text, its tree, and what its names mean."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from realtime_cli.rules.finding import Span
from realtime_cli.rules.scopes import Binding, Bound, FunctionNode, Scope, bind_scopes

__all__ = ["Kind", "Source", "canonical"]

MAX_STEPS = 20  # aliases that are followed from one name to the next
MAX_DEPTH = 60  # expressions within each other, of one name

#: What a file is for: ``live`` (a live module), ``hooks``, ``test`` or ``code``.
Kind = str
_Node = TypeVar("_Node", bound=ast.AST)

#: Parameters that mean the same wherever a function has one of that name or of that annotation.
PARAMETERS = {"ctx": "@ctx", "ws": "@ws", "platform": "@platform", "cookies": "@cookies"}
ANNOTATIONS = {
    "Ctx": "@ctx",
    "UploadCtx": "@ctx",
    "RoomCtx": "@ctx",
    "Connection": "@ws",
    "Platform": "@platform",
    "Cookies": "@cookies",
    "CronCtx": "@ctx",
}
_ROOTS = {"@ctx.platform": "@platform", "@ctx.ws": "@ws", "@ctx.cookies": "@cookies"}
#: Modules of `runtime.live` that apps import from by their own names; others are attributes of `live`, too.
_LIVE_MODULES = {"declare", "guards", "context", "uploadstream", "roomctx", "cronctx", "pushes", "pushing"}
LIVE = "runtime.live"
_HANDS_CTX = (LIVE, "runtime.guard")
_INTERNAL = {"plugins", "server", "core", "cluster", "testing"}


def canonical(dotted: str) -> str:
    """Return one name for what has several: `runtime.plugins.Lock` is `runtime.Lock`, `@ctx.ws` is `@ws`."""
    for long, short in _ROOTS.items():
        if dotted == long or dotted.startswith(long + "."):
            dotted = short + dotted[len(long) :]
    parts = dotted.split(".")
    if parts[0] == "runtime" and len(parts) > 3 and parts[1] == "live" and parts[2] in _LIVE_MODULES:
        return ".".join(["runtime", *parts[3:]])
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
        roots: the first parts of the names of the project's modules.
        scans: what expressions read, kept by `taint`.
    """

    path: str
    module: str
    kind: Kind
    text: str
    tree: ast.Module | None
    error: SyntaxError | None = None
    elsewhere: Callable[[str], str | None] = field(default=lambda dotted: None, repr=False)
    roots: frozenset[str] = frozenset()
    scans: dict[ast.AST, Any] = field(default_factory=dict, repr=False)
    _depth: int = field(default=0, repr=False)
    _names: dict[ast.expr, str | None] = field(default_factory=dict, repr=False)
    _starring: dict[str, str | None] = field(default_factory=dict, repr=False)
    _holders: dict[FunctionNode, tuple[ast.ClassDef | None, str]] = field(default_factory=dict, repr=False)
    _attributes: dict[ast.ClassDef, dict[str, ast.expr]] = field(default_factory=dict, repr=False)
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
            order, parents = self.bound.order, self.bound.parents
            last = function.body[-1]
            end = self.bound.places[last] + 1
            inside: set[ast.AST] = {last}
            while end < len(order) and parents[order[end]] in inside:
                inside.add(order[end])
                end += 1
            self._own_nodes[function] = order[self.bound.places[function.body[0]] : end]
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
        """Return the innermost function in whose body or arguments a node stands, lambdas aside."""
        inside = node
        for above in self.parents(node):
            if isinstance(above, FunctionNode) and not _is_around(above, inside):
                return above
            inside = above
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
        """Return where a node stands; of a function or class, its head up to the name."""
        line, end = getattr(node, "lineno", 1), getattr(node, "end_lineno", None)
        start = getattr(node, "col_offset", 0)
        if isinstance(node, FunctionNode | ast.ClassDef) and line <= len(self.lines):
            first = self._column(line, start)
            found = self.lines[line - 1].find(node.name, first)
            return Span(line, first, line, found + 1 + len(node.name) if found >= 0 else first)
        return Span(
            line,
            self._column(line, start),
            end or line,
            self._column(end or line, getattr(node, "end_col_offset", None) or 0),
        )

    def segment(self, node: ast.AST) -> str:
        """Return the text of a node."""
        if self.in_text(node) and isinstance(node, ast.expr):
            try:
                return ast.unparse(node)
            except RecursionError:
                return ""
        span = Source.span(self, node) if not isinstance(node, FunctionNode | ast.ClassDef) else None
        if span is None or not hasattr(node, "lineno") or span.end_line > len(self.lines):
            return ""
        if span.line == span.end_line:
            return self.lines[span.line - 1][span.col - 1 : span.end_col - 1]
        first, last = self.lines[span.line - 1][span.col - 1 :], self.lines[span.end_line - 1]
        return "\n".join([first, *self.lines[span.line : span.end_line - 1], last[: span.end_col - 1]])

    def in_text(self, node: ast.AST) -> bool:
        """Return whether a node stands within a formatted string, where places are not reliable before 3.12."""
        return any(isinstance(above, ast.JoinedStr) for above in self._expressions_above(node))

    def _expressions_above(self, node: ast.AST) -> Iterator[ast.AST]:
        for above in self.parents(node):
            if isinstance(above, ast.stmt):
                return
            yield above

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
        if self._depth > MAX_DEPTH:
            return None
        self._names[expression] = None  # of a name that leads back to itself
        self._depth += 1
        try:
            found = self._name(expression)
        finally:
            self._depth -= 1
        self._names[expression] = canonical(found) if found is not None else None
        return self._names[expression]

    def _name(self, expression: ast.expr) -> str | None:
        match expression:
            case ast.Name(id=name):
                return self.look_up(name, self.scope(expression), expression)
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

    def look_up(self, name: str, scope: Scope, at: ast.expr | None = None) -> str | None:
        """Return what a bare name means in a scope, at an expression of it or at its end."""
        found = scope.find(name)
        if found is None:
            return self._starred(name) or (f"builtins.{name}" if hasattr(builtins, name) else None)
        where, _ = found
        for binding in self.bindings(name, scope, at):
            meaning = self._meaning(name, where, binding)
            if meaning is not None:
                return meaning
        return None

    def bindings(self, name: str, scope: Scope, at: ast.expr | None = None) -> list[Binding]:
        """Return what a name may be bound to at an expression of a scope: without what was overwritten before."""
        found = scope.find(name)
        if found is None:
            return []
        where, bindings = found
        if len(bindings) == 1:
            return bindings
        inner = [one for one in bindings if not self._is_in_flow(one, where)]
        own = [one for one in bindings if one not in inner]
        if scope is where and at is not None:
            place = (at.lineno, at.col_offset)
            own = [one for one in own if _since(one.node) <= place] or own
        last = max((index for index, one in enumerate(own) if self._is_certain(one, where)), default=0)
        return own[last:] + inner

    def _is_in_flow(self, binding: Binding, where: Scope) -> bool:
        """Return whether a binding is made as its scope runs, not by a function that declares it `global`."""
        if isinstance(binding.node, ast.arg) or not isinstance(where.node, ast.Module | FunctionNode):
            return True
        outer = where.node if isinstance(where.node, FunctionNode) else None
        return self.function(binding.node) is outer

    def _is_certain(self, binding: Binding, where: Scope) -> bool:
        """Return whether a binding is made whatever happens: by a statement that stands in no other one."""
        node = binding.node
        if isinstance(node, ast.arg):
            return True
        if isinstance(node, ast.AugAssign) or (isinstance(node, ast.AnnAssign) and node.value is None):
            return False
        return self.bound.parents.get(node) is where.node

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
        if node.annotation is not None:
            told = self._annotated(node.annotation)
            if told is not None:
                return told or None
        arguments = self.parent(node)
        function = self.parent(arguments) if arguments is not None else None
        if isinstance(function, FunctionNode | ast.Lambda) and self._takes_ctx(function, node):
            return "@ctx"
        return PARAMETERS.get(node.arg)

    def _annotated(self, annotation: ast.expr) -> str | None:
        """Return what an annotation says: a name of ours, the empty text for a type of others, None for neither."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except (SyntaxError, ValueError):
                return None
        for node in ast.walk(annotation):
            if isinstance(node, ast.Name | ast.Attribute):
                name = self._type_name(node)
                last = name.rpartition(".")[2]
                if last in ANNOTATIONS and ("." not in name or name.startswith("runtime.")):
                    return ANNOTATIONS[last]
        if not isinstance(annotation, ast.Name | ast.Attribute):
            return None
        name = self._type_name(annotation)
        root = name.partition(".")[0]
        plain = name in {"builtins.object", "typing.Any"} or root in {
            *self.roots,
            self.module.partition(".")[0],
        }
        return None if plain or "." not in name else ""

    def _type_name(self, node: ast.Name | ast.Attribute) -> str:
        """Return the full name of a type, and its bare name when it is bound nowhere."""
        if node in self.bound.parents:
            return self.name(node) or (node.id if isinstance(node, ast.Name) else node.attr)
        if isinstance(node, ast.Attribute):
            above = self._type_name(node.value) if isinstance(node.value, ast.Name | ast.Attribute) else "?"
            return canonical(f"{above}.{node.attr}")
        top = self.bound.scopes[self.tree] if self.tree is not None else None
        return (self.look_up(node.id, top) if top is not None else None) or node.id

    def _takes_ctx(self, function: FunctionNode | ast.Lambda, argument: ast.arg) -> bool:
        """Return whether `live` hands its ctx to an argument: the first one of what it decorates or is given."""
        every = [*function.args.posonlyargs, *function.args.args]
        if isinstance(function, ast.Lambda):
            above: ast.AST | None = self.parent(function)
            call = self.parent(above) if isinstance(above, ast.keyword) else above
            given = isinstance(call, ast.Call) and (self.name(call.func) or "").startswith(_HANDS_CTX)
            return given and every[:1] == [argument]
        is_method = isinstance(self.parent(function), ast.ClassDef)
        if every[is_method : is_method + 1] != [argument]:
            return False
        decorated = any((self.name(one) or "").startswith(LIVE) for one in function.decorator_list)
        return decorated or function.name in self._registered

    @cached_property
    def _registered(self) -> set[str]:
        """The functions that the module hands to `live` in a call."""
        found: set[str] = set()
        self.__dict__["_registered"] = found  # a call may stand in a function that is asked for
        for call in self.nodes(ast.Call):
            names = [one.id for one in call.args if isinstance(one, ast.Name)]
            if names and (self.name(call.func) or "").startswith(LIVE) and self.function(call) is None:
                found.update(names)
        return found

    def _starred(self, name: str) -> str | None:
        if name not in self._starring:
            self._starring[name] = (
                None  # while it is looked for: two modules may take all names of each other
            )
            stars = self.bound.scopes[self.tree].stars if self.tree is not None else []
            self._starring[name] = self._from_stars(name, stars)
        return self._starring[name]

    def _from_stars(self, name: str, stars: list[str]) -> str | None:
        for module in stars:
            if module.split(".")[0] == "runtime":
                import runtime

                if name in runtime.__all__:
                    return f"runtime.{name}"
            elif (found := self.elsewhere(f"{module}.{name}")) is not None:
                return found if isinstance(found, str) else f"{module}.{name}"
        return None

    def _attribute(self, node: ast.AST, own: str, attribute: str) -> str | None:
        """Return what `self.attribute` was set to, anywhere in the class."""
        holder = self.holder(node, own)
        value = self._attributes_of(holder).get(attribute) if holder is not None else None
        return self.name(value) if value is not None else None

    def holder(self, node: ast.AST, own: str) -> ast.ClassDef | None:
        """Return the class whose instance the name `own` (`self`) is at a node, None when it is none."""
        if ast.ClassDef not in self.bound.by_type:
            return None
        function = self.function(node)
        if function is None:
            return None
        if function not in self._holders:
            method: FunctionNode | None = function
            while method is not None and not isinstance(self.parent(method), ast.ClassDef):
                method = self.function(method)
            arguments = method.args.args if method is not None else []
            holder = self.parent(method) if method is not None and arguments else None
            found = (holder, arguments[0].arg) if isinstance(holder, ast.ClassDef) else (None, "")
            self._holders[function] = found
        holder, name = self._holders[function]
        return holder if name == own else None

    def _attributes_of(self, holder: ast.ClassDef) -> dict[str, ast.expr]:
        """Return what the attributes of a class and its instances are set to first."""
        if holder in self._attributes:
            return self._attributes[holder]
        found = self._attributes[holder] = {}
        for statement in ast.walk(holder):
            if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
                continue
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                    if self.holder(statement, target.value.id) is holder:
                        found.setdefault(target.attr, statement.value)
                elif isinstance(target, ast.Name) and self.parent(statement) is holder:
                    found.setdefault(target.id, statement.value)
        return found

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


def _since(node: ast.AST) -> tuple[int, int]:
    """Return from where on a binding holds: behind an assignment or import, and from the start of all else."""
    if isinstance(
        node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr | ast.Import | ast.ImportFrom
    ):
        return node.end_lineno or node.lineno, node.end_col_offset or 0
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _is_around(above: ast.AST, inside: ast.AST) -> bool:
    """Return whether `inside`, a child of a node that opens a scope, is evaluated outside of it."""
    if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
        return inside in above.decorator_list or inside is above.returns
    if isinstance(above, ast.ClassDef):
        return inside in above.decorator_list or inside in above.bases or inside in above.keywords
    return False
