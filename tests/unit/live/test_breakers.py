"""`live.breaker`: an open breaker answers instead of the handler. Spec: live-api 5.7."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.core.errors import LiveError
from runtime.live.breakers import CLIENT_CODES
from runtime.live.declare import Live
from runtime.plugins import CircuitBreaker
from runtime.testing import FakeClock, TestContext
from tests.server.conftest import AppFactory

live = Live()


class Noting:
    """A breaker that notes what it is told."""

    def __init__(self, *, is_broken: bool = False) -> None:
        self.is_broken = is_broken
        self.told: list[str] = []

    def is_open(self) -> bool:
        return self.is_broken

    def success(self) -> None:
        self.told.append("success")

    def failure(self) -> None:
        self.told.append("failure")


async def outcome(breaker: Any, error: BaseException | None = None, **options: Any) -> Any:
    @live.breaker(breaker, **options)
    @live
    async def load(ctx: Any, *args: Any) -> str:
        if error is not None:
            raise error
        return "loaded"

    return await load(TestContext({"id": 1}), "a", "b")


@pytest.mark.spec("LIVE-63")
async def test_open_without_a_fallback_is_unavailable() -> None:
    breaker = Noting(is_broken=True)
    with pytest.raises(LiveError) as caught:
        await outcome(breaker)
    assert (caught.value.code, caught.value.message) == (
        "SERVICE_UNAVAILABLE",
        "Service temporarily unavailable (circuit open)",
    )
    assert breaker.told == []


async def later(ctx: Any, first: str) -> str:
    return f"{ctx.user['id']} {first}"


@pytest.mark.spec("LIVE-63")
@pytest.mark.parametrize(
    ("fallback", "answer"),
    [
        ([], []),
        (None, None),
        (lambda: "plain", "plain"),
        (lambda ctx: ctx.user["id"], 1),
        (lambda ctx, *args: args, ("a", "b")),
        (later, "1 a"),
    ],
)
async def test_open_with_a_fallback_gives_it(fallback: Any, answer: Any) -> None:
    assert await outcome(Noting(is_broken=True), fallback=fallback) == answer
    assert await outcome(Noting(), fallback=fallback) == "loaded"


@pytest.mark.spec("LIVE-63")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, ["success"]),
        (RuntimeError("down"), ["failure"]),
        (LiveError("INTERNAL_ERROR"), ["failure"]),
        (LiveError("OVERLOADED"), ["failure"]),
        (asyncio.CancelledError(), []),
        *((LiveError(code), []) for code in sorted(CLIENT_CODES)),
    ],
    ids=repr,
)
async def test_what_came_of_a_run_is_reported(error: BaseException | None, told: list[str]) -> None:
    breaker = Noting()
    if error is None:
        await outcome(breaker)
    else:
        with pytest.raises(type(error)):
            await outcome(breaker, error)
    assert breaker.told == told


def test_the_codes_of_callers_are_these() -> None:
    assert {
        "VALIDATION",
        "NOT_FOUND",
        "FORBIDDEN",
        "UNAUTHENTICATED",
        "CONFLICT",
        "RATE_LIMITED",
    } == CLIENT_CODES


async def test_each_method_is_optional_and_one_is_needed() -> None:
    class OnlyOpen:
        async def is_open(self) -> bool:
            return True

    class OnlyFailure:
        failures = 0

        async def failure(self) -> None:
            self.failures += 1

    assert await outcome(OnlyOpen(), fallback=5) == 5
    breaker = OnlyFailure()
    assert await outcome(breaker) == "loaded"
    with pytest.raises(RuntimeError):
        await outcome(breaker, RuntimeError())
    assert breaker.failures == 1
    with pytest.raises(TypeError, match=r"live\.breaker: an object with is_open, success, failure is needed"):
        live.breaker(object())


@pytest.mark.spec("LIVE-63")
async def test_a_circuit_breaker_breaks_and_heals(make_app: AppFactory) -> None:
    clock = FakeClock()
    source = """
        from runtime import live
        from runtime.plugins import CircuitBreaker

        state = {"down": False, "ran": 0}
        database = CircuitBreaker(failure_threshold=2, reset_timeout=30)

        @live.breaker(database)
        @live
        async def read(ctx):
            state["ran"] += 1
            if state["down"]:
                raise ConnectionError
            return "row"

        @live.breaker(database, fallback=["old"])
        @live.stream("rows", merge="set")
        async def rows(ctx):
            return ["new"]
    """
    app = await make_app({"live/a.py": source}, clock=clock)
    peer = await app.connect()
    state = app.runtime.live.registry.modules["a"].module.state
    state["down"] = True
    assert [(await peer.request("a/read"))["code"] for _ in range(3)] == [
        "INTERNAL_ERROR",
        "INTERNAL_ERROR",
        "SERVICE_UNAVAILABLE",
    ]
    assert (await peer.stream("a/rows"))["data"] == ["old"]
    state["down"] = False
    await clock.advance(30)
    assert (await peer.request("a/read"))["data"] == "row"
    assert (await peer.stream("a/rows"))["data"] == ["new"]
    assert state["ran"] == 3


async def test_a_breaker_alone_makes_nothing_callable(make_app: AppFactory) -> None:
    source = """
        from runtime import live
        from runtime.plugins import CircuitBreaker

        @live.breaker(CircuitBreaker())
        async def hidden(ctx): ...

        @live
        @live.breaker(CircuitBreaker())
        async def shown(ctx): ...
    """
    app = await make_app({"live/a.py": source})
    peer = await app.connect()
    assert (await peer.request("a/hidden"))["code"] == "NOT_FOUND"
    assert (await peer.request("a/shown"))["ok"]


async def test_a_breaker_of_the_plugins_is_one() -> None:
    breaker = CircuitBreaker(failure_threshold=1, clock=FakeClock())
    with pytest.raises(RuntimeError):
        await outcome(breaker, RuntimeError())
    assert breaker.state == "broken"
    assert await outcome(breaker, fallback="saved") == "saved"
