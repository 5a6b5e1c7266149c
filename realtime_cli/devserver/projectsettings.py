"""The settings of a project in dev, with its `.env`; or exactly which line is in the way.

Imports neither the server nor Starlette: the parent process needs no more than this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from realtime_cli.devserver.channel import Problem, problem_of
from realtime_cli.devserver.dotenv import DOTENV_FILE, DotenvError, add_dotenv
from realtime_cli.exitcodes import USAGE
from realtime_cli.project import SETTINGS_FILE
from runtime.core.settings import SettingsError
from runtime.live.problems import LoadProblem, excerpt
from runtime.server.settings_source import LoadedSettings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from pathlib import Path

__all__ = ["START_AGAIN", "CannotStart", "read_settings"]

DEV_HOST = "127.0.0.1"
"""Address of the dev server unless `[server] host` or ``--host`` says otherwise: it shows source code."""

DEV_SHUTDOWN_TIMEOUT = 0.5
"""Seconds that running calls have at Ctrl-C, unless the project sets `[server] shutdown_timeout`."""


READ_AGAIN = "correct {file}; it is read again when you save it"
START_AGAIN = "correct {file} and run realtime dev again"


class CannotStart(Exception):
    """The project cannot be served. `exit_code` is what the command ends with if nothing else serves."""

    def __init__(self, problems: list[Problem], exit_code: int) -> None:
        super().__init__("; ".join(f"{problem['file']}: {problem['message']}" for problem in problems))
        self.problems = problems
        self.exit_code = exit_code


def read_settings(
    project: Path, flags: Mapping[str, Any], environ: MutableMapping[str, str], *, remedy: str = READ_AGAIN
) -> LoadedSettings:
    """Add `.env` to `environ` and return the settings of the project in dev.

    Args:
        remedy: what a mistake's hint says with the name of the file in place of `{file}`.

    Raises:
        CannotStart: `.env` or `realtime.toml` cannot be read, or a value does not fit (exit code 2).
    """
    try:
        environ.update(add_dotenv(project, environ))
        loaded = load_settings(
            project, flags={**flags, "server.env": "dev"}, environ=environ, env_default="dev"
        )
    except DotenvError as error:
        raise CannotStart([_located(project, DOTENV_FILE, error.line, error, remedy)], USAGE) from error
    except SettingsError as error:
        file, _, line = (error.origin or "").rpartition(":")
        if file == SETTINGS_FILE and line.isdigit():
            problem = _located(project, file, int(line), error, remedy)
        else:
            problem = _located(project, SETTINGS_FILE, None, error, remedy)
        raise CannotStart([problem], USAGE) from error
    changed: dict[str, Any] = {}
    if loaded.origins.get("server.host") == "default":
        changed["host"] = DEV_HOST
    if loaded.origins.get("server.shutdown_timeout") == "default":
        changed["shutdown_timeout"] = DEV_SHUTDOWN_TIMEOUT
    server = msgspec.structs.replace(loaded.settings.server, **changed)
    return LoadedSettings(msgspec.structs.replace(loaded.settings, server=server), loaded.origins)


def _located(project: Path, file: str, line: int | None, error: Exception, remedy: str) -> Problem:
    shown = excerpt(project / file, line) if file == SETTINGS_FILE else []  # .env holds secrets
    hint = remedy.format(file=file)
    return problem_of(LoadProblem(file, line, type(error).__name__, str(error), hint, excerpt=shown))
