"""What is wrong with a file, as a terminal and a page can show it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.live.problems import LoadProblem, excerpt, problem_from, relative, user_traceback
from tests.server.peers import write_file


def raised(file: Path) -> BaseException:
    """Run a file and return what it raises."""
    try:
        exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), {"__name__": "run"})
    except BaseException as error:
        return error
    raise AssertionError("it did not raise")


def test_the_place_is_where_the_users_code_failed_last(tmp_path: Path) -> None:
    write_file(tmp_path, "store.py", "import json\ndef parse(text):\n    return json.loads(text)\n")
    file = write_file(
        tmp_path,
        "live/a.py",
        f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        try:
            import store
            rows = store.parse("{{")
        finally:
            sys.path.pop(0)
            sys.modules.pop("store", None)
        """,
    )
    problem = problem_from(raised(file), tmp_path, file, hint="look there")
    assert (problem.file, problem.line, problem.kind) == ("store.py", 3, "JSONDecodeError")
    assert "Expecting property name" in problem.message
    assert problem.excerpt == [
        (1, "import json"),
        (2, "def parse(text):"),
        (3, "    return json.loads(text)"),
    ]
    assert problem.traceback.startswith("Traceback (most recent call last):\n")
    assert "live/a.py" in problem.traceback
    assert "json/decoder" not in problem.traceback
    assert str(problem).splitlines()[1] == "  look there"
    assert str(problem).startswith("store.py:3: JSONDecodeError: ")


def test_a_syntax_error_names_line_and_column(tmp_path: Path) -> None:
    file = write_file(tmp_path, "live/a.py", "x = 1\ndef f(:\n    pass\n")
    problem = problem_from(raised(file), tmp_path, file)
    assert (problem.file, problem.line, problem.column, problem.kind) == ("live/a.py", 2, 7, "SyntaxError")
    assert problem.message == "invalid syntax"
    assert "def f(:" in problem.traceback
    assert "problems.py" not in problem.traceback


def test_an_error_outside_the_project_shows_everything(tmp_path: Path) -> None:
    outside = write_file(tmp_path, "elsewhere/x.py", "raise RuntimeError\n")
    project = tmp_path / "project"
    project.mkdir()
    file = project / "hooks.py"
    error = raised(outside)
    problem = problem_from(error, project, file)
    assert (problem.file, problem.line, problem.message) == ("hooks.py", None, "RuntimeError")
    assert problem.excerpt == []
    assert "elsewhere/x.py" in problem.traceback
    assert str(problem) == "hooks.py: RuntimeError: RuntimeError"
    assert "elsewhere/x.py" in user_traceback(error, project)


@pytest.mark.parametrize("folder", ["site-packages", ".venv/lib", "venv/lib"])
def test_packages_inside_the_project_are_not_the_users_code(tmp_path: Path, folder: str) -> None:
    package = write_file(tmp_path, f"{folder}/dep.py", "def call(f):\n    return f()\n")
    names: dict[str, Any] = {}
    exec(compile(package.read_text(), str(package), "exec"), names)
    file = write_file(tmp_path, "live/a.py", "def fail():\n    raise ValueError('mine')\n")
    exec(compile(file.read_text(), str(file), "exec"), names)
    try:
        names["call"](names["fail"])
    except ValueError as error:
        text = user_traceback(error, tmp_path)
        problem = problem_from(error, tmp_path, file)
    assert "live/a.py" in text
    assert "dep.py" not in text
    assert (problem.file, problem.line) == ("live/a.py", 2)


def test_a_given_line_stands(tmp_path: Path) -> None:
    file = write_file(tmp_path, "live/a.py", "\n\n\nraise ValueError('x')\n")
    problem = problem_from(raised(file), tmp_path, file, line=2)
    assert (problem.file, problem.line) == ("live/a.py", 2)


def test_the_excerpt_is_around_the_line_and_follows_the_file(tmp_path: Path) -> None:
    file = write_file(tmp_path, "a.py", "".join(f"line{n}\n" for n in range(1, 21)))
    assert [number for number, _ in excerpt(file, 10)] == list(range(6, 15))
    assert excerpt(file, 1)[0] == (1, "line1")
    assert excerpt(file, 20)[-1] == (20, "line20")
    assert excerpt(file, None) == []
    assert excerpt(tmp_path / "missing.py", 3) == []
    file.write_text("new and longer\n" * 3, encoding="utf-8")
    assert excerpt(file, 2)[0] == (1, "new and longer")


def test_a_place_is_seen_from_the_project(tmp_path: Path) -> None:
    assert relative(tmp_path / "live" / "a.py", tmp_path) == "live/a.py"
    assert relative(Path("/somewhere/else.py"), tmp_path) == "/somewhere/else.py"


def test_a_problem_as_plain_data() -> None:
    problem = LoadProblem("live/a.py", 3, "TypeError", "bad", "fix it", excerpt=[(3, "x")], traceback="T")
    assert problem.as_dict() == {
        "file": "live/a.py",
        "line": 3,
        "kind": "TypeError",
        "message": "bad",
        "hint": "fix it",
        "column": None,
        "excerpt": [(3, "x")],
        "traceback": "T",
    }
