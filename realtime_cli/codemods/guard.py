"""What has to hold before anything is written: a clean work tree, and no second run. Spec: upgrade 4.1."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from typing import TYPE_CHECKING

from realtime_cli.codemods.files import STATE_FOLDER, tidy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Busy", "held_lock", "uncommitted"]


class Busy(Exception):
    """Another run works on this project; the message names its process."""


def uncommitted(root: Path, writes: Iterable[str]) -> list[str] | None:
    """Return what git does not have of the files below `root`: changed ones, and untracked ones that would be written.

    None if `root` is in no work tree of git. Nothing of git is changed, not even its index.
    """
    try:
        done = subprocess.run(
            [
                "git",
                "--no-optional-locks",
                "status",
                "--porcelain=v1",
                "-z",
                "-uall",
                "--no-renames",
                "--",
                ".",
            ],
            cwd=root,
            capture_output=True,
            timeout=120,
            check=False,
        )
        prefix = subprocess.run(
            ["git", "rev-parse", "--show-prefix"], cwd=root, capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    above = os.fsdecode(prefix.stdout.strip())
    written = set(writes)
    found = []
    for line in done.stdout.split(b"\0"):
        if not line:
            continue
        state, path = line[:2], os.fsdecode(line[3:]).removeprefix(above)
        if path.startswith(f"{STATE_FOLDER}/"):
            continue
        if state != b"??" or path in written:
            found.append(path)
    return sorted(found)


@contextlib.contextmanager
def held_lock(root: Path) -> Iterator[None]:
    """Keep other runs out while the block runs; a lock whose process is gone is taken over.

    Raises:
        Busy: another run has it.
    """
    folder = root / STATE_FOLDER
    folder.mkdir(exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="ascii")
    path = folder / "lock"
    text = json.dumps({"pid": os.getpid(), "started": _started(os.getpid())})
    for _ in range(5):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            _take_over(path)
            continue
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        break
    else:
        raise Busy("another run holds the lock")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        tidy(root)


def _take_over(path: Path) -> None:
    try:
        raw = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return
    try:
        owner = json.loads(raw)
        pid, started = int(owner["pid"]), owner["started"]
    except (ValueError, KeyError, TypeError):
        pid, started = 0, None
    if pid and _is_running(pid) and _started(pid) == started:
        raise Busy(f"another run (process {pid}) works on this project")
    # Renamed first, so that of two that find it stale only one removes it.
    stale = path.with_name(f"lock.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(stale)
        if stale.read_text(encoding="ascii") != raw:
            stale.rename(path)
            raise Busy("another run has just begun")
        stale.unlink()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> str | None:
    """Return when a process began, so that a number that was used again is not taken for it; None if not known."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - no file
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
