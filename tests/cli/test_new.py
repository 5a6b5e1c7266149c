"""`realtime new`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from realtime_cli.makeproject import make_project
from realtime_cli.projectname import import_name, name_problem, title_of
from realtime_cli.templates import Template, list_templates
from tests.cli.commands import environment, realtime

LAYOUT = (
    ".env.example",
    ".gitignore",
    "README.md",
    "live",
    "pyproject.toml",
    "realtime.toml",
    "tests",
    "web/index.html",
)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["app", "A", "my-app", "my_app2", "Chat", "a" * 64, "match"])
def test_good_names(name: str) -> None:
    assert name_problem(name) is None
    assert import_name(name).isidentifier()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("a" * 65, "65 characters, 64 are allowed"),
        ("1app", "starts with a letter, not with '1'"),
        ("-app", "starts with a letter, not with '-'"),
        ("app-", "ends with a letter or digit"),
        ("my app", "' ' is not allowed"),
        ("my.app", "'.' is not allowed"),
        ("a/b", "'/' is not allowed"),
        ("../up", "'.' is not allowed"),
        ("café", "'é' is not allowed"),
        ("app\n", "'\\n' is not allowed"),
        ("class", "Python keyword"),
        ("Class", "Python keyword"),
        ("None", "Python keyword"),
        ("runtime", "hide the package 'runtime'"),
        ("Live", "hide the package 'live'"),
        ("realtime-cli", "hide the package 'realtime_cli'"),
        ("realtime-toolkit", "a package that the project itself needs"),
        ("Realtime_Toolkit", "a package that the project itself needs"),
        ("starlette", "a package that the project itself needs"),
    ],
)
def test_bad_names(name: str, why: str) -> None:
    problem = name_problem(name)
    assert problem is not None
    assert why in problem


def test_titles_are_words() -> None:
    assert title_of("my-shop_2") == "My shop 2"
    assert title_of("iOS") == "IOS"


# ---------------------------------------------------------------- what is made


@pytest.mark.spec("PLAT-174")
@pytest.mark.parametrize("template", ["board", "minimal"])
def test_a_template_makes_the_layout_with_a_first_commit(template: str, tmp_path: Path) -> None:
    ended = realtime("new", "my-app", "--template", template, cwd=tmp_path)
    assert ended.code == 0, ended.err
    project = tmp_path / "my-app"
    for path in LAYOUT:
        assert (project / path).exists(), path
    assert 'name = "my-app"' in (project / "pyproject.toml").read_text()
    assert "<title>My app</title>" in (project / "web/index.html").read_text()
    left = [path for path in project.rglob("*") if path.suffix == ".jinja" or "{{" in path.name]
    assert left == []
    assert git(project, "log", "--format=%s") == f"Start my-app from the {template} template"
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "branch", "--show-current") == "main"
    assert list(tmp_path.iterdir()) == [project]


def test_the_default_template_is_the_board(tmp_path: Path) -> None:
    assert realtime("new", "app", cwd=tmp_path).code == 0
    assert (tmp_path / "app/live/board.py").exists()


@pytest.mark.spec("PLAT-174")
def test_json_says_what_was_made(tmp_path: Path) -> None:
    ended = realtime("new", "app", "-t", "minimal", "--json", cwd=tmp_path)
    made = ended.data
    assert made["ok"] is True
    assert made["name"] == "app"
    assert made["template"] == "minimal"
    assert made["path"] == str(tmp_path / "app")
    assert made["git"] == "committed"
    on_disk = {
        p.relative_to(tmp_path / "app").as_posix() for p in (tmp_path / "app").rglob("*") if p.is_file()
    }
    assert set(made["files"]) == {path for path in on_disk if not path.startswith(".git/")}
    assert len(made["next"]) == 3
    assert ended.err == ""


def test_it_ends_with_three_commands_that_work(tmp_path: Path) -> None:
    ended = realtime("new", "my app".replace(" ", "-"), "-t", "minimal", cwd=tmp_path)
    commands = [line.strip() for line in ended.err.splitlines() if line.startswith("  ")]
    assert commands[0] == "cd my-app"
    assert commands[1].endswith(" dev")
    assert commands[2].endswith(" -m pytest")
    script = f"{commands[0]} && {commands[1].removesuffix('dev')}routes"
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert "counter/add" in done.stdout


def test_on_the_path_the_commands_are_short(tmp_path: Path) -> None:
    env = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    made = realtime("new", "app", "-t", "minimal", "--json", cwd=tmp_path, env=env).data
    assert made["next"] == ["cd app", "realtime dev", "python -m pytest"]


def test_quiet_says_nothing(tmp_path: Path) -> None:
    ended = realtime("new", "app", "-t", "minimal", "-q", cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, "", "")


@pytest.mark.spec("PLAT-174")
def test_the_list_names_every_template(tmp_path: Path) -> None:
    ended = realtime("new", "--list", cwd=tmp_path)
    assert ended.code == 0
    assert ended.out.splitlines()[1].startswith("board (default)  ")
    listed = realtime("new", "--list", "--json", cwd=tmp_path).data["templates"]
    assert [(t["name"], t["default"]) for t in listed] == [("board", True), ("minimal", False)]
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- where


def test_a_dot_is_the_working_directory(tmp_path: Path) -> None:
    here = tmp_path / "shop"
    here.mkdir()
    assert realtime("new", ".", "-t", "minimal", cwd=here).code == 0
    assert 'name = "shop"' in (here / "pyproject.toml").read_text()


def test_project_names_the_folder(tmp_path: Path) -> None:
    ended = realtime("new", "--project", tmp_path / "deep/er/shop", "-t", "minimal", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert 'name = "shop"' in (tmp_path / "deep/er/shop/pyproject.toml").read_text()


def test_defaults_need_no_name(tmp_path: Path) -> None:
    assert realtime("new", "--defaults", cwd=tmp_path).code == 0
    assert (tmp_path / "myapp/live/board.py").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the name of the project is missing"),
        (("1st",), "'1st' cannot be the name of a project: a name starts with a letter"),
        (("app", "--template", "boards"), "there is no template 'boards'; there are: board, minimal"),
        (("taken",), "is not empty"),
        (("file",), "is a file"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/notes.txt").write_text("mine")
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    ended = realtime("new", *arguments, cwd=tmp_path)
    assert ended.code == 2
    assert message in ended.err
    assert "next: " in ended.err
    assert sorted(tmp_path.rglob("*")) == before
    failed = realtime("new", *arguments, "--json", cwd=tmp_path)
    assert failed.data["ok"] is False
    assert message in failed.data["error"]["message"]


def test_an_empty_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    assert realtime("new", "app", "-t", "minimal", cwd=tmp_path).code == 0


def test_force_overwrites_its_own_files_and_leaves_others(tmp_path: Path) -> None:
    (tmp_path / "app/live").mkdir(parents=True)
    (tmp_path / "app/README.md").write_text("old")
    (tmp_path / "app/live/mine.py").write_text("mine")
    ended = realtime("new", "app", "-t", "minimal", "--force", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert (tmp_path / "app/README.md").read_text().startswith("# App")
    assert (tmp_path / "app/live/mine.py").read_text() == "mine"


# ---------------------------------------------------------------- git


def test_without_an_author_the_files_stay_uncommitted(tmp_path: Path) -> None:
    nobody = {name: None for name in environment() if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))}
    nobody |= {"EMAIL": None}
    made = realtime("new", "app", "-t", "minimal", "--json", cwd=tmp_path, env=nobody)
    assert made.data["git"] == "initialised"
    assert git(tmp_path / "app", "status", "--porcelain").startswith("?? ")


def test_without_git_nothing_is_said(tmp_path: Path) -> None:
    ended = realtime("new", "app", "-t", "minimal", cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert ended.code == 0
    assert "git" not in ended.err
    assert not (tmp_path / "app/.git").exists()


def test_inside_a_repository_no_second_one_is_made(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    made = realtime("new", "app", "-t", "minimal", "--json", cwd=tmp_path).data
    assert made["git"] == "inside another repository"
    assert not (tmp_path / "app/.git").exists()


# ---------------------------------------------------------------- failures


@pytest.fixture
def broken_template(tmp_path: Path) -> Template:
    folder = tmp_path / "broken"
    shutil.copytree(list_templates()[1].folder, folder)
    (folder / "template/zzz.txt.jinja").write_text("{{ nothing.at.all }}")
    return Template("broken", "fails", folder)


# copier leaves a folder iterator open when a template fails
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_failing_template_leaves_nothing(broken_template: Template, tmp_path: Path) -> None:
    target = tmp_path / "made/app"
    with pytest.raises(Exception, match="nothing"):
        make_project(broken_template, "app", target)
    assert not (tmp_path / "made").exists()


def test_a_failure_while_writing_restores_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "app"
    target.mkdir()
    (target / "README.md").write_text("mine")
    (target / "live").mkdir()
    copy, copied = shutil.copy, []

    def full_disk(source: Path, destination: Path) -> None:
        if len(copied) == 6:
            raise OSError(28, "No space left on device")
        copied.append(destination)
        copy(source, destination)

    monkeypatch.setattr(shutil, "copy", full_disk)
    with pytest.raises(OSError, match="No space left"):
        make_project(list_templates()[1], "app", target)
    assert target / "README.md" in copied
    assert sorted(p.name for p in target.rglob("*")) == ["README.md", "live"]
    assert (target / "README.md").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/proc/sys").exists(), reason="needs a folder nobody can write"
)
def test_a_folder_that_cannot_be_written_ends_with_1() -> None:
    ended = realtime("new", "--project", "/proc/sys/app", "-t", "minimal", cwd=Path("/"))
    assert ended.code == 1
    assert "could not make the project in '/proc/sys/app'" in ended.err
