"""Making a project from a template: render aside, then put in place, then start its git history.

The template is rendered into a temporary folder beside the target, so a template that fails leaves nothing
behind; if putting the files in place fails, what was put there is removed and what was overwritten restored.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from realtime_cli.projectname import import_name, title_of

if TYPE_CHECKING:
    from realtime_cli.templates import Template

__all__ = ["GitState", "MadeProject", "make_project", "start_history"]

GitState = Literal["committed", "initialised", "inside another repository", "no git"]

GIT_TIMEOUT = 30
"""Seconds that one git command may take."""


@dataclass(frozen=True, slots=True)
class MadeProject:
    """What `make_project` put on disk: the folder and its files, relative and sorted."""

    folder: Path
    files: tuple[str, ...]


def make_project(template: Template, name: str, target: Path) -> MadeProject:
    """Render `template` into `target`, overwriting files of the same names, leaving others alone.

    Raises:
        OSError: a file or folder could not be written; `target` is as it was before.
        Exception: whatever copier raises for a broken template; `target` is as it was before.
    """
    missing = target
    while not missing.parent.exists():
        missing = missing.parent
    with ExitStack() as undo:
        if not target.exists():
            undo.callback(shutil.rmtree, missing, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as staging:
            _render(template, name, Path(staging))
            files = _put_in_place(Path(staging), target, undo)
        undo.pop_all()
    return MadeProject(target, tuple(files))


def _render(template: Template, name: str, staging: Path) -> None:
    from copier import run_copy

    answers: dict[str, Any] = {
        "project_name": name,
        "import_name": import_name(name),
        "title": title_of(name),
    }
    run_copy(str(template.folder), staging, data=answers, defaults=True, overwrite=True, quiet=True)


def _put_in_place(staging: Path, target: Path, undo: ExitStack) -> list[str]:
    files = []
    for source in sorted(staging.rglob("*")):
        relative = source.relative_to(staging)
        destination = target / relative
        if source.is_dir():
            if not destination.is_dir():
                undo.callback(shutil.rmtree, destination, ignore_errors=True)
                destination.mkdir(parents=True)
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.exists():
            undo.callback(destination.write_bytes, destination.read_bytes())
        else:
            undo.callback(destination.unlink, missing_ok=True)
        shutil.copy(source, destination)
        files.append(relative.as_posix())
    return files


def start_history(folder: Path, message: str) -> GitState:
    """Make `folder` a git repository with a first commit, as far as this machine allows.

    Without git, or inside another repository, nothing happens. Without a configured author the files are left
    uncommitted. Never raises; never asks.
    """
    if shutil.which("git") is None:
        return "no git"
    inside = _git(folder, "rev-parse", "--is-inside-work-tree")
    if inside is not None and _git(folder, "check-ignore", "-q", ".") is None:
        return "inside another repository"
    if _git(folder, "-c", "init.defaultBranch=main", "init", "-q") is None:
        return "no git"
    if _git(folder, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT") is None:
        return "initialised"
    added = _git(folder, "add", "--all")
    commit = ("commit", "-q", "--no-verify", "--no-gpg-sign", "-m", message)
    return "initialised" if added is None or _git(folder, *commit) is None else "committed"


def _git(folder: Path, *arguments: str) -> str | None:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
