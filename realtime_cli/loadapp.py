"""Loading a project's code to look at it, without serving it.

Imports the server: commands import this module when they run, not before.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.exitcodes import COULD_NOT_START, USAGE, CommandFailed
from runtime.core.settings import Settings, SettingsError
from runtime.live.problems import LoadProblem
from runtime.live.registry import Registry
from runtime.server.assembly import StartupError, assemble
from runtime.server.current import forget_platform, set_platform
from runtime.server.settings_source import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

__all__ = ["LoadedCode", "load_code", "read_settings"]


@dataclass(frozen=True, slots=True)
class LoadedCode:
    """What the project declares, and what of it does not load."""

    registry: Registry
    problems: list[LoadProblem]
    settings: Settings


def read_settings(project: Path, *, flags: Mapping[str, Any] | None = None, env_default: str) -> Settings:
    """Read the effective settings of a project.

    Raises:
        CommandFailed: with exit code 2, if they cannot be read; the message says where and why.
    """
    try:
        return load_settings(project, flags=flags, env_default=env_default).settings
    except SettingsError as problem:
        raise CommandFailed(
            str(problem), hint="correct the setting and run the command again", code=USAGE
        ) from problem


def load_code(project: Path) -> LoadedCode:
    """Import ``hooks.py`` and the live modules as ``realtime dev`` would; mistakes are in `problems`.

    Raises:
        CommandFailed: the settings cannot be read (exit code 2), or a file hides a package of ours (3).
    """
    logging.getLogger("realtime").addHandler(logging.NullHandler())  # what is wrong is in `problems`
    settings = read_settings(project, flags={"server.env": "dev"}, env_default="dev")
    app = assemble(project, settings)
    set_platform(app.platform, settings)
    try:
        app.load()
    except StartupError as problem:
        raise CommandFailed(str(problem), code=COULD_NOT_START) from problem
    finally:
        forget_platform(app.platform)
    return LoadedCode(app.live.registry, app.problems, settings)
