"""The dependency list holds what the packages import, and nothing else (docs/adr/0005)."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Used by uvicorn when they are there; ours never imports them by name.
THROUGH_UVICORN = {"httptools", "uvloop"}
# Imported only inside a function that says what to install when they are missing, or that checks for them.
OPTIONAL = {
    "anyio",
    "brotli",
    "pydantic",
    "pytest",
    "pytest_asyncio",
    "tree_sitter",
    "tree_sitter_javascript",
    "tree_sitter_typescript",
}
# Copier's own dependency: what reads its templates reads YAML as well.
THROUGH_COPIER = {"yaml"}
OURS = {"runtime", "realtime_cli", "live"}


def imported_by(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


EXAMPLES = ROOT / "realtime_cli/rules/examples"


def imported() -> dict[str, str]:
    names: dict[str, str] = {}
    for folder in ("runtime", "realtime_cli"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.is_relative_to(EXAMPLES) and path != EXAMPLES / "__init__.py":
                continue  # projects that `realtime check` looks at
            for name in imported_by(path) - OURS - sys.stdlib_module_names:
                names.setdefault(name, path.relative_to(ROOT).as_posix())
    return names


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {re.split(r"[^\w-]", line, maxsplit=1)[0].replace("-", "_") for line in project["dependencies"]}


def test_every_imported_package_is_declared() -> None:
    missing = {
        name: file for name, file in imported().items() if name not in declared() | OPTIONAL | THROUGH_COPIER
    }
    assert missing == {}


def test_every_declared_package_is_used() -> None:
    assert declared() - set(imported()) - THROUGH_UVICORN == set()
