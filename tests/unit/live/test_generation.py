"""A call ends in the generation in which it began; a replaced one closes after its last call."""

from __future__ import annotations

from runtime.live.generation import Generation
from runtime.live.registry import Registry


def test_a_generation_without_calls_drains_at_once() -> None:
    drained: list[Generation] = []
    generation = Generation(1, Registry())
    generation.retire(drained.append)
    assert drained == [generation]


def test_the_last_call_drains_it_once() -> None:
    drained: list[Generation] = []
    generation = Generation(1, Registry())
    generation.enter()
    generation.enter()
    generation.exit()
    generation.retire(drained.append)
    assert (drained, generation.running) == ([], 1)
    generation.enter()
    generation.exit()
    assert drained == []
    generation.exit()
    assert drained == [generation]
    generation.enter()
    generation.exit()
    assert drained == [generation]
