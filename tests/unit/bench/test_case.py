from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import run
from bench.case import CannotMeasure, Case, CaseResult, percentile, run_case, spread


def case(measure: object, *, higher_is_better: bool = True) -> Case:
    return Case("c", "a case", "rate", ("ours", "peer"), measure, higher_is_better)  # type: ignore[arg-type]  # plain functions


def test_contestants_take_turns_and_advantage_is_per_round() -> None:
    order: list[str] = []
    figures = iter([200.0, 100.0, 90.0, 30.0])

    def measure(contestant: str, quick: bool) -> dict[str, float]:
        order.append(contestant)
        return {"rate": next(figures)}

    result = run_case(case(measure), quick=True, only=frozenset(), say=lambda line: None)
    assert order == ["ours", "peer", "ours", "peer"]
    assert result.advantage("peer") == [2.0, 3.0]
    assert result.as_json()["advantage"]["peer"]["median"] == 2.5


def test_advantage_of_a_time_is_turned_round() -> None:
    result = CaseResult(
        case(None, higher_is_better=False), rounds=[{"ours": {"rate": 50}, "peer": {"rate": 400}}]
    )
    assert result.advantage("peer") == [8.0]


def test_a_contestant_that_cannot_be_measured_is_skipped_with_its_reason() -> None:
    def measure(contestant: str, quick: bool) -> dict[str, float]:
        if contestant == "peer":
            raise CannotMeasure("not installed")
        return {"rate": 1.0}

    said: list[str] = []
    result = run_case(case(measure), quick=True, only=frozenset(), say=said.append)
    assert result.skipped == {"peer": "not installed"}
    assert result.as_json()["advantage"] == {}
    assert "  peer: skipped: not installed" in said


def test_a_figure_with_much_steal_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([(0, 0), (50, 100), (50, 100), (50, 200)])
    monkeypatch.setattr("bench.case.stolen_ticks", lambda: next(readings))
    calls: list[str] = []

    def measure(contestant: str, quick: bool) -> dict[str, float]:
        calls.append(contestant)
        return {"rate": 1.0}

    lone = Case("c", "a case", "rate", ("ours",), measure, quick_rounds=1)
    run_case(lone, quick=True, only=frozenset(), say=lambda line: None)
    assert calls == ["ours", "ours"]


def test_percentile_and_spread() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.95) == 96.0
    assert percentile([7.0], 0.99) == 7.0
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "rounds": [3.0, 1.0, 2.0]}


def test_regressions_are_ratios_clearly_below_the_baseline() -> None:
    result = CaseResult(case(None), rounds=[{"ours": {"rate": 100}, "peer": {"rate": 100}}])
    assert run.regressions([result], {"c": {"peer": 1.2}}) == []
    assert run.regressions([result], {"c": {"peer": 1.5}}) == ["c beside peer: 1.00x, was 1.50x"]
    assert run.regressions([result], {}) == []


def test_run_writes_the_result_and_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = iter([30.0, 10.0] * 10)
    monkeypatch.setattr(run, "CASES", (case(lambda contestant, quick: {"rate": next(rates)}),))
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run, "BASELINE", tmp_path / "baseline.json")
    assert run.main(["--quick", "--write-baseline"]) == 0
    (written,) = (tmp_path / "results").glob("*.json")
    document = json.loads(written.read_text())
    assert document["cases"]["c"]["contestants"]["ours"]["rate"]["rounds"] == [30.0, 30.0]
    assert document["machine"]["cores"]
    assert json.loads((tmp_path / "baseline.json").read_text())["advantage"] == {"c": {"peer": 3.0}}
    assert "3.00x" in capsys.readouterr().out


def test_unknown_case_names_the_known_ones() -> None:
    with pytest.raises(SystemExit, match="no such case: nothing; there are fanout"):
        run.chosen(["nothing"])
