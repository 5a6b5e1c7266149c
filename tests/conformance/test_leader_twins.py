"""What every leader does, in this process or shared: one suite for all of them. Spec: cluster 5, live-api 16.5."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from runtime.core.tasks import TaskOwner
from runtime.live.cronleader import LeaderGate, check_leader
from runtime.plugins import Leader, LeaderProtocol
from tests.conformance.doubles.slow_leader import SlowLeader
from tests.conformance.twins import Factory, settle

TWINS: dict[str, Callable[[], Factory[LeaderProtocol]]] = {
    "memory": lambda: Factory(Leader),
    "slow": lambda: Factory(SlowLeader),
}
#: Seconds after which somebody has taken over.
SOON = 1.0

_keys = itertools.count()


@pytest.fixture(params=TWINS)
async def factory(request: pytest.FixtureRequest) -> AsyncIterator[Factory[LeaderProtocol]]:
    async with TWINS[request.param]() as factory:
        yield factory


@pytest.fixture
def key() -> str:
    """A key that no other test uses: what is shared outlives a test."""
    return f"key-{next(_keys)}"


async def test_nobody_leads_before_the_start(factory: Factory[LeaderProtocol], key: str) -> None:
    leader = factory.make(key=key)
    assert (leader.is_leader(), leader.epoch) == (False, None)
    assert await leader.current_leader() is None
    assert (leader.key, len(leader.instance_id)) == (key, 16)
    await leader.stop()
    assert leader.is_leader() is False


async def test_one_leads_and_the_next_follows_with_a_larger_epoch(
    factory: Factory[LeaderProtocol], key: str
) -> None:
    a, b, c = (factory.make(key=key, instance_id=name) for name in "abc")
    for leader in (a, b, c):
        await leader.start()
    await factory.advance(SOON)
    assert [leader.is_leader() for leader in (a, b, c)] == [True, False, False]
    assert [await leader.current_leader() for leader in (a, b, c)] == ["a"] * 3
    first = a.epoch
    assert first is not None
    assert b.epoch is None
    await a.stop()
    assert (a.is_leader(), a.epoch) == (False, None)
    await factory.advance(SOON)
    assert sorted([b.is_leader(), c.is_leader()]) == [False, True]
    second = b.epoch or c.epoch
    assert second is not None
    assert second > first
    await a.start()
    await factory.advance(SOON)
    assert not a.is_leader()
    for leader in (b, c):
        await leader.stop()
    await factory.advance(SOON)
    assert a.is_leader()
    assert (a.epoch or 0) > second


async def test_keys_are_led_apart(factory: Factory[LeaderProtocol], key: str) -> None:
    a, b = factory.make(key=key), factory.make(key=f"{key}-other")
    await a.start()
    await b.start()
    await factory.advance(SOON)
    assert (a.is_leader(), b.is_leader()) == (True, True)


async def test_to_start_and_stop_again_changes_nothing(factory: Factory[LeaderProtocol], key: str) -> None:
    a, b = factory.make(key=key), factory.make(key=key)
    await a.start()
    await b.start()
    epoch = await a.wait_elected(SOON)
    await a.start()
    assert a.epoch == epoch
    await b.stop()
    await b.stop()
    await factory.advance(SOON)
    assert a.epoch == epoch
    await a.stop()
    await a.stop()
    await factory.advance(SOON)
    assert (a.is_leader(), b.is_leader()) == (False, False)
    assert await a.current_leader() is None


async def test_who_waits_is_told_the_epoch_or_that_the_time_is_over(
    factory: Factory[LeaderProtocol], key: str
) -> None:
    a, b = factory.make(key=key), factory.make(key=key)
    tasks = TaskOwner("test")
    await a.start()
    assert await a.wait_elected(SOON) == a.epoch
    waits = [tasks.start(b.wait_elected(seconds), name="wait") for seconds in (SOON, 1000.0, None)]
    await b.start()
    await factory.advance(SOON / 2)
    assert [wait.done() for wait in waits] == [False] * 3
    await factory.advance(SOON)
    assert [wait.done() for wait in waits] == [True, False, False]
    with pytest.raises(TimeoutError):
        await waits[0]
    await a.stop()
    await factory.advance(SOON)
    assert [await wait for wait in waits[1:]] == [b.epoch] * 2
    wait = tasks.start(a.wait_elected(), name="wait")
    await settle()
    await a.stop()
    with pytest.raises(TimeoutError):
        await wait
    await tasks.close()


async def test_who_stops_waiting_leaves_the_others_alone(factory: Factory[LeaderProtocol], key: str) -> None:
    leader, tasks = factory.make(key=key), TaskOwner("test")
    waits = [tasks.start(leader.wait_elected(), name="wait") for _ in range(2)]
    await settle()
    waits[0].cancel()
    await settle()
    await leader.start()
    await factory.advance(SOON)
    assert await waits[1] == leader.epoch
    await tasks.close()


async def test_callbacks_alternate_and_hold_nobody_up(factory: Factory[LeaderProtocol], key: str) -> None:
    said: list[Any] = []
    gate = asyncio.Event()

    async def slowly(epoch: int) -> None:
        await gate.wait()
        said.append(("b", epoch))

    def badly(reason: str) -> None:
        said.append(("b", reason))
        raise ValueError("the app is at fault")

    a = factory.make(
        key=key,
        on_elected=lambda epoch: said.append(("a", epoch)),
        on_lost=lambda reason: said.append(("a", reason)),
    )
    b = factory.make(key=key, on_elected=slowly, on_lost=badly)
    await a.start()
    await b.start()
    await factory.advance(SOON)
    first = a.epoch
    await a.stop()
    await a.stop()
    await factory.advance(SOON)
    assert b.is_leader()
    second = b.epoch
    assert said == [("a", first), ("a", "stopped")]
    gate.set()
    await settle()
    await b.stop()
    assert said == [("a", first), ("a", "stopped"), ("b", second), ("b", "stopped")]


@pytest.mark.parametrize(
    "options",
    [
        {"key": ""},
        {"instance_id": ""},
        {"lease": 0},
        {"lease": -1.0},
        {"renew": 0},
        {"lease": 2.0, "renew": 2.0},
        {"renew": 31.0},
    ],
)
async def test_options_that_cannot_be(factory: Factory[LeaderProtocol], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="leader"):
        factory.make(**options)


@pytest.mark.spec("LIVE-196")
async def test_cron_may_be_given_the_leader_or_its_method(factory: Factory[LeaderProtocol], key: str) -> None:
    a, b = factory.make(key=key), factory.make(key=key)
    await a.start()
    await b.start()
    await factory.advance(SOON)
    gate = LeaderGate()
    for leader, answer in ((a, None), (b, "not-leader")):
        for given in (leader, leader.is_leader):
            function = check_leader(given)
            assert function is not None
            assert gate.ask(function) == answer
