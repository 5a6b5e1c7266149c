from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import run
from bench.case import (
    SMOKE,
    CannotMeasure,
    Case,
    CaseResult,
    Figure,
    Measurement,
    Run,
    Scale,
    percentile,
    run_case,
    spread,
)
from bench.pool import Pool

TWO_ROUNDS = Run(Scale("test", rounds=2, seconds=0.0), Pool())
Measure = Callable[[str, Run], Measurement]


def case(measure: Measure, *, higher_is_better: bool = True, **more: object) -> Case:
    figure = Figure("rate", "things/s", higher_is_better)
    return Case("c", "a case", (figure,), ("ours", "peer"), measure, **more)  # type: ignore[arg-type]  # fields by name


def nothing(contestant: str, run: Run) -> Measurement:
    raise AssertionError("not measured in this test")


def quietly(line: str) -> None:
    pass


def test_contestants_take_turns_and_advantage_is_per_round() -> None:
    order: list[str] = []
    figures = iter([200.0, 100.0, 90.0, 30.0])

    def measure(contestant: str, run: Run) -> Measurement:
        order.append(contestant)
        return {"rate": next(figures)}

    result = run_case(case(measure), TWO_ROUNDS, only=frozenset(), say=quietly)
    assert order == ["ours", "peer", "ours", "peer"]
    assert result.advantage("peer") == [2.0, 3.0]
    assert result.as_json()["advantage"]["rate"]["peer"]["median"] == 2.5


def test_advantage_of_a_time_is_turned_round() -> None:
    result = CaseResult(
        case(nothing, higher_is_better=False), rounds=[{"ours": {"rate": 50}, "peer": {"rate": 400}}]
    )
    assert result.advantage("peer") == [8.0]


def test_a_case_may_compare_several_figures() -> None:
    figures = (Figure("rate", "calls/s"), Figure("p99_ms", "ms", higher_is_better=False))
    two = Case("c", "a case", figures, ("ours", "peer"), nothing)
    rounds = [{"ours": {"rate": 10.0, "p99_ms": 4.0}, "peer": {"rate": 5.0, "p99_ms": 2.0}}]
    found = CaseResult(two, rounds=rounds).as_json()
    assert found["metric"] == "rate"
    assert found["advantage"]["rate"]["peer"]["median"] == 2.0
    assert found["advantage"]["p99_ms"]["peer"]["median"] == 0.5


def test_a_contestant_that_cannot_be_measured_is_skipped_with_its_reason() -> None:
    def measure(contestant: str, run: Run) -> Measurement:
        if contestant == "peer":
            raise CannotMeasure("not installed")
        return {"rate": 1.0}

    said: list[str] = []
    result = run_case(case(measure), TWO_ROUNDS, only=frozenset(), say=said.append)
    assert result.skipped == {"peer": "not installed"}
    assert result.as_json()["advantage"] == {"rate": {}}
    assert said.count("  peer: skipped: not installed") == 1


def test_a_contestant_that_loses_something_fails_and_the_others_go_on() -> None:
    counts = {"ours": 0, "peer": 0}

    def measure(contestant: str, run: Run) -> Measurement:
        counts[contestant] += 1
        if contestant == "peer" and counts["peer"] == 2:
            raise RuntimeError("expected number 7, got 8")
        return {"rate": float(counts[contestant])}

    three = Run(Scale("test", rounds=3, seconds=0.0), Pool())
    result = run_case(case(measure), three, only=frozenset(), say=quietly)
    assert counts == {"ours": 3, "peer": 2}
    assert result.failed == {"peer": "expected number 7, got 8"}
    found = result.as_json()
    assert found["contestants"]["peer"]["rate"]["rounds"] == [1.0, None, None]
    assert found["advantage"]["rate"]["peer"]["rounds"] == [1.0]


def test_a_figure_with_much_steal_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([(0, 0), (50, 100), (50, 100), (50, 200)])
    monkeypatch.setattr("bench.case.stolen_ticks", lambda: next(readings))
    calls: list[str] = []

    def measure(contestant: str, run: Run) -> Measurement:
        calls.append(contestant)
        return {"rate": 1.0}

    lone = Case("c", "a case", (Figure("rate", "things/s"),), ("ours",), measure, rounds=1)
    run_case(lone, TWO_ROUNDS, only=frozenset(), say=quietly)
    assert calls == ["ours", "ours"]


def test_more_peers_are_measured_in_a_full_run_or_by_name() -> None:
    measured: list[str] = []

    def measure(contestant: str, run: Run) -> Measurement:
        measured.append(contestant)
        return {"rate": 1.0}

    wide = case(measure, more=("rare",))
    run_case(wide, Run(SMOKE, Pool()), only=frozenset(), say=quietly)
    assert measured == ["ours", "peer"]
    measured.clear()
    run_case(wide, Run(SMOKE, Pool()), only=frozenset({"rare"}), say=quietly)
    assert measured == ["rare"]
    measured.clear()
    run_case(
        wide,
        Run(Scale("test", rounds=1, seconds=0.0, all_peers=True), Pool()),
        only=frozenset(),
        say=quietly,
    )
    assert measured == ["ours", "peer", "rare"]


def test_no_round_begins_that_would_end_too_late() -> None:
    result = run_case(
        case(lambda contestant, run: {"rate": 1.0}),
        TWO_ROUNDS,
        only=frozenset(),
        say=quietly,
        until=time.monotonic() - 1,
    )
    assert len(result.rounds) == 1
    assert result.as_json()["note"] == "out of time after 1 of 2 rounds"


def test_percentile_and_spread() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.95) == 96.0
    assert percentile([7.0], 0.99) == 7.0
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "rounds": [3.0, 1.0, 2.0]}
    assert spread([None, 1.0])["rounds"] == [None, 1.0]


def test_regressions_are_ratios_clearly_below_the_baseline() -> None:
    result = CaseResult(case(nothing), rounds=[{"ours": {"rate": 100}, "peer": {"rate": 100}}])
    assert run.regressions([result], {"c": {"peer": 1.2}}) == []
    assert run.regressions([result], {"c": {"peer": 1.5}}) == ["c beside peer: 1.00x, was 1.50x"]
    assert run.regressions([result], {}) == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run, "BASELINE", tmp_path / "baseline.json")
    return tmp_path


def test_run_writes_the_result_and_the_baseline(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = iter([30.0, 10.0] * 10)
    monkeypatch.setattr(run, "CASES", (case(lambda contestant, run: {"rate": next(rates)}),))
    assert run.main(["--quick", "--rounds", "2", "--write-baseline"]) == 0
    (written,) = (folder / "results").glob("*.json")
    document = json.loads(written.read_text())
    assert document["cases"]["c"]["contestants"]["ours"]["rate"]["rounds"] == [30.0, 30.0]
    assert document["machine"]["cores"]
    assert document["settings"]["websocket.max_backpressure"] == 1024**2
    assert json.loads((folder / "baseline.json").read_text())["advantage"] == {"c": {"peer": 3.0}}
    assert "3.00x" in capsys.readouterr().out


def test_a_failed_measurement_makes_the_exit_status(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(contestant: str, run: Run) -> Measurement:
        raise RuntimeError("lost one")

    monkeypatch.setattr(run, "CASES", (case(measure),))
    assert run.main(["--smoke"]) == 1
    assert "FAILED: c ours: lost one" in capsys.readouterr().out


def test_a_case_that_needs_too_many_descriptors_says_so_and_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "CASES", (case(nothing, descriptors=5000),))
    monkeypatch.setattr(run, "raise_descriptors", lambda: 1024)
    assert run.main(["--quick"]) == 0
    assert "c: needs 5,000 open files and ulimit -n allows 1,024: skipped" in capsys.readouterr().out


def test_unknown_case_names_the_known_ones() -> None:
    with pytest.raises(SystemExit, match="no such case: nothing; there are cli-help, "):
        run.chosen(["nothing"])


def test_every_contestant_of_every_case_has_a_name_in_words() -> None:
    from bench.servers import SERVERS, VARIANTS

    known = {*SERVERS, *VARIANTS, "uvicorn --reload", "uvicorn", "interpreter"}
    for each in run.CASES:
        assert each.contestants[0] == "ours"
        assert {*each.contestants, *each.more} <= known, each.name
        assert not set(each.contestants) & set(each.more), each.name
