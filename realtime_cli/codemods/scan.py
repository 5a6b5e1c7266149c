"""Which files belong to the project: what git knows, or a walk that honours ``.gitignore``. Spec: upgrade 4.1, 4.3."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from pathspec import GitIgnoreSpec

__all__ = ["EXCLUDED", "MAX_FILE_BYTES", "Scanned", "is_relevant", "scan"]

MAX_FILE_BYTES = 2 * 1024 * 1024
"""Larger files are left alone. Spec: upgrade 4.1."""
EXCLUDED = frozenset(
    {
        ".git",
        ".realtime-upgrade",
        ".venv",
        "__pycache__",
        "build",
        "dist",
        "node_modules",
        "site-packages",
        "venv",
    }
)
"""Folders of generated and foreign files, at any depth."""
_SUFFIXES = (
    *(".py", ".pyi", ".toml", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".svelte", ".html", ".ipynb"),
    *(".json", ".yml", ".yaml", ".cfg", ".service"),
)
_NAMES = (
    "requirements*.txt",
    "constraints*.txt",
    ".env*",
    "*.env",
    "Dockerfile*",
    "*.dockerfile",
    "Containerfile*",
    "Procfile*",
)


@dataclass(slots=True)
class Scanned:
    """The files of a project, and what was left out and why.

    Attributes:
        paths: below the root, with ``/``, sorted; links to files inside are under the name of their target.
        skipped: path and reason of each file that is left alone.
        notes: what the user should know of files that are edited.
    """

    paths: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


def is_relevant(path: str) -> bool:
    """Say whether the command looks at files of such a name."""
    name = path.rpartition("/")[2]
    return name.endswith(_SUFFIXES) or any(fnmatch(name, pattern) for pattern in _NAMES)


def scan(root: Path, *, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> Scanned:
    """List the files below `root` that the command looks at.

    Args:
        root: the project folder.
        include: patterns of paths below it that are looked at although they would be excluded.
        exclude: patterns of paths that are not looked at.
    """
    listed = _from_git(root)
    found = set(_walk(root) if listed is None else listed)
    if include:
        found |= {path for path in _walk(root, everything=True) if _matches(path, include)}
    scanned = Scanned()
    inside = root.resolve()
    for path in sorted(found):
        if not is_relevant(path) or _matches(path, exclude):
            continue
        if _is_excluded(path) and not _matches(path, include):
            continue
        _look(inside, path, scanned)
    scanned.paths = sorted(set(scanned.paths))
    return scanned


def _look(root: Path, path: str, scanned: Scanned) -> None:
    whole = root / path
    try:
        status = whole.lstat()
    except FileNotFoundError:  # git still lists what was removed
        return
    except OSError as problem:
        scanned.skipped.append((path, f"cannot be read: {problem.strerror or problem}"))
        return
    try:
        if stat.S_ISLNK(status.st_mode):
            target = whole.resolve(strict=True)
            if not target.is_relative_to(root):
                scanned.skipped.append((path, "is a link out of the project"))
                return
            status = target.stat()
            if stat.S_ISREG(status.st_mode):
                path = target.relative_to(root).as_posix()
                if _is_excluded(path):
                    return
        if not stat.S_ISREG(status.st_mode):
            return
        if _crosses_link(root, path):
            return
        if status.st_size > MAX_FILE_BYTES:
            scanned.skipped.append((path, f"is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB"))
            return
        if not os.access(whole, os.R_OK):
            scanned.skipped.append((path, "cannot be read"))
            return
        if status.st_nlink > 1:
            scanned.notes.append((path, "has more than one name; an edit parts them"))
    except (OSError, RuntimeError) as problem:  # a loop of links, a file that has just gone
        scanned.skipped.append((path, f"cannot be read: {getattr(problem, 'strerror', None) or problem}"))
        return
    scanned.paths.append(path)


def _crosses_link(root: Path, path: str) -> bool:
    parent = root
    for part in PurePosixPath(path).parts[:-1]:
        parent = parent / part
        if parent.is_symlink():
            return True
    return False


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path, pattern) or fnmatch(path, f"{pattern.rstrip('/')}/*") for pattern in patterns)


def _is_excluded(path: str) -> bool:
    return any(part in EXCLUDED for part in path.split("/")[:-1])


def _from_git(root: Path) -> list[str] | None:
    """Return what git lists below `root`, without nested repositories; None if `root` is in no work tree."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard", "--", "."],
            cwd=root,
            capture_output=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name and not name.endswith(b"/")]


def _walk(root: Path, *, everything: bool = False) -> list[str]:
    found: list[str] = []
    specs: list[tuple[str, GitIgnoreSpec]] = []
    for folder, names, files in os.walk(root):
        here = Path(folder).relative_to(root).as_posix()
        prefix = "" if here == "." else f"{here}/"
        ignore = Path(folder) / ".gitignore"
        if not everything and ignore.is_file():
            text = ignore.read_text(encoding="utf-8", errors="replace")
            specs.append((prefix, GitIgnoreSpec.from_lines(text.splitlines())))
        names[:] = [
            name
            for name in sorted(names)
            if name != ".git"
            and (everything or name not in EXCLUDED)
            and not (Path(folder) / name).is_symlink()
            and not (Path(folder) / name / ".git").exists()
            and not _ignored(f"{prefix}{name}/", specs)
        ]
        found += [f"{prefix}{name}" for name in files if not _ignored(f"{prefix}{name}", specs)]
    return found


def _ignored(path: str, specs: list[tuple[str, GitIgnoreSpec]]) -> bool:
    return any(path.startswith(prefix) and spec.match_file(path[len(prefix) :]) for prefix, spec in specs)
