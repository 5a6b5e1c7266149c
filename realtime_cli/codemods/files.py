"""All or nothing on disk: every new content beside its file, then renames; anything that fails puts all of it back.

The journal says before the first change what will change. What became of each file is read from the disk by its hash,
so a kill at any point leaves a state that `undo` understands. Originals are kept as second names of the same file where
the file system can do that, so what is put back is the very file that was there. Spec: upgrade 4.3.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime_cli.codemods.project import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "JOURNAL",
    "STATE_FOLDER",
    "Disk",
    "Journal",
    "NotRestored",
    "Undone",
    "WriteFailed",
    "last_run",
    "tidy",
    "undo",
    "unfinished",
    "write_all",
]

STATE_FOLDER = ".realtime-upgrade"
"""Folder below the project for the lock, the journal and the originals; git does not see it."""
JOURNAL = "journal.json"
"""In it: what the last run changes or has changed."""


class WriteFailed(Exception):
    """Nothing was changed: what was written has been put back. The message says why."""


class NotRestored(WriteFailed):
    """It failed, and putting it back failed, too: `undo` has to be run. The message says both."""


class Disk:
    """The calls that change the disk; tests put failures here."""

    def make(self, path: Path, mode: int) -> int:
        """Create a file that must not be there; gives back its descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)

    def write(self, descriptor: int, raw: bytes) -> None:
        """Write all bytes."""
        view = memoryview(raw)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync(self, descriptor: int) -> None:
        """Wait until a file or folder is on the disk."""
        os.fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Give a file another name, in the place of what has it."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def mode(self, path: Path, mode: int) -> None:
        """Set permission bits."""
        path.chmod(mode)

    def make_folder(self, path: Path) -> None:
        """Create a folder."""
        path.mkdir()

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        path.rmdir()

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        os.link(source, target, follow_symlinks=False)

    def copy(self, source: Path, target: Path) -> None:
        """Copy content, mode and times."""
        shutil.copy2(source, target)


@dataclass(slots=True)
class Entry:
    """One file of the journal; `old` or `new` is None where there is none before or after."""

    path: str
    old: str | None
    new: str | None
    temporary: str | None = None


@dataclass(slots=True)
class Journal:
    """What a run changes, as written to disk before it does.

    Attributes:
        run: a name for the folder of the originals.
        state: ``writing``, ``done`` or ``undoing``.
        entries: every file that changes.
        folders: that the run makes, outer ones first.
        gone: that the run removes as they are empty, inner ones first.
    """

    run: str
    state: str = "writing"
    entries: list[Entry] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, root: Path) -> Journal | None:
        """Read the journal of the last run; None if there is none.

        Raises:
            WriteFailed: it cannot be read.
        """
        path = root / STATE_FOLDER / JOURNAL
        try:
            data: dict[str, Any] = json.loads(path.read_bytes())
            entries = [Entry(**one) for one in data["entries"]]
            return cls(data["run"], data["state"], entries, data["folders"], data["gone"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise WriteFailed(f"{STATE_FOLDER}/{JOURNAL} cannot be read: {problem}") from None

    def text(self) -> bytes:
        """Return what stands on disk."""
        entries = [
            {"path": one.path, "old": one.old, "new": one.new, "temporary": one.temporary}
            for one in self.entries
        ]
        document = {
            "run": self.run,
            "state": self.state,
            "entries": entries,
            "folders": self.folders,
            "gone": self.gone,
        }
        return json.dumps(document, indent=1).encode()


@dataclass(slots=True)
class Undone:
    """What `undo` did: the files put back, and those it left since somebody edited them after the run."""

    restored: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Difference:
    """Which files of a run are not as they were: those that it wrote, and those that somebody edited since."""

    new: list[Entry] = field(default_factory=list)
    edited: list[Entry] = field(default_factory=list)
    left: list[Entry] = field(default_factory=list)


def _hash(path: Path) -> str | None:
    try:
        return digest(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None


class _Run:
    def __init__(self, root: Path, journal: Journal, disk: Disk) -> None:
        self.root, self.journal, self.disk = root, journal, disk
        self.state = root / STATE_FOLDER
        self.backup = self.state / "backup" / journal.run

    # Writing.

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        self.prepare_state()
        self.save_journal()
        self.keep_originals()
        for folder in self.journal.folders:
            self.disk.make_folder(self.root / folder)
        for entry in self.journal.entries:
            raw = changes[entry.path]
            if raw is not None and entry.temporary is not None:
                self.write_beside(entry, raw)
        for entry in self.journal.entries:
            if entry.temporary is not None:
                self.unchanged(entry)
                self.disk.replace(self.root / entry.temporary, self.root / entry.path)
        for entry in self.journal.entries:
            if entry.new is None:
                self.unchanged(entry)
                self.disk.remove(self.root / entry.path)
        for folder in self.journal.gone:
            with contextlib.suppress(OSError):  # something else is in it by now: it stays
                self.disk.remove_folder(self.root / folder)
        self.sync_folders()
        self.journal.state = "done"
        self.save_journal()

    def prepare_state(self) -> None:
        self.state.mkdir(exist_ok=True)
        ignore = self.state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="ascii")

    def save_journal(self) -> None:
        temporary = self.state / f"{JOURNAL}.{secrets.token_hex(4)}"
        self.put(temporary, self.journal.text(), 0o600)
        self.disk.replace(temporary, self.state / JOURNAL)
        self.sync_folder(self.state)

    def put(self, path: Path, raw: bytes, mode: int) -> None:
        descriptor = self.disk.make(path, 0o600)
        try:
            self.disk.write(descriptor, raw)
            self.disk.sync(descriptor)
        finally:
            os.close(descriptor)
        self.disk.mode(path, mode)

    def keep_originals(self) -> None:
        for entry in self.journal.entries:
            if entry.old is None:
                continue
            kept = self.backup / entry.path
            kept.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.disk.link(self.root / entry.path, kept)
            except OSError as problem:
                if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                    raise
                self.disk.copy(self.root / entry.path, kept)

    def write_beside(self, entry: Entry, raw: bytes) -> None:
        assert entry.temporary is not None  # noqa: S101 - the caller looked
        target, temporary = self.root / entry.path, self.root / entry.temporary
        origin = target if entry.old is not None else self.root / self.moved_from(entry)
        status = origin.stat() if origin.exists() else None
        mode = stat.S_IMODE(status.st_mode) if status is not None else 0o666 & ~_umask()
        self.put(temporary, raw, mode)
        if status is None:
            return
        if hasattr(os, "chown") and (status.st_uid, status.st_gid) != (os.getuid(), os.getgid()):
            with contextlib.suppress(OSError):  # only root may give files away
                os.chown(temporary, status.st_uid, status.st_gid)
                self.disk.mode(temporary, mode)
        with contextlib.suppress(OSError, AttributeError):
            for name in os.listxattr(origin):
                os.setxattr(temporary, name, os.getxattr(origin, name))

    def moved_from(self, entry: Entry) -> str:
        return self.moves.get(entry.path, entry.path)

    moves: dict[str, str]

    def unchanged(self, entry: Entry) -> None:
        if _hash(self.root / entry.path) != entry.old:
            raise WriteFailed(f"{entry.path} was changed by somebody else meanwhile")

    def sync_folders(self) -> None:
        for folder in sorted({(self.root / entry.path).parent for entry in self.journal.entries}):
            self.sync_folder(folder)

    def sync_folder(self, folder: Path) -> None:
        if os.name != "posix" or not folder.is_dir():
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            self.disk.sync(descriptor)
        finally:
            os.close(descriptor)

    # Putting back.

    def compare(self, *, over_edits: bool = False) -> _Difference:
        """Look at what has to go back; raises `WriteFailed` if an original is not what it was."""
        found = _Difference()
        for entry in reversed(self.journal.entries):
            now = _hash(self.root / entry.path)
            if now == entry.old:
                continue
            if now == entry.new:
                found.new.append(entry)
            elif over_edits:
                found.edited.append(entry)
            else:
                found.left.append(entry)
        self.refuse_damaged([*found.new, *found.edited])
        return found

    def restore(self, found: _Difference) -> Undone:
        for entry in self.journal.entries:
            for name in (entry.temporary, self.between(entry)):
                if name is not None:
                    (self.root / name).unlink(missing_ok=True)
        for entry in found.edited:
            self.keep_edited(entry)
        for entry in (*found.new, *found.edited):
            self.put_back(entry)
        for folder in reversed(self.journal.folders):
            with contextlib.suppress(OSError):
                (self.root / folder).rmdir()
        self.sync_folders()
        restored = sorted(entry.path for entry in (*found.new, *found.edited))
        return Undone(restored, sorted(entry.path for entry in found.left))

    def refuse_damaged(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.old is None:
                continue
            kept = self.backup / entry.path
            try:
                found = _hash(kept)
            except OSError as problem:
                raise WriteFailed(
                    f"the original of {entry.path} cannot be read: {_reason(problem)}"
                ) from None
            if found != entry.old:
                what = "is not there" if found is None else "was changed or is damaged"
                name = kept.relative_to(self.root).as_posix()
                raise WriteFailed(f"the original of {entry.path} {what} ({name}); nothing was put back")

    def between(self, entry: Entry) -> str:
        """Return the name under which an original comes back, which a run that was killed meanwhile leaves."""
        return _beside(entry.path, self.journal.run)

    def put_back(self, entry: Entry) -> None:
        target = self.root / entry.path
        if entry.old is None:
            target.unlink(missing_ok=True)
            return
        kept = self.backup / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        # By way of a second name, so that the original stays kept until all of them are back.
        between = self.root / self.between(entry)
        try:
            os.link(kept, between)
        except OSError:
            shutil.copy2(kept, between)
        between.replace(target)
        between.unlink(missing_ok=True)

    def keep_edited(self, entry: Entry) -> None:
        now = self.root / entry.path
        if now.exists():
            kept = self.state / "edited" / entry.path
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(now, kept)

    def forget(self, before: bytes | None = None) -> None:
        """Remove the journal and the originals of this run; the journal of the run `before` takes its place again."""
        path = self.state / JOURNAL
        if before is None:
            path.unlink(missing_ok=True)
            shutil.rmtree(self.state / "backup", ignore_errors=True)
        elif path.read_bytes() != before:
            temporary = self.state / f"{JOURNAL}.{secrets.token_hex(4)}"
            temporary.write_bytes(before)
            temporary.replace(path)
        shutil.rmtree(self.backup, ignore_errors=True)
        for stray in self.state.glob(f"{JOURNAL}.*"):
            stray.unlink(missing_ok=True)
        tidy(self.root)


def _beside(path: str, tag: str) -> str:
    """Return a hidden name in the folder of a file, no longer than file systems take."""
    head, slash, name = path.rpartition("/")
    return f"{head}{slash}.{os.fsdecode(os.fsencode(name)[:200])}.realtime-upgrade-{tag}"


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def _new_folders(root: Path, paths: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    for path in sorted(paths):
        parts = path.split("/")[:-1]
        for length in range(1, len(parts) + 1):
            folder = "/".join(parts[:length])
            if not (root / folder).exists():
                found[folder] = None
    return list(found)


def _emptied(root: Path, changes: Mapping[str, bytes | None]) -> list[str]:
    """Return the folders in which nothing is left, inner ones first."""
    going = {path for path, raw in changes.items() if raw is None}
    staying = {path for path, raw in changes.items() if raw is not None}
    folders = {
        "/".join(path.split("/")[:length]) for path in going for length in range(1, path.count("/") + 1)
    }
    gone: list[str] = []
    for folder in sorted(folders, key=lambda name: -name.count("/")):
        if any(path.startswith(f"{folder}/") for path in staying):
            continue
        there = {
            one.relative_to(root).as_posix() for one in (root / folder).iterdir() if one.name != "__pycache__"
        }
        if there <= going | set(gone):
            gone.append(folder)
    return gone


def _refuse_early(root: Path, changes: Mapping[str, bytes | None]) -> None:
    """Raise before anything is written if it cannot end well."""
    inside = root.resolve()
    for path in changes:
        folder = (root / path).parent
        while not folder.exists():
            folder = folder.parent
        if not folder.resolve().is_relative_to(inside):
            raise WriteFailed(f"{path} leads out of the project")
        if not os.access(folder, os.W_OK | os.X_OK):
            name = folder.relative_to(root).as_posix()
            raise WriteFailed(f"the folder {name} is read-only")
    size = sum(len(raw) for raw in changes.values() if raw is not None)
    free = shutil.disk_usage(root).free
    if free < 2 * size:
        raise WriteFailed(f"{free} bytes are free on the disk, twice the {size} bytes to write are needed")


def write_all(
    root: Path,
    changes: Mapping[str, bytes | None],
    hashes: Mapping[str, str | None],
    *,
    moves: Mapping[str, str] | None = None,
    disk: Disk | None = None,
) -> None:
    """Put new contents into the files below `root`, all of them or none.

    Args:
        root: the project folder.
        changes: new content by path below it, with ``/``; None for a file that goes.
        hashes: what each file held when the plan was made (None: was not there); a file that holds something else by
            now stops the run.
        moves: old path by new one, for the mode of a file that gets a new name.
        disk: the calls that change the disk.

    Raises:
        WriteFailed: nothing has been changed.
        NotRestored: something has, and could not be put back.
        KeyboardInterrupt: after everything has been put back.
    """
    if not changes:
        return
    _refuse_early(root, changes)
    journal = Journal(secrets.token_hex(6))
    for path, raw in sorted(changes.items()):
        temporary = _beside(path, secrets.token_hex(4))
        journal.entries.append(
            Entry(
                path, hashes[path], None if raw is None else digest(raw), None if raw is None else temporary
            )
        )
    journal.folders = _new_folders(root, [path for path, raw in changes.items() if raw is not None])
    journal.gone = _emptied(root, changes)
    run = _Run(root, journal, disk or Disk())
    run.moves = dict(moves or {})
    earlier = root / STATE_FOLDER / JOURNAL
    before = earlier.read_bytes() if earlier.exists() else None
    try:
        run.write(changes)
    except BaseException as problem:
        reason = _reason(problem)
        try:
            with _undisturbed():
                left = run.restore(run.compare()).left
                if not left or isinstance(problem, WriteFailed):
                    run.forget(before)
        except (OSError, WriteFailed) as second:
            raise NotRestored(f"{reason}; putting the files back failed, too: {_reason(second)}") from problem
        if left and not isinstance(problem, WriteFailed):
            raise NotRestored(f"{reason}; changed meanwhile and left: {', '.join(left)}") from problem
        if isinstance(problem, OSError):
            raise WriteFailed(reason) from problem
        raise
    with _undisturbed():
        for other in (run.state / "backup").glob("*"):
            if other.name != journal.run:
                shutil.rmtree(other, ignore_errors=True)


def _reason(problem: BaseException) -> str:
    if isinstance(problem, KeyboardInterrupt):
        return "interrupted"
    if isinstance(problem, OSError):
        where = f" ({Path(problem.filename).name})" if isinstance(problem.filename, str) else ""
        return f"{problem.strerror or problem}{where}"
    return str(problem) or type(problem).__name__


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold signals that would end the process until the block is over."""
    import signal
    import threading

    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def undo(root: Path, *, over_edits: bool = False) -> Undone | None:
    """Put back what the last run changed, whether it came to its end or not.

    Args:
        root: the project folder.
        over_edits: also put back files that were edited after the run; what they hold is kept in
            ``.realtime-upgrade/edited``. Without it, one such file means that a run that ended well is left as it is.

    Returns:
        What was done; None if there is nothing to undo.

    Raises:
        WriteFailed: the journal or an original cannot be read, or an original is not what it was; then nothing has
            been changed.
    """
    journal = Journal.read(root)
    if journal is None:
        return None
    run = _Run(root, journal, Disk())
    if journal.state == "done" and not over_edits:
        edited = [one.path for one in journal.entries if _hash(root / one.path) not in (one.new, one.old)]
        if edited:
            return Undone(left=edited)
    try:
        with _undisturbed():
            found = run.compare(over_edits=over_edits)
            run.journal.state = "undoing"  # should this be killed, it is told, and can be done once more
            run.save_journal()
            undone = run.restore(found)
            if not undone.left:
                run.forget()
    except OSError as problem:
        raise WriteFailed(f"putting the files back failed: {_reason(problem)}") from problem
    return undone


def tidy(root: Path) -> None:
    """Remove the state folder if there is nothing in it that anybody needs."""
    state = root / STATE_FOLDER
    if state.is_dir() and {one.name for one in state.iterdir()} <= {".gitignore"}:
        shutil.rmtree(state, ignore_errors=True)


def last_run(root: Path) -> str | None:
    """Return the name of the run that `undo` would undo; None if there is none."""
    journal = Journal.read(root)
    return journal.run if journal is not None else None


def unfinished(root: Path) -> tuple[list[str], list[str]] | None:
    """Return the files that are still old and those that are new already, of a run that was killed."""
    journal = Journal.read(root)
    if journal is None or journal.state == "done":
        return None
    old: list[str] = []
    new: list[str] = []
    for entry in journal.entries:
        (new if _hash(root / entry.path) == entry.new else old).append(entry.path)
    return old, new
