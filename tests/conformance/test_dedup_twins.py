"""What every dedup does, in this process or shared: one suite for all of them. Spec: platform 7.3, cluster 8."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from runtime.plugins import Dedup, DedupProtocol
from tests.conformance.doubles.slow_session import SlowDedup
from tests.conformance.twins import Factory

TWINS: dict[str, Callable[[], Factory[DedupProtocol]]] = {
    "memory": lambda: Factory(Dedup),
    "slow": lambda: Factory(SlowDedup),
}
pytestmark = pytest.mark.spec("PLAT-133", "PLAT-134")

TTL = 2.0


@pytest.fixture(params=TWINS)
async def factory(request: pytest.FixtureRequest) -> AsyncIterator[Factory[DedupProtocol]]:
    async with TWINS[request.param]() as factory:
        yield factory


async def test_an_id_is_claimed_once(factory: Factory[DedupProtocol]) -> None:
    seen = factory.make(ttl=TTL)
    assert [await seen.claim(id) for id in ("a", "b", "a", "a", "b")] == [True, True, False, False, False]
    assert await seen.size() == 2


async def test_of_many_claims_at_once_one_wins(factory: Factory[DedupProtocol]) -> None:
    seen = factory.make(ttl=TTL)
    assert sorted(await asyncio.gather(*(seen.claim("a") for _ in range(20)))) == [False] * 19 + [True]


async def test_the_window_is_fixed(factory: Factory[DedupProtocol]) -> None:
    seen = factory.make(ttl=TTL)
    assert await seen.claim("a")
    await factory.advance(0.75 * TTL)
    assert not await seen.claim("a")  # which makes it no longer
    assert await seen.has("a")
    await factory.advance(0.5 * TTL)
    assert not await seen.has("a")
    assert await seen.claim("a")
    await factory.advance(0.75 * TTL)
    assert not await seen.claim("a")


async def test_has_claims_nothing(factory: Factory[DedupProtocol]) -> None:
    seen = factory.make(ttl=TTL)
    assert not await seen.has("a")
    assert await seen.claim("a")
    assert await seen.has("a")


async def test_delete_lets_it_be_claimed_again(factory: Factory[DedupProtocol]) -> None:
    seen = factory.make(ttl=TTL)
    assert not await seen.delete("a")
    await seen.claim("a")
    assert await seen.delete("a")
    assert not await seen.delete("a")
    assert await seen.claim("a")
    await factory.advance(TTL + 0.2)
    assert not await seen.delete("a")


async def test_clear_forgets_all(factory: Factory[DedupProtocol]) -> None:
    seen = factory.make(ttl=TTL)
    await seen.claim("a")
    await seen.clear()
    assert await seen.size() == 0
    assert await seen.claim("a")


@pytest.mark.parametrize("bad", ["", None, 3, b"a", "x" * 257])
async def test_an_id_is_a_text(factory: Factory[DedupProtocol], bad: Any) -> None:
    seen = factory.make(ttl=TTL)
    for call in (seen.claim, seen.has, seen.delete):
        with pytest.raises(ValueError, match="id"):
            await call(bad)
