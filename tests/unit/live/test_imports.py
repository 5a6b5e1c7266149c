"""What a live module imports, and whose modules `live.*` means in it."""

from __future__ import annotations

import ast

import pytest

from runtime.live.imports import bind, defined_names, imported

PACKAGE = "_app.live"


@pytest.mark.parametrize(
    ("source", "bound"),
    [
        ("import live", "import _app.live as live"),
        ("import live.a", "import _app.live.a as live\nimport _app.live as live"),
        ("import live.a as x", "import _app.live.a as x"),
        ("import os, live.a as x, sys as s", "import os\nimport _app.live.a as x\nimport sys as s"),
        ("from live import a", "from _app.live import a"),
        ("from live.sub.a import x as y", "from _app.live.sub.a import x as y"),
        ("from . import a", "from . import a"),
        ("from .live import a", "from .live import a"),
        ("import lively, os.path", "import lively, os.path"),
        ("from lively import x", "from lively import x"),
        ("def f():\n    import live.a as x", "def f():\n    import _app.live.a as x"),
        (
            "try:\n    import live.a as x\nexcept ImportError:\n    from live import b\nelse:\n    import live as l",
            "try:\n    import _app.live.a as x\nexcept ImportError:\n    from _app.live import b\n"
            "else:\n    import _app.live as l",
        ),
    ],
)
def test_statements_that_name_live_name_the_package_of_the_app(source: str, bound: str) -> None:
    tree = ast.parse(source)
    bind(tree, PACKAGE)
    assert ast.unparse(tree) == bound
    compile(ast.fix_missing_locations(tree), "x.py", "exec")


def test_lines_stay_as_they_are() -> None:
    tree = ast.parse("\n\nimport live.a\nimport os\n")
    bind(tree, PACKAGE)
    assert [node.lineno for node in tree.body] == [3, 3, 4]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os\nfrom json import loads", set()),
        ("import live.a", {"a"}),
        ("import live.sub.c", {"sub", "sub.c"}),
        ("from live.a import x", {"a", "a.x"}),
        ("from live import a, _store", {"a", "_store"}),
        ("from . import d", {"sub.d", "sub"}),
        ("from .d import x", {"sub.d", "sub.d.x", "sub"}),
        ("from .. import a", {"a"}),
        ("from ..a import x", {"a", "a.x"}),
        ("def f():\n    from live.a import x", {"a", "a.x"}),
        ("import lively", set()),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, found: set[str]) -> None:
    tree = ast.parse(source)
    result = imported(tree, f"{PACKAGE}.sub.c", PACKAGE, is_package=False)
    assert result == {f"{PACKAGE}.{name}" for name in found}


def test_relative_imports_of_a_package_begin_in_it() -> None:
    tree = ast.parse("from . import d\nfrom .. import a\n")
    result = imported(tree, f"{PACKAGE}.sub", PACKAGE, is_package=True)
    assert result == {f"{PACKAGE}.{name}" for name in ("sub", "sub.d", "a")}


def test_names_that_a_module_defines_itself() -> None:
    source = """
import os
from live.a import imported
@decorated
def function(): inner = 1
async def later(): ...
class Thing:
    attribute = 1
value = other = 1
first, (second, *rest) = 1, (2, 3)
annotated: int = 5
thing.attribute = 1
if True:
    in_if = 1
else:
    in_else = 1
try:
    in_try = 1
except ValueError:
    in_except = 1
with open("x"):
    in_with = 1
value = "again"
"""
    found = defined_names(ast.parse(source))
    assert {name: found[name] for name in ("function", "later", "value")} == {
        "function": 5,
        "later": 6,
        "value": 9,
    }
    assert set(found) == {
        "function",
        "later",
        "Thing",
        "value",
        "other",
        "first",
        "second",
        "rest",
        "annotated",
        "in_if",
        "in_else",
        "in_try",
        "in_with",
    }
