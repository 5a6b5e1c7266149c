"""What `realtime serve` says of a project after its start: the errors that `realtime check` finds in it.

A process of its own looks at the files with the lowest priority, and a thread waits for it: the server is up meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_command", "check_in_background", "lowest_priority"]

logger = logging.getLogger("realtime.check")

TIME_LIMIT = 120.0  # seconds that a look may take
MAX_TOLD = 10  # errors that are logged one by one


def check_command(env: str) -> list[str]:
    """Return the command that looks at the files of the project in the working directory and prints JSON."""
    return [sys.executable, "-m", "realtime_cli", "check", "--format", "json", "--no-import", "--env", env]


def lowest_priority() -> None:
    """Let everything else go first; for the process that looks."""
    with contextlib.suppress(OSError, AttributeError):  # not on Windows
        os.nice(15)


def check_in_background(project: Path, env: str) -> threading.Thread:
    """Look at a project, and log each error; return the thread that does it, which keeps nobody from ending."""
    thread = threading.Thread(target=_check, args=(project, env), name="check", daemon=True)
    thread.start()
    return thread


def _check(project: Path, env: str) -> None:
    try:
        done = subprocess.run(
            check_command(env),
            cwd=project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIME_LIMIT,
            check=False,
            start_new_session=True,
            preexec_fn=lowest_priority,
        )
        findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        errors = [one for one in findings if one["severity"] == "error"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        logger.debug("the project could not be checked", exc_info=True)
        return
    for one in errors[:MAX_TOLD]:
        place = f"{one['path']}:{one['line']}"
        logger.error("%s: %s %s; %s", place, one["rule"], one["message"], one["fix"])
    if len(errors) > MAX_TOLD:
        logger.error("and %d more errors: realtime check shows them", len(errors) - MAX_TOLD)
