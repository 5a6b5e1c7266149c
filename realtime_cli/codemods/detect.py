"""What kind of project this is, and by which marks. Spec: upgrade 2.1, 4.1, 5.1."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from realtime_cli.codemods.importgraph import OURS
from realtime_cli.codemods.requirements import admits, declared
from realtime_cli.codemods.scriptproject import PACKAGES, TABLES, is_04
from realtime_cli.codemods.scripts import SUFFIXES

if TYPE_CHECKING:
    from realtime_cli.codemods.project import Tree

__all__ = ["PROJECT_FILES", "Detected", "detect"]

PROJECT_FILES = ("pyproject.toml", "package.json", "hooks_ws.py", "realtime.toml")
"""One of these is in the root of every project."""
_OLD_NAMES = rb"on_cron_error|message|close|unsubscribe"
_OLD_IMPORT = re.compile(
    rb"(?:^|[;:\r]|\xef\xbb\xbf)[ \t]*from[ \t]+runtime[ \t]+import[ \t]+(?:\(([^)]*)\)|([^\r\n(]*))",
    re.MULTILINE,
)


@dataclass(slots=True)
class Detected:
    """What was found.

    Attributes:
        python: marks of a Python project of 0.4.
        javascript: marks of JavaScript projects of 0.4, one for each ``package.json``.
        open_todos: an earlier run left TODOs.
        script_todos: an earlier run left TODOs in scripts.
        is_new: there is a ``realtime.toml``, or 0.5 of the toolkit is asked for.
        uses_ours: a module imports the toolkit; without a mark of 0.4 that is 0.5.
        is_new_script: a ``package.json`` asks for 0.5 of our packages.
        versions: what is declared of the toolkit, as ``pyproject.toml: ~=0.4.20``.
    """

    python: list[str] = field(default_factory=list)
    javascript: list[str] = field(default_factory=list)
    open_todos: bool = False
    script_todos: bool = False
    is_new: bool = False
    uses_ours: bool = False
    is_new_script: bool = False
    versions: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """``python``, ``javascript``, ``both``, ``done`` (0.5 already) or ``none``."""
        python = bool(self.python) or self.open_todos
        javascript = bool(self.javascript) or self.script_todos
        if python and javascript:
            return "both"
        if javascript:
            return "both" if self.is_new else "javascript"
        if python:
            return "python"
        return "done" if self.is_new or self.is_new_script or self.uses_ours else "none"


def detect(tree: Tree) -> Detected:
    """Look for the marks of 0.4 in a project."""
    found = Detected(is_new="realtime.toml" in tree)
    for path in ("hooks_ws.py", "src/hooks_ws.py"):
        if path in tree:
            found.python.append(path)
            break
    settings = [path for path in ("realtime_config.py",) if path in tree]
    if _has_table(tree):
        settings.append("[tool.realtime] in pyproject.toml")
    if settings:
        found.python.append(" and ".join(settings))
    _requirements(tree, found)
    for path in tree.files(".py"):
        raw = tree.read(path)
        found.open_todos |= b"TODO(realtime-upgrade " in raw
        found.uses_ours = found.uses_ours or (b"runtime" in raw and OURS.search(raw) is not None)
        if b"runtime" in raw and not any("imports" in mark for mark in found.python):
            for one in _OLD_IMPORT.finditer(raw):
                names = re.findall(rb"\b(?:" + _OLD_NAMES + rb")\b", one.group(1) or one.group(2) or b"")
                if names:
                    found.python.append(f"{path} imports {names[0].decode()} of runtime")
                    break
    for path in tree.files("package.json"):
        if path.rpartition("/")[2] == "package.json":
            _package(tree, path, found)
    found.script_todos = any(
        b"TODO(realtime-upgrade UPJ" in tree.read(path) for path in tree.files(*SUFFIXES)
    )
    return found


def _has_table(tree: Tree) -> bool:
    if "pyproject.toml" not in tree:
        return False
    try:
        document = tomllib.loads(tree.read("pyproject.toml").decode())
    except (ValueError, UnicodeError):
        return False
    return "realtime" in document.get("tool", {})


def _requirements(tree: Tree, found: Detected) -> None:
    marked = False
    for path in tree.files("pyproject.toml", ".txt", "setup.cfg", "setup.py"):
        raw = tree.read(path)
        if b"realtime" not in raw:
            continue
        for one in declared(raw.decode(errors="replace")):
            found.versions.append(f"{path}: {one.versions or 'any'}")
            is_old, is_new = admits(one.versions, "0.4"), admits(one.versions, "0.5")
            found.is_new |= is_new and not is_old
            if not marked and is_old and not is_new:
                marked = True
                found.python.append(f"{path} asks for {one.versions}")


def _package(tree: Tree, path: str, found: Detected) -> None:
    try:
        document = json.loads(tree.read(path))
    except ValueError:
        return
    if not isinstance(document, dict):
        return
    for table in TABLES:
        entries = document.get(table)
        if not isinstance(entries, dict):
            continue
        for name in PACKAGES:
            version = entries.get(name)
            if isinstance(version, str):
                found.versions.append(f"{path}: {name} {version}")
                if is_04(version):
                    found.javascript.append(f"{path} asks for {name} {version}")
                    return
                found.is_new_script = True
