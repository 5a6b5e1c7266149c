"""What every idempotency store does, in this process or shared: one suite. Spec: platform 7.3, cluster 2.5 and 9."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from runtime.core.tasks import TaskOwner
from runtime.plugins import (
    IdempotencyPendingError,
    IdempotencyProtocol,
    IdempotencySlotLostError,
    MemoryIdempotencyStore,
)
from tests.conformance.doubles.slow_idempotency import SlowIdempotencyStore
from tests.conformance.twins import Factory

TWINS: dict[str, Callable[[], Factory[IdempotencyProtocol]]] = {
    "memory": lambda: Factory(MemoryIdempotencyStore),
    "slow": lambda: Factory(SlowIdempotencyStore),
}
pytestmark = pytest.mark.spec("PLAT-135")


@pytest.fixture(params=TWINS)
async def factory(request: pytest.FixtureRequest) -> AsyncIterator[Factory[IdempotencyProtocol]]:
    async with TWINS[request.param]() as factory:
        yield factory


@pytest.fixture
async def store(factory: Factory[IdempotencyProtocol]) -> IdempotencyProtocol:
    made = factory.make()
    await made.ready()
    return made


async def test_the_first_does_the_work_and_the_others_get_its_result(store: IdempotencyProtocol) -> None:
    slot = await store.acquire("k")
    assert (slot.state, slot.acquired, slot.pending, slot.result) == ("acquired", True, False, None)
    assert slot.owner
    result = {"rows": [1, 2]}
    await slot.commit(result)
    result["rows"].append(3)
    for _ in range(2):
        again = await store.acquire("k")
        assert (again.state, again.acquired, again.result) == ("result", False, {"rows": [1, 2]})
        again.result["rows"].append(4)  # a copy of its own
    assert (await store.acquire("other")).acquired


async def test_nothing_is_a_result_too(store: IdempotencyProtocol) -> None:
    await (await store.acquire("a")).commit()
    await (await store.acquire("b")).commit(None)
    for key in "ab":
        slot = await store.acquire(key)
        assert (slot.state, slot.result) == ("result", None)


async def test_while_somebody_works_nobody_else_does(
    store: IdempotencyProtocol, factory: Factory[IdempotencyProtocol]
) -> None:
    tasks = TaskOwner("callers")
    slot = await store.acquire("k")
    second = tasks.start(store.acquire("k"), name="second")
    await factory.advance(1)
    await slot.commit("done")
    await factory.advance(1)
    found = second.result()
    assert (found.state, found.result) in [("pending", None), ("result", "done")]
    assert (await store.acquire("k")).result == "done"


async def test_a_failure_frees_the_key(store: IdempotencyProtocol) -> None:
    slot = await store.acquire("k")
    await slot.abort()
    await slot.abort()
    assert (await store.acquire("k")).acquired


async def test_a_result_is_kept_for_its_ttl(
    store: IdempotencyProtocol, factory: Factory[IdempotencyProtocol]
) -> None:
    await (await store.acquire("k", 4)).commit(1)
    await factory.advance(3)
    assert (await store.acquire("k", 100)).result == 1  # asking makes it no longer
    await factory.advance(2)
    assert (await store.acquire("k")).acquired


async def test_what_has_no_json_form_is_no_result(store: IdempotencyProtocol) -> None:
    slot = await store.acquire("k")
    with pytest.raises(TypeError):
        await slot.commit(object())
    await slot.commit("then this")  # it is still its slot
    assert (await store.acquire("k")).result == "then this"


async def test_a_block_commits_or_aborts(store: IdempotencyProtocol) -> None:
    async with await store.acquire("a") as slot:
        slot.set(5)
    assert (await store.acquire("a")).result == 5
    with pytest.raises(KeyError):
        async with await store.acquire("b"):
            raise KeyError
    async with await store.acquire("b") as slot:
        assert slot.acquired
        await slot.commit("early")
    assert (await store.acquire("b")).result == "early"
    async with await store.acquire("b") as slot:
        assert slot.state == "result"


async def test_a_block_that_cannot_commit_frees_the_key(store: IdempotencyProtocol) -> None:
    with pytest.raises(TypeError):
        async with await store.acquire("k") as slot:
            slot.set(object())
    assert (await store.acquire("k")).acquired


async def test_only_an_acquired_slot_can_be_settled(store: IdempotencyProtocol) -> None:
    await (await store.acquire("k")).commit(1)
    slot = await store.acquire("k")
    for call in (slot.commit, slot.abort, slot.renew):
        with pytest.raises(RuntimeError, match="'result', not acquired"):
            await call()


async def test_a_commit_can_be_repeated(store: IdempotencyProtocol) -> None:
    slot = await store.acquire("k")
    await slot.renew()
    await slot.commit(1)
    await slot.commit(1)
    await slot.abort()  # which comes too late
    assert (await store.acquire("k")).result == 1


async def test_a_slot_that_was_purged_is_lost(store: IdempotencyProtocol) -> None:
    slot = await store.acquire("k")
    await store.purge("k")
    with pytest.raises(IdempotencySlotLostError):
        await slot.renew()
    second = await store.acquire("k")
    assert second.acquired
    await slot.abort()  # must not free the other's slot
    with pytest.raises(IdempotencySlotLostError) as caught:
        await slot.commit("old")
    assert (caught.value.code, caught.value.result) == ("IDEMPOTENCY_SLOT_LOST", None)
    await second.commit("new")
    with pytest.raises(IdempotencySlotLostError) as caught:
        await slot.commit("old")
    assert caught.value.result == "new"
    assert (await store.acquire("k")).result == "new"


async def test_purge_and_clear_forget_results(store: IdempotencyProtocol) -> None:
    for key in "abc":
        await (await store.acquire(key)).commit(key)
    await store.purge("a")
    assert [(await store.acquire(key)).state for key in "ab"] == ["acquired", "result"]
    await store.clear()
    assert [(await store.acquire(key)).state for key in "abc"] == ["acquired"] * 3


async def test_handle_runs_the_work_once(store: IdempotencyProtocol) -> None:
    ran = []

    async def work() -> Any:
        ran.append(1)
        return {"n": len(ran)}

    assert [await store.handle("k", work) for _ in range(3)] == [{"n": 1}] * 3
    assert len(ran) == 1


async def test_handle_runs_it_again_after_a_failure(store: IdempotencyProtocol) -> None:
    async def fail() -> None:
        raise KeyError("own")

    async def work() -> int:
        return 7

    with pytest.raises(KeyError, match="own"):
        await store.handle("k", fail)
    assert await store.handle("k", work) == 7


async def test_handle_waits_for_who_is_at_it(
    store: IdempotencyProtocol, factory: Factory[IdempotencyProtocol]
) -> None:
    tasks = TaskOwner("callers")
    gate, ran = asyncio.Event(), []

    async def work() -> str:
        ran.append(1)
        await gate.wait()
        return "done"

    running = [tasks.start(store.handle("k", work, wait=30), name=str(n)) for n in range(5)]
    await factory.advance(1)
    with pytest.raises(IdempotencyPendingError):
        await store.handle("k", work)
    impatient = tasks.start(store.handle("k", work, wait=0.5), name="impatient")
    await factory.advance(1)
    with pytest.raises(IdempotencyPendingError) as caught:
        impatient.result()
    assert caught.value.code == "IDEMPOTENCY_PENDING"
    gate.set()
    await factory.advance(1)
    assert [task.result() for task in running] == ["done"] * 5
    assert ran == [1]


async def test_when_it_fails_one_of_those_who_wait_does_it(
    store: IdempotencyProtocol, factory: Factory[IdempotencyProtocol]
) -> None:
    tasks = TaskOwner("callers")
    ran: list[str] = []

    def work(name: str) -> Any:
        async def run() -> str:
            ran.append(name)
            await asyncio.sleep(0)
            if len(ran) == 1:
                raise KeyError(name)
            return name

        return run

    running = [tasks.start(store.handle("k", work(str(n)), wait=30), name=str(n)) for n in range(4)]
    await factory.advance(2)
    failed = [task for task in running if task.exception() is not None]
    assert (len(failed), len(ran)) == (1, 2)
    assert {task.result() for task in running if task not in failed} == {ran[1]}


@pytest.mark.parametrize("steps", range(30))
async def test_cancelled_anywhere_the_key_is_free_again(
    store: IdempotencyProtocol, factory: Factory[IdempotencyProtocol], steps: int
) -> None:
    tasks = TaskOwner("callers")

    async def forever() -> None:
        await asyncio.Event().wait()

    async def work() -> str:
        return "mine"

    task = tasks.start(store.handle("k", forever), name="cancelled")
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await factory.advance(1)
    assert task.cancelled()
    assert await store.handle("k", work) == "mine"


@pytest.mark.parametrize("bad", ["", None, 3, b"k", "x" * 1025])
async def test_a_key_is_a_text(store: IdempotencyProtocol, bad: Any) -> None:
    with pytest.raises(ValueError, match="key"):
        await store.acquire(bad)


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), True])
async def test_a_ttl_is_a_number(store: IdempotencyProtocol, bad: Any) -> None:
    with pytest.raises(ValueError, match="ttl"):
        await store.acquire("k", bad)
