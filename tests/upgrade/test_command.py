"""The command as people run it: exit codes, what it writes, and what it leaves alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Ended, environment, realtime

BEFORE = "from runtime import live, on_cron_error\n\n\n@live\nasync def a(ctx):\n    ctx.signal(1, 'e', 2)\n"
AFTER = "from runtime import live, on_error\n\n\n@live\nasync def a(ctx):\n    ctx.send_signal(1, 'e', 2)\n"
PYPROJECT = '[project]\nname = "x"\ndependencies = ["realtime-toolkit~=0.4.20"]\n'


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout


def fill(root: Path) -> None:
    (root / "live").mkdir(parents=True)
    (root / "live/a.py").write_text(BEFORE)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "hooks_ws.py").write_text("def upgrade(ctx):\n    return {}\n")


@pytest.fixture(name="root")
def project(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    fill(root)
    git(tmp_path, "init", "-q", "app")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "before")
    return root


def run(root: Path, *arguments: str | Path, **more: object) -> Ended:
    return realtime("upgrade", *arguments, cwd=root, **more)  # type: ignore[arg-type]


def picture(root: Path) -> dict[str, tuple[bytes, int, int]]:
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith(".git/"):
            status = path.stat()
            found[name] = path.read_bytes(), status.st_mode, status.st_mtime_ns
    return found


@pytest.mark.spec("UPGC-78", "UPGC-62", "UPGC-79")
def test_from_a_dirty_tree_to_one_that_is_done(root: Path) -> None:
    (root / "live/a.py").write_text(BEFORE + "# edited\n")
    (root / "untracked.txt").write_text("mine\n")
    refused = run(root, "--no-verify")
    assert refused.code == 3
    assert "live/a.py" in refused.err
    assert "untracked.txt" not in refused.err
    git(root, "commit", "-q", "-am", "clean")
    head = git(root, "rev-parse", "HEAD")
    done = run(root, "--no-verify")
    assert done.code == 0, done.err
    assert done.out == ""
    assert (root / "live/a.py").read_text() == AFTER + "# edited\n"
    assert not (root / "hooks_ws.py").exists()
    assert git(root, "rev-parse", "HEAD") == head
    assert git(root, "diff", "--cached", "--name-only") == ""
    assert ".realtime-upgrade" not in git(root, "status", "--porcelain", "-uall")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "after")
    before = picture(root)
    (root / "realtime.toml").write_text("")
    again = run(root, "--no-verify", "--allow-dirty")
    assert again.code == 0
    assert "Already at 0.5: nothing to do" in again.err
    assert {name: value for name, value in picture(root).items() if name != "realtime.toml"} == before


@pytest.mark.spec("UPGC-62")
def test_untracked_files_that_would_be_written_count(root: Path) -> None:
    (root / "live/b.py").write_text(BEFORE)
    refused = run(root, "--no-verify")
    assert refused.code == 3
    assert "live/b.py" in refused.err
    assert run(root, "--no-verify", "--allow-dirty").code == 0


@pytest.mark.spec("UPGC-62")
def test_without_git_a_person_has_to_say_so(tmp_path: Path) -> None:
    root = tmp_path / "app"
    fill(root)
    refused = run(root, "--no-verify", env={"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    assert refused.code == 3
    assert "not under git" in refused.err
    assert run(root, "--no-verify", "--allow-dirty").code == 0


@pytest.mark.spec("UPGC-63", "UPGC-64")
@pytest.mark.parametrize("flag", ["--dry-run", "--diff", "--check"])
def test_looking_changes_nothing(root: Path, flag: str) -> None:
    before = picture(root)
    looked = run(root, flag)
    assert picture(root) == before
    assert not (root / ".realtime-upgrade").exists()
    assert looked.code == (1 if flag == "--check" else 0)
    if flag == "--check":
        assert "live/a.py:1:27 UPG107 R-04" in looked.out
    if flag == "--diff":
        (root.parent / "plan.patch").write_text(looked.out)
        git(root, "apply", str(root.parent / "plan.patch"))
        applied = {name: value[0] for name, value in picture(root).items()}
        git(root, "checkout", "-q", ".")
        git(root, "clean", "-fdq")
        assert run(root, "--no-verify", "--allow-dirty").code == 0
        written = {
            name: value[0]
            for name, value in picture(root).items()
            if not name.startswith(".realtime-upgrade")
        }
        assert applied == written
        assert "rename from hooks_ws.py" in looked.out


@pytest.mark.spec("UPGC-6", "UPGC-65", "UPGC-66", "UPGC-78")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "UPG1077"], "did you mean UPG107"),
        (["--skip", "UPG999"], "there is no codemod"),
        (["--to", "0.6"], "known: 0.5"),
        (["--postgres", "drop"], "pin or rename"),
        (["--diff", "--check"], "one of them"),
        (["--interactive"], "needs a terminal"),
        (["nowhere"], "there is no folder"),
        (["live"], "did you mean"),
        (["--explain", "C-99"], "did you mean C-"),
        (["--undo"], "no run to undo"),
    ],
)
def test_wrong_usage_ends_with_2(root: Path, arguments: list[str], said: str) -> None:
    refused = run(root, *arguments)
    assert refused.code == 2, refused.err
    assert said in refused.err


@pytest.mark.spec("UPGC-6")
def test_a_folder_that_is_no_project_names_the_marks(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    refused = run(tmp_path, "--dry-run")
    assert refused.code == 2
    assert "hooks_ws.py" in refused.err
    assert "realtime_config.py" in refused.err


@pytest.mark.spec("UPGC-4")
def test_one_mark_is_maybe(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    looked = run(tmp_path, "--dry-run")
    assert looked.code == 0
    assert "maybe 0.4 (python): pyproject.toml asks for ~=0.4.20" in looked.err


@pytest.mark.spec("UPGC-67")
def test_a_file_that_does_not_parse_stops_only_itself(root: Path) -> None:
    broken = "from runtime import on_cron_error\nprint 'x'\n"
    (root / "live/old.py").write_text(broken)
    done = run(root, "--no-verify", "--allow-dirty")
    assert done.code == 1
    assert "live/old.py:2:1 UPG100" in done.err
    assert (root / "live/old.py").read_text() == broken
    assert (root / "live/a.py").read_text() == AFTER


@pytest.mark.spec("UPGC-68")
@pytest.mark.parametrize("path", ["hooks_ws.py", "realtime_config.py", "pyproject.toml"])
def test_what_everything_depends_on_has_to_parse(root: Path, path: str) -> None:
    (root / path).write_text("def (\n")
    before = picture(root)
    done = run(root, "--no-verify", "--allow-dirty")
    assert done.code == 4
    assert path in done.err
    assert picture(root) == before


@pytest.mark.spec("UPGC-74", "UPGC-78")
def test_a_second_run_waits_and_a_lock_that_was_left_does_not_hold(root: Path) -> None:
    folder = root / ".realtime-upgrade"
    folder.mkdir()
    started = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    lock = folder / "lock"
    lock.write_text(json.dumps({"pid": os.getpid(), "started": started}))
    busy = run(root, "--no-verify", "--allow-dirty")
    assert busy.code == 5
    assert str(os.getpid()) in busy.err
    lock.write_text(json.dumps({"pid": os.getpid(), "started": "1"}))
    assert run(root, "--no-verify", "--allow-dirty").code == 0
    assert not lock.exists()


def test_files_that_were_left_alone_are_named_with_the_reason(root: Path) -> None:
    (root / "live/latin.py").write_bytes(b"from runtime import on_cron_error  # \xe9\n")
    (root / "live/big.py").write_bytes(b"#" * (2 * 1024 * 1024 + 1))
    (root / "live/out.py").symlink_to(Path(__file__))
    (root / "live/mine.py").write_text(f"# realtime-upgrade: skip\n{BEFORE}")
    (root / "Dockerfile").write_bytes(b"# \xe9\nFROM python:3.9\n")
    git(root, "rm", "-q", "--cached", "live/a.py")
    for arguments in (["--dry-run"], ["--no-verify", "--allow-dirty"]):
        told = run(root, *arguments).err
        assert "left alone Dockerfile: is not utf-8\n" in told
        assert "left alone live/big.py: is larger than 2 MiB\n" in told
        assert "left alone live/latin.py: " in told
        assert "left alone live/out.py: is a link out of the project\n" in told
        assert "live/mine.py" not in told
    for number in range(20):
        (root / f"live/n{number}.py").write_bytes(b"from runtime import on_cron_error  # \xe9\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "more")
    again = run(root, "--dry-run")
    assert again.err.count("left alone ") == 10
    assert "  and 14 more were left alone; --report FILE.md lists them" in again.err
    assert "hooks_ws.py" not in again.err


KILLED = """
import os, signal, sys
from pathlib import Path
from realtime_cli.codemods import files
real = files.Disk.replace
def replace(self, source, target):
    real(self, source, target)
    if target.name == "a.py":
        os.kill(os.getpid(), signal.{signal})
files.Disk.replace = replace
sys.argv = ["realtime", "upgrade", "--no-verify", "--allow-dirty"]
from realtime_cli.main import run
run()
"""


@pytest.mark.spec("UPGC-70", "UPGC-78")
def test_a_killed_run_is_told_and_undone(root: Path) -> None:
    before = picture(root)
    program = (sys.executable, "-c", KILLED.format(signal="SIGKILL"))
    assert realtime(cwd=root, program=program).code == -signal.SIGKILL
    assert (root / "live/a.py").read_text() == AFTER
    refused = run(root, "--allow-dirty")
    assert refused.code == 5
    assert "new already: hooks.py, live/a.py" in refused.err
    assert "realtime upgrade --undo" in refused.err
    undone = run(root, "--undo")
    assert undone.code == 0
    assert picture(root) == before
    assert run(root, "--no-verify", "--allow-dirty").code == 0


@pytest.mark.spec("UPGC-69", "UPGC-78")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 4)])
def test_a_signal_puts_everything_back(root: Path, name: str, code: int) -> None:
    before = picture(root)
    ended = realtime(cwd=root, program=(sys.executable, "-c", KILLED.format(signal=name)))
    assert ended.code == code, ended.err
    assert picture(root) == before
    assert not (root / ".realtime-upgrade").exists()


VERIFYING = """
import os, signal, sys
from realtime_cli.codemods import session
def examined(*_):
    os.kill(os.getpid(), signal.{signal})
    return [], ""
session.examined = examined
sys.argv = ["realtime", "upgrade", "--allow-dirty"]
from realtime_cli.main import run
run()
"""


@pytest.mark.spec("UPGC-69", "UPGC-78")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 4)])
@pytest.mark.parametrize("again", [False, True])
def test_a_signal_while_the_result_is_looked_at_puts_everything_back(
    root: Path, name: str, code: int, again: bool
) -> None:
    if again:  # the run before is not what is put back
        assert run(root, "--no-verify").code == 0
        (root / "live/b.py").write_text(BEFORE)
    before = picture(root)
    ended = realtime(cwd=root, program=(sys.executable, "-c", VERIFYING.format(signal=name)))
    assert ended.code == code, ended.err
    assert "everything was put back" in ended.err
    now = picture(root)
    for pictures in (before, now):
        for path in [path for path in pictures if path.startswith(".realtime-upgrade")]:
            del pictures[path]
    assert now == before


@pytest.mark.spec("UPGC-76")
def test_reports_agree_and_are_the_same_twice(root: Path, tmp_path: Path) -> None:
    names = [tmp_path / "one.json", tmp_path / "two.json", tmp_path / "one.md"]
    for name in names:
        assert run(root, "--dry-run", "--report", name).code == 0
    assert names[0].read_bytes() == names[1].read_bytes()
    report = json.loads(names[0].read_text())
    assert (report["schema"], report["from"], report["to"], report["kind"], report["root"]) == (
        1,
        "0.4",
        "0.5",
        "python",
        ".",
    )
    assert report["summary"]["edited"] == sum(one["status"] == "edited" for one in report["findings"])
    moved = next(one for one in report["files"] if one["path"] == "hooks.py")
    assert (moved["status"], moved["renamed_from"]) == ("moved", "hooks_ws.py")
    text = names[2].read_text()
    assert "| UPG107 | on_cron_error is on_error | 1 | 1 | 0 | 0 |" in text
    assert "`hooks.py`: moved (was `hooks_ws.py`)" in text
    printed = run(root, "--dry-run", "--json")
    assert printed.data == report


@pytest.mark.spec("UPGC-77")
def test_secrets_are_in_no_report(root: Path, tmp_path: Path) -> None:
    (root / "realtime_config.py").write_text(
        "config = {\n"
        "    'redis_url': 'redis://u:hunter2@db/0',\n"
        "    'dsn': 'postgres://u:hunter2@db/' + name(),\n"
        "}\n"
    )
    (root / "realtime.toml").write_text("[redis]\nurl = 'redis://u:hunter3@db/0'\n")
    reports = [tmp_path / "r.json", tmp_path / "r.md"]
    looked = run(root, "--dry-run", "--report", reports[0], "--report", reports[1], "--verbose")
    for text in (looked.err, looked.out, *(path.read_text() for path in reports)):
        assert "hunter" not in text


@pytest.mark.spec("UPGC-1", "UPGC-2")
def test_the_list_and_every_row_can_be_read(root: Path) -> None:
    listed = run(root, "--list")
    assert listed.code == 0
    for number in (*range(101, 113),):
        assert f"UPG{number} " in listed.out
    told = run(root, "--explain", "r-04")
    assert told.code == 0
    assert "on_cron_error(h)" in told.out
    assert "done by: UPG107" in told.out


@pytest.mark.spec("UPGC-87")
def test_the_help_needs_no_parser() -> None:
    program = (
        "import sys; from realtime_cli.main import app\n"
        "try:\n    app(['upgrade', '--help'])\nexcept SystemExit:\n    pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program + "print({'libcst', 'tree_sitter'} & set(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.spec("UPGC-75")
def test_the_result_is_imported_and_checked(root: Path) -> None:
    (root / "realtime.toml").write_text("[server]\norigin = 'https://example.com'\n")
    (root / "live/bad.py").write_text("import nowhere_at_all\n")
    done = run(root, "--allow-dirty", "--python", sys.executable)
    assert done.code == 1
    assert "nowhere_at_all" in done.err
    assert (root / "live/a.py").read_text() == AFTER
    shutil.rmtree(root / ".realtime-upgrade")


@pytest.mark.spec("UPGC-75")
def test_without_the_new_version_it_says_how_to_go_on(root: Path) -> None:
    fake = root.parent / "python"
    fake.write_text("#!/bin/sh\necho 0.4.20\n")
    fake.chmod(0o755)
    done = run(root, "--python", fake)
    assert done.code == 0
    assert "realtime-toolkit 0.4.20 is installed for this project: install 0.5" in done.err
