"""What only the dedup of one process promises. What it shares is in tests/conformance. Spec: platform 7.3."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.plugins import Dedup
from runtime.testing import FakeClock

pytestmark = pytest.mark.spec("PLAT-133")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def there(seen: Dedup) -> list[str]:
    return list(seen._state.expires)


async def test_the_window_ends_at_its_time_and_not_before(clock: FakeClock) -> None:
    seen = Dedup(ttl=10, clock=clock)
    assert await seen.claim("a")
    await clock.advance(9.999)
    assert not await seen.claim("a")
    await clock.advance(0.001)
    assert await seen.size() == 1
    assert not await seen.has("a")
    assert await seen.size() == 0
    assert (await seen.claim("a"), clock.pending) == (True, 0)


async def test_above_110_percent_the_expired_go_and_then_the_oldest(clock: FakeClock) -> None:
    seen = Dedup(ttl=10, max_entries=10, clock=clock)
    met = capacity.events["MAX_DEDUP_IDS", "evict"]
    for n in range(11):
        await seen.claim(str(n))
    assert len(there(seen)) == 11
    await seen.claim("11")
    assert there(seen) == [str(n) for n in range(2, 12)]
    assert capacity.events["MAX_DEDUP_IDS", "evict"] == met + 2
    assert await seen.claim("0")  # it was forgotten
    await clock.advance(10)
    await seen.claim("new")  # above the bound again, where all others have expired
    assert there(seen) == ["new"]


async def test_an_id_that_is_claimed_again_is_the_newest(clock: FakeClock) -> None:
    seen = Dedup(ttl=10, max_entries=10, clock=clock)
    await seen.claim("a")
    await clock.advance(5)
    await seen.claim("b")
    await clock.advance(5)
    await seen.claim("a")
    assert there(seen) == ["b", "a"]


async def test_the_bound_is_the_constant_and_can_be_changed(clock: FakeClock) -> None:
    seen = Dedup(ttl=10, clock=clock)
    with capacity_override(MAX_DEDUP_IDS=3):
        for n in range(30):
            await seen.claim(str(n))
        assert seen.sizes() == {"MAX_DEDUP_IDS": 3}
    assert there(seen) == ["27", "28", "29"]


def test_at_once(clock: FakeClock) -> None:
    seen = Dedup(ttl=10, clock=clock, max_id_length=3)
    assert [seen.claim_nowait("a"), seen.claim_nowait("a"), seen.has_nowait("a")] == [True, False, True]
    assert [seen.delete_nowait("a"), seen.delete_nowait("a"), seen.has_nowait("a")] == [True, False, False]
    with pytest.raises(ValueError, match="has 4 characters, more than 3"):
        seen.claim_nowait("abcd")
    assert repr(seen) == "<Dedup of 0 ids>"


async def test_close_empties_and_a_reload_does_not(clock: FakeClock) -> None:
    old, new = Dedup(ttl=10, clock=clock), Dedup(ttl=20)
    await old.claim("a")
    assert new.adopt(old)
    assert not await new.claim("a")
    await new.close()
    assert await old.claim("a")


@pytest.mark.parametrize("options", [{"ttl": 0}, {"ttl": None}, {"max_entries": -1}, {"max_id_length": 0}])
def test_options_are_checked(options: Any) -> None:
    with pytest.raises(ValueError, match=rf"^dedup: {next(iter(options))} must be"):
        Dedup(**{"ttl": 1, **options})
