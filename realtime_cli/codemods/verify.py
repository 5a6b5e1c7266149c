"""What was written is looked at once more: does it compile, does it import, is it safe. Spec: upgrade 4.4."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime_cli.codemods.encoded import Encoded, UnreadableSource
from realtime_cli.codemods.syntax import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IMPORT_LIMIT", "Verified", "compiled", "examined", "interpreter_of"]

IMPORT_LIMIT = 60.0  # seconds for hooks and live modules together
CHECK_LIMIT = 120.0
PACKAGE_VERSION = "import importlib.metadata as m; print(m.version('realtime-toolkit'))"


@dataclass(frozen=True, slots=True)
class Verified:
    """One result of the verification.

    Attributes:
        step: ``compile``, ``settings``, ``import`` or ``check``.
        ok: whether nothing is wrong.
        path: the file, if it is about one.
        line: in it, from 1; 0 if not known.
        message: what is wrong, or a note.
        rule: of `realtime check`.
    """

    step: str
    ok: bool
    path: str = ""
    line: int = 0
    message: str = ""
    rule: str = ""


def compiled(root: Path, paths: Iterable[str]) -> list[Verified]:
    """Compile every Python file and parse every TOML file among `paths`; returns what fails, which is our mistake."""
    found = []
    for path in sorted(paths):
        try:
            raw = (root / path).read_bytes()
            if path.endswith((".py", ".pyi")):
                compile(parsed(Encoded.python(raw).data, path), path, "exec", dont_inherit=True)
            elif path.endswith(".toml"):
                tomllib.loads(raw.decode("utf-8-sig"))
        except (OSError, SyntaxError, ValueError, UnreadableSource) as problem:
            line = getattr(problem, "lineno", None) or 0
            found.append(Verified("compile", False, path, line, str(problem)))
    return found


def interpreter_of(root: Path, given: Path | None, environ: dict[str, str]) -> Path:
    """Return the Python of the project: `given`, else of ``VIRTUAL_ENV``, else of its ``.venv``, else ours."""
    if given is not None:
        return given
    folders = [Path(environ["VIRTUAL_ENV"])] if environ.get("VIRTUAL_ENV") else []
    for folder in (*folders, root / ".venv"):
        for name in ("bin/python", "Scripts/python.exe"):
            if (folder / name).exists():
                return folder / name
    return Path(sys.executable)


def examined(root: Path, python: Path) -> tuple[list[Verified], str]:
    """Import the project and run `realtime check` on it with its own Python.

    Returns:
        What was found, and how to go on if the toolkit there is not 0.5 (then nothing was imported).
    """
    installed = _installed(python)
    if not installed.startswith("0.5"):
        have = f"realtime-toolkit {installed}" if installed else "no realtime-toolkit"
        return [], f"{have} is installed for this project: install 0.5 and run realtime check"
    return [*_imported(root, python), *_checked(root, python)], ""


def _installed(python: Path) -> str:
    try:
        done = subprocess.run(
            [str(python), "-c", PACKAGE_VERSION], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _imported(root: Path, python: Path) -> list[Verified]:
    from realtime_cli.rules.imported import import_project

    if not (root / "realtime.toml").exists():
        return []
    report = import_project(
        root, env="production", environ=dict(os.environ), time_limit=IMPORT_LIMIT, python=python
    )
    if report.failure is not None:
        return [Verified("import", False, report.last or "", 0, report.failure)]
    found = []
    for problem in report.problems:
        message = f"{problem['kind']}: {problem['message']}"
        opens_socket = "no sockets while" in message
        if opens_socket:
            message = "connects to something while it is imported; move that to the init hook"
        found.append(
            Verified("import", opens_socket, str(problem["file"] or ""), problem["line"] or 0, message)
        )
    return found


def _checked(root: Path, python: Path) -> list[Verified]:
    command = [str(python), "-m", "realtime_cli", "check", "--format", "json", "--no-import", str(root)]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            text=True,
            timeout=CHECK_LIMIT,
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        report: Any = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as problem:
        return [
            Verified("check", False, message=f"realtime check did not end well: {type(problem).__name__}")
        ]
    if "findings" not in report:
        message = report.get("error", {}).get("message", "realtime check could not read the project")
        return [Verified("check", False, message=message)]
    return [
        Verified(
            "check",
            one["severity"] != "error",
            one.get("path") or one.get("file") or "",
            one.get("line") or 0,
            one["message"],
            one["rule"],
        )
        for one in report["findings"]
    ]
