"""How often a function is called on one way through another one, by a simple walk. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["most_calls"]


def most_calls(function: cst.FunctionDef, name: str) -> int:
    """Return how often `name` is called at most on one way through a function; a loop counts once.

    What an ``except`` clause calls comes on top of what its ``try`` called; the arms of an ``if`` exclude each other.
    """
    ended, going = _block([function.body], name, 0)
    return max(ended, going if going is not None else 0)


_Ways = tuple[int, int | None]
"""The most calls on a way that has ended, and on one that goes on (None if none does)."""


def _block(statements: Iterable[cst.CSTNode], name: str, before: int) -> _Ways:
    ended, going = 0, before
    for statement in statements:
        done, on = _statement(statement, name, going)
        ended = max(ended, done)
        if on is None:
            return ended, None
        going = on
    return ended, going


def _statement(node: cst.CSTNode, name: str, before: int) -> _Ways:
    if isinstance(node, cst.BaseSuite):
        return _block(node.body, name, before)
    if isinstance(node, cst.SimpleStatementLine):
        return _block(node.body, name, before)
    if isinstance(node, cst.Return | cst.Raise):
        return before + _calls(node, name), None
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        return 0, before
    if isinstance(node, cst.If):
        tested = before + _calls(node.test, name)
        arms = [_statement(node.body, name, tested)]
        arms.append(_statement(node.orelse, name, tested) if node.orelse is not None else (0, tested))
        return _joined(arms)
    if isinstance(node, cst.Else | cst.Finally):
        return _statement(node.body, name, before)
    if isinstance(node, cst.For | cst.While):
        head = before + _calls(node.iter if isinstance(node, cst.For) else node.test, name)
        return _joined([_statement(node.body, name, head), (0, head)])
    if isinstance(node, cst.With):
        return _statement(node.body, name, before + sum(_calls(item.item, name) for item in node.items))
    if isinstance(node, cst.Try | cst.TryStar):
        return _try(node, name, before)
    if isinstance(node, cst.Match):
        head = before + _calls(node.subject, name)
        return _joined([*(_statement(case.body, name, head) for case in node.cases), (0, head)])
    return 0, before + _calls(node, name)


def _try(node: cst.Try | cst.TryStar, name: str, before: int) -> _Ways:
    ended, going = _statement(node.body, name, before)
    reached = max(ended, going if going is not None else 0, before)
    arms = [(ended, going)]
    arms += [_statement(handler.body, name, reached) for handler in node.handlers]
    if node.orelse is not None and going is not None:
        arms[0] = _statement(node.orelse, name, going)
    ended, going = _joined(arms)
    if node.finalbody is not None:
        done, on = _statement(node.finalbody, name, max(ended, going if going is not None else 0))
        return max(ended, done), None if going is None else on
    return ended, going


def _joined(arms: list[_Ways]) -> _Ways:
    on = [one for _, one in arms if one is not None]
    return max((done for done, _ in arms), default=0), max(on) if on else None


class _Counter(cst.CSTVisitor):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.count = name, 0

    def visit_Call(self, node: cst.Call) -> None:  # the name is libcst's
        self.count += isinstance(node.func, cst.Name) and node.func.value == self.name

    def visit_Lambda(self, node: cst.Lambda) -> bool:  # the name is libcst's
        del node
        return False

    def visit_IfExp(self, node: cst.IfExp) -> bool:  # the name is libcst's
        self.count += _calls(node.test, self.name)
        self.count += max(_calls(node.body, self.name), _calls(node.orelse, self.name))
        return False


def _calls(node: cst.CSTNode, name: str) -> int:
    counter = _Counter(name)
    node.visit(counter)
    return counter.count
