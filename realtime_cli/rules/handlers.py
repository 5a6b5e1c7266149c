"""The functions that a live module registers, read from its decorators without importing it. Spec: live-api 1.3."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.rules.scopes import FunctionNode
from realtime_cli.rules.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Decorator", "Handler", "handlers_of"]

#: What registers a function, by the name of the decorator; the other decorators of `live` only add to it.
REGISTERING = {
    "runtime.live": "rpc",
    "runtime.live.stream": "stream",
    "runtime.live.binary": "binary",
    "runtime.live.upload": "upload",
    "runtime.live.cron": "cron",
    "runtime.live.derived": "derived",
    "runtime.live.effect": "effect",
    "runtime.live.action": "action",
}
PREFIX = "runtime.live"
WITHOUT_CLIENT = frozenset({"cron", "effect"})


@dataclass(frozen=True, slots=True)
class Decorator:
    """One decorator of a handler: its name (`runtime.live.stream`), the call if it has arguments, the expression."""

    name: str
    call: ast.Call | None
    node: ast.expr

    def option(self, keyword: str, position: int | None = None) -> ast.expr | None:
        """Return the expression of an argument, None when it is not given."""
        if self.call is None:
            return None
        for given in self.call.keywords:
            if given.arg == keyword:
                return given.value
        if position is not None and position < len(self.call.args):
            return self.call.args[position]
        return None


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function.

    Attributes:
        source: the file.
        node: the function.
        kind: `rpc`, `stream`, `binary`, `upload`, `cron`, `derived`, `effect` or `action`.
        decorators: those of `live`, the topmost first.
        others: decorators that are not ours.
    """

    source: Source
    node: FunctionNode
    kind: str
    decorators: tuple[Decorator, ...]
    others: tuple[ast.expr, ...]

    @property
    def path(self) -> str:
        """The path that clients call it by, as far as it can be read."""
        module = self.source.module.partition(".")[2].replace(".", "/")
        return f"{module}/{self.node.name}"

    @property
    def is_reachable(self) -> bool:
        """Whether clients can call or subscribe to it."""
        return self.kind not in WITHOUT_CLIENT

    @property
    def is_public(self) -> bool:
        """Whether it is marked with `live.public`."""
        return self.decorator("public") is not None

    @property
    def in_thread(self) -> bool:
        """Whether it runs in a thread of its own: `@live(thread=True)`."""
        return any(
            isinstance(value := one.option("thread"), ast.Constant) and value.value is True
            for one in self.decorators
            if one.name == PREFIX
        )

    def decorator(self, name: str) -> Decorator | None:
        """Return the decorator of `live` with that name (`stream`, `public`; `live` itself is the empty name)."""
        wanted = f"{PREFIX}.{name}" if name else PREFIX
        return next((one for one in self.decorators if one.name == wanted), None)

    def option(self, keyword: str, *, of: str | None = None) -> ast.expr | None:
        """Return the expression of an option of its registering decorator, or of the decorator `of`."""
        name = of if of is not None else next((k for k, v in REGISTERING.items() if v == self.kind), "")
        found = self.decorator(name.removeprefix(PREFIX).lstrip("."))
        return found.option(keyword) if found else None

    @property
    def nodes(self) -> list[ast.AST]:
        """Every node of its body."""
        return self.source.own(self.node)

    @property
    def arguments(self) -> list[ast.arg]:
        """The parameters that come from the client: all but the first, which is the ctx."""
        arguments = self.node.args
        every = [*arguments.posonlyargs, *arguments.args]
        more = [*arguments.kwonlyargs, *(one for one in (arguments.vararg, arguments.kwarg) if one)]
        return [*every[2 if self.kind == "action" else 1 :], *more]


def handlers_of(source: Source) -> Iterator[Handler]:
    """Yield the registered functions of a live module, in order, then those that a call registers: `add = live(f)`."""
    by_name: dict[str, FunctionNode] = {}
    for node in source.functions:
        if not _at_top(source, node):
            continue
        by_name[node.name] = node
        named = [(one, _decorator(source, one)) for one in node.decorator_list]
        ours = tuple(found for _, found in named if found is not None)
        kind = _kind(ours)
        if kind is not None:
            yield Handler(source, node, kind, ours, tuple(one for one, found in named if found is None))
    for call in source.nodes(ast.Call):
        handler = _by_call(source, call, by_name)
        if handler is not None:
            yield handler


def _at_top(source: Source, node: ast.AST) -> bool:
    """Return whether a function runs with its module: in no other function, or a method of a room class."""
    return source.function(node) is None


def _decorator(source: Source, node: ast.expr) -> Decorator | None:
    name = source.name(node)
    if name is None:
        return None
    call = node if isinstance(node, ast.Call) else _assigned_call(source, node)
    plain = name.replace("()", "")
    if plain == PREFIX or plain.startswith(PREFIX + "."):
        return Decorator(plain, call, node)
    return None


def _assigned_call(source: Source, node: ast.expr) -> ast.Call | None:
    """Return the call that a name was assigned: `limited = live.rate_limit(...)`, then `@limited`."""
    if not isinstance(node, ast.Name):
        return None
    found = source.scope(node).find(node.id)
    values = [binding.value for binding in found[1]] if found else []
    return next((value for value in values if isinstance(value, ast.Call)), None)


def _kind(decorators: tuple[Decorator, ...]) -> str | None:
    kinds = [REGISTERING[one.name] for one in decorators if one.name in REGISTERING]
    return next((kind for kind in kinds if kind != "rpc"), kinds[0] if kinds else None)


def _by_call(source: Source, call: ast.Call, functions: dict[str, FunctionNode]) -> Handler | None:
    """Return what `live(f)` or `live.stream("t")(f)` registers, when it does not stand as a decorator."""
    if len(call.args) != 1 or not isinstance(call.args[0], ast.Name) or source.function(call) is not None:
        return None
    parent = source.parent(call)
    if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef) or call.args[0].id not in functions:
        return None
    name = (source.name(call.func) or "").replace("()", "")
    if name not in REGISTERING:
        return None
    given = call.func if isinstance(call.func, ast.Call) else None
    decorator = Decorator(name, given, call)
    return Handler(source, functions[call.args[0].id], REGISTERING[name], (decorator,), ())
