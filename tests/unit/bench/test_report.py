"""The tables and plots of the documents come from the stored result and nothing else."""

from __future__ import annotations

import json
import re
import socket
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from bench import report, run
from bench.case import Case, CaseResult, Figure, Measurement, Run
from bench.plot import Bar, bars, number


def unmeasured(contestant: str, run: Run) -> Measurement:
    raise AssertionError


def document(scale: str = "full", **more: Any) -> dict[str, Any]:
    figures = (Figure("per_second", "deliveries/s"),)
    case = Case("fanout", "fan-out", figures, ("ours", "websockets"), unmeasured, setting="no capabilities")
    result = CaseResult(case, skipped={"bun": "not installed"})
    result.rounds = [
        {"ours": {"per_second": 150_000.0}, "websockets": {"per_second": 100_000.0}},
        {"ours": {"per_second": 170_000.0}, "websockets": {"per_second": 100_000.0}},
    ]
    return {
        "when": "2026-01-02T03:04:05Z",
        "commit": "0123456789ab",
        "changed_files": 0,
        "machine": {"processor": "a processor", "cores": 2, "system": "Linux", "load": [0.1, 0.1, 0.1]},
        "python": "3.11",
        "versions": {"websockets": "17"},
        "peer_versions": {"bun": "1.4"},
        "settings": {"websocket.max_backpressure": 1048576},
        "generator": "c",
        "scale": scale,
        "cases": {"fanout": result.as_json()},
        **more,
    }


def test_the_page_is_what_the_stored_result_says() -> None:
    assert report.outdated() == [], "python -m bench.report bench/results/reference.json"


def test_the_page_has_a_place_for_every_case() -> None:
    marks = re.findall(r"<!-- bench: ([\w-]+) -->", report.PAGE.read_text(encoding="utf-8"))
    assert sorted(marks) == sorted(["surroundings", "goals", *(case.name for case in run.CASES)])


def test_the_stored_result_names_no_machine() -> None:
    if report.stored() is None:
        assert report.NOT_MEASURED in report.PAGE.read_text(encoding="utf-8")
        return
    text = report.REFERENCE.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(?:home|root|work|usr|tmp|opt|Users)\b", text)
    assert f'"{socket.gethostname()}"' not in text


def test_a_case_becomes_a_table() -> None:
    text = report.section("fanout", document())
    assert "![fan-out](images/performance/fanout.svg)" in text
    assert "| contestant | deliveries/s | ours is |" in text
    assert "| websockets on uvloop | 100,000 | 1.60x (aim 1.2 / 1.6) |" in text
    assert "| Realtime Toolkit, `realtime serve` | 160,000 (150,000 - 170,000) |  |" in text
    assert "Bun's own server (uWebSockets inside): not measured, not installed." in text
    assert "Setting: no capabilities." in text


def test_goals_become_a_table_of_what_was_measured() -> None:
    lines = report.section("goals", document()).splitlines()
    assert lines[2:] == ["| `fanout` | `per_second` | websockets on uvloop | 1.2 / 1.6 | 1.60x | goal |"]


def test_a_case_that_was_not_run_says_how_to_run_it() -> None:
    assert "python -m bench.run storm" in report.section("storm", document())


def test_only_what_stands_between_the_marks_changes() -> None:
    text = "before\n<!-- bench: fanout -->\nold\n<!-- /bench -->\nafter\n"
    found = report.page(text, None)
    assert found == f"before\n<!-- bench: fanout -->\n{report.NOT_MEASURED}\n<!-- /bench -->\nafter\n"
    assert report.page(report.page(found, document()), None) == found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "REFERENCE", tmp_path / "reference.json")
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(report, "IMAGES", tmp_path / "images")
    (tmp_path / "page.md").write_text("<!-- bench: fanout -->\n<!-- /bench -->\n")
    return tmp_path


def test_the_newest_result_is_kept_and_written(folder: Path) -> None:
    (folder / "2026-01-01.json").write_text(json.dumps(document(scale="smoke")))
    (folder / "2026-01-02.json").write_text(json.dumps(document(load="left out")))
    (folder / "images").mkdir()
    (folder / "images" / "gone.svg").touch()
    assert report.main([]) == 0
    assert [path.name for path in (folder / "images").iterdir()] == ["fanout.svg"]
    assert "load" not in json.loads((folder / "reference.json").read_text())
    assert report.main(["--check"]) == 0
    (folder / "page.md").write_text("<!-- bench: fanout -->\nchanged by hand\n<!-- /bench -->\n")
    assert report.main(["--check"]) == 1


def test_a_later_result_replaces_single_cases(folder: Path) -> None:
    other = document(commit="ba9876543210")
    (folder / "one.json").write_text(json.dumps(document()))
    (folder / "two.json").write_text(json.dumps(other))
    assert report.main([str(folder / "one.json"), str(folder / "two.json")]) == 0
    assert json.loads((folder / "reference.json").read_text())["commit"] == "0123456789ab"
    assert "commit `ba9876543210`" in (folder / "page.md").read_text()


def test_a_smoke_run_is_refused(folder: Path) -> None:
    (folder / "one.json").write_text(json.dumps(document(scale="smoke")))
    with pytest.raises(SystemExit, match="is a smoke run"):
        report.main([])


def test_without_a_result_it_says_what_to_run(folder: Path) -> None:
    with pytest.raises(SystemExit, match="run make bench"):
        report.main([])


def test_a_plot_is_well_formed_and_has_a_bar_per_row() -> None:
    rows = [Bar("ours & more", 150.0, 140.0, 160.0, "ours"), Bar("<peer>", 75.0, 70.0, 80.0)]
    text = bars("rates", "calls/s", rows, higher_is_better=True)
    root = ElementTree.fromstring(text)
    names = {"svg": "http://www.w3.org/2000/svg"}
    widths = [float(found.attrib["width"]) for found in root.findall("svg:rect", names)]
    assert [found.attrib["class"] for found in root.findall("svg:rect", names)] == ["ours", "peer"]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.1)
    texts = [found.text for found in root.findall("svg:text", names)]
    assert "ours & more" in texts
    assert "<peer>" in texts
    assert "prefers-color-scheme:dark" in text
    assert text == bars("rates", "calls/s", rows, higher_is_better=True)


def test_a_plot_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one bar"):
        bars("rates", "calls/s", [], higher_is_better=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [(8_612_345.6, "8,612,346"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0, "0")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text
