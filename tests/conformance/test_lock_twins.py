"""What every lock does, in this process or shared: one suite for all of them. Spec: platform 7.1, cluster 2.5 and 6."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from runtime import Signal
from runtime.core.tasks import TaskOwner
from runtime.plugins import Lock, LockCleared, LockProtocol, LockQueueFull, LockReentry, LockTimeout
from tests.conformance.doubles.slow_lock import SlowLock
from tests.conformance.twins import Factory

TWINS: dict[str, Callable[[], Factory[LockProtocol]]] = {
    "memory": lambda: Factory(Lock),
    "slow": lambda: Factory(SlowLock),
}
pytestmark = pytest.mark.spec("PLAT-131", "PLAT-134")

#: Seconds that every wait of these tests is below.
LONG = 60.0


class Crowd:
    """Tasks that want locks, and what happened in which order."""

    def __init__(self, factory: Factory[LockProtocol]) -> None:
        self.factory = factory
        self.lock = factory.make()
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.tasks = TaskOwner("crowd")

    def start(self, name: str, key: str = "k", **options: Any) -> asyncio.Task[str]:
        """Start a task that takes `key` and keeps it until `let_go(name)`; its result is its name."""
        self.gates[name] = asyncio.Event()
        options.setdefault("max_wait", LONG)

        async def body() -> str:
            async with self.lock.hold(key, **options):
                self.log.append(f"+{name}")
                try:
                    await self.gates[name].wait()
                finally:
                    self.log.append(f"-{name}")
            return name

        return self.tasks.start(body(), name=name)

    async def until(self, *entries: str) -> None:
        """Let time pass until exactly this has happened."""
        for _ in range(40):
            if len(self.log) >= len(entries):
                break
            await self.factory.advance(0.05)
        await self.settle()
        assert self.log == list(entries)

    async def settle(self) -> None:
        """Let a little time pass: what has not happened then does not happen by itself."""
        await self.factory.advance(0.15)
        await self.factory.advance(0.15)

    def let_go(self, name: str) -> None:
        self.gates[name].set()

    async def free(self, key: str = "k") -> None:
        """Take the key, which must be free, and give it back."""
        task = self.tasks.start(self.lock.with_lock(key, lambda: "mine", max_wait=1.0), name="probe")
        for _ in range(40):
            if task.done():
                break
            await self.factory.advance(0.05)
        assert task.result() == "mine"
        await self.settle()
        assert (self.lock.held(key), self.lock.size()) == (False, 0)


@pytest.fixture(params=TWINS)
async def factory(request: pytest.FixtureRequest) -> AsyncIterator[Factory[LockProtocol]]:
    async with TWINS[request.param]() as factory:
        yield factory


@pytest.fixture
async def crowd(factory: Factory[LockProtocol]) -> AsyncIterator[Crowd]:
    crowd = Crowd(factory)
    yield crowd
    await crowd.tasks.close()
    await crowd.lock.close()


async def test_one_holds_a_key_and_the_others_follow_as_they_came(crowd: Crowd) -> None:
    tasks = [crowd.start(name) for name in "abcd"]
    await crowd.until("+a")
    crowd.let_go("a")
    await crowd.until("+a", "-a", "+b")
    crowd.let_go("c")  # has no effect before its turn
    await crowd.until("+a", "-a", "+b")
    crowd.let_go("b")
    await crowd.until("+a", "-a", "+b", "-b", "+c", "-c", "+d")
    crowd.let_go("d")
    await crowd.until("+a", "-a", "+b", "-b", "+c", "-c", "+d", "-d")
    assert [task.result() for task in tasks] == ["a", "b", "c", "d"]
    await crowd.free()


async def test_keys_do_not_wait_for_each_other(crowd: Crowd) -> None:
    for name in "abc":
        crowd.start(name, key=name)
    await crowd.factory.advance(0.5)
    assert sorted(crowd.log) == ["+a", "+b", "+c"]
    assert (crowd.lock.size(), crowd.lock.held("a"), crowd.lock.held("x")) == (3, True, False)


async def test_no_two_are_ever_inside(crowd: Crowd) -> None:
    inside = 0

    async def work() -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        inside -= 1

    tasks = [
        crowd.tasks.start(crowd.lock.with_lock("k", work, max_wait=LONG), name=str(n)) for n in range(30)
    ]
    for _ in range(200):
        if all(task.done() for task in tasks):
            break
        await crowd.factory.advance(0.05)
    assert [task.result() for task in tasks] == [None] * 30


async def test_what_the_function_returns_or_raises_passes(crowd: Crowd) -> None:
    async def later(handle: Any) -> Any:
        await asyncio.sleep(0)
        return handle.key, handle.lost

    def fail() -> None:
        raise KeyError("own")

    assert await crowd.lock.with_lock("k", lambda: 1) == 1
    assert await crowd.lock.with_lock("k", later) == ("k", False)
    with pytest.raises(KeyError, match="own"):
        await crowd.lock.with_lock("k", fail)
    with pytest.raises(KeyError, match="block"):
        async with crowd.lock.hold("k"):
            raise KeyError("block")
    await crowd.free()


async def test_a_block_gives_a_handle(crowd: Crowd) -> None:
    tokens = []
    for _ in range(3):
        async with crowd.lock.hold("k") as handle:
            assert (handle.key, handle.lost, handle.signal.aborted) == ("k", False, False)
            handle.raise_if_lost()
            await handle.extend(30)
            tokens.append(handle.token)
    assert tokens[0] < tokens[1] < tokens[2]


async def test_who_waits_too_long_gives_up_alone(crowd: Crowd) -> None:
    crowd.start("a")
    await crowd.until("+a")
    late = crowd.start("b", max_wait=1.0)
    crowd.start("c")
    await crowd.factory.advance(0.5)
    assert not late.done()
    await crowd.factory.advance(1.0)
    await crowd.settle()
    with pytest.raises(LockTimeout) as caught:
        late.result()
    error = caught.value
    assert (error.code, error.key, error.max_wait) == ("LOCK_TIMEOUT", "k", 1.0)
    assert error.waited == pytest.approx(1.0, abs=0.5)
    assert crowd.log == ["+a"]
    crowd.let_go("a")
    await crowd.until("+a", "-a", "+c")


async def test_no_wait_at_all_takes_only_a_free_key(crowd: Crowd) -> None:
    assert await crowd.lock.with_lock("k", lambda: "free", max_wait=0) == "free"
    crowd.start("a")
    await crowd.until("+a")
    with pytest.raises(LockTimeout) as caught:
        await crowd.lock.with_lock("k", lambda: "taken", max_wait=0)
    assert caught.value.max_wait == 0


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), True, "1"])
async def test_a_wait_is_a_finite_number(crowd: Crowd, bad: Any) -> None:
    for attempt in (crowd.lock.with_lock("k", lambda: 1, max_wait=bad), enter(crowd.lock, "k", bad)):
        with pytest.raises((ValueError, TypeError)):
            await attempt
    assert crowd.lock.size() == 0


async def enter(lock: LockProtocol, key: Any, max_wait: Any = None) -> None:
    async with lock.hold(key, max_wait=max_wait):
        raise AssertionError("nobody should be here")


@pytest.mark.parametrize("bad", ["", None, 3, b"k", "x" * 257])
async def test_a_key_is_a_text(crowd: Crowd, bad: Any) -> None:
    for attempt in (crowd.lock.with_lock(bad, lambda: 1), enter(crowd.lock, bad)):
        with pytest.raises(ValueError, match="key"):
            await attempt


async def test_a_line_that_is_full_refuses_the_next(factory: Factory[LockProtocol]) -> None:
    crowd = Crowd(factory)
    crowd.lock = factory.make(max_waiters_per_key=2)
    try:
        for name in "abc":
            crowd.start(name)
        await crowd.until("+a")
        with pytest.raises(LockQueueFull) as caught:
            await crowd.lock.with_lock("k", lambda: 1)
        error = caught.value
        assert (error.code, error.key, error.max_waiters_per_key) == ("LOCK_QUEUE_FULL", "k", 2)
        crowd.let_go("a")
        await crowd.until("+a", "-a", "+b")
        crowd.start("d")  # there is room again
        crowd.let_go("b")
        await crowd.until("+a", "-a", "+b", "-b", "+c")
    finally:
        await crowd.tasks.close()


async def test_who_is_cancelled_in_line_leaves_it(crowd: Crowd) -> None:
    crowd.start("a")
    await crowd.until("+a")
    second, _ = crowd.start("b"), crowd.start("c")
    await crowd.settle()
    second.cancel()
    await crowd.settle()
    assert second.cancelled()
    crowd.let_go("a")
    await crowd.until("+a", "-a", "+c")


async def test_a_holder_that_is_cancelled_frees_the_key_behind_its_cleaning_up(crowd: Crowd) -> None:
    holder = crowd.start("a")
    crowd.start("b")
    await crowd.until("+a")
    holder.cancel()
    await crowd.until("+a", "-a", "+b")


@pytest.mark.parametrize("steps", range(24))
async def test_cancelled_anywhere_it_holds_nothing(crowd: Crowd, steps: int) -> None:
    task = crowd.start("a")
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await crowd.settle()
    assert task.cancelled()
    await crowd.free()


@pytest.mark.parametrize("steps", range(24))
async def test_cancelled_anywhere_around_its_turn_the_next_has_its_turn(crowd: Crowd, steps: int) -> None:
    crowd.start("a")
    await crowd.until("+a")
    second = crowd.start("b")
    crowd.start("c")
    await crowd.settle()
    crowd.let_go("a")
    for _ in range(steps):
        await asyncio.sleep(0)
    second.cancel()
    for _ in range(40):
        if "+c" in crowd.log:
            break
        await crowd.factory.advance(0.05)
    assert crowd.log[-1] == "+c"
    crowd.let_go("c")
    await crowd.settle()
    await crowd.free()


async def test_a_signal_ends_the_wait(crowd: Crowd) -> None:
    class Gone(Exception):
        pass

    crowd.start("a")
    await crowd.until("+a")
    signal = Signal()
    waiting = crowd.start("b", signal=signal)
    await crowd.settle()
    signal.abort(Gone("left"))
    await crowd.settle()
    with pytest.raises(Gone):
        waiting.result()
    with pytest.raises(Gone):
        await crowd.lock.with_lock("other", lambda: 1, signal=signal)
    crowd.let_go("a")
    await crowd.settle()
    await crowd.free()


async def test_a_signal_does_not_end_who_holds(crowd: Crowd) -> None:
    signal = Signal()
    holder = crowd.start("a", signal=signal)
    await crowd.until("+a")
    signal.abort(RuntimeError("too late"))
    await crowd.settle()
    crowd.let_go("a")
    await crowd.until("+a", "-a")
    assert holder.result() == "a"


async def test_clear_ends_the_waits_and_lets_the_holder_finish(crowd: Crowd) -> None:
    holder = crowd.start("a")
    await crowd.until("+a")
    waiting = [crowd.start("b"), crowd.start("c")]
    await crowd.settle()
    crowd.lock.clear()
    await crowd.settle()
    for task in waiting:
        with pytest.raises(LockCleared) as caught:
            task.result()
        assert (caught.value.code, caught.value.key) == ("LOCK_CLEARED", "k")
    crowd.let_go("a")
    await crowd.until("+a", "-a")
    assert holder.result() == "a"
    await crowd.free()


async def test_close_ends_the_waits_too(crowd: Crowd) -> None:
    crowd.start("a")
    await crowd.until("+a")
    waiting = crowd.start("b")
    await crowd.settle()
    await crowd.lock.close()
    await crowd.lock.close()
    await crowd.settle()
    with pytest.raises(LockCleared):
        waiting.result()


async def test_to_wait_for_oneself_is_refused(crowd: Crowd) -> None:
    async with crowd.lock.hold("k"):
        with pytest.raises(LockReentry) as caught:
            await crowd.lock.with_lock("k", lambda: 1)
        assert isinstance(caught.value, RuntimeError)
        assert await crowd.lock.with_lock("other", lambda: 2) == 2
    assert await crowd.lock.with_lock("k", lambda: 3) == 3


async def test_held_and_size_count_who_holds_and_who_waits(crowd: Crowd) -> None:
    assert (crowd.lock.held("k"), crowd.lock.size()) == (False, 0)
    crowd.start("a")
    crowd.start("b")
    await crowd.until("+a")
    assert (crowd.lock.held("k"), crowd.lock.size()) == (True, 1)
    crowd.let_go("a")
    await crowd.until("+a", "-a", "+b")
    assert crowd.lock.held("k")
    crowd.let_go("b")
    await crowd.until("+a", "-a", "+b", "-b")
    assert (crowd.lock.held("k"), crowd.lock.size()) == (False, 0)
