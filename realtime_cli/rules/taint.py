"""Which values in a function come from whom: what a client sent, who the caller is, what was checked.

Follows names through assignments, loops and formatted text within one function and those nested in it. Coarse on
purpose: a call that is given a client's value gives back a client's value, unless it is known to make an own one.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from realtime_cli.rules.handlers import Handler
from realtime_cli.rules.scopes import FunctionNode
from realtime_cli.rules.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


__all__ = ["Flow", "flow_of", "handler_flow", "names_in"]

MAX_ROUNDS = 4  # over the assignments of a function
#: What gives back something of the app's own, whatever it is given.
MAKES_OWN = frozenset(
    {
        "uuid.uuid4()",
        "uuid.uuid1()",
        "secrets.token_hex()",
        "secrets.token_urlsafe()",
        "builtins.len()",
        "builtins.bool()",
        "builtins.isinstance()",
        "builtins.hasattr()",
    }
)
#: What gives back the client's choice in a form that can do no harm by how it is written: a number, a digest.
MAKES_HARMLESS = frozenset(
    {
        "builtins.int()",
        "builtins.float()",
        "uuid.UUID()",
        "decimal.Decimal()",
        "hashlib.sha256()",
        "hashlib.sha1()",
        "hashlib.md5()",
        "hashlib.blake2b()",
        "werkzeug.utils.secure_filename()",
        "shlex.quote()",
    }
)
#: Parameters of hooks that hold what a client sent.
SENT_TO_HOOKS = frozenset({"request", "headers", "cookies", "url", "query", "data", "topic", "topics"})
#: Attributes of the ctx that say who calls.
CALLER = ("@ctx.user", "@ctx.ws", "@ws", "@ws.user_data", "@ctx.session")


@dataclass(frozen=True)
class Flow:
    """The names of a function by where their values come from.

    Attributes:
        source: the file.
        node: the function.
        sent: names that hold what a client sent.
        caller: names that hold who the caller is.
        harmful: those of `sent` that hold it as it came, not only a number or digest of it.
        origins: the parameters that each of `sent` was made of.
        calls: the calls that lead here, each with the flow of the function that it stands in.
        handler: the live function that leads here, None when only hooks do.
    """

    source: Source
    node: FunctionNode
    sent: set[str] = field(default_factory=set)
    caller: set[str] = field(default_factory=set)
    harmful: set[str] = field(default_factory=set)
    origins: dict[str, set[str]] = field(default_factory=dict)
    calls: list[tuple[Flow, ast.Call]] = field(default_factory=list)
    handler: Handler | None = None

    @property
    def size(self) -> int:
        """How much is known; it only grows."""
        origins = sum(len(names) for names in self.origins.values())
        return len(self.sent) + len(self.caller) + len(self.harmful) + origins

    @cached_property
    def calls_made(self) -> list[ast.Call]:
        """The calls in the function and those nested in it."""
        return [node for node in self.source.own(self.node) if isinstance(node, ast.Call)]

    def is_sent(self, expression: ast.AST, *, harmful: bool = False) -> bool:
        """Return whether an expression holds something that a client sent; `harmful`: no numbers and digests of it."""
        told = scan(self.source, expression)
        return not self.harmful.isdisjoint(told.harmful) if harmful else not self.sent.isdisjoint(told.read)

    def origins_of(self, expression: ast.AST) -> set[str]:
        """Return the parameters that an expression is made of, also those that it only compares."""
        names = scan(self.source, expression).names
        return {origin for name in names for origin in self.origins.get(name, ())}

    def is_caller(self, expression: ast.AST) -> bool:
        """Return whether an expression holds who the caller is."""
        told = scan(self.source, expression)
        return told.asks_caller or not self.caller.isdisjoint(told.read)


@dataclass(frozen=True, slots=True)
class Scan:
    """What an expression reads, whoever calls: names whose values reach it, in full and as they come; all its names.

    `asks_caller`: it reads the user from the ctx, or hands the ctx to a function.
    """

    read: frozenset[str]
    harmful: frozenset[str]
    names: frozenset[str]
    asks_caller: bool


def scan(source: Source, expression: ast.AST) -> Scan:
    """Return what an expression reads; remembered with its file."""
    known: Scan | None = source.scans.get(expression)
    if known is None:
        known = source.scans[expression] = _scan(source, expression)
    return known


_READ, _HARMFUL = 1, 2


def _scan(source: Source, expression: ast.AST) -> Scan:
    """Walk an expression once, with what reaches it on the way: the value in full, and the value as it comes."""
    names: set[str] = set()
    read: set[str] = set()
    harmful: set[str] = set()
    asks_caller = False
    stack: list[tuple[ast.AST, int]] = [(expression, _READ | _HARMFUL)]
    while stack:
        node, reaches = stack.pop()
        if isinstance(node, ast.Name):
            names.add(node.id)
            if reaches & _READ:
                read.add(node.id)
            if reaches & _HARMFUL:
                harmful.add(node.id)
            continue
        if isinstance(node, ast.Constant | ast.expr_context):
            continue
        inner = reaches
        if isinstance(node, ast.Attribute):
            asks_caller = asks_caller or (source.name(node) or "").startswith(CALLER)
            inner = reaches & _READ if node.attr == "suffix" else reaches
        elif isinstance(node, ast.Call):  # a function that is given the ctx can look at who calls
            asks_caller = asks_caller or any(source.name(one) == "@ctx" for one in node.args)
            if _is_table(source, node.func):
                stack.extend((one, 0) for one in node.args[:1])  # the key decides which, not what
                stack.extend((one, reaches) for one in node.args[1:])
                continue
            made = source.name(node)
            if made in MAKES_OWN:
                inner = 0
            elif made in MAKES_HARMLESS:
                inner = reaches & _READ
        elif isinstance(node, ast.Compare):
            inner = 0
        elif isinstance(node, ast.IfExp):
            stack += [(node.test, 0), (node.body, reaches), (node.orelse, reaches)]  # decides which, not what
            continue
        elif isinstance(node, ast.comprehension):
            inner = 0  # its target has a name of its own, and only what is made of that reaches the value
        elif isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            if isinstance(node.value.func, ast.Attribute):  # of a store: what it found is its own
                asks_caller = asks_caller or any(source.name(one) == "@ctx" for one in node.value.args)
                stack.append((node.value.func, reaches))
                given = [*node.value.args, *(one.value for one in node.value.keywords)]
                stack.extend((one, reaches & _READ) for one in given)
                continue
        elif isinstance(node, ast.Subscript):
            stack.append((node.slice, 0))  # the key decides which, not what
            stack.append((node.value, reaches))
            continue
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                stack.extend((item, inner) for item in value if isinstance(item, ast.AST))
            elif isinstance(value, ast.AST):
                stack.append((value, inner))
    return Scan(frozenset(read), frozenset(harmful), frozenset(names), asks_caller)


def _is_table(source: Source, function: ast.expr) -> bool:
    """Return whether a method gives back what stands in a table that the module wrote down: `COLUMNS.get`."""
    if not isinstance(function, ast.Attribute) or function.attr != "get":
        return False
    owner = function.value
    found = source.scope(owner).find(owner.id) if isinstance(owner, ast.Name) else None
    if found is None or found[0].above is not None:
        return False
    values = [binding.value for binding in found[1]]
    return all(isinstance(one, ast.Dict) and all(map(_is_fixed, one.values)) for one in values)


def _is_fixed(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (
        isinstance(node, ast.Tuple | ast.List) and all(map(_is_fixed, node.elts))
    )


def flow_of(
    source: Source,
    node: FunctionNode,
    sent: Iterable[str],
    caller: Iterable[str] = (),
    calls: list[tuple[Flow, ast.Call]] | None = None,
    handler: Handler | None = None,
) -> Flow:
    """Return where values go in a function whose parameters `sent` come from a client, and `caller` say who it is."""
    flow = Flow(source, node, set(sent), set(caller))
    flow.harmful.update(flow.sent)
    flow.origins.update({name: {name} for name in flow.sent})
    flow = replace(flow, calls=[] if calls is None else calls, handler=handler)
    pairs = [
        (set(names_in(target)), value)
        for statement in source.own(node)
        if isinstance(statement, _BINDING)
        for target, value in _bindings(statement)
    ]
    for _ in range(MAX_ROUNDS):  # a name may be read above the line that sets it, in a loop
        before = flow.size
        for names, value in pairs:
            if flow.is_sent(value):
                flow.sent.update(names)
                origins = flow.origins_of(value)
                for name in names:
                    flow.origins.setdefault(name, set()).update(origins)
            if flow.is_sent(value, harmful=True):
                flow.harmful.update(names)
            if flow.is_caller(value):
                flow.caller.update(names)
        if flow.size == before:
            break
    return flow


def handler_flow(handler: Handler) -> Flow:
    """Return the flow of a handler: its arguments are what a client sent."""
    sent = [argument.arg for argument in handler.arguments]
    return flow_of(handler.source, handler.node, sent, handler=handler)


def names_in(target: ast.AST) -> Iterator[str]:
    """Yield the names that get a value by a target: what it binds, and the container of an item."""
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from names_in(part)
        case ast.Starred(value=value) | ast.Subscript(value=value):
            yield from names_in(value)
        case ast.MatchAs() | ast.MatchStar() | ast.MatchMapping() | ast.MatchSequence() | ast.MatchClass():
            for node in ast.walk(target):
                bound = getattr(node, "name", None) or getattr(node, "rest", None)
                if bound:
                    yield bound
        case ast.MatchOr(patterns=patterns):
            for pattern in patterns:
                yield from names_in(pattern)
        case _:
            return


_FILLS = frozenset(
    {"append", "appendleft", "add", "extend", "insert", "update", "setdefault", "write", "put"}
)


_BINDING = (
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.NamedExpr,
    ast.For,
    ast.AsyncFor,
    ast.comprehension,
    ast.Match,
    ast.Call,
    ast.withitem,
)


def _of_enumerate(target: ast.expr, value: ast.expr) -> ast.expr:
    """Return what of the target of a loop gets the items: of `enumerate` the second part, the first one counts."""
    match target, value:
        case ast.Tuple(elts=[_, items]), ast.Call(func=ast.Name(id="enumerate")):
            return items
        case _:
            return target


def _is_choice(target: ast.expr, test: ast.expr) -> bool:
    """Return whether a test of a comprehension leaves only what is written down: `name in ("id", "title")`."""
    match target, test:
        case ast.Name(id=name), ast.Compare(left=ast.Name(id=asked), ops=[ast.In()], comparators=[values]):
            listed = isinstance(values, ast.Tuple | ast.List | ast.Set) and all(map(_is_fixed, values.elts))
            return name == asked and listed
        case _:
            return False


def _bindings(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield target, value
        case ast.AnnAssign(target=target, value=value) if value is not None:
            yield target, value
        case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
            yield target, value
        case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
            yield _of_enumerate(target, value), value
        case ast.comprehension(target=target, iter=value, ifs=tests):
            if not any(_is_choice(target, one) for one in tests):
                yield _of_enumerate(target, value), value
        case ast.Match(subject=value, cases=cases):
            for case in cases:
                yield case.pattern, value
        case ast.Call(func=ast.Attribute(value=ast.Name() as target, attr=method), args=args) if (
            method in _FILLS
        ):
            for value in args:
                yield target, value
        case ast.withitem(context_expr=value, optional_vars=target) if target is not None:
            yield target, value
        case _:
            return
