"""The import pass: what the modules of a project register, found out in a process of its own. Spec: platform 8.1.

A module that hangs, ends the interpreter, prints or opens a socket harms nobody: the process has a time limit, its
output goes nowhere, and sockets are refused in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["TIME_LIMIT", "Imported", "import_project"]

TIME_LIMIT = 30.0  # seconds for all modules together
WORKER = "realtime_cli.rules.importworker"


@dataclass(frozen=True)
class Imported:
    """What the process reported.

    Attributes:
        problems: what does not import or register: `file`, `line`, `column`, `kind`, `message`, `hint`.
        endpoints: what is registered: `path`, `kind`, `file`, `line`, and what `importworker` adds.
        facts: what else the worker tells of the app, by name.
        failure: why there is no report, None when there is one; then the rest is empty.
        last: the file that was being imported when the process ended, where that is known.
    """

    problems: tuple[Mapping[str, Any], ...] = ()
    endpoints: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    failure: str | None = None
    last: str | None = None


def import_project(
    root: Path,
    *,
    env: str,
    environ: Mapping[str, str],
    time_limit: float = TIME_LIMIT,
    python: Path | None = None,
) -> Imported:
    """Import hooks and live modules in a process of their own and return what they registered.

    `time_limit` is in seconds; when it is over the process ends with everything that it started. `python` is the
    interpreter; ours if absent.
    """
    with tempfile.TemporaryDirectory(prefix="realtime-check-") as folder:
        report, progress = Path(folder, "report.json"), Path(folder, "progress")
        command = [str(python or sys.executable), "-m", WORKER, str(root), env, str(report), str(progress)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**environ, "REALTIME_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=root,
            start_new_session=True,
        )
        try:
            process.wait(time_limit)
            failure = None
        except subprocess.TimeoutExpired:
            failure = f"the import did not end within {time_limit:g} seconds"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        last = progress.read_text(encoding="utf-8") if progress.exists() else None
        if failure is None and not report.exists():
            failure = f"the import ended the interpreter with exit code {process.returncode}"
        if failure is not None:
            return Imported(failure=failure, last=last)
        data = json.loads(report.read_text(encoding="utf-8"))
        return Imported(tuple(data["problems"]), tuple(data["endpoints"]), data["facts"])
