"""`live.lock`: calls with one key, one after the other. Spec: live-api 5.6."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.core.errors import CapacityExceeded, LiveError, LockQueueFull, LockReentry, LockTimeout
from runtime.live.declare import Live
from runtime.live.locked import LockRefused
from runtime.plugins import Lock
from runtime.testing import FakeClock, TestContext
from tests.server.conftest import AppFactory
from tests.server.peers import turns

live = Live()

LOCKS = """
    import asyncio
    from runtime import LiveError, live

    log = []
    doors = {}

    async def work(name, door):
        log.append(f"{name} in")
        if door:
            await doors.setdefault(door, asyncio.Event()).wait()
        log.append(f"{name} out")
        if name == "bad":
            raise LiveError("BAD")
        return name

    @live.lock(lambda ctx, key, name, door=None: key)
    @live
    async def settle(ctx, key: str | None, name: str, door: str | None = None):
        return await work(name, door)

    async def key_of(ctx, key, name, door=None):
        return key

    @live.lock(key_of, max_wait=5)
    @live
    async def soon(ctx, key: str, name: str, door: str | None = None):
        return await work(name, door)

    @live.lock("k", max_wait=0)
    async def now(ctx):
        return "now"

    @live.lock(lambda ctx: 7)
    async def wrong(ctx):
        log.append("wrong")

    @live.lock("k")
    async def nested(ctx):
        return await settle(ctx, "k", "inner")
"""


async def started(make_app: AppFactory, clock: FakeClock | None = None) -> tuple[Any, Any, Any]:
    app = await make_app({"live/a.py": LOCKS}, clock=clock)
    module = app.runtime.live.registry.modules["a"].module
    return app, await app.connect(), module


async def opened(module: Any, door: str) -> None:
    module.doors.setdefault(door, asyncio.Event()).set()
    await turns()


def send(peer: Any, id: str, path: str, *args: Any) -> None:
    peer.send({"rpc": path, "id": id, "args": list(args)})


@pytest.mark.spec("LIVE-60")
async def test_one_key_runs_one_at_a_time_in_order(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    for name in ("a", "bad", "c"):
        send(peer, name, "a/settle", "k", name, f"door {name}")
    send(peer, "other", "a/settle", "k2", "other")
    await peer.reply("other")
    assert module.log == ["a in", "other in", "other out"]
    await opened(module, "door c")
    await opened(module, "door a")
    # What a holder raises passes through and lets the next one in.
    assert module.log[3:] == ["a out", "bad in"]
    await opened(module, "door bad")
    assert (await peer.reply("bad"))["code"] == "BAD"
    assert (await peer.reply("c"))["data"] == "c"
    assert module.log[5:] == ["bad out", "c in", "c out"]


@pytest.mark.spec("LIVE-60")
@pytest.mark.parametrize("key", [None, ""])
async def test_without_a_key_there_is_no_lock(make_app: AppFactory, key: str | None) -> None:
    _, peer, module = await started(make_app)
    send(peer, "a", "a/settle", key, "a", "door")
    assert (await peer.request("a/settle", key, "b"))["data"] == "b"
    assert module.log == ["a in", "b in", "b out"]
    await opened(module, "door")


async def test_two_handlers_with_one_key_exclude_each_other(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    send(peer, "a", "a/settle", "k", "a", "door")
    refused = await peer.request("a/now")
    assert (refused["code"], refused["error"]) == ("LOCK_TIMEOUT", "The lock was not free in time")
    assert "data" not in refused
    await opened(module, "door")
    assert (await peer.reply("a"))["ok"]
    assert (await peer.request("a/now"))["data"] == "now"


@pytest.mark.spec("LIVE-61")
async def test_who_waited_too_long_is_refused_and_the_others_keep_their_place(make_app: AppFactory) -> None:
    clock = FakeClock()
    _, peer, module = await started(make_app, clock)
    send(peer, "holder", "a/settle", "k", "holder", "door")
    await turns()
    send(peer, "patient", "a/settle", "k", "patient")
    send(peer, "hasty", "a/soon", "k", "hasty")
    await turns()
    await clock.advance(3)
    send(peer, "later", "a/soon", "k", "later")
    await turns()
    await clock.advance(2)
    assert (await peer.reply("hasty"))["code"] == "LOCK_TIMEOUT"
    assert module.log == ["holder in"]
    await opened(module, "door")
    assert (await peer.reply("later"))["data"] == "later"
    assert module.log == ["holder in", "holder out", "patient in", "patient out", "later in", "later out"]


@pytest.mark.spec("LIVE-61")
async def test_the_refusal_knows_key_and_time() -> None:
    locks = Lock()

    @live.lock("k", lock=locks, max_wait=0)
    async def now(ctx: Any) -> str:
        return "now"

    async with locks.hold("k"):
        with pytest.raises(LockRefused) as caught:
            await asyncio.create_task(now(TestContext()))
    assert isinstance(caught.value, LiveError)
    assert (caught.value.code, caught.value.key, caught.value.max_wait) == ("LOCK_TIMEOUT", "k", 0)
    assert isinstance(caught.value.__cause__, LockTimeout)


async def test_a_full_line_and_a_cleared_lock_are_refusals_too() -> None:
    locks = Lock(max_waiters_per_key=1)

    @live.lock("k", lock=locks)
    async def work(ctx: Any) -> None: ...

    async with locks.hold("k"):
        first = asyncio.create_task(work(TestContext()))
        await turns()
        with pytest.raises(LockRefused, match="LOCK_QUEUE_FULL"):
            await asyncio.create_task(work(TestContext()))
        locks.clear()
        with pytest.raises(LockRefused, match="LOCK_CLEARED"):
            await first


async def test_what_the_handler_raises_passes_unchanged() -> None:
    @live.lock("k")
    async def work(ctx: Any) -> None:
        raise LockQueueFull("inner", 5)

    with pytest.raises(LockQueueFull):
        await work(TestContext())


async def test_the_same_key_inside_would_wait_for_itself(make_app: AppFactory) -> None:
    _, peer, _ = await started(make_app)
    assert (await peer.request("a/nested"))["code"] == "INTERNAL_ERROR"
    assert (await peer.request("a/settle", "k", "free"))["data"] == "free"

    @live.lock("k")
    async def inner(ctx: Any) -> None: ...

    @live.lock("k")
    async def outer(ctx: Any) -> None:
        await inner(ctx)

    with pytest.raises(LockReentry):
        await outer(TestContext())


async def test_without_an_app_calls_of_one_test_share_a_lock() -> None:
    door, log = asyncio.Event(), list[str]()

    @live.lock("k")
    async def first(ctx: Any) -> None:
        log.append("in")
        await door.wait()
        log.append("out")

    @live.lock("k")
    async def second(ctx: Any) -> None:
        log.append("second")

    tasks = [asyncio.create_task(function(TestContext())) for function in (first, second)]
    await turns()
    door.set()
    await asyncio.gather(*tasks)
    assert log == ["in", "out", "second"]


async def test_a_key_that_is_no_text_is_a_mistake(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    assert (await peer.request("a/wrong"))["code"] == "INTERNAL_ERROR"
    assert module.log == []


async def test_the_apps_lock_is_the_default(make_app: AppFactory) -> None:
    app, peer, module = await started(make_app)
    send(peer, "a", "a/settle", "k", "a", "door")
    await turns()
    from runtime import default_lock

    locks: Any = default_lock(app.runtime.platform)
    assert locks.held("k")
    await opened(module, "door")
    await peer.reply("a")
    assert not locks.held("k")


class Foreign:
    """A lock of somebody else."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def with_lock(self, key: str, fn: Any, *, max_wait: float | None = None) -> Any:
        self.asked.append((key, max_wait))
        return await fn()


async def test_another_lock_can_be_given() -> None:
    locks: Any = Foreign()

    @live.lock(lambda ctx, n: f"k{n}", lock=locks, max_wait=2)
    async def work(ctx: Any, n: int) -> int:
        return n

    assert await work(TestContext(), 5) == 5
    assert locks.asked == [("k5", 2.0)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key": ""}, TypeError, "key must be a text that is not empty"),
        ({"key": 5}, TypeError, "key must be"),
        ({"key": None}, TypeError, "key must be"),
        ({"key": "k", "lock": object()}, TypeError, "with_lock"),
        ({"key": "k", "max_wait": -1}, ValueError, "max_wait"),
        ({"key": "k", "max_wait": float("inf")}, ValueError, "max_wait"),
        ({"key": "k", "max_wait": "5"}, ValueError, "max_wait"),
    ],
)
def test_options_that_cannot_be_fail_where_they_are_declared(
    options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        live.lock(**options)


async def test_more_keys_than_may_be_held_are_too_much_for_the_worker_and_no_fault_of_it() -> None:
    full = Lock(max_keys=1)
    opened, raises = asyncio.Event(), CapacityExceeded("of the handler itself")

    @live.lock(lambda ctx, key: key, lock=full)
    async def wait(ctx: Any, key: str) -> str:
        await opened.wait()
        if key == "raises":
            raise raises
        return key

    first = asyncio.ensure_future(wait(TestContext(), "a"))
    await turns()
    with pytest.raises(LiveError) as refused:
        await wait(TestContext(), "b")
    assert (refused.value.code, refused.value.message) == ("OVERLOADED", "Too many locks are held")
    opened.set()
    assert await first == "a"
    with pytest.raises(CapacityExceeded) as own:
        await wait(TestContext(), "raises")
    assert own.value is raises
