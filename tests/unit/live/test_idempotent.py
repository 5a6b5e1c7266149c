"""`live.idempotent`: one run per key. Spec: live-api 5.5, wire 4.8, platform 5.2."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.errors import LiveError
from runtime.core.settings import SecuritySettings
from runtime.live.declare import Live
from runtime.plugins import MemoryIdempotencyStore
from runtime.plugins.protocols import Slot
from runtime.testing import FakeClock, TestContext
from tests.server.conftest import AppFactory
from tests.server.peers import turns

live = Live()

PAY = """
    import asyncio
    from runtime import LiveError, live

    ran = []
    doors = {}

    async def work(name):
        ran.append(name)
        if name in doors:
            await doors[name].wait()
        if name == "bad" and ran.count("bad") == 1:
            raise LiveError("BAD")
        if name == "odd":
            return object()
        return {"name": name, "run": len(ran)}

    @live.idempotent()
    @live
    async def pay(ctx, name: str):
        return await work(name)

    @live.idempotent()
    @live
    async def other(ctx, name: str):
        return await work(name)

    @live.idempotent(key_from=lambda ctx, name, *rest: f"{ctx.user['id']}:{name}", ttl=60)
    @live
    async def own(ctx, name: str):
        return await work(name)

    @live.idempotent(ttl=0)
    @live
    async def joined(ctx, name: str):
        return await work(name)

    async def key_of(ctx, key):
        return key

    @live.idempotent(key_from=key_of)
    async def keyed(ctx, key):
        ran.append(key)
        return len(ran)
"""


async def started(make_app: AppFactory, **options: Any) -> tuple[Any, Any, Any]:
    app = await make_app({"live/a.py": PAY}, **options)
    module = app.runtime.live.registry.modules["a"].module
    return app, await app.connect({"id": "u1"}), module


def send(peer: Any, id: str, path: str, *args: Any, key: Any = "k") -> None:
    peer.send({"rpc": path, "id": id, "args": list(args), "idempotencyKey": key})


@pytest.mark.spec("LIVE-55", "WIRE-74")
async def test_the_same_key_runs_once_and_answers_both(make_app: AppFactory) -> None:
    app, peer, module = await started(make_app)
    first = await peer.request("a/pay", "milk", idempotencyKey="k1")
    again = await (await app.connect({"id": "u2"})).request("a/pay", "milk", idempotencyKey="k1")
    assert first["data"] == again["data"] == {"name": "milk", "run": 1}
    assert module.ran == ["milk"]
    assert (await peer.request("a/pay", "milk", idempotencyKey="k2"))["data"]["run"] == 2


@pytest.mark.spec("LIVE-55", "WIRE-74")
async def test_what_failed_runs_again(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    assert (await peer.request("a/pay", "bad", idempotencyKey="k"))["code"] == "BAD"
    assert (await peer.request("a/pay", "bad", idempotencyKey="k"))["data"]["run"] == 2
    # A result without a JSON form cannot be kept, and fails as it would without a key.
    for _ in range(2):
        assert (await peer.request("a/pay", "odd", idempotencyKey="o"))["code"] == "INTERNAL_ERROR"
    assert module.ran == ["bad", "bad", "odd", "odd"]


@pytest.mark.spec("LIVE-56", "WIRE-74", "PLAT-104")
async def test_the_same_key_on_two_handlers_runs_both(make_app: AppFactory) -> None:
    _, peer, _ = await started(make_app)
    assert (await peer.request("a/pay", "x", idempotencyKey="k"))["data"]["run"] == 1
    assert (await peer.request("a/other", "x", idempotencyKey="k"))["data"]["run"] == 2
    # Paths have no colon, so no key reaches into the keys of another path.
    assert (await peer.request("a/pay", "x", idempotencyKey="y:1"))["data"]["run"] == 3


@pytest.mark.spec("LIVE-57", "WIRE-74")
async def test_calls_at_the_same_time_wait_for_the_first(make_app: AppFactory) -> None:
    app, peer, module = await started(make_app)
    door = module.doors["slow"] = asyncio.Event()
    second = await app.connect({"id": "u2"})
    send(peer, "1", "a/pay", "slow")
    send(peer, "2", "a/pay", "slow")
    send(second, "3", "a/pay", "slow")
    await turns()
    assert module.ran == ["slow"]
    door.set()
    replies = [await peer.reply("1"), await peer.reply("2"), await second.reply("3")]
    assert {reply["data"]["run"] for reply in replies} == {1}
    assert module.ran == ["slow"]


@pytest.mark.spec("LIVE-57", "WIRE-74")
async def test_when_the_first_fails_one_who_waits_runs(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    door = module.doors["bad"] = asyncio.Event()
    for id in ("1", "2", "3"):
        send(peer, id, "a/pay", "bad")
    await turns()
    door.set()
    assert (await peer.reply("1"))["code"] == "BAD"
    assert (await peer.reply("2"))["data"] == (await peer.reply("3"))["data"] == {"name": "bad", "run": 2}


@pytest.mark.spec("WIRE-74")
async def test_one_slot_whether_the_call_comes_alone_or_in_a_batch(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    call = {"rpc": "a/pay", "args": ["x"], "idempotencyKey": "k"}
    await peer.request("a/pay", "x", idempotencyKey="k")
    peer.send({"batch": [{**call, "id": "1"}, {**call, "id": "2"}]})
    frame = await peer.wait(lambda frame: "batch" in str(frame.get("event", "")) or "__batch" in str(frame))
    assert str(frame).count("'run': 1") == 2
    assert module.ran == ["x"]


@pytest.mark.spec("PLAT-104")
async def test_a_setting_lets_functions_share_their_keys(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app, security=SecuritySettings(idempotency_namespace=False))
    assert (await peer.request("a/pay", "x", idempotencyKey="k"))["data"]["run"] == 1
    assert (await peer.request("a/other", "x", idempotencyKey="k"))["data"]["run"] == 1
    assert module.ran == ["x"]


class Shared:
    """A store of several processes: somebody elsewhere is at it."""

    def __init__(self, state: Any = "pending") -> None:
        self.state = state
        self.asked: list[Any] = []

    async def acquire(self, idempotency_key: str, ttl: float | None = None, /) -> Slot:
        self.asked.append((idempotency_key, ttl))
        return Slot(self.state, result="done elsewhere")


@pytest.mark.spec("LIVE-57", "WIRE-74")
async def test_somebody_elsewhere_who_is_at_it_is_a_conflict() -> None:
    store = Shared()

    @live.idempotent(store=store, ttl=5)
    async def pay(ctx: Any) -> str:
        return "paid"

    ctx = TestContext()
    assert await pay(ctx) == "paid"
    ctx.idempotency_key = "k"
    with pytest.raises(LiveError) as caught:
        await pay(ctx)
    assert (caught.value.code, caught.value.message) == (
        "CONFLICT",
        "A request with this idempotency key is already in progress",
    )
    assert len(store.asked) == 1
    key, ttl = store.asked[0]
    assert key.startswith("rpc:")
    assert key.endswith("pay:k")
    assert ttl == 5
    store.state = "result"
    assert await pay(ctx) == "done elsewhere"


@pytest.mark.spec("LIVE-58", "WIRE-74", "PLAT-104")
@pytest.mark.parametrize("key", ["x" * 257, 7, 1.5, True, ["k"], {"k": 1}])
async def test_a_key_that_cannot_be_is_refused(make_app: AppFactory, key: Any) -> None:
    _, peer, module = await started(make_app)
    refused = await peer.request("a/pay", "x", idempotencyKey=key)
    assert (refused["code"], refused["error"]) == (
        "INVALID_REQUEST",
        "idempotencyKey must be a string no longer than 256 characters",
    )
    assert (await peer.request("a/keyed", key))["code"] == "INVALID_REQUEST"
    assert module.ran == []


@pytest.mark.spec("LIVE-58", "WIRE-74")
@pytest.mark.parametrize("key", ["", None, 0, False, [], {}])
async def test_without_a_key_every_call_runs(make_app: AppFactory, key: Any) -> None:
    _, peer, module = await started(make_app)
    for _ in range(2):
        assert (await peer.request("a/pay", "x", idempotencyKey=key))["ok"]
        assert (await peer.request("a/keyed", key))["ok"]
    assert len(module.ran) == 4


@pytest.mark.spec("LIVE-58", "WIRE-74")
@pytest.mark.parametrize("key", ["x" * 256, "nul \x00 and \n line", "y:1", "é" * 256])
async def test_any_other_text_is_a_key(make_app: AppFactory, key: str) -> None:
    _, peer, _ = await started(make_app)
    for _ in range(2):
        assert (await peer.request("a/pay", "x", idempotencyKey=key))["data"]["run"] == 1


async def test_the_users_own_key(make_app: AppFactory) -> None:
    clock = FakeClock()
    app, peer, _ = await started(make_app, clock=clock)
    other = await app.connect({"id": "u2"})
    assert (await peer.request("a/own", "x"))["data"]["run"] == 1
    assert (await other.request("a/own", "x"))["data"]["run"] == 2
    await clock.advance(59)
    assert (await peer.request("a/own", "x", idempotencyKey="ignored"))["data"]["run"] == 1
    await clock.advance(2)
    assert (await peer.request("a/own", "x"))["data"]["run"] == 3


async def test_a_result_is_kept_for_two_days() -> None:
    clock = FakeClock()
    ran: list[int] = []

    @live.idempotent(key_from=lambda ctx: "k", store=MemoryIdempotencyStore(ttl=1, clock=clock))
    async def pay(ctx: Any) -> int:
        ran.append(1)
        return len(ran)

    assert await pay(TestContext()) == 1
    await clock.advance(172_799)
    assert await pay(TestContext()) == 1
    await clock.advance(2)
    assert await pay(TestContext()) == 2


async def test_without_a_time_only_calls_at_the_same_time_are_one(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    door = module.doors["x"] = asyncio.Event()
    send(peer, "1", "a/joined", "x")
    send(peer, "2", "a/joined", "x")
    await turns()
    door.set()
    assert (await peer.reply("1"))["data"]["run"] == (await peer.reply("2"))["data"]["run"] == 1
    assert (await peer.request("a/joined", "x", idempotencyKey="k"))["data"]["run"] == 2


@pytest.mark.spec("LIVE-59")
async def test_beyond_ten_thousand_results_the_oldest_thousand_go(make_app: AppFactory) -> None:
    assert capacity.DEFAULTS["MAX_IDEMPOTENCY_RESULTS"] == 10_000
    _, peer, module = await started(make_app)
    with capacity.capacity_override(MAX_IDEMPOTENCY_RESULTS=20):
        for n in range(20):
            await peer.request("a/keyed", f"k{n}")
        await peer.request("a/keyed", "one more")
        module.ran.clear()
        for n in (2, 19, 1, 0):
            await peer.request("a/keyed", f"k{n}")
    assert module.ran == ["k1", "k0"]


@pytest.mark.spec("LIVE-59")
async def test_ten_thousand_results_of_a_store() -> None:
    store = MemoryIdempotencyStore(clock=FakeClock())
    ran: list[str] = []

    @live.idempotent(key_from=lambda ctx, key: key, store=store)
    async def pay(ctx: Any, key: str) -> None:
        ran.append(key)

    ctx = TestContext()
    for n in range(10_001):
        await pay(ctx, f"k{n}")
    assert store.sizes()["MAX_IDEMPOTENCY_RESULTS"] == 9001
    ran.clear()
    await pay(ctx, "k1000")
    await pay(ctx, "k999")
    assert ran == ["k999"]


async def test_without_an_app_calls_of_one_test_share_a_store() -> None:
    ran: list[str] = []

    @live.idempotent()
    async def pay(ctx: Any) -> int:
        ran.append("pay")
        return len(ran)

    ctx = TestContext()
    assert [await pay(ctx), await pay(ctx)] == [1, 2]
    ctx.idempotency_key = "k"
    assert [await pay(ctx), await pay(ctx)] == [3, 3]


async def test_too_many_keys_at_work_are_overload(make_app: AppFactory) -> None:
    _, peer, module = await started(make_app)
    module.doors["slow"] = asyncio.Event()
    with capacity.capacity_override(MAX_IDEMPOTENCY_INFLIGHT=1):
        send(peer, "1", "a/pay", "slow")
        refused = await peer.request("a/pay", "x", idempotencyKey="other")
        assert refused["code"] == "OVERLOADED"
        module.doors["slow"].set()
        assert (await peer.reply("1"))["ok"]
        assert (await peer.request("a/pay", "x", idempotencyKey="other"))["ok"]


async def test_a_cleared_key_does_not_fail_the_call_that_ran(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryIdempotencyStore()

    @live.idempotent(key_from=lambda ctx: "k", store=store)
    async def pay(ctx: Any) -> str:
        await store.clear()
        return "paid"

    with caplog.at_level(logging.WARNING):
        assert await pay(TestContext()) == "paid"
    assert "the idempotency key was cleared while the call ran" in caplog.text


async def test_a_cancelled_call_frees_its_key() -> None:
    store = MemoryIdempotencyStore()
    ran: list[int] = []

    @live.idempotent(key_from=lambda ctx: "k", store=store)
    async def pay(ctx: Any) -> None:
        ran.append(1)
        if len(ran) == 1:
            await asyncio.Event().wait()

    task = asyncio.create_task(pay(TestContext()))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await pay(TestContext())
    assert len(ran) == 2


async def test_a_store_that_closes_while_somebody_waits_is_a_conflict() -> None:
    store = MemoryIdempotencyStore()
    door = asyncio.Event()

    @live.idempotent(key_from=lambda ctx: "k", store=store)
    async def pay(ctx: Any) -> None:
        await door.wait()

    first, second = [asyncio.create_task(pay(TestContext())) for _ in range(2)]
    await turns()
    await store.close()
    with pytest.raises(LiveError, match="CONFLICT"):
        await second
    door.set()
    await first


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"store": object()}, TypeError, r"acquire\(idempotency_key, ttl\)"),
        ({"key_from": "k"}, TypeError, "key_from must be a function"),
        ({"ttl": -1}, ValueError, "ttl"),
        ({"ttl": float("nan")}, ValueError, "ttl"),
    ],
)
def test_options_that_cannot_be_fail_where_they_are_declared(
    options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        live.idempotent(**options)
