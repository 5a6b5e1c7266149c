"""What a name means is the same whether the module it comes from is parsed whole or read as an outline."""

from __future__ import annotations

import ast
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_cli.codemods.encoded import Encoded
from realtime_cli.codemods.engine import make_plan
from realtime_cli.codemods.project import Project, Tree
from realtime_cli.codemods.pythonfile import PythonFile
from tests.upgrade.projects import upgrade, write

PATHS = ("a.py", "b.py", "p/__init__.py", "p/c.py", "p/q/__init__.py", "p/q/d.py", "n/e.py")
MODULES = (
    "a",
    "b",
    "p",
    "p.c",
    "p.q",
    "p.q.d",
    "n.e",
    "runtime",
    "runtime.cluster",
    "runtime.plugins.lock",
    "os",
)
NAMES = ("live", "bus", "x", "y", "Lock", "print")
RELATIVE = (".", "..", ".c", ".q", "..c", ".d", "...a", ".e")


class Whole(Project):
    """A project of which every module is parsed whole."""

    def outline(self, path: str) -> Any:
        file = self.file(path)
        return None if file is None else file.names


def statements() -> st.SearchStrategy[str]:
    name = st.sampled_from(NAMES)
    value = st.recursive(
        name,
        lambda inner: st.one_of(
            inner.map("{}()".format),
            st.builds("{}.{}".format, inner, name),
            st.builds("({} if y else {})".format, inner, inner),
            st.builds("(x := {})".format, inner),
            st.just("[1]"),
        ),
        max_leaves=4,
    )
    source = st.sampled_from(MODULES + RELATIVE)
    simple = st.one_of(
        st.builds("from {} import {}".format, source, name),
        st.builds("from {} import {} as {}".format, source, name, name),
        st.builds("from {} import *".format, source),
        st.builds("import {}".format, st.sampled_from(MODULES)),
        st.builds("import {} as {}".format, st.sampled_from(MODULES), name),
        st.builds("{} = {}".format, name, value),
        st.builds("{} = {} = {}".format, name, name, value),
        st.builds("{}, {} = {}, {}".format, name, name, value, value),
        st.builds("{}, *{} = {}, {}".format, name, name, value, value),
        st.builds("{}: int = {}".format, name, value),
        st.builds("{}: int".format, name),
        st.builds("{} += 1".format, name),
        st.builds("del {}".format, name),
        st.builds("def {}(ctx, x): pass".format, name),
        st.builds("class {}: x = 1".format, name),
        st.builds("lambda: (y := {})".format, name),
    )
    indented = simple.map("    {}".format)
    return st.one_of(
        simple,
        simple,
        st.builds("if y:\n{}\nelse:\n{}".format, indented, indented),
        st.builds("try:\n{}\nexcept E as {}:\n{}\nfinally:\n{}".format, indented, name, indented, indented),
        st.builds("with {} as {}:\n{}".format, value, name, indented),
        st.builds("for {} in y:\n{}".format, name, indented),
        st.builds("while y:\n{}".format, indented),
        st.builds("def {}(platform):\n    global {}\n    {} = {}".format, name, name, name, value),
        st.builds("class {}:\n    def {}(self): pass\n    {} = {}".format, name, name, name, value),
    )


def parses(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, "a", "exec", ast.PyCF_ONLY_AST)
        except SyntaxError:
            return False
    return True


SOURCES = st.lists(statements(), max_size=6).map("\n".join).filter(parses)


@settings(max_examples=60, deadline=None)
@given(
    sources=st.tuples(*(SOURCES for _ in PATHS)),
    head=st.lists(st.sampled_from(MODULES), min_size=1, max_size=3),
)
def test_outlines_mean_what_whole_modules_mean(sources: tuple[str, ...], head: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, {path: f"{text}\n".encode() for path, text in zip(PATHS, sources, strict=True)})
        tree = Tree(root, sorted(PATHS))
        lines = [
            f"from {module} import {name} as {name}_{at}" for at, module in enumerate(head) for name in NAMES
        ]
        source = Encoded.python("\n".join([*lines, ""]).encode())
        meanings = []
        for project in (Project(tree), Whole(tree)):
            file = PythonFile(project, "main.py", source)
            meanings.append(
                {
                    f"{name}_{at}": file.names.exported(f"{name}_{at}")
                    for at in range(len(head))
                    for name in NAMES
                }
            )
        assert meanings[0] == meanings[1]


@pytest.mark.spec("UPGC-20")
def test_the_order_of_questions_does_not_matter(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": "from b import x\n\n\ndef x():\n    pass\n",
            "b.py": "from a import x\n",
            "c.py": "from a import x as one\nfrom b import x as two\n",
        },
    )
    tree = Tree(tmp_path, ["a.py", "b.py", "c.py"])
    answers = []
    for order in (("one", "two"), ("two", "one")):
        file = Project(tree).file("c.py")
        assert file is not None
        found = {name: file.names.exported(name) for name in order}
        answers.append(found)
    assert answers[0] == answers[1]


def test_modules_that_cannot_reach_the_toolkit_are_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, str | bytes] = {
        "live/a.py": "from runtime import live\nfrom app import first, other\n\n\n"
        "@live\nasync def a(ctx):\n    ctx.throttle('t', 'e', first(other), 0.05)\n",
        "app/__init__.py": "from app.m0 import first\nfrom app.m1 import *\nother = first\n",
        **{
            f"app/m{number}.py": f"from app.m{number + 1} import first, Queue\nimport app.m{number + 2} as other\n"
            "\n\nclass Queue:\n    pass\n"
            for number in range(20)
        },
    }
    write(tmp_path, files)
    parsed = []
    real = PythonFile.__init__

    def counted(self: PythonFile, project: Project, path: str, source: Encoded) -> None:
        parsed.append(path)
        real(self, project, path, source)

    monkeypatch.setattr(PythonFile, "__init__", counted)
    tree = Tree(tmp_path, sorted(files))
    project = Project(tree)
    file = project.file("live/a.py")
    assert file is not None
    assert file.names.exported("first") == {"?hops"}
    assert file.names.exported("other") == {"?hops"}
    make_plan(project)
    assert b"ctx.publish_throttled" in tree.read("live/a.py")
    assert set(parsed) == {"live/a.py"}


@pytest.mark.parametrize(
    "statement",
    [
        "from app import (\n    # all of them\n    shared,\n    services,  # ours\n)\n",
        "from app import \\\n    services\n",
        "import os; from app import services\n",
        "import app.services\n",
        "if True: from app import services\n",
    ],
)
def test_imports_of_every_form_lead_to_the_toolkit(statement: str) -> None:
    used = "app.services.live" if statement.startswith("import app") else "services.live"
    done = upgrade(
        {
            "app/__init__.py": "",
            "app/services.py": "try: from runtime import live\nexcept ImportError: raise\n",
            "live/a.py": f"{statement}\n\n@{used}\nasync def a(ctx):\n    ctx.signal(1)\n",
        }
    )
    assert "ctx.send_signal(1)" in done.files["live/a.py"]
