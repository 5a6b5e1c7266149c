"""What only the idempotency store of one process promises. Spec: platform 7.3, live-api 5.5."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import runtime
from runtime import CapacityExceeded
from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.core.settings import ServerSettings, Settings
from runtime.core.tasks import TaskOwner
from runtime.plugins import (
    IdempotencyPendingError,
    IdempotencySlotLostError,
    MemoryIdempotencyStore,
    default_idempotency_store,
)
from runtime.server.assembly import assemble
from runtime.testing import FakeClock
from tests.server.peers import turns

pytestmark = pytest.mark.spec("PLAT-135")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryIdempotencyStore:
    return MemoryIdempotencyStore(clock=clock)


@pytest.fixture
async def tasks() -> AsyncIterator[TaskOwner]:
    tasks = TaskOwner("test")
    yield tasks
    await tasks.close()


async def done(store: MemoryIdempotencyStore, key: str, result: Any = None, ttl: float | None = None) -> None:
    await (await store.acquire(key, ttl)).commit(result)


async def test_who_asks_while_it_runs_waits_for_the_result(
    store: MemoryIdempotencyStore, tasks: TaskOwner
) -> None:
    slot = await store.acquire("k")
    assert store.acquire_nowait("k").pending
    waiting = [tasks.start(store.acquire("k"), name=str(n)) for n in range(3)]
    await turns()
    assert not any(task.done() for task in waiting)
    await slot.commit([1])
    await turns()
    found = [task.result() for task in waiting]
    assert [(one.state, one.result) for one in found] == [("result", [1])] * 3
    assert found[0].result is not found[1].result


async def test_an_abort_hands_over_to_the_first_who_waits(
    store: MemoryIdempotencyStore, tasks: TaskOwner
) -> None:
    slot = await store.acquire("k")
    first, second, third = [tasks.start(store.acquire("k"), name=str(n)) for n in range(3)]
    await turns()
    first.cancel()
    await turns()
    assert len(store._state.running["k"].line or ()) == 2
    await slot.abort()
    assert store.acquire_nowait("k").pending  # nobody can come between
    await turns()
    assert second.result().acquired
    assert not third.done()
    with pytest.raises(IdempotencySlotLostError):
        await slot.commit("late")
    await second.result().commit("done")
    await turns()
    assert third.result().result == "done"
    assert not store._state.running
    assert store._state.waiting == 0


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("end", ["commit", "abort", "purge"])
async def test_cancelled_around_its_turn_it_keeps_nobody_waiting(
    store: MemoryIdempotencyStore, tasks: TaskOwner, steps: int, end: str
) -> None:
    slot = await store.acquire("k")
    first, second = [tasks.start(store.acquire("k"), name=str(n)) for n in range(2)]
    await turns()
    await (store.purge("k") if end == "purge" else getattr(slot, end)())
    for _ in range(steps):
        await asyncio.sleep(0)
    first.cancel()
    await turns()
    if end == "commit":
        assert second.result().state == "result"
    elif first.cancelled():
        assert second.result().acquired
    else:  # it had its turn before, and has the slot
        await first.result().abort()
        await turns()
        assert second.result().acquired
    assert store._state.waiting == 0


@pytest.mark.parametrize("has_turn", [False, True])
async def test_a_coroutine_that_is_closed_leaves_the_line(
    store: MemoryIdempotencyStore, clock: FakeClock, has_turn: bool
) -> None:
    async def work() -> None:
        raise AssertionError("must not run")

    slot = await store.acquire("k")
    waiting = store.handle("k", work, wait=5)
    waiting.send(None)  # type: ignore[attr-defined]
    if has_turn:
        await slot.abort()
    waiting.close()
    await slot.abort()
    assert (store._state.running, store._state.waiting, clock.pending) == ({}, 0, 0)


async def test_without_a_ttl_only_those_at_the_same_time_share(
    store: MemoryIdempotencyStore, tasks: TaskOwner
) -> None:
    slot = await store.acquire("k", 0)
    waiting = tasks.start(store.acquire("k", 0), name="waiting")
    await turns()
    await slot.commit(1)
    await turns()
    assert waiting.result().result == 1
    assert (await store.acquire("k", 0)).acquired


async def test_whoever_does_the_work_says_how_long_it_is_kept(
    store: MemoryIdempotencyStore, tasks: TaskOwner, clock: FakeClock
) -> None:
    slot = await store.acquire("k", 100)
    waiting = tasks.start(store.acquire("k", 10), name="waiting")
    await turns()
    await slot.abort()
    await turns()
    await waiting.result().commit(1)
    await clock.advance(10)
    assert store.acquire_nowait("k").acquired


async def test_when_full_the_oldest_tenth_goes_at_the_next_acquire(clock: FakeClock) -> None:
    store = MemoryIdempotencyStore(max_entries=20, clock=clock)
    met = capacity.events["MAX_IDEMPOTENCY_RESULTS", "evict"]
    for n in range(20):
        await done(store, str(n))
    assert list(store._state.results) == [str(n) for n in range(20)]
    slot = await store.acquire("new")
    assert list(store._state.results) == [str(n) for n in range(2, 20)]
    assert capacity.events["MAX_IDEMPOTENCY_RESULTS", "evict"] == met + 2
    await slot.commit()
    assert (await store.acquire("0")).acquired  # it may run again
    small = MemoryIdempotencyStore(max_entries=1, clock=clock)
    await done(small, "a")
    await done(small, "b")
    assert list(small._state.results) == ["b"]


async def test_who_asks_for_a_result_does_not_drive_it_out(clock: FakeClock) -> None:
    store = MemoryIdempotencyStore(max_entries=10, clock=clock)
    for n in range(10):
        await done(store, str(n), n)
    await store.acquire("running")
    await done(store, "tenth")
    assert len(store._state.results) == 10
    oldest = next(iter(store._state.results))
    assert store.acquire_nowait("running").pending
    assert [store.acquire_nowait(oldest).result for _ in range(3)] == [int(oldest)] * 3


async def test_what_ran_at_once_may_be_more_than_the_bound_until_the_next(clock: FakeClock) -> None:
    store = MemoryIdempotencyStore(max_entries=10, clock=clock)
    slots = [await store.acquire(str(n)) for n in range(15)]
    for slot in slots:
        await slot.commit()
    assert len(store._state.results) == 15
    await store.acquire("new")
    assert len(store._state.results) == 9


async def test_expired_results_are_swept_each_30_seconds(
    store: MemoryIdempotencyStore, clock: FakeClock
) -> None:
    await done(store, "short", ttl=1)
    await done(store, "long", ttl=100)
    await clock.advance(29.9)
    await done(store, "a")
    assert list(store._state.results) == ["short", "long", "a"]
    await clock.advance(0.1)
    await done(store, "b")
    assert list(store._state.results) == ["long", "a", "b"]
    assert clock.pending == 0


async def test_running_keys_and_waiting_callers_are_bounded(
    store: MemoryIdempotencyStore, tasks: TaskOwner
) -> None:
    met = capacity.events["MAX_IDEMPOTENCY_INFLIGHT", "reject"]
    with capacity_override(MAX_IDEMPOTENCY_INFLIGHT=2, MAX_IDEMPOTENCY_KEY_LENGTH=5):
        slots = [await store.acquire(key) for key in "ab"]
        with pytest.raises(CapacityExceeded, match="running keys exceeded 2"):
            await store.acquire("c")
        for n in range(2):
            tasks.start(store.acquire("a"), name=str(n))
        await turns()
        with pytest.raises(CapacityExceeded, match="waiting callers exceeded 2"):
            await store.acquire("a")
        assert store.sizes() == {"MAX_IDEMPOTENCY_RESULTS": 0, "MAX_IDEMPOTENCY_INFLIGHT": 2}
        await slots[1].commit()
        assert (await store.acquire("c")).acquired
        with pytest.raises(ValueError, match="has 6 characters, more than 5"):
            await store.acquire("abcdef")
    assert capacity.events["MAX_IDEMPOTENCY_INFLIGHT", "reject"] == met + 2


async def test_the_end_lets_those_who_wait_go(store: MemoryIdempotencyStore, tasks: TaskOwner) -> None:
    slot = await store.acquire("k")
    await done(store, "other", 1)
    waiting = tasks.start(store.acquire("k"), name="waiting")
    await turns()
    await store.close()
    await turns()
    with pytest.raises(IdempotencyPendingError, match="closed"):
        waiting.result()
    await slot.abort()
    assert (await store.acquire("other")).acquired
    assert repr(store) == "<MemoryIdempotencyStore of 0 results, 1 running>"


async def test_a_reload_goes_on_with_slots_and_waiters(
    store: MemoryIdempotencyStore, tasks: TaskOwner
) -> None:
    slot = await store.acquire("k")
    new = MemoryIdempotencyStore(max_entries=3)
    assert new.adopt(store)
    waiting = tasks.start(new.acquire("k"), name="waiting")
    await turns()
    await slot.commit(1)
    await turns()
    assert waiting.result().result == 1


async def test_everything_is_counted() -> None:
    app = assemble(None, Settings(server=ServerSettings(env="test")), clock=FakeClock())
    await app.start()
    store = default_idempotency_store()
    assert store is default_idempotency_store(app.platform) is runtime.default_idempotency_store()
    assert isinstance(store, MemoryIdempotencyStore)
    slot = await store.acquire("a")
    store.acquire_nowait("a")
    await slot.commit(1)
    await store.acquire("a")
    await (await store.acquire("b")).abort()
    lost = await store.acquire("c")
    await store.purge("c")
    with pytest.raises(IdempotencySlotLostError):
        await lost.commit()
    counted = {
        name: app.metrics.get(f"idempotency_{name}_total")
        for name in ("acquired", "hits", "pending", "commits", "aborts", "lost")
    }
    assert counted == {"acquired": 3, "hits": 1, "pending": 1, "commits": 1, "aborts": 1, "lost": 1}
    await app.stop(timeout=0)
    with pytest.raises(runtime.PlatformNotReady, match="default_idempotency_store"):
        default_idempotency_store()


@pytest.mark.parametrize("options", [{"ttl": -1}, {"ttl": None}, {"max_entries": 0}])
def test_options_are_checked(options: Any) -> None:
    with pytest.raises(ValueError, match=rf"^idempotency: {next(iter(options))} must be"):
        MemoryIdempotencyStore(**options)
