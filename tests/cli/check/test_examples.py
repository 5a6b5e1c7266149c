"""Every rule finds its bad example, and nothing else; the good one is clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.engine import Report, run_rules
from realtime_cli.rules.examples import FOLDER, answers_of, environment_of, examples_of, write_example
from realtime_cli.rules.imported import Imported, import_project
from realtime_cli.rules.online import Backends
from realtime_cli.rules.project import Project

KINDS: tuple[Literal["bad", "ok"], ...] = ("bad", "ok")
CASES = [(rule, which) for rule in all_rules() for which in KINDS]


def looked_at(
    root: Path, environ: dict[str, str], *, imports: bool, answers: dict[str, dict[str, Any]] | None = None
) -> Report:
    """Run every rule over a project, with the import pass where a rule needs it, and with the answers of backends."""
    project = Project.read(root, environ={"PATH": "/usr/bin:/bin", **environ})
    imported = import_project(root, env="production", environ=project.environ) if imports else Imported()
    backends = None if answers is None else Backends(**answers)
    return run_rules(project, imported=imported, backends=backends)


@pytest.mark.spec("PLAT-147")
@pytest.mark.parametrize(("rule", "which"), CASES, ids=[f"{rule}-{which}" for rule, which in CASES])
def test_a_rule_finds_its_bad_example_and_nothing_in_the_good_one(
    rule: str, which: Literal["bad", "ok"], tmp_path: Path
) -> None:
    write_example(rule, which, tmp_path)
    when, answers = all_rules()[rule].when, answers_of(rule, which)
    assert (when == "online") == (answers is not None), "the answers of backends are for rules that ask them"
    report = looked_at(tmp_path, environment_of(rule, which), imports=when == "import", answers=answers)
    told = [f"{one.path}:{one.span.line}: {one.rule} {one.message}" for one in report.findings]
    assert [one.rule for one in report.findings] == ([rule] if which == "bad" else []), told


def test_every_rule_has_its_examples_and_every_example_its_rule() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir() and "_" in path.name.strip("_")}
    assert folders == {f"{rule}_{which}" for rule in all_rules() for which in ("bad", "ok")}
    assert all(examples_of(rule, "bad") for rule in all_rules())
