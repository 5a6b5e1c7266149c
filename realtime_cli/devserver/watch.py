"""From file events to batches: at once for a save, one batch for a storm.

`Grouper` decides when a batch is complete and is pure. `FileWatcher` brings the events of the file system in,
from threads of its own. What a batch means is decided in `realtime_cli.devserver.changes`.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_cli.devserver.changes import is_ignored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from realtime_cli.devserver.changes import Layout

__all__ = ["FileWatcher", "Grouper", "find_git_lock"]

QUIET = 0.08
"""Seconds without an event that end a storm."""

MAX_HOLD = 2.0
"""Seconds after which a batch goes out even if events keep coming or git keeps its lock."""

MAX_AT_ONCE = 3
"""A batch of more files is a storm."""

AFTERSHOCK = 0.015
"""Events so soon (seconds) after a batch belong to the same storm, such as an editor's "save all"."""

STEP_MS = 5
"""How often the file system's events are collected, in milliseconds. watchfiles' own default is 50."""

ROOT_STEP_MS = 20
"""The same for the project's own folder, whose files ask for a new worker."""

FIRST_ANSWER_MS = 20
"""How long the first look takes, after which the watching is known to work."""

COLLECT_MS = 20
"""Longest time in milliseconds for which events that follow each other within a step are collected."""


class Grouper:
    """Collects changed paths and says when they are a complete batch. Times are seconds of a monotonic clock.

    A few files after a quiet time are complete at once. Many files, files right behind the batch before, and
    files that change while git works wait for `QUIET` seconds without an event, at most `MAX_HOLD` in all.
    """

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._first = 0.0
        self._last = 0.0
        self._delivered: float | None = None
        self._storm = False

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def is_storm(self) -> bool:
        """Whether more may have changed than was reported yet."""
        return self._storm

    def feed(self, paths: Iterable[str], now: float, *, hold: bool = False) -> None:
        """Take changed paths in; with `hold` they are a storm whatever their number."""
        if not self._paths:
            self._first = now
            self._storm = self._delivered is not None and now - self._delivered <= AFTERSHOCK
        self._paths.update(paths)
        self._last = now
        self._storm = self._storm or hold or len(self._paths) > MAX_AT_ONCE

    def due_in(self, now: float, *, git_busy: bool = False) -> float | None:
        """Return the seconds until the batch is complete, 0 if it is now, or `None` if there is none.

        With `git_busy` the answer is when to ask again.
        """
        if not self._paths:
            return None
        left = self._first + MAX_HOLD - now
        if git_busy:
            self._storm = True
            self._last = now
        wait = self._last + QUIET - now if self._storm else 0.0
        return max(0.0, min(wait, left))

    def take(self, now: float) -> set[str]:
        """Return the batch and begin a new one."""
        paths, self._paths = self._paths, set()
        self._delivered = now
        return paths


def find_git_lock(project: Path) -> Path | None:
    """Return where git puts its lock while it changes the files of `project`; `None` outside a repository."""
    for folder in (project, *project.parents):
        git = folder / ".git"
        if git.is_dir():
            return git / "index.lock"
        if git.is_file():  # a linked work tree: "gitdir: <path>"
            try:
                _, _, target = git.read_text(encoding="utf-8").partition("gitdir:")
            except (OSError, UnicodeDecodeError):
                return None
            return folder / target.strip() / "index.lock"
    return None


class FileWatcher:
    """Reports changed paths below `project`, relative to it, until it is closed.

    The project's own folder and the folders in it are watched apart, so that a virtual environment or
    `node_modules` beside the code costs nothing. A folder that appears is reported itself: what was put into
    it before it was watched has to be looked for.

    Args:
        project: an absolute path without symbolic links.
        report: called with a non-empty set of paths, from threads of the watcher.
        fail: called with a sentence if the system ends the watching later on, from such a thread too.
    """

    def __init__(
        self,
        project: Path,
        layout: Layout,
        report: Callable[[set[str]], None],
        fail: Callable[[str], None],
    ) -> None:
        self._project = project
        self._layout = layout
        self._report = report
        self._fail = fail
        self._stop = threading.Event()
        self._stop_below = threading.Event()
        self._below: frozenset[str] = frozenset()
        self._root_thread: threading.Thread | None = None
        self._below_threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to watch; when this returns, changes are noticed.

        Raises:
            OSError: the system does not let us watch (Linux: too few inotify watches).
        """
        if not self._project.is_dir():
            raise NotADirectoryError(f"cannot watch {self._project} for changes: there is no such folder")
        self._root_thread = self._launch(
            [self._project], self._stop, self._on_root, step_ms=ROOT_STEP_MS, recursive=False
        )
        try:
            self._watch_below()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Stop watching and wait for the threads, which takes some milliseconds."""
        self._stop.set()
        if self._root_thread is not None:
            self._root_thread.join()
        self._stop_below.set()
        for thread in self._below_threads:
            thread.join()

    def _watch_below(self, concerned: frozenset[str] = frozenset()) -> set[str]:
        """Watch the present folders if they are not watched yet; return the names that are new or gone.

        A folder in `concerned` counts as new: one that was deleted and made again has the same name, and may
        even have the same inode.
        """
        present = frozenset(self._folders())
        differing = set((present ^ self._below) | (concerned & present))
        if not differing:
            return differing
        stop = threading.Event()
        if present:
            paths = [self._project / name for name in sorted(present)]
            thread = self._launch(paths, stop, self._report_wanted, step_ms=STEP_MS, recursive=True)
            self._below_threads = [*(known for known in self._below_threads if known.is_alive()), thread]
        self._stop_below.set()  # only now, so that nothing goes unseen in between
        self._stop_below, self._below = stop, present
        return differing

    def _folders(self) -> Iterator[str]:
        for entry in self._project.iterdir():
            if entry.is_dir() and not is_ignored(entry.name, self._layout, folder=True):
                yield entry.name

    def _launch(
        self,
        folders: list[Path],
        stop: threading.Event,
        receive: Callable[[set[str]], None],
        *,
        step_ms: int,
        recursive: bool,
    ) -> threading.Thread:
        from watchfiles import watch

        ready = threading.Event()
        failures: list[str] = []

        def pump() -> None:
            try:
                for batch in watch(
                    *folders,
                    watch_filter=None,
                    debounce=COLLECT_MS,
                    step=step_ms,
                    stop_event=stop,
                    rust_timeout=FIRST_ANSWER_MS,
                    yield_on_timeout=True,
                    recursive=recursive,
                    ignore_permission_denied=True,
                ):
                    ready.set()
                    if batch:
                        receive({self._relative(path) for _, path in batch})
            except Exception as error:
                text = f"cannot watch {self._project} for changes: {error}"
                if ready.is_set():
                    self._fail(text)
                failures.append(text)
            finally:
                ready.set()

        thread = threading.Thread(target=pump, name="realtime-watch", daemon=True)
        thread.start()
        ready.wait()
        if failures:
            raise OSError(failures[0])
        return thread

    def _relative(self, path: str) -> str:
        try:
            relative = Path(path).relative_to(self._project).as_posix()
        except ValueError:
            return ""
        return "" if relative == "." else relative

    def _on_root(self, paths: set[str]) -> None:
        self._report_wanted(paths | self._watch_below(frozenset(paths)))

    def _report_wanted(self, paths: set[str]) -> None:
        wanted = {path for path in paths if path and not is_ignored(path, self._layout)}
        if wanted:
            self._report(wanted)
