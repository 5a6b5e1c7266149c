from __future__ import annotations

import pytest

from bench import run
from bench.case import Case, CaseResult, Figure, Measurement, Run
from bench.goals import GOALS, Goal, goal_of


def measured(**rounds: list[float]) -> dict[str, object]:
    def measure(contestant: str, run: Run) -> Measurement:
        raise AssertionError

    figures = (Figure("p99_ms", "ms", higher_is_better=False),)
    case = Case("c", "a case", figures, tuple(rounds), measure)
    values = [
        {name: {"p99_ms": value} for name, value in zip(rounds, found, strict=True)}
        for found in zip(*rounds.values(), strict=True)
    ]
    return CaseResult(case, rounds=values).as_json()


def test_a_goal_beside_a_peer_is_the_median_of_the_ratios_of_the_rounds() -> None:
    goal = Goal("c", "p99_ms", 1.0, 1.5, "peer")
    value = goal.value(measured(ours=[1.0, 2.0, 4.0], peer=[4.0, 4.0, 4.0]))
    assert value == 2.0
    assert goal.verdict(2.0) == "goal"
    assert goal.verdict(1.2) == "floor"
    assert goal.verdict(0.9) == "below"


def test_a_goal_on_its_own_is_an_upper_bound() -> None:
    goal = Goal("c", "p99_ms", 10, 5)
    assert goal.value(measured(ours=[4.0, 6.0, 8.0])) == 6.0
    assert [goal.verdict(value) for value in (4.9, 6.0, 10.0)] == ["goal", "floor", "below"]
    assert goal.text() == "< 10 / 5"


def test_what_was_not_measured_has_no_value() -> None:
    assert Goal("c", "p99_ms", 1, 2, "peer").value(measured(ours=[1.0])) is None
    assert Goal("c", "other", 1, 2, "ours").value(measured(ours=[1.0])) is None


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: f"{goal.case}-{goal.figure}-{goal.beside}")
def test_every_goal_looks_at_a_case_that_is_measured(goal: Goal) -> None:
    (case,) = [case for case in run.CASES if case.name == goal.case]
    assert goal.figure in {figure.name for figure in case.figures}
    assert goal.beside is None or goal.beside in case.contestants
    assert goal_of(goal.case, goal.figure, goal.beside or "ours") is goal
