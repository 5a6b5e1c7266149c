"""The rate limit of this process: its options, its bounds, what it counts, and that a reload keeps it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest

from runtime.core import capacity
from runtime.plugins import RateLimit
from runtime.plugins.ratelimit import SWEEP_ABOVE, SWEEP_PER_CALL
from tests.unit.core.parts import Core

pytestmark = pytest.mark.spec("PLAT-138")


def by_user(ws: Any) -> str:
    return str(ws.user_data)


@pytest.fixture
def core() -> Core:
    return Core()


def take(limit: RateLimit, core: Core, *users: str) -> list[bool]:
    return [limit.consume_nowait(core.connect(user=user)).allowed for user in users]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("points", 0),
        ("points", 1.5),
        ("points", True),
        ("interval", 0),
        ("interval", float("inf")),
        ("interval", "1"),
        ("block", -1),
        ("block", float("nan")),
        ("key_by", "user"),
        ("key_by", 3),
        ("max_buckets", 0),
        ("clock", "now"),
    ],
)
def test_a_bad_option_is_named(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"RateLimit: {option} must be"):
        RateLimit(**{"points": 1, "interval": 1, option: value})


def test_a_key_function_must_be_plain() -> None:
    async def key(ws: Any) -> str:
        return "a"

    with pytest.raises(ValueError, match="key_by"):
        RateLimit(points=1, interval=1, key_by=key)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("key", ["", None, 3, "x" * 257])
def test_a_key_that_cannot_be_one_fails_closed(core: Core, key: Any) -> None:
    limit = RateLimit(points=1, interval=1, key_by=lambda ws: key, clock=core.clock)
    with pytest.raises(ValueError, match="RateLimit: key"):
        limit.consume_nowait(core.connect())


async def test_a_ban_needs_a_key(core: Core) -> None:
    limit = RateLimit(points=1, interval=1, clock=core.clock)
    with pytest.raises(ValueError, match="RateLimit: key"):
        await limit.ban("")


def test_limits_know_nothing_of_each_other(core: Core) -> None:
    one, other = (RateLimit(points=1, interval=10, clock=core.clock) for _ in range(2))
    assert (take(one, core, "a"), take(other, core, "a")) == ([True], [True])


def test_an_address_is_found_in_any_kind_of_user_data(core: Core) -> None:
    @dataclass
    class User:
        ip: str

    limit = RateLimit(points=1, interval=10, clock=core.clock)
    assert limit.consume_nowait(core.connect(user=User("a"))).allowed
    assert not limit.consume_nowait(core.connect(user={"remote_address": "a"})).allowed
    assert limit.consume_nowait(core.connect(user=User(""), remote_address="b")).allowed
    assert not limit.consume_nowait(core.connect(user={"remote_address": "b"})).allowed
    assert limit.consume_nowait(core.connect()).allowed
    assert not limit.consume_nowait(core.connect(user=3)).allowed


async def test_at_the_cap_the_oldest_goes_and_bans_stay(core: Core) -> None:
    limit = RateLimit(points=1, interval=10, key_by=by_user, max_buckets=3, clock=core.clock)
    await limit.ban("evil", 100)
    assert take(limit, core, "a", "b") == [True, True]
    await core.clock.advance(1)
    before = capacity.events["MAX_RATELIMIT_BUCKETS", "evict"]
    assert take(limit, core, "c") == [True]
    assert capacity.events["MAX_RATELIMIT_BUCKETS", "evict"] == before + 1
    assert limit.sizes() == {"MAX_RATELIMIT_BUCKETS": 3}
    assert take(limit, core, "b", "c", "evil") == [False, False, False]
    assert take(limit, core, "a") == [True]  # forgotten, so it begins anew


async def test_at_the_cap_the_one_goes_whose_window_began_first_not_who_came_first(core: Core) -> None:
    limit = RateLimit(points=1, interval=10, key_by=by_user, max_buckets=2, clock=core.clock)
    take(limit, core, "a")
    await core.clock.advance(6)
    take(limit, core, "b")
    await core.clock.advance(6)
    assert take(limit, core, "a", "c") == [True, True]  # the first one has a new window, and "b" makes room
    assert take(limit, core, "a", "b") == [False, True]


async def test_bans_are_bounded_too(core: Core) -> None:
    limit = RateLimit(points=1, interval=10, key_by=by_user, max_buckets=3, clock=core.clock)
    for index in range(10):
        await limit.ban(f"u{index}", 100)
        await limit.ban(f"u{index}", 50)
    assert limit.sizes() == {"MAX_RATELIMIT_BUCKETS": 3}
    assert take(limit, core, "u9") == [False]


async def test_the_cap_of_the_runtime_holds_without_an_option(core: Core) -> None:
    limit = RateLimit(points=1, interval=10, key_by=by_user, clock=core.clock)
    with capacity.capacity_override(MAX_RATELIMIT_BUCKETS=2):
        take(limit, core, "a", "b", "c")
        assert limit.sizes() == {"MAX_RATELIMIT_BUCKETS": 2}


async def test_what_is_over_is_swept_a_little_at_each_call(core: Core) -> None:
    limit = RateLimit(points=1, interval=10, key_by=by_user, clock=core.clock)
    ws = core.connect(user="me")
    for index in range(SWEEP_ABOVE + 200):
        await limit.ban(f"b{index}", 1 if index % 2 else 1000)
    for index in range(200):
        ws.user_data = f"u{index}"
        limit.consume_nowait(ws)
    await core.clock.advance(11)
    ws.user_data = "me"
    sizes = [limit.sizes()["MAX_RATELIMIT_BUCKETS"]]
    for _ in range(40):
        limit.consume_nowait(ws)
        sizes.append(limit.sizes()["MAX_RATELIMIT_BUCKETS"])
    swept = [before - after for before, after in itertools.pairwise(sizes)]
    assert 0 < swept[0] <= SWEEP_PER_CALL
    assert max(swept) <= SWEEP_PER_CALL
    # Down to where sweeping ends; what is not over is still there.
    assert sizes[-1] <= SWEEP_ABOVE
    ws.user_data = "b0"
    assert not limit.consume_nowait(ws).allowed


async def test_a_connection_takes_its_bucket_with_it(core: Core) -> None:
    limit = RateLimit(points=1, interval=10, key_by="connection", clock=core.clock)
    ws = core.connect()
    assert limit.consume_nowait(ws).allowed
    assert not limit.consume_nowait(ws).allowed
    core.parts.departures.gone(ws)
    assert limit.sizes() == {"MAX_RATELIMIT_BUCKETS": 0}


async def test_what_it_counts(core: Core) -> None:
    limit = RateLimit(points=1, interval=10, block=5, clock=core.clock)
    limit._belong(core.platform)
    take(limit, core, "a", "a", "a")
    found = {name: core.metrics.get(f"ratelimit_{name}_total") for name in ("allowed", "denied", "bans")}
    assert found == {"allowed": 1, "denied": 2, "bans": 1}


async def test_a_reload_keeps_the_windows_and_takes_the_new_options(core: Core) -> None:
    old = RateLimit(points=5, interval=100, key_by=by_user, clock=core.clock)
    take(old, core, "a", "a")
    await old.ban("evil", 50)
    new = RateLimit(points=3, interval=10, key_by=by_user, clock=core.clock)
    assert new.adopt(old)
    assert take(new, core, "evil") == [False]
    found = new.consume_nowait(core.connect(user="a"), 0)
    assert (found.remaining, found.reset) == (3, 10)
    assert take(new, core, "a", "a", "a", "a") == [True, True, True, False]
    await core.clock.advance(10)
    assert take(new, core, "a") == [True]


async def test_closing_forgets_everybody(core: Core) -> None:
    limit = RateLimit(points=1, interval=10, clock=core.clock)
    take(limit, core, "a")
    await limit.ban("b")
    await limit.close()
    assert limit.sizes() == {"MAX_RATELIMIT_BUCKETS": 0}
    assert take(limit, core, "a") == [True]
    assert repr(limit) == "<RateLimit 1 per 10 s, 1 callers>"
