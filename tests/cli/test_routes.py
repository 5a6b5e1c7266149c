"""`realtime routes`."""

from __future__ import annotations

import os
import subprocess
import termios
from pathlib import Path

import pytest

from tests.cli.apps import NOTES, OPEN, write_project
from tests.cli.commands import PROGRAM, environment, realtime

WIDE = """
    from runtime import live

    @live
    async def combine(
        ctx, first_argument: str, second_argument: list[int], third_argument: dict[str, int]
    ) -> list[str]: ...
"""
BROKEN = "import runtime\n\nx = 1 / 0\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "app", {"live/notes.py": NOTES, "live/admin/open.py": OPEN})


@pytest.mark.spec("PLAT-174")
def test_every_path_has_kind_signature_place_and_guard(project: Path) -> None:
    ended = realtime("routes", cwd=project)
    assert ended.code == 0
    assert ended.err == ""
    header, *rows = [line.split("  ") for line in ended.out.splitlines()]
    assert [part.strip() for part in header if part] == ["PATH", "KIND", "SIGNATURE", "PLACE", "GUARD"]
    assert [[part.strip() for part in row if part] for row in rows] == [
        ["admin/open/ping", "rpc", "()", "live/admin/open.py:3", "public"],
        ["admin/open/typing", "channel", "()", "live/admin/open.py:8", "-"],
        ["notes/add", "rpc", "(text: str, *tags: str) -> Note", "live/notes.py:11", "guard"],
        [
            "notes/notes",
            "stream",
            "(board: Literal['a', 'b'] = 'a') -> list[Note]",
            "live/notes.py:16",
            "guard",
        ],
    ]


@pytest.mark.spec("PLAT-174")
def test_json_has_the_same_and_more(project: Path) -> None:
    ended = realtime("routes", "--json", "--project", project, cwd=Path("/"))
    assert ended.code == 0
    routes = {route["path"]: route for route in ended.data["routes"]}
    assert ended.data["problems"] == []
    assert routes["notes/add"] == {
        "path": "notes/add",
        "kind": "rpc",
        "signature": "(text: str, *tags: str) -> Note",
        "file": "live/notes.py",
        "line": 11,
        "guard": True,
        "public": False,
        "doc": "Add a note.",
    }
    assert routes["notes/notes"]["topic"] is None
    assert routes["notes/notes"]["dynamic"] is True
    assert routes["admin/open/typing"]["topic"] == "typing"
    assert routes["admin/open/typing"]["merge"] == "presence"


@pytest.mark.spec("PLAT-174")
def test_a_module_that_does_not_import_ends_with_1_and_hides_nothing_else(project: Path) -> None:
    write_project(project, {"live/bad.py": BROKEN})
    ended = realtime("routes", cwd=project)
    assert ended.code == 1
    assert "notes/add" in ended.out
    assert "live/bad.py:3: ZeroDivisionError: division by zero" in ended.err
    assert ">    3 | x = 1 / 0" in ended.err
    assert "Traceback" not in ended.err
    data = realtime("routes", "--json", cwd=project).data
    assert data["ok"] is False
    assert [(p["file"], p["line"], p["kind"]) for p in data["problems"]] == [
        ("live/bad.py", 3, "ZeroDivisionError")
    ]
    assert len(data["routes"]) == 4
    assert "Traceback" in realtime("routes", "-v", cwd=project).err


def test_a_broken_hooks_file_is_reported_too(project: Path) -> None:
    write_project(project, {"hooks.py": "def upgrade(:\n"})
    ended = realtime("routes", cwd=project)
    assert ended.code == 1
    assert "hooks.py:1: SyntaxError" in ended.err
    assert "notes/add" in ended.out


def test_an_empty_project_says_what_to_do(tmp_path: Path) -> None:
    ended = realtime("routes", cwd=write_project(tmp_path, {}))
    assert ended.code == 0
    assert "no paths yet: put a function with @live over it into live/" in ended.err


def test_a_project_whose_code_does_not_load_is_not_called_empty(tmp_path: Path) -> None:
    ended = realtime("routes", cwd=write_project(tmp_path, {"live/bad.py": BROKEN}))
    assert ended.code == 1
    assert "no paths yet" not in ended.err


def test_on_a_terminal_lines_fit_and_in_a_pipe_they_are_whole(project: Path) -> None:
    write_project(project, {"live/wide.py": WIDE})
    keeper, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    done = subprocess.run(
        [*PROGRAM, "routes", "--no-color"],
        cwd=project,
        env=environment({"COLUMNS": None}),
        stdout=terminal,
        check=False,
    )
    os.close(terminal)
    with open(keeper, "rb", buffering=0) as screen:  # noqa: PTH123
        lines = screen.read(65536).decode().splitlines()
    assert done.returncode == 0
    assert len(lines) == 6
    assert max(map(len, lines)) == 80
    [wide] = [line for line in lines if line.startswith("wide/combine ")]
    assert "(first_argument: str" in wide
    assert "…  live/wide.py:3  " in wide
    assert "third_argument: dict[str, int]) -> list[str]" in realtime("routes", cwd=project).out


def test_an_unreadable_setting_ends_with_2_and_its_place(project: Path) -> None:
    write_project(project, {"realtime.toml": "[server]\nprot = 1\n"})
    ended = realtime("routes", cwd=project)
    assert ended.code == 2
    assert "realtime.toml:2" in ended.err
    assert "did you mean 'port'" in ended.err


def test_a_file_that_hides_our_package_ends_with_3(project: Path) -> None:
    write_project(project, {"runtime.py": ""})
    ended = realtime("routes", "--project", project, cwd=Path("/"))
    assert ended.code == 3
    assert "runtime.py hides a package of Realtime Toolkit" in ended.err
