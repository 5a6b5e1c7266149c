"""Finding the project a command works on.

A project is the folder that holds ``realtime.toml``.
"""

from __future__ import annotations

from pathlib import Path

from realtime_cli.exitcodes import USAGE, CommandFailed

__all__ = ["SETTINGS_FILE", "find_project"]

SETTINGS_FILE = "realtime.toml"


def find_project(given: Path | None = None, *, start: Path | None = None) -> Path:
    """Give back the absolute path of the project root.

    Args:
        given: what ``--project`` said: the folder, or its ``realtime.toml``. No search is made from it.
        start: where the upward search begins when `given` is absent; the working directory if absent too.

    Raises:
        CommandFailed: with exit code 2, if there is no project.
    """
    if given is not None:
        root = given.parent if given.name == SETTINGS_FILE else given
        if not root.exists():
            raise CommandFailed(
                f"--project: there is no folder {str(root)!r}", hint="realtime new NAME", code=USAGE
            )
        if not (root / SETTINGS_FILE).is_file():
            raise CommandFailed(
                f"--project: no {SETTINGS_FILE} in {str(root)!r}",
                hint=f"name the folder that holds {SETTINGS_FILE}, or make a project with: realtime new NAME",
                code=USAGE,
            )
        return root.resolve()
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / SETTINGS_FILE).is_file():
            return folder
    raise CommandFailed(
        f"no {SETTINGS_FILE} in {str(here)!r} or any folder above it",
        hint="change into a project, pass --project PATH, or make one with: realtime new NAME",
        code=USAGE,
    )
