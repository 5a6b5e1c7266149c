"""Which classes of work are refused under pressure. Spec: live-api 18.1."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import live
from runtime.core.pressure import REASONS, PressureSnapshot
from runtime.live import collector
from runtime.live.admission import Admission


def under(reason: Any) -> PressureSnapshot:
    return PressureSnapshot(reason != "NONE", reason, 0.0, 500.0)


@pytest.mark.spec("LIVE-161")
@pytest.mark.parametrize("reason", REASONS)
def test_a_class_is_shed_for_the_reasons_it_names(reason: str) -> None:
    admission = Admission({"background": ["PUBLISH_RATE", "MEMORY"], "critical": (), "odd": ("NONE",)})
    assert admission.sheds("background", under(reason)) is (reason in ("PUBLISH_RATE", "MEMORY"))
    assert admission.sheds("critical", under(reason)) is False
    assert admission.sheds("odd", under(reason)) is (reason == "NONE")


@pytest.mark.spec("LIVE-161")
def test_a_class_may_decide_by_itself() -> None:
    admission = Admission({"x": lambda snapshot: snapshot.publish_rate > 400})
    assert admission.sheds("x", under("NONE")) is True
    assert admission.sheds("x", PressureSnapshot()) is False
    answers = {"one": 1, "text": "yes", "zero": 0, "nothing": None}
    by_answer = Admission({name: lambda snapshot, answer=answer: answer for name, answer in answers.items()})
    assert [by_answer.sheds(name, PressureSnapshot()) for name in answers] == [True, True, False, False]


@pytest.mark.spec("LIVE-21")
def test_an_unknown_class_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="unknown class of service 'y'; known: a, b"):
        Admission({"a": [], "b": []}).sheds("y", PressureSnapshot())
    with pytest.raises(ValueError, match="known: none"):
        Admission({}).sheds("y", PressureSnapshot())


async def later(snapshot: PressureSnapshot) -> bool:
    return True


def fails(snapshot: PressureSnapshot) -> bool:
    raise ValueError("no such reading")


@pytest.mark.parametrize("rule", [fails, lambda snapshot: later(snapshot)])
def test_a_predicate_that_fails_refuses_nothing_and_is_told_of_once(
    caplog: pytest.LogCaptureFixture, rule: Any
) -> None:
    admission = Admission({"x": rule, "y": rule})
    assert [admission.sheds(name, under("MEMORY")) for name in ("x", "x", "y")] == [False] * 3
    assert [record.getMessage() for record in caplog.records] == [
        f"live.admission: the function of class '{name}' failed; nothing is refused" for name in ("x", "y")
    ]


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        ([("x", [])], TypeError, "a mapping of classes to rules is needed"),
        ({5: []}, TypeError, "the name of a class must be a string, not 5"),
        ({"": []}, ValueError, "the name of a class must not be empty"),
    ],
)
def test_classes_have_names(classes: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Admission(classes)


@pytest.mark.spec("LIVE-161")
@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        (later, TypeError, "class 'x': the function must be a plain one, not async"),
        ("MEMORY", TypeError, "class 'x' needs a list of reasons or a function, not 'MEMORY'"),
        (None, TypeError, "needs a list of reasons or a function, not None"),
        ({"MEMORY"}, TypeError, "needs a list of reasons"),
        (["MEMORY", "CPU"], ValueError, "class 'x': unknown reason 'CPU'; known: NONE, PUBLISH_RATE"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rule: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Admission({"x": rule})


@pytest.mark.spec("LIVE-161")
def test_none_clears_and_nothing_is_shed_where_nothing_is_configured() -> None:
    before = collector.ambient.admission
    try:
        live.admission({"background": ["MEMORY"]})
        assert collector.ambient.admission is not None
        live.admission(None)
        assert collector.ambient.admission is None
    finally:
        collector.ambient.admission = before
