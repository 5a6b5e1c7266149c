"""What every session store does, in this process or shared: one suite. Spec: platform 7.2, cluster 8."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from runtime.plugins import Session, SessionProtocol
from tests.conformance.doubles.slow_session import SlowSession
from tests.conformance.twins import Factory

TWINS: dict[str, Callable[[], Factory[SessionProtocol]]] = {
    "memory": lambda: Factory(Session),
    "slow": lambda: Factory(SlowSession),
}
pytestmark = pytest.mark.spec("PLAT-132", "PLAT-134")

TTL = 2.0


@pytest.fixture(params=TWINS)
async def factory(request: pytest.FixtureRequest) -> AsyncIterator[Factory[SessionProtocol]]:
    async with TWINS[request.param]() as factory:
        yield factory


async def test_what_was_set_is_there_under_its_token(factory: Factory[SessionProtocol]) -> None:
    sessions = factory.make(ttl=TTL)
    assert await sessions.get("a") is None
    await sessions.set("a", {"user": 1, "tags": ["x"]})
    await sessions.set("b", 2)
    assert await sessions.get("a") == {"user": 1, "tags": ["x"]}
    assert await sessions.get("b") == 2
    await sessions.set("a", "new")
    assert (await sessions.get("a"), await sessions.size()) == ("new", 2)


async def test_it_is_gone_when_it_was_not_used_for_its_ttl(factory: Factory[SessionProtocol]) -> None:
    sessions = factory.make(ttl=TTL)
    await sessions.set("a", 1)
    await factory.advance(TTL + 0.2)
    assert await sessions.get("a") is None
    assert await sessions.touch("a") is False
    assert await sessions.delete("a") is False


@pytest.mark.parametrize("use", ["get", "touch", "set"])
async def test_each_use_lets_it_live_for_a_whole_ttl_again(
    factory: Factory[SessionProtocol], use: str
) -> None:
    sessions = factory.make(ttl=TTL)
    await sessions.set("a", 1)
    for _ in range(3):
        await factory.advance(0.75 * TTL)
        if use == "get":
            assert await sessions.get("a") == 1
        elif use == "touch":
            assert await sessions.touch("a") is True
        else:
            await sessions.set("a", 1)
    await factory.advance(0.75 * TTL)
    assert await sessions.get("a") == 1
    await factory.advance(TTL + 0.2)
    assert await sessions.get("a") is None


async def test_a_use_of_one_does_not_keep_another(factory: Factory[SessionProtocol]) -> None:
    sessions = factory.make(ttl=TTL)
    await sessions.set("a", 1)
    await sessions.set("b", 2)
    await factory.advance(0.75 * TTL)
    assert await sessions.get("a") == 1
    await factory.advance(0.75 * TTL)
    assert (await sessions.get("a"), await sessions.get("b")) == (1, None)


async def test_delete_says_whether_there_was_one(factory: Factory[SessionProtocol]) -> None:
    sessions = factory.make(ttl=TTL)
    await sessions.set("a", 1)
    assert [await sessions.delete("a"), await sessions.delete("a"), await sessions.delete("b")] == [
        True,
        False,
        False,
    ]
    assert await sessions.get("a") is None


async def test_clear_removes_all(factory: Factory[SessionProtocol]) -> None:
    sessions = factory.make(ttl=TTL)
    await sessions.set("a", 1)
    await sessions.set("b", 1)
    await sessions.clear()
    assert (await sessions.size(), await sessions.get("a")) == (0, None)


@pytest.mark.parametrize("bad", ["", None, 3, b"a", "x" * 257])
async def test_a_token_is_a_text_and_never_in_an_error(factory: Factory[SessionProtocol], bad: Any) -> None:
    sessions = factory.make(ttl=TTL)
    for call in (
        lambda: sessions.get(bad),
        lambda: sessions.set(bad, 1),
        lambda: sessions.delete(bad),
        lambda: sessions.touch(bad),
    ):
        with pytest.raises(ValueError, match="token") as caught:
            await call()
        assert "xxx" not in str(caught.value)
