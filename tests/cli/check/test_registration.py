"""LIV006 and LIV013, and what the import of modules tells: each problem by one rule."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from realtime_cli.rules.engine import Report, run_rules
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.imported import import_project
from realtime_cli.rules.project import Project
from tests.cli.check.projects import LIVE, report_of

if TYPE_CHECKING:
    from pathlib import Path


def imported_report(root: Path, files: dict[str, str]) -> Report:
    """Run all rules over the base project with more files in it, with an import."""
    report_of(root, {path: LIVE + text if path.startswith("live/") else text for path, text in files.items()})
    project = Project.read(root, environ={"PATH": "/usr/bin:/bin"})
    found = import_project(root, env="production", environ=project.environ)
    return run_rules(project, imported=found)


def imported(root: Path, files: dict[str, str]) -> list[str]:
    """Return what is found after an import, without what every project of the tests has."""
    found = imported_report(root, files).findings
    return [f"{one.path}:{one.span.line} {one.rule}" for one in found]


ARGUMENTS = """\
from typing import Annotated, Any as Anything, Optional, Union
import typing as t
from collections.abc import Mapping

from app.types import Payload, Point

Free = dict[str, Anything]
Text = str


@live
async def bad(
    c,
    a,
    b: Anything,
    c1: dict,
    d: "dict[str, t.Any]",
    e: Optional[t.Any],
    f: Free,
    g: Payload,
    h: list[Anything] | None,
    i: Annotated[Anything, "x"],
    j: Union[int, t.Any],
    *more,
    k: Mapping[str, object],
) -> None: ...


@live
async def good(
    ctx, a: int, b: Text, c: Point, d: "list[str]", e: Optional[int], f: dict[str, int], g: Annotated[int, Anything]
) -> None: ...


@live.validated(dict)
@live
async def checked(ctx, a) -> None: ...


@live.cron("* * * * *")
async def job(ctx) -> None: ...


def helper(a, b) -> None: ...


async def later_(ctx, a) -> None: ...


later = live(later_)


class Board(live.Room):
    topic = "board"

    async def init(self, ctx) -> int:
        return 1

    @live.action
    async def move(self, ctx, where, x: int) -> None: ...
"""


def test_arguments_that_may_be_anything(tmp_path: Path) -> None:
    types = "from dataclasses import dataclass\n\nPayload = dict\n\n@dataclass\nclass Point:\n    x: int\n"
    found = imported(tmp_path, {"live/todos.py": ARGUMENTS, "app/types.py": types})
    lines = (LIVE + ARGUMENTS).splitlines()
    told = [
        lines[int(one.partition(":")[2].partition(" ")[0]) - 1].strip(" ,")
        for one in found
        if "LIV013" in one
    ]
    assert told == [
        "a",
        "b: Anything",
        "c1: dict",
        'd: "dict[str, t.Any]"',
        "e: Optional[t.Any]",
        "f: Free",
        "g: Payload",
        "h: list[Anything] | None",
        'i: Annotated[Anything, "x"]',
        "j: Union[int, t.Any]",
        "*more",
        "k: Mapping[str, object]",
        "async def later_(ctx, a) -> None: ...",
        "async def move(self, ctx, where, x: int) -> None: ...",
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('topic = "__x"\n\n@live.stream(topic)\nasync def a(ctx) -> int:\n    return 1\n', "LIV004"),
        ('channel = live.channel("__x")\n', "LIV004"),
        ("s = live.stream\n\n@s('x')\nasync def a(ctx): ...\n\n@s('x')\nasync def b(ctx): ...\n", "LIV005"),
        ("@live\nasync def _a(ctx) -> None: ...\n", "LIV006"),
        (
            "pick = lambda ctx: 'x'\nasync def t(ctx): ...\n\n@live.stream(t)\nasync def a(ctx) -> int: ...\n",
            "LIV008",
        ),
        ("s = live.stream\n\n@s('x', volatile=True, replay=True)\nasync def a(ctx) -> int: ...\n", "LIV010"),
        (
            "@live.stream('x', coalesce_by=lambda x: x, volatile=True)\nasync def a(ctx) -> int: ...\n",
            "LIV010",
        ),
        ("@live.rate_limit(5, 60, keys=1)\n@live\nasync def a(ctx) -> None: ...\n", "LIV011"),
        ("@live.stream('x', merg='set')\nasync def a(ctx) -> int: ...\n", "LIV011"),
        ("@live.cron('* * *')\nasync def a(ctx) -> None: ...\n", "LIV012"),
        ("@live.cron('0 0 * * *', tz='Mars/Phobos')\nasync def a(ctx) -> None: ...\n", "LIV012"),
        ("@live.cron('* * * * * * *')\nasync def a(ctx) -> None: ...\n", "LIV012"),
        ("@live\nasync def grüße(ctx) -> None: ...\n", "LIV006"),
        ("@live(keys=1)\nasync def a(ctx) -> None: ...\n", "LIV011"),
        ("import cron\n", "LIV028"),
        ("raise RuntimeError('no cron and no buckets')\n", "LIV028"),
        ("def own(): ...\n\nown(x=1)\n", "LIV028"),
        ("1 / 0\n", "LIV028"),
        ("def broken(:\n", "LIV028"),
        ("import sys\nsys.exit(3)\n", "LIV028"),
        ("import app.nothing.at_all\n", "LIV028"),
        ("raise BaseException('x')\n", "LIV028"),
        ("print('noise')\nimport sys\nsys.stderr.write('more')\n", None),
    ],
)
def test_a_problem_of_the_import_is_told_by_one_rule(text: str, rule: str | None, tmp_path: Path) -> None:
    found = [one for one in imported(tmp_path, {"live/more.py": text}) if "CLU" not in one]
    assert [one.rpartition(" ")[2] for one in found] == ([rule] if rule else []), found


@pytest.mark.parametrize("name", ["my todo", "größe", "my.todo"])
def test_a_file_name_that_makes_no_path(name: str, tmp_path: Path) -> None:
    report = imported_report(tmp_path, {f"live/{name}.py": "@live\nasync def add(ctx) -> None: ...\n"})
    (told,) = (one for one in report.findings if one.rule == "LIV006")
    assert told.path == f"live/{name}.py"
    assert "rename the file" in told.fix
    assert not [one for one in report.findings if one.rule == "LIV028"]


def test_a_syntax_error_has_its_column(tmp_path: Path) -> None:
    report = imported_report(tmp_path, {"live/more.py": "def broken(:\n"})
    assert [(one.rule, one.span.col) for one in report.findings if one.path == "live/more.py"] == [
        ("LIV028", 12)
    ]


def test_a_hook_that_asks_for_too_much_is_told_of_once(tmp_path: Path) -> None:
    hooks = (BASE / "hooks.py").read_text(encoding="utf-8")
    report = imported_report(tmp_path, {"hooks.py": hooks + "\n\ndef open(sock): ...\n"})
    assert [one.rule for one in report.findings if one.path == "hooks.py"] == ["CFG017"]
    wrapped = "\n\ndef wrapped(f):\n    return f\n\n@wrapped\ndef open(sock): ...\n"
    report = imported_report(tmp_path / "wrapped", {"hooks.py": hooks + wrapped})
    assert [one.rule for one in report.findings if one.path == "hooks.py"] == ["LIV028"]


@pytest.mark.parametrize("path", ["hooks.py", "live/more.py"])
def test_a_missing_package_has_its_hint_everywhere(path: str, tmp_path: Path) -> None:
    report = imported_report(tmp_path, {path: "import nosuch\n"})
    (hint,) = (one.fix for one in report.findings if one.rule == "LIV028")
    assert "install the package" in hint


def test_links_that_lead_nowhere_are_named_as_they_are_written(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "live" / "gone.py").symlink_to("/nowhere/gone.py")
    (tmp_path / "live" / "folder.py").mkdir()
    found = import_project(tmp_path, env="production", environ=os.environ)
    assert [one["file"] for one in found.problems] == ["live/gone.py"]
