"""How many upgrades are completed in one turn of the loop. Spec: platform 1.6 step 9."""

from __future__ import annotations

import asyncio

import pytest

from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.server.admission import TurnBudget


async def in_which_turns(budget: TurnBudget, count: int) -> list[int]:
    """Let `count` callers come at once; return in which turn of the loop each got through."""
    turn = 0
    got: list[int] = []

    async def caller() -> None:
        assert await budget.turn()
        got.append(turn)

    callers = [asyncio.ensure_future(caller()) for _ in range(count)]
    while len(got) < count:
        await asyncio.sleep(0)
        turn += 1
        assert turn < 100
    await asyncio.gather(*callers)
    return got


@pytest.mark.spec("PLAT-17")
async def test_no_turn_has_more_than_the_budget_and_all_come_in_order() -> None:
    budget = TurnBudget(3)
    got = await in_which_turns(budget, 10)
    assert got == sorted(got)
    assert max(got.count(turn) for turn in got) == 3
    assert len(set(got)) == 4
    assert budget.waiting == 0


async def test_whoever_comes_alone_does_not_wait() -> None:
    budget = TurnBudget(1)
    for _ in range(3):
        waiting = budget.turn()
        with pytest.raises(StopIteration) as ended:
            waiting.send(None)
        assert ended.value.value is True
        await asyncio.sleep(0)


async def test_a_newcomer_does_not_overtake_those_that_wait() -> None:
    budget = TurnBudget(1)
    order: list[str] = []

    async def caller(name: str) -> None:
        await budget.turn()
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(caller(name))
        await asyncio.sleep(0)
        for name in "de":
            group.create_task(caller(name))
            await asyncio.sleep(0)
    assert order == list("abcde")


@pytest.mark.spec("PLAT-17")
async def test_a_caller_that_is_cancelled_takes_no_place() -> None:
    budget = TurnBudget(1)
    waiting = [asyncio.ensure_future(budget.turn()) for _ in range(5)]
    await asyncio.sleep(0)
    assert [done.done() for done in waiting] == [True, False, False, False, False]
    for gone in waiting[1:4]:
        gone.cancel()
    turns = 0
    while not waiting[4].done():
        await asyncio.sleep(0)
        turns += 1
    assert turns <= 2  # the next turn, and the one in which its task runs
    assert await waiting[4]
    assert all(gone.cancelled() for gone in waiting[1:4])
    assert budget.waiting == 0


@pytest.mark.spec("PLAT-17")
async def test_too_many_that_wait_are_refused_at_once() -> None:
    before = capacity.events["MAX_DEFERRED_UPGRADES", "reject"]
    with capacity_override(MAX_DEFERRED_UPGRADES=2):
        budget = TurnBudget(1)
        answers = await asyncio.gather(*(budget.turn() for _ in range(5)))
    assert answers == [True, True, True, False, False]
    assert capacity.events["MAX_DEFERRED_UPGRADES", "reject"] == before + 2
