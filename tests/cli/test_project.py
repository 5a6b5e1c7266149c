"""Finding the project that a command works on."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_cli.exitcodes import USAGE, CommandFailed
from realtime_cli.project import find_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    (root / "live" / "deep").mkdir(parents=True)
    (root / "realtime.toml").touch()
    return root


def test_the_search_goes_upwards(project: Path) -> None:
    assert find_project(start=project / "live" / "deep") == project


def test_the_nearest_project_counts(project: Path) -> None:
    (project / "live" / "realtime.toml").touch()
    assert find_project(start=project / "live" / "deep") == project / "live"


def test_the_working_directory_is_the_start(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "live")
    assert find_project() == project


@pytest.mark.parametrize("given", ["app", "app/realtime.toml", "app/live/.."])
def test_a_given_folder_or_file_is_taken(given: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    assert find_project(Path(given)) == project


@pytest.mark.parametrize(
    ("given", "message"),
    [("app/live", "no realtime.toml in 'app/live'"), ("nothing", "there is no folder 'nothing'")],
)
def test_a_given_folder_is_not_searched_upwards(
    given: str, message: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.parent)
    with pytest.raises(CommandFailed) as failed:
        find_project(Path(given))
    assert failed.value.code == USAGE
    assert message in failed.value.message
    assert "realtime new NAME" in failed.value.hint


def test_no_project_anywhere(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as failed:
        find_project(start=tmp_path)
    assert failed.value.code == USAGE
    assert str(tmp_path) in failed.value.message
