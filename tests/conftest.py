"""What every test shares: the asyncio backend, the `spec` mark and the check for leaked tasks."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from runtime.core import currentplatform
from runtime.live.apppackage import AppPackage
from tools.spec_coverage import read_items

# What fills bounds asserts as a test does; documents and other tests import it, too.
pytest.register_assert_rewrite(
    "tests.unit.capacity.fills_core",
    "tests.unit.capacity.fills_live",
    "tests.unit.capacity.fills_plugins",
    "tests.unit.capacity.world",
)

ITEMS = Path(__file__).parent / "spec" / "items.txt"
LEAK_GRACE = 2.0
# anyio's runner drives each fixture and test from a task of its own.
RUNNER = "_call_in_runner_task"

# An example that takes long because the machine is busy is no failure.
settings.register_profile("realtime", deadline=None)
settings.load_profile("realtime")


class SpecReport:
    """Collects the outcome of every test that names a checklist item, for `--spec-report`."""

    def __init__(self, target: Path | None) -> None:
        self.target = target
        self.outcomes: dict[str, dict[str, str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        for name, value in report.user_properties:
            if name == "spec":
                self.outcomes[str(value)][report.nodeid] = report.outcome

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.target is None or hasattr(session.config, "workerinput"):
            return
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.target.write_text(json.dumps(self.outcomes, indent=1, sort_keys=True), encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--spec-report", type=Path, default=None, help="write item -> test -> outcome as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SpecReport(config.getoption("--spec-report")), "spec-report")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = read_items(ITEMS)
    for item in items:
        for mark in item.iter_markers("spec"):
            unknown = [name for name in mark.args if name not in known]
            if unknown or not mark.args:
                raise pytest.UsageError(
                    f"{item.nodeid}: no such checklist item: {unknown or 'spec() is empty'}"
                )
            item.user_properties.extend(("spec", name) for name in mark.args)
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "no_leaked_tasks")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Every async test runs on asyncio."""
    return "asyncio"


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail an async test that leaves a task behind; set up first, so that other fixtures are gone by then."""
    before = asyncio.all_tasks()
    yield
    left = {
        task
        for task in asyncio.all_tasks() - before - {asyncio.current_task()}
        if RUNNER not in getattr(task.get_coro(), "__qualname__", "")
    }
    if left:
        _, left = await asyncio.wait(left, timeout=LEAK_GRACE)
    if left:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=LEAK_GRACE)
        pytest.fail("left running: " + ", ".join(sorted(task.get_name() for task in left)))


def apps_of_the_process() -> set[str]:
    """Return the projects whose modules can be imported, and the platforms of apps that were not stopped."""
    projects = {str(one.project) for one in sys.meta_path if isinstance(one, AppPackage)}
    return projects | {f"platform {id(entry[2])}" for entry in currentplatform._current}


@pytest.fixture(autouse=True)
def no_apps_left() -> Iterator[None]:
    """Fail a test that leaves an app in the process: the next one would see its modules and its logs' filters."""
    before = apps_of_the_process()
    yield
    assert apps_of_the_process() - before == set(), "not stopped"


@pytest.fixture(autouse=True)
def no_inherited_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep `REALTIME_*` of the developer's shell out of the tests."""
    for name in [name for name in os.environ if name.startswith("REALTIME_") and "_TEST_" not in name]:
        monkeypatch.delenv(name)
