from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import spec_coverage
from tools.spec_coverage import CoverageInputError

ITEMS = "# ids\n\nWIRE-1 first frame\nWIRE-2 path\nLIVE-1 modules\n"
EXEMPT = '[[feature]]\nname = "paths"\nreason = "not built yet"\nitems = ["WIRE-2"]\n'
TEST = 'import pytest\n\n@pytest.mark.spec("WIRE-1", "LIVE-1")\ndef test_one(): ...\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tests" / "spec").mkdir(parents=True)
    (tmp_path / "scaffolds").mkdir()
    (tmp_path / "tests" / "spec" / "items.txt").write_text(ITEMS)
    (tmp_path / "tests" / "spec" / "exemptions.toml").write_text(EXEMPT)
    (tmp_path / "tests" / "test_one.py").write_text(TEST)
    return tmp_path


def run(project: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = spec_coverage.main(["--root", str(project), *arguments])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_complete_coverage_succeeds(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(project, capsys) == (0, "3 items: 2 tested, 1 exempt, 0 open\n")


def test_open_item_is_listed_with_its_title(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests" / "test_one.py").write_text('import pytest\npytestmark = pytest.mark.spec("LIVE-1")\n')
    code, text = run(project, capsys)
    assert code == 1
    assert "  WIRE-1: first frame\n" in text
    assert "1 open" in text


def test_unknown_item_fails_and_names_the_place(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "scaffolds" / "test_template.py").write_text('import pytest\n\npytest.mark.spec("WIRE-9")\n')
    code, text = run(project, capsys)
    assert code == 1
    assert "WIRE-9: named by scaffolds/test_template.py:3" in text


def test_unknown_exemption_fails(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests" / "spec" / "exemptions.toml").write_text(EXEMPT.replace("WIRE-2", "WIRE-2..3"))
    code, text = run(project, capsys)
    assert code == 1
    assert "WIRE-3: exempt (paths)" in text


def test_exempt_and_tested_item_fails(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests" / "test_two.py").write_text('import pytest\n\npytest.mark.spec("WIRE-2")\n')
    code, text = run(project, capsys)
    assert code == 1
    assert "WIRE-2: exempt (paths), but proved by tests/test_two.py:3" in text


def test_report_counts_only_passed_tests(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = project / "report.json"
    report.write_text(json.dumps({"WIRE-1": {"a": "skipped", "b": "passed"}, "LIVE-1": {"a": "skipped"}}))
    code, text = run(project, capsys, "--report", str(report))
    assert code == 1
    assert "LIVE-1" in text
    assert "WIRE-1" not in text


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tests/spec/items.txt", "WIRE-1\n", "expected 'ID title'"),
        ("tests/spec/items.txt", "WIRE-1 a\nWIRE-1 b\n", "listed twice"),
        ("tests/spec/exemptions.toml", EXEMPT.replace("WIRE-2", "wire two"), "neither an id"),
        ("tests/spec/exemptions.toml", EXEMPT.replace("WIRE-2", "WIRE-2..1"), "ends before it begins"),
        ("tests/spec/exemptions.toml", EXEMPT + EXEMPT, "exempt twice"),
        ("tests/spec/exemptions.toml", EXEMPT.replace("not built yet", ""), "needs a name and a reason"),
    ],
)
def test_unreadable_input_is_explained(
    project: Path, capsys: pytest.CaptureFixture[str], file: str, content: str, message: str
) -> None:
    (project / file).write_text(content)
    code, text = run(project, capsys)
    assert code == 2
    assert message in text


def test_expand_gives_every_number_of_a_range() -> None:
    assert spec_coverage.expand("CLU-9..11") == ["CLU-9", "CLU-10", "CLU-11"]
    with pytest.raises(CoverageInputError):
        spec_coverage.expand("CLU-1-3")


def test_computed_marks_count_the_ids_of_their_module(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["import pytest", 'ITEMS = {"a": ("WIRE-1", "LIVE-1")}']
    lines.append("MARKS = [pytest.mark.spec(*items) for items in ITEMS.values()]")
    (project / "tests" / "test_one.py").write_text("\n".join(lines))
    assert run(project, capsys) == (0, "3 items: 2 tested, 1 exempt, 0 open\n")


def test_prune_removes_what_tests_prove(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exemptions = project / "tests" / "spec" / "exemptions.toml"
    (project / "tests" / "spec" / "items.txt").write_text("\n".join(f"WIRE-{n} title" for n in range(1, 8)))
    gone = '[[feature]]\nname = "gone"\nreason = "not built yet"\nitems = ["WIRE-1"]\n'
    exemptions.write_text("# why\n\n" + gone + "\n" + EXEMPT.replace("WIRE-2", "WIRE-2..7"))
    (project / "tests" / "test_one.py").write_text(
        'import pytest\npytest.mark.spec("WIRE-1", "WIRE-2", "WIRE-5")\n'
    )
    assert run(project, capsys, "--prune") == (0, "7 items: 3 tested, 4 exempt, 0 open\n")
    assert exemptions.read_text() == "# why\n\n" + EXEMPT.replace('"WIRE-2"', '"WIRE-3..4", "WIRE-6..7"')


def test_the_real_checklist_has_all_items() -> None:
    items = spec_coverage.read_items(spec_coverage.ROOT / "tests" / "spec" / "items.txt")
    counts = {"WIRE": 124, "LIVE": 206, "PLAT": 183, "CLU": 172, "UPGC": 90}
    assert list(items) == [
        f"{prefix}-{number}" for prefix, last in counts.items() for number in range(1, last + 1)
    ]
