"""UPG128: the state of a breaker, published by hand."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import flagged, stays

SERVICES = "from runtime.cluster import PubSubBus\n\nbus = PubSubBus(redis)\n"
HEAD = "from services import bus\n\n\n"


@pytest.mark.parametrize(
    "source",
    [
        HEAD + "bus.breaker.on_state_change(lambda a, b: log(b))\n",
        HEAD + "bus.breaker.on_state_change(lambda a, b: bus.publish('state', b))\n",
        "other.breaker.on_state_change(lambda a, b: other.publish('__system', b))\n",
        HEAD + "bus.publish('__system', 1)\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG128", source, services=SERVICES)


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("bus.breaker.on_state_change(lambda a, b: bus.publish('__system', b))\n", 4),
        ("def f(a, b):\n    bus.publish(f'__{a}', b)\n\n\nbus.breaker.on_state_change(f)\n", 5),
        ("breaker = bus.breaker\nbreaker.on_state_change(lambda a, b: bus.publish('__system', b))\n", 5),
    ],
)
def test_wiring_by_hand_is_told(source: str, line: int) -> None:
    assert flagged("UPG128", HEAD + source, services=SERVICES) == [("D-37", line)]
