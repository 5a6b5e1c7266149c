"""The functions that a live module registers, read from its decorators without importing it. Spec: live-api 1.3."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.rules.scopes import FunctionNode
from realtime_cli.rules.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.meaning import Meaning

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
#: Decorators that are written without arguments.
PLAIN = frozenset({PREFIX, f"{PREFIX}.public", f"{PREFIX}.volatile", f"{PREFIX}.action"})
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


def handlers_of(source: Source, meaning: Meaning | None = None) -> Iterator[Handler]:
    """Yield the registered functions of a live module, in order: by decorators, or by a call (`add = live(f)`).

    With `meaning`, a decorator of the project's own that applies those of `live` counts as them.
    """
    given = _given_to_live(source)
    for node in source.functions:
        named = [(one, list(_decorators(source, one, meaning))) for one in node.decorator_list]
        ours = (*given.get(node, ()), *(found for _, several in named for found in several))
        kind = _kind(ours)
        if kind is not None:
            yield Handler(source, node, kind, ours, tuple(one for one, found in named if not found))


def _decorators(source: Source, node: ast.expr, meaning: Meaning | None) -> Iterator[Decorator]:
    """Yield what a decorator is of `live`: itself, or what a function of the project applies."""
    name = source.name(node)
    call = node if isinstance(node, ast.Call) else _assigned_call(source, node)
    plain = (name or "").replace("()", "")
    if plain == PREFIX or plain.startswith(PREFIX + "."):
        yield Decorator(plain, call, node)
    elif meaning is not None:
        found = meaning.function_of(source, node.func if isinstance(node, ast.Call) else node)
        if found is None:
            return
        where, function = found
        body = ast.walk(function.body) if isinstance(function, ast.Lambda) else where.own(function)
        for inner in body:
            if isinstance(inner, ast.Call):
                applied = (where.name(inner.func) or "").replace("()", "")
                if applied == PREFIX or applied.startswith(PREFIX + "."):
                    yield Decorator(applied, inner.func if isinstance(inner.func, ast.Call) else None, inner)
            elif isinstance(inner, FunctionNode):
                for one in inner.decorator_list:
                    yield from _decorators(where, one, None)


def _assigned_call(source: Source, node: ast.expr) -> ast.Call | None:
    """Return the call that a name was assigned: `limited = live.rate_limit(...)`, then `@limited`."""
    if not isinstance(node, ast.Name):
        return None
    values = [binding.value for binding in source.bindings(node.id, source.scope(node), node)]
    return next((value for value in values if isinstance(value, ast.Call)), None)


def _given_to_live(source: Source) -> dict[FunctionNode, list[Decorator]]:
    """Return what calls such as `add = live.public(live(f))` put over functions, the outermost first."""
    found: dict[FunctionNode, list[Decorator]] = {}
    for call in source.nodes(ast.Call):
        if len(call.args) != 1 or call.keywords or source.function(call) is not None:
            continue
        decorators: list[Decorator] = []
        inner: ast.expr = call
        while isinstance(inner, ast.Call) and len(inner.args) == 1 and not inner.keywords:
            applied = source.name(inner.func) or ""
            name = applied.replace("()", "")
            if applied not in PLAIN and not (applied.endswith("()") and name.startswith(PREFIX)):
                break
            decorators.append(
                Decorator(name, inner.func if isinstance(inner.func, ast.Call) else None, inner)
            )
            inner = inner.args[0]
        if not decorators or not isinstance(inner, ast.Name) or _is_wrapped(source, call):
            continue
        for binding in source.bindings(inner.id, source.scope(inner), inner):
            if isinstance(binding.node, FunctionNode):
                found.setdefault(binding.node, []).extend(decorators)
    return found


def _is_wrapped(source: Source, call: ast.Call) -> bool:
    """Return whether a call is the argument of another call of `live`, which tells of both."""
    above = source.parent(call)
    return (
        isinstance(above, ast.Call)
        and call in above.args
        and (source.name(above.func) or "").startswith(PREFIX)
    )


def _kind(decorators: tuple[Decorator, ...]) -> str | None:
    kinds = [REGISTERING[one.name] for one in decorators if one.name in REGISTERING]
    return next((kind for kind in kinds if kind != "rpc"), kinds[0] if kinds else None)
