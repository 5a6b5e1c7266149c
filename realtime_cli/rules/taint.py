"""Which values in a function come from whom: what a client sent, who the caller is, what was checked.

Follows names through assignments, loops and formatted text within one function and those nested in it. Coarse on
purpose: a call that is given a client's value gives back a client's value, unless it is known to make an own one.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from realtime_cli.rules.scopes import FunctionNode
from realtime_cli.rules.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from realtime_cli.rules.handlers import Handler

__all__ = ["Flow", "flow_of", "handler_flow", "names_in"]

#: What gives back something of the app's own, whatever it is given.
MAKES_OWN = frozenset(
    {
        "uuid.uuid4()",
        "secrets.token_hex()",
        "secrets.token_urlsafe()",
        "builtins.len()",
        "builtins.bool()",
        "builtins.isinstance()",
        "builtins.int()",
        "builtins.float()",
        "hashlib.sha256()",
    }
)
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
    """

    source: Source
    node: FunctionNode
    sent: set[str] = field(default_factory=set)
    caller: set[str] = field(default_factory=set)

    def is_sent(self, expression: ast.AST) -> bool:
        """Return whether an expression holds something that a client sent."""
        return any(name in self.sent for name in self._read(expression))

    def is_caller(self, expression: ast.AST) -> bool:
        """Return whether an expression holds who the caller is."""
        if any(name in self.caller for name in self._read(expression)):
            return True
        return any(
            (self.source.name(node) or "").startswith(CALLER)
            for node in ast.walk(expression)
            if isinstance(node, ast.Attribute)
        )

    def _read(self, expression: ast.AST) -> Iterator[str]:
        """Yield the names whose values reach an expression."""
        stack: list[ast.AST] = [expression]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.Call) and (self.source.name(node) or "") in MAKES_OWN:
                continue
            if isinstance(node, ast.Compare):
                continue
            if isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node, ast.Subscript):
                stack.append(node.value)  # the key decides which, not what
            else:
                stack.extend(ast.iter_child_nodes(node))


def flow_of(source: Source, node: FunctionNode, sent: Iterable[str]) -> Flow:
    """Return where values go in a function whose parameters `sent` come from a client."""
    flow = Flow(source, node, set(sent))
    for _ in range(4):  # a name may be read above the line that sets it, in a loop
        before = len(flow.sent) + len(flow.caller)
        for statement in source.own(node):
            for target, value in _bindings(statement):
                names = set(names_in(target))
                if flow.is_sent(value):
                    flow.sent.update(names)
                if flow.is_caller(value):
                    flow.caller.update(names)
        if len(flow.sent) + len(flow.caller) == before:
            break
    return flow


def handler_flow(handler: Handler) -> Flow:
    """Return the flow of a handler: its arguments are what a client sent."""
    return flow_of(handler.source, handler.node, (argument.arg for argument in handler.arguments))


def names_in(target: ast.AST) -> Iterator[str]:
    """Yield the names that a target of an assignment binds."""
    for node in ast.walk(target):
        if isinstance(node, ast.Name):
            yield node.id


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
            yield target, value
        case ast.comprehension(target=target, iter=value):
            yield target, value
        case ast.withitem(context_expr=value, optional_vars=target) if target is not None:
            yield target, value
        case _:
            return
