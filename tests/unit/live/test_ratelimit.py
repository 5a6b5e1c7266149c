"""Rate limits: the window of two buckets, who is counted, and the bound. Spec: live-api 5.2 to 5.4."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.errors import LiveError
from runtime.live.ratelimit import Buckets, RateLimits, Rule, identity_of
from runtime.testing import FakeClock

FIVE_PER_TEN = Rule(5, 10)


class Limiter:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.buckets = Buckets(self.clock)

    def refused(self, path: str = "a/b", who: str = "u1", rule: Rule = FIVE_PER_TEN) -> LiveError | None:
        try:
            self.buckets.take(path, who, rule)
        except LiveError as error:
            return error
        return None

    def take(self, count: int, **where: Any) -> int:
        """Call `count` times; return how many got through."""
        return sum(self.refused(**where) is None for _ in range(count))


async def test_the_sixth_call_at_once_is_refused_until_the_window_ends() -> None:
    limiter = Limiter()
    assert limiter.take(5) == 5
    await limiter.clock.advance(3)
    error = limiter.refused()
    assert error is not None
    assert (error.code, error.message, error.retry_after) == ("RATE_LIMITED", "Too many requests", 7)
    await limiter.clock.advance(6.9996)
    error = limiter.refused()
    assert error is not None
    assert error.retry_after == 0.001


@pytest.mark.parametrize(
    ("wait", "passes"),
    [
        (10.0, 0),  # 5 of the window before weigh fully
        (10.5, 1),  # 5 * 0.95 = 4.75
        (12.0, 1),  # 5 * 0.8 = 4
        (12.001, 2),  # just below 4
        (15.0, 3),  # 5 * 0.5 = 2.5
        (19.999, 5),
        (20.0, 5),
        (500.0, 5),
    ],
)
async def test_the_window_before_weighs_less_and_less(wait: float, passes: int) -> None:
    limiter = Limiter()
    assert limiter.take(5) == 5
    await limiter.clock.advance(wait)
    assert limiter.take(10) == passes


async def test_the_window_moves_by_its_own_length() -> None:
    limiter = Limiter()
    assert limiter.take(5) == 5
    await limiter.clock.advance(14)
    assert limiter.take(9) == 2  # estimate 5 * 0.6 = 3
    await limiter.clock.advance(6)
    # The second window began at 10, so the third begins at 20: 2 of the second weigh fully.
    assert limiter.take(9) == 3


@pytest.mark.spec("LIVE-51")
async def test_callers_and_paths_are_counted_apart() -> None:
    limiter = Limiter()
    assert limiter.take(9, who="u1") == 5
    assert limiter.take(9, who="u2") == 5
    assert limiter.take(9, who="u1", path="other/path") == 5


@pytest.mark.spec("LIVE-52")
async def test_beyond_the_bound_new_callers_are_refused_and_known_ones_go_on() -> None:
    limiter = Limiter()
    with capacity.capacity_override(MAX_RATE_LIMIT_IDENTITIES=2):
        assert limiter.refused(who="u1") is None
        assert limiter.refused(who="u2", rule=Rule(5, 30)) is None
        error = limiter.refused(who="u3")
        assert error is not None
        assert (error.code, error.retry_after) == ("RATE_LIMITED", None)
        assert error.message == "Too many concurrent rate-limit identities"
        assert limiter.refused(who="u1") is None
        await limiter.clock.advance(20)
        assert limiter.refused(who="u3") is None
        assert limiter.refused(who="u4") is not None
        assert limiter.refused(who="u2", rule=Rule(5, 30)) is None


def test_exempt_comes_before_override_before_default() -> None:
    default, special = Rule(1, 1), Rule(2, 2)
    limits = RateLimits(default, {"a/b": special, "a/free": special}, ["a/free"])
    assert limits.rule("a/b") is special
    assert limits.rule("a/free") is None
    assert limits.rule("x/y") is default
    assert RateLimits(None, {"a/b": special}).rule("x/y") is None


@pytest.mark.parametrize(
    ("points", "window", "message"),
    [
        (0, 1, "points: must be an integer >= 1, not 0"),
        (-1, 1, "points: "),
        (1.5, 1, "points: "),
        (True, 1, "points: "),
        ("5", 1, "points: "),
        (5, 0, "window: must be a positive number of seconds, not 0"),
        (5, -1, "window: "),
        (5, float("inf"), "window: "),
        (5, float("nan"), "window: "),
        (5, "1", "window: "),
        (5, True, "window: "),
    ],
)
def test_a_rule_names_the_option_that_cannot_be(points: Any, window: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule(points, window)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"default": 5}, "default: must be a Rule, not 5"),
        ({"exempt": "a/b"}, "exempt: must be a list of paths"),
        ({"exempt": [5]}, "exempt: must be a list of paths"),
        ({"overrides": ["a/b"]}, "overrides: must be a mapping from path to Rule"),
        ({"overrides": {"a/b": (5, 10)}}, "overrides: 'a/b' needs a Rule"),
    ],
)
def test_limits_name_the_option_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RateLimits(**options)


@pytest.mark.spec("LIVE-51")
@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ({"id": 7, "user_id": 8}, "7"),
        ({"id": None, "user_id": 8, "userId": 9}, "8"),
        ({"userId": 9}, "9"),
        ({"id": 0}, "0"),
        (SimpleNamespace(id="x"), "x"),
        (SimpleNamespace(user_id="y"), "y"),
        (None, "anon"),
        ({}, "anon"),
    ],
)
def test_who_a_caller_is(user: Any, identity: str) -> None:
    assert identity_of(user, None) == identity


@pytest.mark.spec("LIVE-51")
def test_guests_are_told_apart_by_connection_without_its_id() -> None:
    one, two = identity_of(None, "connection-1"), identity_of({}, "connection-2")
    assert one != two
    assert one == identity_of(None, "connection-1")
    assert one.startswith("__guest_")
    assert "connection" not in one
