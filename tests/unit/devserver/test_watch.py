from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_cli.devserver.changes import Layout
from realtime_cli.devserver.fingerprints import FileIndex
from realtime_cli.devserver.watch import (
    AFTERSHOCK,
    MAX_AT_ONCE,
    MAX_HOLD,
    QUIET,
    FileWatcher,
    Grouper,
    find_git_lock,
)


def test_no_batch_without_events() -> None:
    assert Grouper().due_in(5.0) is None


def test_a_save_is_due_at_once() -> None:
    grouper = Grouper()
    grouper.feed(["live/a.py"], 10.0)
    assert grouper.due_in(10.0) == 0.0
    assert not grouper.is_storm
    assert grouper.take(10.0) == {"live/a.py"}
    assert grouper.due_in(10.0) is None
    assert len(grouper) == 0


def test_many_files_wait_for_quiet() -> None:
    grouper = Grouper()
    files = [f"live/m{number}.py" for number in range(200)]
    for number in range(0, 200, 20):
        now = 10.0 + number / 20 * 0.03
        grouper.feed(files[number : number + 20], now)
        assert grouper.due_in(now) == pytest.approx(QUIET)
    assert grouper.due_in(10.27 + QUIET) == pytest.approx(0.0)
    assert grouper.take(10.27 + QUIET) == set(files)


def test_the_limit_for_at_once_counts_different_files() -> None:
    grouper = Grouper()
    for _ in range(5):
        grouper.feed([f"f{number}" for number in range(MAX_AT_ONCE)], 1.0)
    assert grouper.due_in(1.0) == 0.0
    assert not grouper.is_storm
    grouper.feed(["one more"], 1.0)
    assert grouper.is_storm
    assert grouper.due_in(1.0) == pytest.approx(QUIET)


def test_files_right_behind_a_batch_are_grouped() -> None:
    grouper = Grouper()
    grouper.feed(["a"], 1.0)
    grouper.take(1.0)
    grouper.feed(["b"], 1.0 + AFTERSHOCK / 2)
    assert grouper.due_in(1.0 + AFTERSHOCK / 2) == pytest.approx(QUIET)
    grouper.feed(["c"], 1.0 + QUIET)
    assert grouper.due_in(1.0 + QUIET) == pytest.approx(QUIET)
    grouper.take(1.0 + 2 * QUIET)
    later = 1.0 + 2 * QUIET + AFTERSHOCK * 2
    grouper.feed(["d"], later)
    assert grouper.due_in(later) == 0.0


def test_a_batch_waits_while_git_works() -> None:
    grouper = Grouper()
    grouper.feed(["a"], 1.0)
    assert grouper.due_in(1.0, git_busy=True) == pytest.approx(QUIET)
    assert grouper.due_in(1.5, git_busy=True) == pytest.approx(QUIET)
    assert grouper.due_in(1.51) == pytest.approx(QUIET - 0.01)
    assert grouper.due_in(1.5 + QUIET) == pytest.approx(0.0)


def test_a_lock_that_stays_does_not_hold_for_ever() -> None:
    grouper = Grouper()
    grouper.feed(["a"], 1.0)
    assert grouper.due_in(1.0 + MAX_HOLD - 0.01, git_busy=True) == pytest.approx(0.01)
    assert grouper.due_in(1.0 + MAX_HOLD, git_busy=True) == 0.0


def test_an_endless_storm_is_cut() -> None:
    grouper = Grouper()
    now = 1.0
    while grouper.due_in(now) != 0.0:
        grouper.feed([f"f{now}" for _ in range(4)] + ["a", "b", "c", "d"], now)
        now += 0.01
    assert now == pytest.approx(1.0 + MAX_HOLD, abs=0.02)


def test_hold_makes_a_storm() -> None:
    grouper = Grouper()
    grouper.feed(["a"], 1.0, hold=True)
    assert grouper.due_in(1.0) == pytest.approx(QUIET)


def test_git_lock_is_found_from_a_folder_inside(tmp_path: Path) -> None:
    assert find_git_lock(tmp_path / "none") is None or not str(find_git_lock(tmp_path)).startswith(
        str(tmp_path)
    )
    subprocess.run(["git", "init", "-q", str(tmp_path / "repo")], check=True)
    project = tmp_path / "repo" / "apps" / "one"
    project.mkdir(parents=True)
    assert find_git_lock(project) == tmp_path / "repo" / ".git" / "index.lock"


def test_git_lock_of_a_linked_work_tree(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /somewhere/.git/worktrees/one\n")
    assert find_git_lock(tmp_path) == Path("/somewhere/.git/worktrees/one/index.lock")


class Reports:
    """Collects the files that a watcher reports, those in a reported folder too, and waits for one."""

    def __init__(self, project: Path) -> None:
        self.index = FileIndex(project, Layout())
        self.paths: set[str] = set()
        self.failures: list[str] = []
        self._changed = threading.Condition()

    def report(self, paths: set[str]) -> None:
        with self._changed:
            self.paths |= self.index.update(paths).changed
            self._changed.notify_all()

    def wait_for(self, path: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: path in self.paths, timeout=10), (path, self.paths)
            self.paths.discard(path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    for folder in ("live", "web", ".venv/lib", "types"):
        (root / folder).mkdir(parents=True)
    return root


@pytest.fixture
def reports(project: Path) -> Reports:
    return Reports(project)


@pytest.fixture
def watcher(project: Path, reports: Reports) -> Iterator[FileWatcher]:
    made = FileWatcher(project, Layout(), reports.report, reports.failures.append)
    made.start()
    yield made
    made.close()
    assert reports.failures == []
    assert not [thread for thread in threading.enumerate() if thread.name == "realtime-watch"]


def save(path: Path, text: str) -> None:
    """Save as editors do: a temporary file beside it, then a rename."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text)
    beside.replace(path)


@pytest.mark.usefixtures("watcher")
def test_saved_files_are_reported(project: Path, reports: Reports) -> None:
    save(project / "live" / "a.py", "1")
    reports.wait_for("live/a.py")
    save(project / "hooks.py", "1")
    reports.wait_for("hooks.py")
    save(project / ".env", "A=1")
    reports.wait_for(".env")
    (project / "live" / "a.py").unlink()
    reports.wait_for("live/a.py")


@pytest.mark.usefixtures("watcher")
def test_what_is_ignored_is_not_reported(project: Path, reports: Reports) -> None:
    for path in (
        ".venv/lib/x.py",
        "types/a.d.ts",
        "live/.a.py.swp",
        "live/a.py~",
        ".git",
        "live/4913",
        "x.db-wal",
    ):
        (project / path).write_text("x")
    (project / "live" / "z.py").write_text("x")
    (project / "z.py").write_text("x")
    reports.wait_for("live/z.py")
    reports.wait_for("z.py")
    assert reports.paths == set()


@pytest.mark.usefixtures("watcher")
def test_new_and_replaced_folders_are_watched(project: Path, reports: Reports) -> None:
    (project / "app").mkdir()
    (project / "app" / "early.py").write_text("1")
    reports.wait_for("app/early.py")
    save(project / "app" / "db.py", "1")
    reports.wait_for("app/db.py")
    for round in range(3):
        shutil.rmtree(project / "app")
        (project / "app").mkdir()
        save(project / "app" / f"b{round}.py", "1")
        reports.wait_for(f"app/b{round}.py")
        save(project / "app" / f"c{round}.py", "1")
        reports.wait_for(f"app/c{round}.py")


@pytest.mark.usefixtures("watcher")
def test_nested_new_folders_are_watched(project: Path, reports: Reports) -> None:
    (project / "live" / "admin").mkdir()
    (project / "live" / "admin" / "early.py").write_text("1")
    reports.wait_for("live/admin/early.py")
    save(project / "live" / "admin" / "users.py", "1")
    reports.wait_for("live/admin/users.py")


def test_a_folder_that_cannot_be_watched_says_so(tmp_path: Path, reports: Reports) -> None:
    watcher = FileWatcher(tmp_path / "none", Layout(), reports.report, reports.failures.append)
    with pytest.raises(OSError, match="cannot watch"):
        watcher.start()
    watcher.close()
