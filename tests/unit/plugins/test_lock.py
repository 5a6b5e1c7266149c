"""What only the lock of one process promises. What it shares is in tests/conformance. Spec: platform 7.1."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest

import runtime
from runtime import CapacityExceeded, Signal
from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.core.errors import LockLost, WireError, to_wire
from runtime.core.settings import ServerSettings, Settings
from runtime.core.tasks import TaskOwner
from runtime.plugins import Lock, LockCleared, LockQueueFull, LockTimeout, default_lock
from runtime.server.assembly import Runtime, assemble
from runtime.testing import FakeClock
from tests.server.conftest import AppFactory
from tests.server.peers import turns

pytestmark = pytest.mark.spec("PLAT-131")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lock(clock: FakeClock) -> Lock:
    return Lock(clock=clock)


@pytest.fixture
async def tasks() -> AsyncIterator[TaskOwner]:
    tasks = TaskOwner("test")
    yield tasks
    await tasks.close()


@pytest.fixture
async def app() -> AsyncIterator[Runtime]:
    app = assemble(None, Settings(server=ServerSettings(env="test")), clock=FakeClock())
    await app.start()
    yield app
    await app.stop(timeout=0)


def at_once(coroutine: Any) -> Any:
    """Return what a coroutine returns that never gives up the loop."""
    with pytest.raises(StopIteration) as caught:
        coroutine.send(None)
    return caught.value.value


async def keep(lock: Lock, gate: asyncio.Event, log: list[str], name: str, **options: Any) -> None:
    async with lock.hold("k", **options):
        log.append(name)
        await gate.wait()


async def test_a_free_key_is_taken_at_once(lock: Lock) -> None:
    assert at_once(lock.with_lock("k", lambda: 5)) == 5
    block = lock.hold("k")
    assert at_once(block.__aenter__()).key == "k"
    assert lock.held("k")
    at_once(block.__aexit__(None, None, None))
    assert not lock.held("k")


async def test_the_key_goes_over_in_the_same_step(lock: Lock, tasks: TaskOwner) -> None:
    log: list[str] = []
    gate = asyncio.Event()
    gate.set()
    block = lock.hold("k")
    await block.__aenter__()
    tasks.start(keep(lock, gate, log, "first"), name="first")
    await turns()
    at_once(block.__aexit__(None, None, None))
    assert lock.held("k")  # nobody can come between
    with pytest.raises(LockTimeout):
        await lock.with_lock("k", lambda: log.append("between"), max_wait=0)
    await turns()
    assert log == ["first"]


async def test_no_key_beyond_the_bound(lock: Lock) -> None:
    met = capacity.events["MAX_LOCK_KEYS", "reject"]
    with capacity_override(MAX_LOCK_KEYS=2):
        async with lock.hold("a"), lock.hold("b"):
            with pytest.raises(CapacityExceeded, match=r"^lock: active key count exceeded 2$") as caught:
                await lock.with_lock("c", lambda: 1)
            assert (caught.value.cap, caught.value.limit) == ("MAX_LOCK_KEYS", 2)
        assert await lock.with_lock("c", lambda: 1) == 1
    assert capacity.events["MAX_LOCK_KEYS", "reject"] == met + 1
    own = Lock(max_keys=1)
    async with own.hold("a"):
        with pytest.raises(CapacityExceeded, match="exceeded 1"):
            await own.with_lock("b", lambda: 1)


async def test_the_line_of_a_key_has_a_bound(lock: Lock, tasks: TaskOwner) -> None:
    met = capacity.events["MAX_LOCK_WAITERS", "reject"]
    gate, log = asyncio.Event(), []
    with capacity_override(MAX_LOCK_WAITERS=1):
        for name in "ab":
            tasks.start(keep(lock, gate, log, name), name=name)
        await turns()
        with pytest.raises(LockQueueFull):
            await lock.with_lock("k", lambda: 1)
    assert capacity.events["MAX_LOCK_WAITERS", "reject"] == met + 1


@pytest.mark.parametrize("how", ["time", "cancellation", "signal"])
async def test_who_gave_up_makes_room_at_once(clock: FakeClock, tasks: TaskOwner, how: str) -> None:
    lock, gate, log, signal = Lock(max_waiters_per_key=1, clock=clock), asyncio.Event(), [], Signal()
    tasks.start(keep(lock, gate, log, "holder"), name="holder")
    await turns()
    waiter = tasks.start(keep(lock, gate, log, "waiter", max_wait=5, signal=signal), name="waiter")
    await turns()
    if how == "time":
        await clock.advance(5)
        with pytest.raises(LockTimeout):
            waiter.result()
    elif how == "cancellation":
        waiter.cancel()
        await turns()
    else:
        signal.abort("gone")
        await turns()
        assert waiter.cancelled()  # a reason that is no exception ends it like a cancellation
    assert clock.pending == 0
    tasks.start(keep(lock, gate, log, "next", max_wait=5), name="next")
    await turns()
    gate.set()
    await turns()
    assert (log, clock.pending, lock.size()) == (["holder", "next"], 0, 0)


async def test_the_time_and_the_turn_may_come_together(
    lock: Lock, clock: FakeClock, tasks: TaskOwner
) -> None:
    log: list[str] = []
    gate, done = asyncio.Event(), asyncio.Event()
    done.set()
    tasks.start(keep(lock, gate, log, "holder"), name="holder")
    await turns()
    tasks.start(keep(lock, done, log, "waiter", max_wait=5), name="waiter")
    await turns()
    clock.call_later(5, gate.set)  # behind the waiter's timer, in the same instant
    await clock.advance(5)
    assert log == ["holder"]
    clock.call_later(5, gate.set)
    assert await lock.with_lock("k", lambda: "free") == "free"


async def test_who_held_before_a_clear_frees_nothing_that_was_taken_since(
    lock: Lock, tasks: TaskOwner
) -> None:
    log: list[str] = []
    first, second = asyncio.Event(), asyncio.Event()
    tasks.start(keep(lock, first, log, "first"), name="first")
    await turns()
    lock.clear()
    assert not lock.held("k")
    tasks.start(keep(lock, second, log, "second"), name="second")
    await turns()
    first.set()
    await turns()
    assert (log, lock.held("k")) == (["first", "second"], True)
    with pytest.raises(LockTimeout):
        await lock.with_lock("k", lambda: 1, max_wait=0)
    second.set()
    await turns()
    assert lock.size() == 0


async def test_a_ttl_means_nothing_here(lock: Lock, clock: FakeClock) -> None:
    async with lock.hold("k", ttl=0.001) as handle:
        await clock.advance(100)
        assert lock.held("k")
        handle.raise_if_lost()
    assert clock.pending == 0


async def test_a_block_is_for_one_use(lock: Lock) -> None:
    block = lock.hold("k")
    async with block:
        pass
    with pytest.raises(RuntimeError, match="one use"):
        async with block:
            pass
    assert lock.size() == 0


async def test_a_block_that_still_waits_is_in_use(lock: Lock, tasks: TaskOwner) -> None:
    gate, log = asyncio.Event(), []
    tasks.start(keep(lock, gate, log, "holder"), name="holder")
    await turns()
    block = lock.hold("k")
    waiting = tasks.start(block.__aenter__(), name="waiting")
    await turns()
    with pytest.raises(RuntimeError, match="one use"):
        await block.__aenter__()
    gate.set()
    await turns()
    assert waiting.result().key == "k"
    await block.__aexit__(None, None, None)
    assert lock.size() == 0


@pytest.mark.parametrize("has_turn", [False, True])
async def test_a_coroutine_that_is_closed_leaves_the_line(
    lock: Lock, clock: FakeClock, tasks: TaskOwner, has_turn: bool
) -> None:
    block = lock.hold("k")
    await tasks.start(block.__aenter__(), name="holder")
    waiting = lock.with_lock("k", lambda: 1, max_wait=5, signal=Signal())
    waiting.send(None)
    if has_turn:
        await block.__aexit__(None, None, None)
    waiting.close()
    await block.__aexit__(None, None, None)
    assert (lock.size(), clock.pending) == (0, 0)


class Work:
    def method(self) -> Any:
        return "none"

    def with_handle(self, handle: Any) -> Any:
        return handle.key

    def __call__(self, handle: Any) -> Any:
        return handle.key


def wrapped(fn: Any) -> Any:
    @functools.wraps(fn)
    def inner(*args: Any) -> Any:
        return fn(*args)

    return inner


@pytest.mark.parametrize(
    ("fn", "result"),
    [
        (lambda: "none", "none"),
        (lambda n=3: n, 3),
        (lambda *args: len(args), 0),
        (lambda *, name=1: name, 1),
        (lambda handle: handle.key, "k"),
        (lambda handle, n=3: n, 3),
        (Work().method, "none"),
        (Work().with_handle, "k"),
        (Work(), "k"),
        (wrapped(lambda handle: handle.key), "k"),
        (wrapped(lambda: "none"), "none"),
        (functools.partial(lambda a, handle: (a, handle.key), 1), (1, "k")),
        (functools.partial(lambda a: a, 1), 1),
        (dict, {}),
    ],
)
async def test_a_function_that_wants_the_handle_gets_it(lock: Lock, fn: Any, result: Any) -> None:
    assert await lock.with_lock("k", fn) == result


@pytest.mark.parametrize(
    "options",
    [
        {"max_keys": 0},
        {"max_keys": 1.5},
        {"max_key_length": 0},
        {"max_key_length": None},
        {"max_waiters_per_key": -1},
        {"max_waiters_per_key": True},
    ],
)
def test_options_are_checked(options: Any) -> None:
    with pytest.raises(ValueError, match=rf"^lock: {next(iter(options))} must be"):
        Lock(**options)


async def test_a_key_may_be_as_long_as_the_option_says() -> None:
    lock = Lock(max_key_length=3, max_keys=None, max_waiters_per_key=float("inf"))
    assert await lock.with_lock("abc", lambda: 1) == 1
    with pytest.raises(ValueError, match="has 4 characters, more than 3"):
        await lock.with_lock("abcd", lambda: 1)


async def test_waits_are_measured(app: Runtime, tasks: TaskOwner) -> None:
    lock, gate, log = Lock(), asyncio.Event(), []
    tasks.start(keep(lock, gate, log, "a"), name="a")
    await turns()
    tasks.start(keep(lock, gate, log, "b"), name="b")
    tasks.start(keep(lock, gate, log, "c", max_wait=0.02), name="c")
    await turns()
    assert isinstance(app.clock, FakeClock)
    await app.clock.advance(0.03)
    gate.set()
    await turns()
    waits = app.metrics.spread("lock_wait_seconds")
    assert (sum(waits.counts), waits.total) == (2, pytest.approx(0.03))
    assert app.metrics.get("lock_timeouts_total") == 1
    assert app.metrics.snapshot()["capacity_size"]["MAX_LOCK_KEYS",] == 0


async def test_the_end_of_the_app_ends_the_waits(app: Runtime, tasks: TaskOwner) -> None:
    lock, gate, log = Lock(), asyncio.Event(), []
    tasks.start(keep(lock, gate, log, "a"), name="a")
    await turns()
    waiter = tasks.start(keep(lock, gate, log, "b"), name="b")
    await turns()
    await app.stop(timeout=0)
    with pytest.raises(LockCleared):
        waiter.result()


async def test_a_reload_goes_on_with_holders_and_waiters(lock: Lock, tasks: TaskOwner) -> None:
    gate, log = asyncio.Event(), []
    tasks.start(keep(lock, gate, log, "old holder"), name="a")
    await turns()
    tasks.start(keep(lock, gate, log, "old waiter"), name="b")
    await turns()
    new = Lock(max_waiters_per_key=2)
    assert new.adopt(lock)
    tasks.start(keep(new, gate, log, "new waiter"), name="c")
    await turns()
    with pytest.raises(LockQueueFull):
        await lock_in(new)
    gate.set()
    await turns(10)
    assert (log, new.size(), lock.size()) == (["old holder", "old waiter", "new waiter"], 0, 0)


async def test_who_came_before_the_reload_was_done_is_not_parted_from_the_key(
    lock: Lock, tasks: TaskOwner
) -> None:
    gate, log = asyncio.Event(), []
    new = Lock()
    for name in ("holder", "waiter"):
        tasks.start(keep(new, gate, log, name), name=name)
    by_function = tasks.start(new.with_lock("k", lambda: log.append("function")), name="function")
    last = tasks.start(keep(new, gate, log, "last"), name="last")
    await turns()
    assert new.adopt(lock)
    gate.set()
    await turns(20)
    assert (log, by_function.done(), last.done()) == (["holder", "waiter", "function", "last"], True, True)


async def lock_in(lock: Lock) -> None:
    await lock.with_lock("k", lambda: None, max_wait=1)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LockTimeout("secret-key", 1.0, 1.0), "LOCK_TIMEOUT"),
        (LockQueueFull("secret-key", 3), "LOCK_QUEUE_FULL"),
        (LockCleared("secret-key"), "LOCK_CLEARED"),
        (LockLost("secret-key"), "LOCK_LOST"),
        (runtime.LockReentry("secret-key"), "INTERNAL_ERROR"),
    ],
)
def test_a_client_is_told_the_code_and_not_the_key(error: Any, code: str) -> None:
    wire = to_wire(error, None)
    assert (wire.code, wire.data) == (code, None)
    assert "secret-key" not in wire.message
    assert isinstance(wire, WireError)
    assert error.data["key"] == error.key == "secret-key"


SOURCE = """
from runtime import live
from runtime.plugins import Lock
locks = Lock()

@live
async def add(ctx, n: int) -> int:
    async with locks.hold("total", max_wait=0):
        return n

@live
async def nested(ctx) -> int:
    async with locks.hold("total"):
        return await add(ctx, 1)
"""


async def test_the_code_of_a_lock_reaches_the_client(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": SOURCE})
    peer = await app.connect()
    assert (await peer.request("a/add", 5))["data"] == 5
    import importlib

    module = importlib.import_module(f"{app.runtime.live.loader.package.live}.a")  # type: ignore[union-attr]
    async with module.locks.hold("total"):
        refused = await peer.request("a/add", 5)
    assert (refused["ok"], refused["code"]) == (False, "LOCK_TIMEOUT")
    assert (await peer.request("a/nested"))["code"] == "INTERNAL_ERROR"


async def test_the_app_has_a_lock_of_its_own(app: Runtime) -> None:
    assert default_lock() is default_lock(app.platform) is runtime.default_lock()
    assert await default_lock().with_lock("k", lambda: 1) == 1
    await app.stop(timeout=0)
    with pytest.raises(runtime.PlatformNotReady, match=r"default_lock\(\) was called before"):
        default_lock()


def test_a_lock_says_what_it_is(lock: Lock) -> None:
    assert repr(lock) == "<Lock of 0 keys>"
