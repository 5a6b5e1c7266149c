"""Small projects for the tests of the rules."""

from __future__ import annotations

import shutil
from pathlib import Path

from realtime_cli.rules.engine import Report, run_rules
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.project import Project

__all__ = ["findings", "report_of"]


def report_of(root: Path, files: dict[str, str], environ: dict[str, str] | None = None) -> Report:
    """Run the static rules over the clean base project with other or more files in it."""
    shutil.copytree(BASE, root, dirs_exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return run_rules(Project.read(root, environ={"PATH": "/usr/bin:/bin", **(environ or {})}))


def findings(root: Path, files: dict[str, str], environ: dict[str, str] | None = None) -> list[str]:
    """Return what is found, each as `path:line RULE`."""
    found = report_of(root, files, environ).findings
    return [f"{one.path}:{one.span.line} {one.rule}" for one in found]
