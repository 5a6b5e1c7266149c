"""A worker that can do less than usual says so to everybody, once. Spec: wire 3.1, cluster 3."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded
from runtime.core.publisher import make_event
from tests.unit.core.parts import Core


@pytest.mark.spec("WIRE-58")
async def test_an_outage_is_told_once_whatever_its_causes() -> None:
    core = Core()
    peer = core.connect("__realtime")
    health = core.platform.health
    health.degrade("relay")
    health.degrade("relay")
    await core.clock.advance(1.5)
    health.degrade("bus")
    assert health.causes == ("relay", "bus")
    health.recover("relay")
    health.recover("relay")
    health.recover("unknown")
    assert health.causes == ("bus",)
    await core.clock.advance(1.0)
    health.recover("bus")
    assert health.causes == ()
    health.degrade("relay")
    at = 1_700_000_000_000
    assert core.texts(peer) == [
        f'{{"topic":"__realtime","event":"degraded","data":{{"at":{at}}}}}',
        f'{{"topic":"__realtime","event":"recovered","data":{{"at":{at + 2500}}}}}',
        f'{{"topic":"__realtime","event":"degraded","data":{{"at":{at + 2500}}}}}',
    ]
    assert core.metrics.total("publish_total") == 0


async def test_it_comes_behind_what_live_functions_published_before() -> None:
    core = Core()
    peer = core.connect("t", "__realtime")
    core.turn.add(make_event("t", "first", None, True, 0))
    core.platform.health.degrade("relay")
    assert [event for _, event, _, _ in core.events(peer)] == ["first", "degraded"]


@pytest.mark.parametrize("cause", ["", None, 3])
async def test_a_cause_has_a_name(cause: Any) -> None:
    with pytest.raises(ValueError, match="cause: must be a text"):
        Core().platform.health.degrade(cause)


async def test_causes_are_bounded() -> None:
    health = Core().platform.health
    with capacity.capacity_override(MAX_DEGRADED_CAUSES=2):
        health.degrade("a")
        health.degrade("b")
        with pytest.raises(CapacityExceeded, match="causes of degradation exceeded 2"):
            health.degrade("c")
        health.degrade("a")
    assert health.causes == ("a", "b")
