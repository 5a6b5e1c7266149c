"""Where the command runs: links, work trees, folders with blanks, files of odd bytes, and twice in a row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from realtime_cli.codemods.engine import make_plan
from realtime_cli.codemods.project import Project, Tree
from tests.cli.commands import Ended, environment, realtime
from tests.upgrade.projects import upgrade, write

LIVE = "from runtime import live, on_cron_error\n\n\n@live\nasync def a(ctx):\n    ctx.signal(1, 'e', 2)\n"
NEW = LIVE.replace("on_cron_error", "on_error").replace("signal", "send_signal")
FILES: dict[str, str | bytes] = {
    "pyproject.toml": '[project]\nname = "x"\ndependencies = ["realtime-toolkit~=0.4.20"]\n',
    "hooks_ws.py": "def upgrade(ctx):\n    return {}\n",
    "live/a.py": LIVE,
}


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout


def run(root: Path, *arguments: str | Path) -> Ended:
    return realtime("upgrade", *arguments, cwd=root)


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not {".git", ".realtime-upgrade"} & set(path.relative_to(root).parts)
    }


@pytest.mark.spec("UPGC-11")
@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: f"# coding: euc-jp\nx = '日本'\n{text}".encode("euc-jp"),
        lambda text: f"# coding: utf-8\nx = 'é\\d'\n{text}".encode(),
    ],
)
def test_the_whole_command_sees_files_of_every_encoding(change: Callable[[str], bytes]) -> None:
    done = upgrade({"hooks.py": "", "live/a.py": change(LIVE)})
    assert done.files["live/a.py"].encode(errors="surrogateescape") == change(NEW)
    assert [one.message for one in done.findings if one.codemod == "UPG100" and one.path] == []


@pytest.mark.spec("UPGC-79")
@pytest.mark.parametrize("without", ["pyproject.toml", "hooks_ws.py", ""])
def test_a_second_run_finds_nothing_to_do_and_undo_finds_the_first(tmp_path: Path, without: str) -> None:
    write(tmp_path, {path: text for path, text in FILES.items() if path != without})
    before = contents(tmp_path)
    assert run(tmp_path, "--no-verify", "--allow-dirty").code == 0
    after = contents(tmp_path)
    assert after != before
    again = run(tmp_path, "--no-verify", "--allow-dirty")
    assert (again.code, contents(tmp_path)) == (0, after), again.err
    assert "Already at 0.5: nothing to do" in again.err
    assert run(tmp_path, "--undo").code == 0
    assert contents(tmp_path) == before


def test_a_root_that_is_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real", FILES)
    before = contents(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real/live/a.py").chmod(0o444)
    assert run(tmp_path, "link", "--no-verify", "--allow-dirty").code == 0
    assert (tmp_path / "real/live/a.py").read_text() == NEW
    assert (tmp_path / "real/live/a.py").stat().st_mode & 0o777 == 0o444
    assert (tmp_path / "link").is_symlink()
    assert run(tmp_path / "link", "--undo").code == 0
    assert contents(tmp_path / "real") == before


def test_a_work_tree_and_a_folder_of_a_repository(tmp_path: Path) -> None:
    repository = tmp_path / "all of it"
    write(repository / "my app ", FILES)
    (repository / "other.txt").write_text("1\n")
    git(tmp_path, "init", "-q", "all of it")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "before")
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "new")
    (repository / "other.txt").write_text("2\n")  # not below the project: none of its business
    for root in (repository / "my app ", tmp_path / "tree/my app "):
        assert run(root, "--no-verify").code == 0
        assert (root / "live/a.py").read_text() == NEW
        refused = run(root, "--no-verify")
        assert refused.code == 3
        assert "not committed: hooks_ws.py, live/a.py, pyproject.toml\n" in refused.err


KILLED = """
import os, random, signal, sys, threading
from realtime_cli.main import run
from realtime_cli.codemods import files, session
def later():
    os.kill(os.getpid(), signal.{signal})
started = threading.Timer({after}, later)
started.daemon = True
real = session.Session.write
def write(self, **more):
    started.start()
    real(self, **more)
session.Session.write = write
sys.argv = ["realtime", "upgrade", "--no-verify", "--allow-dirty"]
run()
"""


@pytest.mark.spec("UPGC-69", "UPGC-70")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_whenever_it_is_ended_everything_is_old_or_new(tmp_path: Path, name: str) -> None:
    many: dict[str, str | bytes] = {f"live/n{number}.py": LIVE for number in range(8)}
    write(tmp_path / "old", FILES | many)
    old = contents(tmp_path / "old")
    write(tmp_path / "new", FILES | many)
    assert run(tmp_path / "new", "--no-verify", "--allow-dirty").code == 0
    new = contents(tmp_path / "new")
    for step in range(6):
        root = tmp_path / f"{name}{step}"
        write(root, FILES | many)
        program = KILLED.format(signal=name, after=step * 0.004)
        ended = realtime(cwd=root, program=(sys.executable, "-c", program))
        now = contents(root)
        if name != "SIGKILL":
            assert now in (old, new)
            assert (ended.code in (130, 4)) <= (now == old), ended.err
            assert "Traceback" not in ended.err
        elif now != new or ended.code == -signal.SIGKILL:
            undone = run(root, "--undo")
            assert undone.code in (0, 2), undone.err
            assert contents(root) == old
            assert run(root, "--no-verify", "--allow-dirty").code == 0
            assert contents(root) == new


def test_a_process_that_is_killed_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, str | bytes] = {f"live/n{number}.py": LIVE for number in range(30)}
    write(tmp_path, files)

    real = ProcessPoolExecutor.map

    def killing(pool: Any, *args: Any, **more: Any) -> Any:
        results = real(pool, *args, **more)
        for process in list(pool._processes.values()):
            os.kill(process.pid, signal.SIGKILL)
        return results

    monkeypatch.setattr(ProcessPoolExecutor, "map", killing)
    tree = Tree(tmp_path, sorted(files))
    make_plan(Project(tree), jobs=2)
    assert {path: raw and raw.decode() for path, raw in tree.changed.items()} == dict.fromkeys(files, NEW)
