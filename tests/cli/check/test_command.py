"""`realtime check` as it is called: exit codes, formats, suppressions, baselines, rules that are told of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sarif_pydantic import Sarif

from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.examples import BASE, write_example
from tests.cli.commands import Ended, realtime

SLEEPY = """\
import time

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def nap(ctx) -> None:
    time.sleep(1){comment}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(BASE, tmp_path / "app")
    return tmp_path / "app"


def check(project: Path, *arguments: str) -> Ended:
    return realtime("check", "--no-import", *arguments, cwd=project)


def as_json(project: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(check(project, "--json", *arguments).out)
    return found


def rules_of(project: Path, *arguments: str) -> list[str]:
    return [one["rule"] for one in as_json(project, *arguments)["findings"]]


@pytest.mark.spec("PLAT-145")
@pytest.mark.parametrize(
    ("rule", "arguments", "code"),
    [
        (None, (), 0),
        (None, ("--strict",), 0),
        ("LIV003", (), 0),
        ("LIV003", ("--strict",), 1),
        ("LIV007", ("--strict",), 0),
        ("SEC008", (), 1),
        ("CFG001", (), 1),
        ("CFG003", (), 2),
    ],
)
def test_the_exit_code_says_what_was_found(
    rule: str | None, arguments: tuple[str, ...], code: int, project: Path
) -> None:
    if rule is not None:
        write_example(rule, "bad", project)
    ended = check(project, *arguments)
    assert ended.code == code, ended.out + ended.err
    assert (rule or "0 errors, 0 warnings, 0 infos") in ended.out


@pytest.mark.spec("PLAT-145")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "xml"), "there is no format 'xml'"),
        (("--select", "NOPE"), "there is no rule 'NOPE'"),
        (("--env", ""), "--env: expected a name"),
        (("--env", "../x"), "not '../x'"),
        (("--ignore", "SEC0O1"), "did you mean SEC001?"),
        (("--baseline", "missing.json"), "missing.json cannot be read"),
        (("--output", "missing/report.txt"), "missing/report.txt cannot be written"),
        (("--explain", "SEC999"), "there is no rule 'SEC999'"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_right(
    arguments: tuple[str, ...], said: str, project: Path
) -> None:
    ended = check(project, *arguments)
    assert ended.code == 2
    assert said in ended.err


def test_a_baseline_of_brackets_is_no_baseline(project: Path) -> None:
    (project / "deep.json").write_text("[" * 100_000)
    ended = check(project, "--baseline", "deep.json")
    assert (ended.code, "Traceback" in ended.err) == (2, False)


def test_without_a_project_it_ends_with_2(tmp_path: Path) -> None:
    assert check(tmp_path).code == 2
    assert check(tmp_path, str(tmp_path / "nowhere")).code == 2


def test_the_project_may_be_the_argument(project: Path) -> None:
    ended = realtime("check", "--no-import", str(project), cwd=project.parent)
    assert ended.code == 0


@pytest.mark.spec("PLAT-146")
def test_text_has_place_severity_rule_message_and_fix(project: Path) -> None:
    (project / "live/nap.py").write_text(SLEEPY.format(comment=""))
    lines = check(project).out.splitlines()
    assert lines[0] == "live/nap.py:10:5: warning LIV003 time.sleep blocks the event loop in nap"
    assert lines[1].startswith("  fix: ")
    assert lines[-1] == "0 errors, 1 warning, 0 infos"


@pytest.mark.spec("PLAT-146")
def test_json_has_every_field_of_a_finding(project: Path) -> None:
    (project / "live/nap.py").write_text(SLEEPY.format(comment=""))
    found = as_json(project)
    assert found["version"] == 1
    assert found["summary"] == {"errors": 0, "warnings": 1, "infos": 0, "fixable": 0, "baseline": 0}
    [one] = found["findings"]
    assert (one["path"], one["line"], one["col"], one["end_line"], one["end_col"]) == (
        "live/nap.py",
        10,
        5,
        10,
        18,
    )
    assert (one["rule"], one["severity"], one["fixable"]) == ("LIV003", "warning", False)
    assert set(one) == {
        *[
            "rule",
            "severity",
            "path",
            "line",
            "col",
            "end_line",
            "end_col",
            "message",
            "fix",
            "url",
            "fixable",
        ]
    }


@pytest.mark.spec("PLAT-146")
def test_sarif_is_what_the_standard_says(project: Path) -> None:
    (project / "live/nap.py").write_text(SLEEPY.format(comment=""))
    document = json.loads(check(project, "--format", "sarif").out)
    log = Sarif.model_validate(document)
    assert document["version"] == "2.1.0"
    [run] = log.runs
    [result] = run.results or []
    assert result.rule_id == "LIV003"
    rules = document["runs"][0]["tool"]["driver"]["rules"]
    assert rules[document["runs"][0]["results"][0]["ruleIndex"]]["id"] == "LIV003"
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] for rule in rules)
    region = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert region["artifactLocation"]["uri"] == "live/nap.py"
    assert region["region"] == {"startLine": 10, "startColumn": 5, "endLine": 10, "endColumn": 18}


@pytest.mark.spec("PLAT-146")
def test_github_commands_are_escaped(project: Path) -> None:
    (project / "live/a,b:c.py").write_text(SLEEPY.format(comment=""))
    lines = check(project, "--format", "github").out.splitlines()
    assert lines[0].startswith(
        "::warning file=live/a%2Cb%3Ac.py,line=10,col=5,title=LIV003::time.sleep blocks"
    )


@pytest.mark.spec("PLAT-148")
def test_a_comment_takes_back_the_finding_of_its_line_only(project: Path) -> None:
    (project / "live/nap.py").write_text(SLEEPY.format(comment="  # realtime: ignore[LIV003] measured"))
    assert rules_of(project) == []
    text = SLEEPY.format(comment="").replace("async def nap", "async def nap  # realtime: ignore[LIV003]\\\n")
    (project / "live/nap.py").write_text(SLEEPY.format(comment="") + "# realtime: ignore[LIV003]\n")
    assert rules_of(project) == ["LIV003", "CFG020"], text


@pytest.mark.spec("PLAT-148")
def test_a_comment_at_the_top_takes_back_those_of_the_file(project: Path) -> None:
    head = "# realtime: ignore-file[LIV003, LIV001]\n"
    (project / "live/nap.py").write_text(head + SLEEPY.format(comment=""))
    assert rules_of(project) == ["CFG020"]  # LIV001 was not there
    (project / "live/nap.py").write_text("\n" * 12 + head + SLEEPY.format(comment=""))
    assert rules_of(project) == ["LIV003"]  # too far down


@pytest.mark.spec("PLAT-148")
def test_settings_leave_rules_out_and_weigh_them(project: Path) -> None:
    (project / "live/nap.py").write_text(SLEEPY.format(comment=""))
    settings = (project / "realtime.toml").read_text()
    (project / "realtime.toml").write_text(settings + '\n[check]\nignore = ["LIV003"]\n')
    assert rules_of(project) == []
    (project / "realtime.toml").write_text(settings + '\n[check.severity]\nLIV003 = "error"\n')
    assert check(project).code == 1
    assert as_json(project)["findings"][0]["severity"] == "error"


def test_a_comment_in_a_string_is_text(project: Path) -> None:
    text = SLEEPY.format(comment="").replace(
        "    time.sleep(1)", '    time.sleep(len("# realtime: ignore[LIV003]"))'
    )
    (project / "live/nap.py").write_text(text)
    assert rules_of(project) == ["LIV003"]


def test_select_and_ignore_take_ids_and_their_letters(project: Path) -> None:
    (project / "live/nap.py").write_text(
        SLEEPY.format(comment="").replace("_guard = guard(authenticated=True)", "")
    )
    assert sorted(rules_of(project)) == ["LIV001", "LIV003"]
    assert rules_of(project, "--select", "LIV003") == ["LIV003"]
    assert rules_of(project, "--select", "sec,cfg") == []
    assert rules_of(project, "--ignore", "LIV001") == ["LIV003"]


@pytest.mark.spec("PLAT-153")
def test_a_baseline_hides_what_was_known_wherever_it_moves(project: Path) -> None:
    (project / "live/nap.py").write_text(SLEEPY.format(comment=""))
    ended = check(project, "--write-baseline", "known.json")
    assert ended.code == 0
    (project / "live/nap.py").write_text("\n\n" + SLEEPY.format(comment=""))
    found = as_json(project, "--baseline", "known.json")
    assert found["findings"] == []
    assert found["summary"]["baseline"] == 1
    (project / "live/rest.py").write_text(SLEEPY.format(comment=""))
    assert rules_of(project, "--baseline", "known.json") == ["LIV003"]


@pytest.mark.spec("PLAT-150")
def test_every_rule_is_listed_and_explained(project: Path) -> None:
    listed = json.loads(realtime("check", "--list", "--json", cwd=project).out)
    assert [one["rule"] for one in listed] == list(all_rules())
    assert all(one["title"] and one["why"] and one["fix"] for one in listed)
    table = realtime("check", "--list", cwd=project).out.splitlines()
    assert len(table) == len(listed) + 1
    told = realtime("check", "--explain", "liv003", cwd=project).out
    assert told.startswith("LIV003 (warning): ")
    assert "Found in live/todos.py:" in told
    assert "Not in live/todos.py:" in told
    assert "    time.sleep(1)" in told
    near = realtime("check", "--explain", "LIV0O3", cwd=project)
    assert near.code == 2
    assert "did you mean LIV003?" in near.err


@pytest.mark.spec("PLAT-154")
def test_the_same_project_gives_the_same_bytes_in_every_format(project: Path) -> None:
    write_example("SEC020", "bad", project)
    (project / "live/nap.py").write_text(SLEEPY.format(comment=""))
    for form in ("text", "json", "sarif", "github"):
        first, second = (check(project, "--format", form) for _ in range(2))
        assert first.out == second.out
        assert "s3cret-of-the-scraper" not in first.out + first.err


def test_the_report_can_go_to_a_file(project: Path) -> None:
    ended = check(project, "--format", "json", "--output", "report.json")
    assert ended.out == ""
    assert json.loads((project / "report.json").read_text())["findings"] == []


@pytest.mark.spec("PLAT-149")
def test_fix_shows_what_it_changes_and_leaves_the_rest(project: Path) -> None:
    settings = (
        project / "realtime.toml"
    ).read_text() + "\n[metrics]\n# what the scraper needs\nenabeld = true\n"
    (project / "realtime.toml").write_text(settings)
    ended = check(project, "--fix", "--select", "CFG")
    assert ended.code == 0, ended.out
    assert "-enabeld = true" in ended.err
    assert "+enabled = true" in ended.err
    assert (project / "realtime.toml").read_text() == settings.replace("enabeld", "enabled")


def test_settings_of_another_environment_are_checked_with_env(project: Path) -> None:
    text = (project / "realtime.toml").read_text() + "\n[env.staging.websocket]\nidle_timeout = 0\n"
    (project / "realtime.toml").write_text(text)
    assert rules_of(project) == []
    assert rules_of(project, "--env", "staging") == ["CAP012"]


@pytest.mark.spec("PLAT-145")
def test_a_rule_that_fails_ends_with_3_and_the_others_are_told(project: Path, tmp_path: Path) -> None:
    (project / "live/nap.py").write_text(SLEEPY.format(comment=""))
    early = tmp_path / "early"
    early.mkdir()
    (early / "sitecustomize.py").write_text(
        "from realtime_cli.rules.families.guarding import Unguarded\n\n"
        "def broken(self, project):\n    raise LookupError('no such thing')\n    yield\n\n"
        "Unguarded.check = broken\n"
    )
    ended = realtime("check", "--no-import", cwd=project, env={"PYTHONPATH": str(early)})
    assert ended.code == 3
    assert "LIV003" in ended.out
    assert "the rule LIV001 failed" in ended.err
    assert "LookupError: no such thing" in ended.err
    assert "realtime check --ignore LIV001" in ended.err
