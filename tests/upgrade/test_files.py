"""The transaction: whatever fails, and wherever it is killed, the project is as it was or can be made so."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realtime_cli.codemods import files
from realtime_cli.codemods.files import Disk, NotRestored, WriteFailed, undo, unfinished, write_all
from realtime_cli.codemods.project import digest

STEPS = ("make", "write", "sync", "replace", "remove", "mode", "make_folder", "remove_folder", "link")
CHANGES: dict[str, bytes | None] = {
    "a.py": b"new a\n",
    "hooks.py": b"new hooks\n",
    "hooks_ws.py": None,
    "live/b.py": b"new b\n",
    "src/live/c.py": None,
    "lib/d.py": b"c\n",
}
MOVES = {"hooks.py": "hooks_ws.py", "lib/d.py": "src/live/c.py"}


@pytest.fixture(name="root")
def project(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    for name, content in {
        "a.py": "a\n",
        "hooks_ws.py": "hooks\n",
        "live/b.py": "b\n",
        "src/live/c.py": "c\n",
        "other.txt": "x\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "hooks_ws.py").chmod(0o755)
    (root / "live/b.py").chmod(0o600)
    return root


Picture = dict[str, tuple[bytes, int, int, int]]


def picture(root: Path, *, inodes: bool = True) -> Picture:
    """Every file with content, mode, time and inode; the folder of the command is not part of it."""
    found: Picture = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name.startswith(".realtime-upgrade"):
            continue
        status = path.stat()
        if path.is_dir():
            found[name] = b"", 0, 0, 0
        else:
            found[name] = (
                path.read_bytes(),
                stat.S_IMODE(status.st_mode),
                status.st_mtime_ns,
                status.st_ino if inodes else 0,
            )
    return found


def hashes(root: Path) -> dict[str, str | None]:
    return {name: digest((root / name).read_bytes()) if (root / name).exists() else None for name in CHANGES}


def write(root: Path, disk: Disk | None = None) -> None:
    write_all(root, CHANGES, hashes(root), moves=MOVES, disk=disk)


class Failing(Disk):
    """Does something else at the nth call of one kind, or of any."""

    def __init__(self, step: str, nth: int, what: Any) -> None:
        self.step, self.nth, self.what, self.calls = step, nth, what, 0

    def __getattribute__(self, name: str) -> Any:
        call = object.__getattribute__(self, name)
        if name not in STEPS:
            return call
        if self.step in (name, "any"):
            self.calls += 1
            if self.calls == self.nth:
                self.what()
        return call


def counted(root: Path, step: str) -> int:
    """How many calls of a kind a whole run makes."""
    disk = Failing(step, -1, None)
    write(root, disk)
    return disk.calls


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted() -> None:
    raise KeyboardInterrupt


@pytest.mark.spec("UPGC-72")
def test_everything_is_written_with_its_mode(root: Path) -> None:
    other = (root / "other.txt").stat()
    write(root)
    assert {name: value[0] for name, value in picture(root).items() if value[0]} == {
        "a.py": b"new a\n",
        "hooks.py": b"new hooks\n",
        "lib/d.py": b"c\n",
        "live/b.py": b"new b\n",
        "other.txt": b"x\n",
    }
    assert not (root / "src").exists()
    assert stat.S_IMODE((root / "hooks.py").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "live/b.py").stat().st_mode) == 0o600
    assert (root / "other.txt").stat() == other
    assert unfinished(root) is None


@pytest.mark.spec("UPGC-69")
@pytest.mark.parametrize("what", [full, interrupted])
@pytest.mark.parametrize("step", [*STEPS, "any"])
def test_a_failure_at_any_call_leaves_the_tree_as_it_was(
    root: Path, step: str, what: Any, tmp_path: Path
) -> None:
    before = picture(root)
    calls = 1
    while True:
        disk = Failing(step, calls, what)
        try:
            write(root, disk)
        except (WriteFailed, KeyboardInterrupt):
            assert picture(root) == before, (step, calls)
            assert unfinished(root) is None
            assert not (root / ".realtime-upgrade").exists()
        else:
            break  # the last call of its kind is behind us
        calls += 1
    # Where a failure does no harm (no second names, a folder that is not empty), the run goes on.
    assert calls > 1 or step in ("link", "remove_folder")
    undone = undo(root)
    assert undone is not None
    assert picture(root) == before


def killed_at(root: Path, nth: int) -> None:
    write(root, Failing("any", nth, lambda: os.kill(os.getpid(), signal.SIGKILL)))


@pytest.mark.spec("UPGC-70")
def test_a_kill_at_any_call_can_be_undone(root: Path) -> None:
    before = picture(root)
    process: Any = multiprocessing.get_context("fork")
    survived = False
    nth = 0
    while not survived:
        nth += 1
        child = process.Process(target=killed_at, args=(root, nth))
        child.start()
        child.join()
        survived = child.exitcode == 0
        if survived:
            break
        assert child.exitcode == -signal.SIGKILL
        told = unfinished(root)
        if told is not None:
            old, new = told
            assert sorted(old + new) == sorted(CHANGES)
        undo(root)
        assert picture(root) == before, nth
        assert unfinished(root) is None
    assert nth > 40
    undo(root)
    assert picture(root) == before


@pytest.mark.spec("UPGC-71")
def test_a_file_saved_meanwhile_stops_the_run(root: Path) -> None:
    planned = hashes(root)
    (root / "live/b.py").write_text("edited\n")
    before = picture(root)
    with pytest.raises(WriteFailed, match=r"live/b\.py was changed"):
        write_all(root, CHANGES, planned, moves=MOVES)
    assert picture(root) == before


def test_a_read_only_folder_is_refused_before_anything(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "live" and access(path, mode))
    with pytest.raises(WriteFailed, match="live is read-only"):
        write(root)
    assert not (root / ".realtime-upgrade").exists()


def test_too_little_room_is_refused_before_anything(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.shutil.disk_usage(root)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: real._replace(free=10))
    with pytest.raises(WriteFailed, match="10 bytes are free"):
        write(root)
    assert not (root / ".realtime-upgrade").exists()


def test_undo_leaves_what_was_edited_since(root: Path) -> None:
    before = picture(root, inodes=False)
    write(root)
    (root / "a.py").write_text("mine\n")
    undone = undo(root)
    assert undone is not None
    assert (undone.left, undone.restored) == (["a.py"], [])
    undone = undo(root, over_edits=True)
    assert undone is not None
    assert undone.left == []
    assert picture(root, inodes=False) == before
    assert (root / ".realtime-upgrade/edited/a.py").read_text() == "mine\n"
    assert undo(root) is None


def test_a_failed_run_leaves_the_undo_of_the_one_before(root: Path) -> None:
    before = picture(root)
    write(root)
    again: dict[str, bytes | None] = {"a.py": b"newer\n"}
    with pytest.raises(WriteFailed):
        write_all(root, again, {"a.py": digest(b"new a\n")}, disk=Failing("replace", 2, full))
    assert (root / "a.py").read_bytes() == b"new a\n"
    undo(root)
    assert picture(root) == before


@pytest.mark.parametrize("how", ["changed", "gone"])
@pytest.mark.parametrize("path", ["a.py", "hooks_ws.py", "src/live/c.py"])
def test_a_damaged_original_is_refused_and_nothing_goes_back(root: Path, path: str, how: str) -> None:
    write(root)
    before = picture(root)
    (kept,) = (root / ".realtime-upgrade/backup").glob(f"*/{path}")
    good = kept.read_bytes()
    kept.unlink()
    if how == "changed":
        kept.write_bytes(good + b"#")
    what = "was changed or is damaged" if how == "changed" else "is not there"
    for over_edits in (False, True):
        with pytest.raises(WriteFailed, match=rf"the original of {path} {what} .*; nothing was put back"):
            undo(root, over_edits=over_edits)
        assert picture(root) == before
        assert unfinished(root) is None
    kept.write_bytes(good)
    undone = undo(root)
    assert undone is not None
    assert len(undone.restored) == len(CHANGES)


def test_a_damaged_original_is_told_when_writing_fails(root: Path) -> None:
    def damage() -> None:
        for kept in (root / ".realtime-upgrade/backup").glob("*/a.py"):
            kept.unlink()
            kept.write_bytes(b"damaged")
        raise OSError(errno.EIO, "broken")

    with pytest.raises(NotRestored, match=r"the original of a\.py was changed or is damaged"):
        write(root, Failing("remove", 1, damage))
    assert (root / "a.py").read_bytes() == b"new a\n"


def test_only_new_files_are_written_and_undone(root: Path) -> None:
    before = picture(root)
    new: dict[str, bytes | None] = {"migrations/one.sql": b"x", "b.py": b"y"}
    write_all(root, new, dict.fromkeys(new))
    assert (root / "migrations/one.sql").read_bytes() == b"x"
    undo(root)
    assert picture(root) == before


def test_long_names_go_back_too(root: Path) -> None:
    name = "é" * 120 + ".py"
    (root / name).write_text("old")
    before = picture(root)
    write_all(root, {name: b"new"}, {name: digest(b"old")})
    undo(root)
    assert picture(root) == before


def undone_at(root: Path, nth: int) -> None:
    calls = 0

    def counted(call: Any) -> Any:
        def instead(*args: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **more)

        return instead

    for name in ("link", "unlink", "replace", "rename", "mkdir", "rmdir", "open"):
        setattr(os, name, counted(getattr(os, name)))
    undo(root)


@pytest.mark.spec("UPGC-70")
def test_an_undo_that_is_killed_is_told_and_can_be_done_again(root: Path) -> None:
    before = picture(root)
    process: Any = multiprocessing.get_context("fork")
    told = 0
    for nth in range(1, 100):
        write(root)
        child = process.Process(target=undone_at, args=(root, nth))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        now = {name: value[0] for name, value in picture(root).items()}
        if unfinished(root) is not None:
            told += 1
        else:
            was = {name: value[0] for name, value in before.items()}
            assert now == was or now["a.py"] == b"new a\n", nth
        undo(root)
        assert picture(root) == before, nth
    assert told > 10
    assert picture(root) == before


def test_without_second_names_originals_are_copied(root: Path) -> None:
    class Unlinked(Disk):
        def link(self, source: Path, target: Path) -> None:
            raise OSError(errno.EPERM, "no")

    before = picture(root, inodes=False)
    write(root, Unlinked())
    undo(root)
    assert picture(root, inodes=False) == before


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    mask = os.umask(0o022)
    yield
    os.umask(mask)
