"""`--interactive`: what a person answers is what happens, in every file and for the project as a whole."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_cli.codemods.asking import CHOICES, Questions, Quit
from realtime_cli.codemods.engine import Plan, make_plan
from realtime_cli.codemods.project import Options, Project, Tree
from realtime_cli.codemods.scan import scan
from realtime_cli.console import Console
from tests.upgrade.projects import write

LIVE = "from runtime import live\n\n\n@live\nasync def a(ctx):\n    ctx.signal(1, 'e', 2)\n"
FILES: dict[str, str | bytes] = {
    "pyproject.toml": '[project]\nname = "x"\ndependencies = ["realtime-toolkit~=0.4.20"]\n',
    "hooks_ws.py": "def upgrade(ctx):\n    return {}\n",
    "live/a.py": LIVE,
    "live/b.py": LIVE,
    "Procfile": "web: realtime run\n",
}


def answered(root: Path, *answers: str | type[BaseException] | BaseException) -> tuple[Plan, str, int]:
    """Plan with these answers; gives back the plan, what was shown and how many answers were taken."""
    write(root, FILES)
    taken = 0

    def given() -> Iterator[str]:
        nonlocal taken
        for answer in answers:
            taken += 1
            if not isinstance(answer, str):
                raise answer
            yield answer

    lines = given()
    shown = io.StringIO()
    questions = Questions(Console(stderr=shown, no_color=True), lambda: next(lines))
    project = Project(Tree(root, scan(root).paths), Options(interactive=True))
    return make_plan(project, choose=questions), shown.getvalue(), taken


@pytest.mark.spec("UPGC-66")
@pytest.mark.parametrize("before", [(), ("y",), ("n", "y"), ("y", "y", "y"), ("y", "y", "a")])
@pytest.mark.parametrize("last", ["q", "Q", "quit", EOFError])
def test_quit_ends_it_whatever_was_answered_before(
    tmp_path: Path, before: tuple[str, ...], last: str | type[BaseException]
) -> None:
    with pytest.raises(Quit):
        answered(tmp_path, *before, last)


@pytest.mark.spec("UPGC-66")
def test_who_wants_nothing_gets_nothing(tmp_path: Path) -> None:
    plan, shown, taken = answered(tmp_path, *["n"] * 20)
    assert plan.tree.changed == {}
    assert plan.tree.moves == {}
    assert taken == shown.count(CHOICES) == 5
    assert "hooks.py: a new file" in shown
    assert "+web: realtime serve" in shown
    assert plan.edits == 0


@pytest.mark.spec("UPGC-66")
def test_each_answer_is_for_its_own(tmp_path: Path) -> None:
    # The hooks file, the requirement, live/a.py, live/b.py, the Procfile.
    plan, _, _ = answered(tmp_path, "n", "y", "", "x", "d", "y", "n", "y")
    assert sorted(plan.tree.changed) == ["Procfile", "live/a.py", "pyproject.toml"]
    assert plan.tree.read("live/b.py").decode() == LIVE


@pytest.mark.spec("UPGC-66")
def test_all_and_skip_are_for_the_codemod(tmp_path: Path) -> None:
    plan, _, taken = answered(tmp_path, "y", "y", "a", "n")
    assert {"live/a.py", "live/b.py"} <= plan.tree.changed.keys()
    assert taken == 4
    plan, _, taken = answered(tmp_path / "two", "y", "y", "s", "n")
    assert not {"live/a.py", "live/b.py"} & plan.tree.changed.keys()
    assert taken == 4


def test_bytes_that_are_no_text_are_asked_again(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    answers: list[str | BaseException] = [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), *["y"] * 5]

    def read() -> str:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    project = Project(Tree(tmp_path, scan(tmp_path).paths), Options(interactive=True))
    plan = make_plan(project, choose=Questions(Console(stderr=io.StringIO()), read))
    assert "live/a.py" in plan.tree.changed
