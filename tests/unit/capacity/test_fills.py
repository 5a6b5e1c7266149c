"""Each bound is met, and more than met: who does it sees what is documented, everybody else sees nothing.

Spec: platform 6.1, 6.2 and PLAT-124; live-api 27.1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.core import capacity
from runtime.core.capacity import capacity_override
from tests.unit.capacity import fills_core, fills_live, fills_plugins
from tests.unit.capacity.test_sizes import OF_CLIENTS
from tests.unit.capacity.world import World, lines, met

FILLS = {**fills_core.FILLS, **fills_live.FILLS, **fills_plugins.FILLS}
#: Bounds that are met in tests of their own, with everything that they need.
ELSEWHERE = {
    "MAX_AGGREGATE_HYDRATION_QUEUE": "server/test_aggregates.py",
    "MAX_CLIENT_QUEUE": "unit/client/test_connection.py",
    "MAX_DERIVED_ARGS": "server/test_derived.py",
    "MAX_DEVTOOLS_BYTES": "server/test_devtools_frames.py",
    "MAX_DEVTOOLS_CALLS": "server/test_devtools_frames.py",
    "MAX_DEVTOOLS_FRAMES": "server/test_devtools_frames.py",
    "MAX_DEVTOOLS_ROWS": "server/test_devtools_frames.py",
    "MAX_DEVTOOLS_TOPICS": "server/test_devtools_frames.py",
    "MAX_EFFECT_RUNS": "server/test_effects.py",
    "MAX_NOTIFIES": "server/test_push_registry.py",
    "MAX_OPTIMISTIC_QUEUE_DEPTH": "unit/client/test_stream_use.py",
    "MAX_SSR_DEDUP": "unit/server/test_dedup.py",
    "MAX_SSR_DEDUP_BODY": "unit/server/test_dedup.py",
    "MAX_SSR_DEDUP_WAITERS": "unit/server/test_dedup.py",
}
TESTS = Path(__file__).parents[2]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.mark.spec("PLAT-124")
@pytest.mark.parametrize("name", FILLS)
async def test_at_a_bound(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill = FILLS[name]
    monkeypatch.setattr(capacity, "_told", {})
    await world.undisturbed()
    limit = fill.bound(world, name)
    before = met()
    with capacity_override(**{name: limit}):
        await fill.run(world)
        await world.undisturbed()
        if name not in capacity.OF_ONE and name not in OF_CLIENTS:
            assert world.size(name) <= limit + fill.slack
        assert world.runtime.metrics.snapshot()["capacity_limit"][name,] == limit
    since = met() - before
    assert since[name, fill.action] > 0
    assert {structure for structure, _ in since} == {name}  # nothing else has run full
    exported = world.runtime.metrics.snapshot()["capacity_events_total"]
    assert exported[name, fill.action] == capacity.events[name, fill.action]
    said = lines([record.getMessage() for record in caplog.records])
    expected = [] if fill.is_usual else [(name, fill.action)]
    assert [(line["structure"], line["action"]) for line in said] == expected
    assert all(line.keys() == {"structure", "size", "limit", "action", "hint"} for line in said)
    await world.undisturbed()


@pytest.mark.spec("PLAT-124")
def test_every_bound_is_met_somewhere() -> None:
    assert FILLS.keys() | ELSEWHERE.keys() == capacity.DEFAULTS.keys()
    assert not FILLS.keys() & ELSEWHERE.keys()
    for name, file in ELSEWHERE.items():
        assert name in (TESTS / file).read_text(encoding="utf-8"), name
