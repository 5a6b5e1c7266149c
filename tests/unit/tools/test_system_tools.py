from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import system_tools
from tools.system_tools import TOOLS, Tool, advice, ensure, main

THING = Tool("thing", ("thing-for-a-test",), apt="thing-package", brew="thing", why="one test")


def put_program(folder: Path) -> None:
    program = folder / "thing-for-a-test"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)


def test_installed_program_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert THING.find() is None
    put_program(tmp_path)
    assert THING.find() == str(tmp_path / "thing-for-a-test")


def test_variable_names_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Tool("thing", ("thing-for-a-test",), "thing", "thing", "one test", variable="A_THING_FOR_A_TEST")
    assert tool.find() is None
    monkeypatch.setenv("A_THING_FOR_A_TEST", "/opt/thing")
    assert tool.find() == "/opt/thing"


def test_missing_program_is_installed_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    asked: list[str] = []

    def install(packages: Sequence[str]) -> None:
        asked.extend(packages)
        put_program(tmp_path)

    assert ensure([THING], may_install=lambda: True, install=install) == []
    assert asked == ["thing-package"]


def test_failed_installation_leaves_the_program_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    def install(packages: Sequence[str]) -> None:
        raise OSError("no network")

    assert ensure([THING], may_install=lambda: True, install=install) == [THING]
    assert "apt-get failed: no network" in capsys.readouterr().err


def test_nothing_is_installed_without_the_right_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ensure([THING], may_install=lambda: False, install=pytest.fail) == [THING]


def test_advice_names_the_packages_and_the_reason() -> None:
    text = advice([THING])
    assert "thing is missing, needed for one test" in text
    assert "apt-get install thing-package" in text


def test_every_tool_says_what_it_is_for() -> None:
    assert all(tool.why and tool.apt and tool.brew and tool.commands for tool in TOOLS)


@pytest.mark.parametrize(("tools", "status"), [((THING,), 1), ((), 0)])
def test_what_is_missing_is_told_and_fails(
    tools: tuple[Tool, ...], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(system_tools, "ensure", lambda: list(tools))
    assert main([]) == status
    assert ("thing is missing, needed for one test" in capsys.readouterr().err) == bool(tools)
