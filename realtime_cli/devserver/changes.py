"""What a set of changed files asks for: new live code, new styles, a new page, or a new worker.

Pure: paths in, a decision out. All paths are relative to the project, with forward slashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from realtime_cli.devserver.dotenv import DOTENV_FILE
from realtime_cli.project import SETTINGS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Changes", "Layout", "classify", "is_ignored"]

RESTART_FILES = frozenset({DOTENV_FILE, SETTINGS_FILE, "pyproject.toml"})

_IGNORED_FOLDERS = frozenset({"__pycache__", "node_modules", "venv", "site-packages"})
_IGNORED_TOP_FOLDERS = frozenset({"types", "tests", "test", "data", "build", "dist"})
_IGNORED_SUFFIXES = (
    *(
        ".swp",
        ".swo",
        ".swx",
        ".crswap",
        "~",
        "___jb_tmp___",
        "___jb_old___",
        ".tmp",
        ".part",
        ".bak",
        ".orig",
    ),
    *(".pyc", ".pyo", ".pyi", ".log"),
    *(".sqlite", ".sqlite3", ".db", "-wal", "-shm", "-journal"),
)
_IGNORED_NAMES = frozenset({"4913"})  # vim tries with this name whether it may write


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a project are, relative to its root. Spec: platform 4, `[server]`."""

    live: str = "live"
    web: str = "web"
    hooks: str = "hooks.py"


@dataclass(slots=True)
class Changes:
    """Changed files, sorted by what they ask for.

    `live`: modules to load again. `css`: URL paths of changed style sheets. `page`: files for which pages
    load again. `restart`: files that only a new worker reads. `python`: modules that ask for a new worker if the
    running one has imported them, which only that one knows.
    """

    live: set[str] = field(default_factory=set)
    css: set[str] = field(default_factory=set)
    page: set[str] = field(default_factory=set)
    restart: set[str] = field(default_factory=set)
    python: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.live or self.css or self.page or self.restart or self.python)

    def copy(self) -> Changes:
        """Return the same files in sets of their own."""
        return Changes(set(self.live), set(self.css), set(self.page), set(self.restart), set(self.python))

    def add(self, other: Changes) -> None:
        """Take over what `other` holds."""
        self.live |= other.live
        self.css |= other.css
        self.page |= other.page
        self.restart |= other.restart
        self.python |= other.python


def is_ignored(path: str, layout: Layout, *, folder: bool = False) -> bool:
    """Whether a change of this file (or of anything in this folder) never matters.

    Left out are caches, virtual environments, `node_modules`, everything whose name begins with a dot except
    `.env`, what editors put beside a file while they save it, databases, and the project's own `types`, `tests`,
    `data`, `build` and `dist` folders unless live modules or pages are in there.
    """
    parts = PurePosixPath(path).parts
    if not parts or path == DOTENV_FILE:
        return False
    folders, name = (parts, "") if folder else (parts[:-1], parts[-1])
    if any(part.startswith(".") or part in _IGNORED_FOLDERS for part in folders):
        return True
    if folders and folders[0] in _IGNORED_TOP_FOLDERS and not _leads_to(folders, layout):
        return True
    if folder:
        return False
    return name.startswith((".", "#")) or name in _IGNORED_NAMES or name.endswith(_IGNORED_SUFFIXES)


def _leads_to(folders: tuple[str, ...], layout: Layout) -> bool:
    """Whether a folder is the live or web folder, lies in it, or holds it."""
    for place in (layout.live, layout.web):
        wanted = PurePosixPath(place).parts
        shared = min(len(wanted), len(folders))
        if wanted[:shared] == folders[:shared]:
            return True
    return False


def classify(paths: Iterable[str], layout: Layout) -> Changes:
    """Sort changed files by what they ask for; ignored ones and those that nothing reads are left out."""
    changes = Changes()
    for path in paths:
        if is_ignored(path, layout):
            continue
        pure = PurePosixPath(path)
        if path in RESTART_FILES or pure == PurePosixPath(layout.hooks):
            changes.restart.add(path)
        elif pure.is_relative_to(layout.live):
            if pure.suffix == ".py":
                changes.live.add(path)
        elif pure.is_relative_to(layout.web):
            if pure.suffix == ".css":
                changes.css.add(f"/{pure.relative_to(layout.web)}")
            else:
                changes.page.add(path)
        elif pure.suffix == ".py":
            changes.python.add(path)
    return changes
