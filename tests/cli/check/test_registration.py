"""LIV006 and LIV013, and what the import of modules tells: each problem by one rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from realtime_cli.rules.engine import run_rules
from realtime_cli.rules.imported import import_project
from realtime_cli.rules.project import Project
from tests.cli.check.projects import LIVE, report_of

if TYPE_CHECKING:
    from pathlib import Path


def imported(root: Path, files: dict[str, str]) -> list[str]:
    """Return what is found after an import, without what every project of the tests has."""
    report_of(root, {path: LIVE + text if path.startswith("live/") else text for path, text in files.items()})
    project = Project.read(root, environ={"PATH": "/usr/bin:/bin"})
    found = import_project(root, env="production", environ=project.environ)
    report = run_rules(project, imported=found)
    return [f"{one.path}:{one.span.line} {one.rule}" for one in report.findings]


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
