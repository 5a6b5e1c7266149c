"""What must always hold: counted, logged, raised in tests only. Spec: platform 6.4."""

from __future__ import annotations

import ast
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.core import assertions
from runtime.core.assertions import InvariantViolation, assert_invariant, assertion_counters, dev_assert
from runtime.testing import FakeClock
from tests.unit.core.parts import Core

ROOT = Path(__file__).parents[3]
CATEGORY = assertions.SUBS_SHAPE


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    clock = FakeClock()
    assertions.configure("production", clock)
    yield clock
    assertions.configure("production", FakeClock())


@pytest.fixture
def outside_tests(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """Let the checks see a process in which no pytest runs."""
    monkeypatch.delitem(sys.modules, "pytest")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "realtime.assert"]


def test_what_holds_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    before = dict(assertion_counters())
    assert_invariant([0], CATEGORY)
    dev_assert(1, "fine")
    assert dict(assertion_counters()) == before
    assert lines(caplog) == []


@pytest.mark.spec("PLAT-128")
def test_in_tests_a_violation_raises_after_it_was_counted(caplog: pytest.LogCaptureFixture) -> None:
    before = assertion_counters()[CATEGORY]
    with pytest.raises(InvariantViolation) as caught:
        assert_invariant(None, CATEGORY, topic="t")
    assert isinstance(caught.value, AssertionError)
    assert (caught.value.category, caught.value.context) == (CATEGORY, {"topic": "t"})
    assert assertion_counters()[CATEGORY] == before + 1


@pytest.mark.spec("PLAT-128")
@pytest.mark.usefixtures("outside_tests")
def test_outside_of_tests_it_is_counted_and_logged_as_one_line_of_json(
    caplog: pytest.LogCaptureFixture,
) -> None:
    view = assertion_counters()
    before = view[CATEGORY]
    assert_invariant(False, CATEGORY, topic="t", size=3)
    assert view[CATEGORY] == before + 1
    assert lines(caplog) == ['[platform/assert] {"category":"subs.shape","context":{"topic":"t","size":3}}']
    assert caplog.records[0].levelno == logging.ERROR


@pytest.mark.usefixtures("clock")
def test_the_environment_named_test_raises_without_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pytest")
    assertions.configure("test")
    with pytest.raises(InvariantViolation):
        assert_invariant(False, CATEGORY)
    assertions.configure("dev")
    assert_invariant(False, CATEGORY)


@pytest.mark.spec("PLAT-128")
def test_it_survives_python_without_asserts() -> None:
    script = (
        "from runtime.core.assertions import *\n"
        "assert_invariant(False, SUBS_SHAPE, n=1)\n"
        "configure('test')\n"
        "try: assert_invariant(False, SUBS_SHAPE)\n"
        "except InvariantViolation: print('raised', assertion_counters()[SUBS_SHAPE])\n"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, "raised 2\n"), done.stderr
    assert '[platform/assert] {"category":"subs.shape","context":{"n":1}}' in done.stderr


@pytest.mark.usefixtures("outside_tests")
@pytest.mark.parametrize(
    ("category", "layer"),
    [
        ("subs.shape", "platform"),
        ("realtime/lock.waiter.shape", "realtime"),
        ("registry.session-shadow.consistency", "extensions"),
        ("pubsub.envelope.shape", "extensions"),
    ],
)
def test_the_layer_stands_before_the_line(
    category: str, layer: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert_invariant(False, category)
    assert lines(caplog) == [f'[{layer}/assert] {{"category":"{category}","context":{{}}}}']


@pytest.mark.usefixtures("outside_tests")
def test_secrets_are_taken_out_and_what_cannot_be_written_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        @property
        def __dict__(self) -> dict[str, object]:
            raise RuntimeError("no")

    assert_invariant(False, CATEGORY, user={"id": 1, "password": "p", "__slot": 2}, data=b"raw")
    assert_invariant(False, CATEGORY, thing=object())
    assert_invariant(False, CATEGORY, thing=Broken())
    assert_invariant(False, CATEGORY, text="x" * 10_000)
    plain = '[platform/assert] {"category":"subs.shape"}'
    assert lines(caplog) == [
        '[platform/assert] {"category":"subs.shape","context":{"user":{"id":1},"data":"[bytes: 3]"}}',
        plain,
        plain,
        plain,
    ]
    assert all(json.loads(line.split(" ", 1)[1])["category"] == CATEGORY for line in lines(caplog))


@pytest.mark.usefixtures("outside_tests")
async def test_ten_lines_a_minute_for_each_category_and_every_violation_counted(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    before = assertion_counters()[CATEGORY]
    for _ in range(25):
        assert_invariant(False, CATEGORY)
    assert len(lines(caplog)) == 10
    assert_invariant(False, assertions.LOOP_THREAD)
    assert len(lines(caplog)) == 11
    await clock.advance(59)
    assert_invariant(False, CATEGORY)
    assert len(lines(caplog)) == 11
    await clock.advance(1)
    assert_invariant(False, CATEGORY)
    assert len(lines(caplog)) == 12
    assert assertion_counters()[CATEGORY] == before + 27


@pytest.mark.usefixtures("outside_tests")
async def test_every_worker_shows_the_counters_as_a_metric() -> None:
    assert_invariant(False, CATEGORY)
    shown = Core().metrics.snapshot()["assertion_violations_total"]
    assert shown[(CATEGORY,)] == assertion_counters()[CATEGORY]


def test_the_counters_are_one_live_view_that_nobody_changes() -> None:
    view = assertion_counters()
    assert view is assertion_counters()
    assert view["never.violated"] == 0
    with pytest.raises(TypeError):
        view["x"] = 1


def test_a_dev_check_warns_outside_production_and_raises_only_for_ourselves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    dev_assert(False, "in tests", n=1)
    monkeypatch.delitem(sys.modules, "pytest")
    dev_assert(False, "in production")
    assertions.configure("dev")
    dev_assert(False, "in dev")
    assert lines(caplog) == ['in tests {"n":1}', "in dev {}"]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    monkeypatch.setenv("REALTIME_STRICT_DEV", "1")
    with pytest.raises(AssertionError, match="strict"):
        dev_assert(False, "strict")


def constants() -> dict[str, str]:
    return {
        name: value
        for name, value in vars(assertions).items()
        if name.isupper() and isinstance(value, str) and name != "EXTENSIONS"
    }


@pytest.mark.spec("PLAT-129")
def test_categories_are_constants_and_each_is_used() -> None:
    """A category is a label of a metric, so nothing that a client sends may become one."""
    names = constants()
    assert len(set(names.values())) == len(names)
    used: set[str] = set()
    for file in (ROOT / "runtime").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) == "assert_invariant":
                category = _name(node.args[1])
                if category == "shape":  # chosen between two constants, in core/requests.py
                    continue
                assert category is not None, f"{file}:{node.lineno}"
                assert category.isupper(), f"{file}:{node.lineno}"
                used.add(category)
    assert used | {"REQUEST_ENTRY_REJECT_SHAPE", "REQUEST_ENTRY_RESOLVE_SHAPE"} >= set(names)


def _name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
