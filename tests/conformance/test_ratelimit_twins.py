"""What every rate limit does, in this process or shared: one suite. Spec: platform 7.6, cluster 18.1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from runtime.core.connection import Connection
from runtime.plugins import RateLimit, RateLimitProtocol
from tests.conformance.doubles.slow_ratelimit import SlowRateLimit
from tests.conformance.twins import Factory

TWINS: dict[str, Callable[..., RateLimitProtocol]] = {"memory": RateLimit, "slow": SlowRateLimit}
pytestmark = pytest.mark.spec("PLAT-138")
#: Seconds by which a time may be off where the clock is real.
SLACK = 0.5


@pytest.fixture(params=TWINS)
def factory(request: pytest.FixtureRequest) -> Factory[RateLimitProtocol]:
    return Factory(TWINS[request.param])


def connect(factory: Factory[Any], address: str = "192.0.2.1", **user_data: Any) -> Connection:
    return factory.core.connect(user={"remote_address": address, **user_data})


async def allowed(limit: RateLimitProtocol, ws: Connection, cost: float = 1) -> bool:
    return (await limit.consume(ws, cost)).allowed


async def test_points_are_there_until_they_are_used_up(factory: Factory[RateLimitProtocol]) -> None:
    limit, ws = factory.make(points=3, interval=10), connect(factory)
    left = [await limit.consume(ws) for _ in range(5)]
    assert [(found.allowed, found.remaining) for found in left] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
        (False, 0),
    ]
    assert left[0].reset == pytest.approx(10, abs=SLACK)


async def test_a_window_is_fixed_and_ends_with_all_its_points_back(
    factory: Factory[RateLimitProtocol],
) -> None:
    limit, ws = factory.make(points=2, interval=4), connect(factory)
    assert await allowed(limit, ws)
    await factory.advance(3)
    assert await allowed(limit, ws)
    refused = await limit.consume(ws)
    assert not refused.allowed
    assert refused.reset == pytest.approx(1, abs=SLACK)
    await factory.advance(1)  # 4 after the first call: what came at 3 does not count any more
    assert [await allowed(limit, ws) for _ in range(3)] == [True, True, False]


async def test_more_than_is_left_takes_nothing(factory: Factory[RateLimitProtocol]) -> None:
    limit, ws = factory.make(points=5, interval=10), connect(factory)
    assert await allowed(limit, ws, 3)
    refused = await limit.consume(ws, 3)
    assert (refused.allowed, refused.remaining) == (False, 2)
    assert await allowed(limit, ws, 1.5)
    assert (await limit.consume(ws, 0)).remaining == 0.5


async def test_no_cost_only_looks(factory: Factory[RateLimitProtocol]) -> None:
    limit, ws = factory.make(points=1, interval=10), connect(factory)
    for _ in range(3):
        looked = await limit.consume(ws, 0)
        assert (looked.allowed, looked.remaining) == (True, 1)
    assert await allowed(limit, ws)
    assert (await limit.consume(ws, 0)).remaining == 0


@pytest.mark.parametrize("cost", [-1, float("inf"), float("nan"), True])
async def test_a_cost_that_is_none_is_refused(factory: Factory[RateLimitProtocol], cost: Any) -> None:
    limit, ws = factory.make(points=1, interval=10), connect(factory)
    with pytest.raises(ValueError, match="cost"):
        await limit.consume(ws, cost)
    assert await allowed(limit, ws)


async def test_too_much_bans_for_the_time_of_the_block(factory: Factory[RateLimitProtocol]) -> None:
    limit, ws = factory.make(points=1, interval=2, block=6), connect(factory)
    assert await allowed(limit, ws)
    refused = await limit.consume(ws)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.reset == pytest.approx(6, abs=SLACK)
    await factory.advance(4)  # the window is over, the ban is not
    banned = await limit.consume(ws)
    assert (banned.allowed, banned.remaining) == (False, 0)
    assert banned.reset == pytest.approx(2, abs=SLACK)
    await factory.advance(2)
    assert await allowed(limit, ws)


async def test_a_ban_lasts_as_long_as_it_says(factory: Factory[RateLimitProtocol]) -> None:
    limit, ws = factory.make(points=5, interval=10), connect(factory)
    await limit.ban("192.0.2.1", 3)
    refused = await limit.consume(ws, 0)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.reset == pytest.approx(3, abs=SLACK)
    await factory.advance(3)
    assert await allowed(limit, ws)


@pytest.mark.parametrize(("block", "seconds"), [(0.0, 60), (7.0, 7)])
async def test_a_ban_without_a_time_takes_that_of_the_block_or_a_minute(
    factory: Factory[RateLimitProtocol], block: float, seconds: float
) -> None:
    limit, ws = factory.make(points=5, interval=10, block=block), connect(factory)
    await limit.ban("192.0.2.1")
    assert (await limit.consume(ws)).reset == pytest.approx(seconds, abs=SLACK)


@pytest.mark.parametrize("duration", [0, -1, float("inf"), float("nan")])
async def test_a_ban_needs_a_time_that_ends(factory: Factory[RateLimitProtocol], duration: float) -> None:
    limit = factory.make(points=5, interval=10)
    with pytest.raises(ValueError, match="duration"):
        await limit.ban("a", duration)


async def test_the_end_of_a_ban_gives_no_points_back(factory: Factory[RateLimitProtocol]) -> None:
    limit, ws = factory.make(points=2, interval=10), connect(factory)
    assert await allowed(limit, ws)
    await limit.ban("192.0.2.1", 5)
    await limit.unban("192.0.2.1")
    await limit.unban("nobody")
    assert [await allowed(limit, ws) for _ in range(2)] == [True, False]


async def test_a_reset_gives_points_back_and_ends_a_ban(factory: Factory[RateLimitProtocol]) -> None:
    limit, ws = factory.make(points=1, interval=10, block=10), connect(factory)
    assert [await allowed(limit, ws) for _ in range(2)] == [True, False]
    await limit.reset("192.0.2.1")
    await limit.reset("nobody")
    assert await allowed(limit, ws)


async def test_clear_forgets_everybody(factory: Factory[RateLimitProtocol]) -> None:
    limit = factory.make(points=1, interval=10)
    one, other = connect(factory), connect(factory, "192.0.2.2")
    assert await allowed(limit, one)
    await limit.ban("192.0.2.2", 5)
    await limit.clear()
    assert await allowed(limit, one)
    assert await allowed(limit, other)


async def test_an_address_is_one_caller(factory: Factory[RateLimitProtocol]) -> None:
    limit = factory.make(points=1, interval=10)
    assert await allowed(limit, connect(factory))
    assert not await allowed(limit, connect(factory))
    assert await allowed(limit, connect(factory, "192.0.2.2"))
    for name in ("ip", "address"):
        assert not await allowed(limit, factory.core.connect(user={name: "192.0.2.1"}))
    assert await allowed(limit, factory.core.connect(user={}))
    assert not await allowed(limit, factory.core.connect(user={}))


async def test_a_connection_is_one_caller(factory: Factory[RateLimitProtocol]) -> None:
    limit = factory.make(points=1, interval=10, key_by="connection")
    one, other = connect(factory), connect(factory)
    assert [await allowed(limit, ws) for ws in (one, other, one)] == [True, True, False]


async def test_a_function_says_who_the_caller_is(factory: Factory[RateLimitProtocol]) -> None:
    limit = factory.make(points=1, interval=10, key_by=lambda ws: f"user:{ws.user_data['id']}")
    tabs = [connect(factory, id=1), connect(factory, id=1), connect(factory, id=2)]
    assert [await allowed(limit, ws) for ws in tabs] == [True, False, True]
    await limit.reset("user:1")
    assert await allowed(limit, tabs[1])


async def test_calls_at_one_time_get_exactly_what_there_is(factory: Factory[RateLimitProtocol]) -> None:
    limit, ws = factory.make(points=5, interval=10), connect(factory)
    found = await asyncio.gather(*(limit.consume(ws) for _ in range(20)))
    assert sum(result.allowed for result in found) == 5
    assert sorted(result.remaining for result in found if result.allowed) == [0, 1, 2, 3, 4]
