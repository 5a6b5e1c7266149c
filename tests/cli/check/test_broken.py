"""A project in which every rule is violated once: none is silent, none tells of one cause twice."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.engine import Report, run_rules
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.imported import Imported, import_project
from realtime_cli.rules.project import Project

BROKEN = Path(__file__).parent / "broken"
VARIABLES = {
    "REALTIME_SERVER__PORT": "8080",
    "REALTIME_SERVER__PROT": "1",
    "REALTIME_CHECK_CPUS": "4",
}
#: Settings that exclude others of the project have a file of their own.
SETTINGS = (
    "realtime.toml",
    "settings/alone.toml",
    "settings/few.toml",
    "settings/small.toml",
    "settings/syntax.toml",
)

TOPICS = 'from runtime import define_topics\n\nTOPICS = define_topics(known="known")\n'


def looked_at(
    root: Path, settings: Path, *, system: str = "win32", without: str = "", imports: bool = False
) -> Report:
    """Run the rules over the broken project with some settings, and without one of its files."""
    shutil.copytree(BROKEN, root, ignore=shutil.ignore_patterns("settings", "__pycache__"))
    shutil.copy(settings, root / "realtime.toml")
    if without:
        (root / without).unlink()
    environ = {"PATH": os.environ["PATH"], **VARIABLES, "REALTIME_CHECK_SYSTEM": system}
    project = Project.read(root, environ=environ)
    imported = import_project(root, env="production", environ=environ) if imports else Imported()
    report = run_rules(project, imported=imported)
    assert report.failed == {}
    return report


def test_nothing_is_told_twice(tmp_path: Path) -> None:
    report = looked_at(tmp_path / "project", BROKEN / "realtime.toml")
    told = [f"{one.path}:{one.span.line} {one.rule}: {one.message}" for one in report.findings]
    often = {rule for rule, count in Counter(one.rule for one in report.findings).items() if count > 1}
    assert not [line for line in told if any(f" {rule}: " in line for rule in often)]
    assert len(told) > 80


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_place_has_a_finding_twice(settings: str, tmp_path: Path) -> None:
    report = looked_at(tmp_path / "project", BROKEN / settings)
    places = Counter((one.path, one.span, one.rule) for one in report.findings)
    assert [place for place, count in places.items() if count > 1] == []


@pytest.mark.spec("PLAT-147")
def test_no_rule_is_silent(tmp_path: Path) -> None:
    reports = [looked_at(tmp_path / str(number), BROKEN / name) for number, name in enumerate(SETTINGS)]
    without_hooks = BROKEN / "settings" / "open.toml"
    reports.append(looked_at(tmp_path / "hooks", without_hooks, system="darwin", without="hooks.py"))
    with_topics = tmp_path / "topics"  # with a registry every topic of the project is one that it lacks
    shutil.copytree(BROKEN, with_topics)
    (with_topics / "app" / "topics.py").write_text(TOPICS, encoding="utf-8")
    reports.append(run_rules(Project.read(with_topics, environ={})))
    base = BASE / "realtime.toml"
    reports.append(looked_at(tmp_path / "import", base, system="linux", without="hooks.py", imports=True))
    found = {one.rule for report in reports for one in report.findings}
    assert sorted({rule.id for rule in all_rules().values() if rule.when != "online"} - found) == []
