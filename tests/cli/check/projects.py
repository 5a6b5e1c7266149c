"""Small projects for the tests of the rules."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

from realtime_cli.rules.engine import Report, run_rules
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.fixing import fixed_texts
from realtime_cli.rules.project import Project

__all__ = ["findings", "fixed", "marked", "report_of"]


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


LIVE = "from runtime import guard, live\n\n_guard = guard(authenticated=True)\n\n"
HOOKS = (BASE / "hooks.py").read_text(encoding="utf-8") + "\n\n"
#: What has tests of its own: of settings and what is left of 0.4.
ELSEWHERE = ("CLU", "UPG", "CAP001", "CAP002", "CAP007", "CAP011", "CAP013")
_MARK = re.compile(r"#! (?P<rules>[A-Z0-9, ]+)$")


def marked(root: Path, files: dict[str, str] | str, environ: dict[str, str] | None = None) -> None:
    """Check that exactly those lines have findings that end in a comment such as `#! LIV003`, of exactly those rules.

    A text alone is the live module `live/todos.py`. What stands below `live/` gets the imports and the guard that all
    have, and `hooks.py` the hooks of the base project, unless a line of it is `# whole`.
    """
    if isinstance(files, str):
        files = {"live/todos.py": files}
    written = {}
    for path, text in files.items():
        text = textwrap.dedent(text).lstrip("\n")
        if path.endswith(".py") and "# whole" not in text.splitlines():
            start = LIVE if path.startswith("live/") else HOOKS if path == "hooks.py" else ""
            text = start + text
        written[path] = text
    wanted = [
        f"{path}:{number} {rule}"
        for path, text in written.items()
        for number, line in enumerate(text.splitlines(), 1)
        if (mark := _MARK.search(line))
        for rule in mark["rules"].split(", ")
    ]
    report = report_of(root, written, environ)
    rules = {one.rpartition(" ")[2] for one in wanted}
    found = [
        f"{one.path}:{one.span.line} {one.rule}"
        for one in report.findings
        if one.rule in rules or not one.rule.startswith(ELSEWHERE)
    ]
    told = "\n".join(f"{one.path}:{one.span.line}: {one.rule} {one.message}" for one in report.findings)
    assert sorted(found) == sorted(wanted), told


def fixed(root: Path, files: dict[str, str]) -> dict[str, str]:
    """Return the files that ``--fix`` changes, after a look that nothing is found in them any more."""
    report = report_of(root, files)
    texts = fixed_texts(report.findings, Project.read(root, environ={}).texts)
    for name, text in texts.items():
        root.joinpath(name).write_text(text, encoding="utf-8")
    assert run_rules(Project.read(root, environ={})).findings == ()
    return texts
