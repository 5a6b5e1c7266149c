"""Which scope a name belongs to, compared with what Python's own compiler says."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_cli.rules.scopes import Scope, bind_scopes
from realtime_cli.rules.source import Source

NAMES = ["a", "b", "c"]


def tables(top: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """Yield a table and those inside of it."""
    yield top
    for child in top.get_children():
        yield from tables(child)


def said_by_python(text: str) -> list[tuple[str, int, str, str]]:
    """Return kind, line, name and where it is bound, of each scope and each name that occurs in it."""
    found = []
    for table in tables(symtable.symtable(text, "module.py", "exec")):
        for symbol in table.get_symbols():
            name = symbol.get_name()
            if name not in NAMES:
                continue
            if table.get_type() == "module" or symbol.is_global():
                where = "module" if symbol.is_global() or symbol.is_local() else "?"
            else:
                where = "local" if symbol.is_local() else "outer"
            found.append((table.get_type(), table.get_lineno(), name, where))
    return sorted(set(found))


def said_by_us(text: str) -> dict[tuple[str, int, str], set[str]]:
    tree = ast.parse(text)
    bound = bind_scopes(tree, "module", is_package=False)
    found: dict[tuple[str, int, str], set[str]] = {}
    for node, scope in bound.scopes.items():
        kind = {ast.Module: "module", ast.ClassDef: "class"}.get(type(node), "function")
        line = _line(node)
        for name in NAMES:
            known = scope.find(name)
            where = "module" if known is None or known[0].above is None else "outer"
            if known is not None and known[0] is scope and scope.above is not None:
                where = "local"
            found.setdefault((kind, line, name), set()).add(where)
    return found


def _line(node: ast.AST) -> int:
    """The line that symtable gives: of the first decorator, 0 for the module."""
    decorators = getattr(node, "decorator_list", None)
    return decorators[0].lineno if decorators else getattr(node, "lineno", 0)


def agrees(text: str) -> None:
    ours = said_by_us(text)
    for kind, line, name, where in said_by_python(text):
        assert where in ours[kind, line, name], (kind, line, name, where, ours[kind, line, name], text)


name = st.sampled_from(NAMES)
expression = st.recursive(
    name,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda x: f"({x[0]} + {x[1]})"),
        st.tuples(name, inner).map(lambda x: f"(lambda {x[0]}: {x[1]})"),
        st.tuples(name, inner, inner).map(lambda x: f"(lambda {x[0]}={x[1]}: {x[2]})"),
        st.tuples(inner, name, inner).map(lambda x: f"[{x[0]} for {x[1]} in {x[2]}]"),
        st.tuples(inner, name, inner, name, inner).map(
            lambda x: f"{{{x[0]} for {x[1]} in {x[2]} for {x[3]} in {x[4]}}}"
        ),
    ),
    max_leaves=6,
)


def flat(parts: list[list[str]]) -> list[str]:
    return [line for part in parts for line in part]


def indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


simple = st.one_of(
    st.tuples(name, expression).map(lambda x: [f"{x[0]} = {x[1]}"]),
    expression.map(lambda x: [x]),
    name.map(lambda x: [f"import os as {x}"]),
    name.map(lambda x: [f"from os import path as {x}"]),
    st.tuples(name, expression).map(lambda x: [f"{x[0]} += {x[1]}"]),
    st.tuples(name, expression).map(lambda x: [f"print(({x[0]} := 1), {x[1]})"]),
)
statement = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.tuples(name, name, expression, st.lists(inner, min_size=1, max_size=3)).map(
            lambda x: [f"def {x[0]}({x[1]}: {x[2]} = {x[2]}) -> {x[2]}:", *indented(flat(x[3]))]
        ),
        st.tuples(name, expression, st.lists(inner, min_size=1, max_size=3)).map(
            lambda x: [f"class {x[0]}({x[1]}):", *indented(flat(x[2]))]
        ),
        st.tuples(name, expression, st.lists(inner, min_size=1, max_size=2)).map(
            lambda x: [f"for {x[0]} in {x[1]}:", *indented(flat(x[2]))]
        ),
        st.tuples(name, expression, st.lists(inner, min_size=1, max_size=2)).map(
            lambda x: [f"with {x[1]} as {x[0]}:", *indented(flat(x[2]))]
        ),
        st.tuples(name, st.lists(inner, min_size=1, max_size=2)).map(
            lambda x: ["try:", "    pass", f"except OSError as {x[0]}:", *indented(flat(x[1]))]
        ),
        st.tuples(name, name, st.lists(inner, min_size=1, max_size=2)).map(
            lambda x: [f"match {x[0]}:", f"    case [{x[1]}, *_]:", *indented(indented(flat(x[2])))]
        ),
        st.tuples(st.sampled_from(["global", "nonlocal"]), name, name, inner).map(
            lambda x: [f"def {x[1]}():", f"    {x[0]} {x[2]}", f"    {x[2]} = 1", *indented(x[3])]
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(statement, min_size=1, max_size=5))
def test_names_are_found_where_python_finds_them(statements: list[list[str]]) -> None:
    text = "\n".join(flat(statements))
    try:
        compile(text, "module.py", "exec")
    except SyntaxError:
        return
    agrees(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\nclass K:\n    a = 2\n    b = [a for c in a]\n",
        "a = 1\ndef f(a=a):\n    return a\n",
        "def f():\n    def g():\n        global a\n        a = 1\n    a = 2\n    return a\n",
        "def f():\n    def g():\n        nonlocal a\n        a = 1\n    a = 2\n    return g\n",
        "class K:\n    global a\n    a = 1\n",
        "[(a := b) for b in c]\n",
    ],
)
def test_what_went_wrong_once(text: str) -> None:
    agrees(text)


def test_a_name_that_is_bound_nowhere_is_not_found() -> None:
    tree = ast.parse("print(a)")
    scope: Scope = bind_scopes(tree, "module", is_package=False).scopes[tree]
    assert scope.find("a") is None


def test_a_function_holds_all_of_itself_whatever_operators_others_use() -> None:
    # The parser gives one object for all `>` of a program, which once ended a function where another one began.
    text = """
def first(n):
    if not n > 5 and n + 1:
        raise ValueError("full")

def second(n):
    return not n > 6 and n + 2
"""
    source = Source.parse("live/a.py", "live.a", "live", text)
    for function in source.functions:
        wanted = [
            node for statement in function.body for node in ast.walk(statement) if hasattr(node, "lineno")
        ]
        assert {*source.own(function)} == {*wanted}
