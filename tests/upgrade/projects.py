"""Small 0.4 projects in memory, upgraded and looked at: what every codemod's tests are written with."""

from __future__ import annotations

import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

from realtime_cli.codemods.engine import make_plan
from realtime_cli.codemods.finding import Finding
from realtime_cli.codemods.project import Options, Project, Tree
from realtime_cli.codemods.scan import scan

__all__ = ["Upgraded", "after", "flagged", "rows", "stays", "upgrade"]


@dataclass
class Upgraded:
    """What a run made of a project."""

    files: dict[str, str]
    findings: list[Finding]
    unproved: bool

    def told(self) -> list[tuple[str, str, int, str]]:
        """Row, path, line and status of each finding, in report order."""
        return [(one.row or one.codemod, one.path, one.line, str(one.status)) for one in self.findings]


def write(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = content if isinstance(content, bytes) else textwrap.dedent(content).lstrip("\n").encode()
        path.write_bytes(raw)


def plan_of(root: Path, only: set[str] | None, options: Options) -> Upgraded:
    scanned = scan(root)
    project = Project(Tree(root, scanned.paths), options)
    # One codemod sees every file: what it leaves alone, it has looked at.
    plan = make_plan(project, selected=frozenset(only) if only is not None else None, prefilter=only is None)
    files = {path: project.tree.read(path).decode(errors="surrogateescape") for path in project.tree.files()}
    return Upgraded(files, plan.findings, plan.unproved)


def upgrade(
    files: dict[str, str | bytes], *, only: str | set[str] | None = None, options: Options | None = None
) -> Upgraded:
    """Upgrade a project; checks that every edit is proved and that a second run edits nothing."""
    chosen = {only} if isinstance(only, str) else only
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, files)
        done = plan_of(root, chosen, options or Options())
    assert not done.unproved, done.findings
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, {name: text.encode(errors="surrogateescape") for name, text in done.files.items()})
        again = plan_of(root, chosen, options or Options())
    assert again.files == done.files, "a second run edits again"
    edited = [one for one in again.findings if one.status in ("edited", "todo")]
    assert not edited, edited
    return done


def after(
    codemod: str | set[str],
    source: str,
    *,
    path: str = "live/a.py",
    options: Options | None = None,
    **others: str,
) -> str:
    """Return one file after codemods; `others` are further files, ``services="..."`` for ``services.py``."""
    files: dict[str, str | bytes] = {path: source}
    files |= {f"{name}.py": text for name, text in others.items()}
    return upgrade(files, only=codemod, options=options).files[path]


def flagged(
    codemod: str | set[str],
    source: str,
    *,
    path: str = "live/a.py",
    options: Options | None = None,
    **others: str,
) -> list[tuple[str, int]]:
    """Return row and line (of the file after the run) of what is told about one file and was not edited."""
    files: dict[str, str | bytes] = {path: source}
    files |= {f"{name}.py": text for name, text in others.items()}
    done = upgrade(files, only=codemod, options=options)
    return [(one.row, one.line) for one in done.findings if one.status == "flagged" and one.path == path]


def rows(done: Upgraded) -> list[str]:
    """Return the rows of all findings, in report order."""
    return [one.row for one in done.findings]


def stays(codemod: str | set[str], source: str, *, path: str = "live/a.py", **others: str) -> bool:
    """Say whether nothing is edited and nothing told: the look-alikes."""
    files: dict[str, str | bytes] = {path: source}
    files |= {f"{name}.py": text for name, text in others.items()}
    done = upgrade(files, only=codemod)
    assert done.findings == [], done.findings
    return done.files[path] == textwrap.dedent(source).lstrip("\n")
