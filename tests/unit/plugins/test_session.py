"""What only sessions of one process promise. What they share is in tests/conformance. Spec: platform 7.2."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.core.settings import ServerSettings, Settings
from runtime.plugins import Session
from runtime.server.assembly import Runtime, assemble
from runtime.testing import FakeClock

pytestmark = pytest.mark.spec("PLAT-132")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["test", "dev", "production"])
async def app(request: pytest.FixtureRequest) -> AsyncIterator[Runtime]:
    server = ServerSettings(env=request.param, allowed_hosts=("app.example.com",))
    app = assemble(None, Settings(server=server), clock=FakeClock())
    await app.start()
    yield app
    await app.stop(timeout=0)


def there(sessions: Session) -> list[str]:
    return list(sessions._state.entries)


async def test_it_expires_at_its_time_and_not_before(clock: FakeClock) -> None:
    sessions = Session(ttl=10, clock=clock)
    await sessions.set("a", 1)
    await clock.advance(9.999)
    assert await sessions.touch("a")
    await clock.advance(10)
    assert await sessions.size() == 1  # nothing looks at it by itself
    assert await sessions.get("a") is None
    assert (await sessions.size(), clock.pending) == (0, 0)


async def test_above_110_percent_the_expired_go_and_then_the_oldest(clock: FakeClock) -> None:
    sessions = Session(ttl=10, max_entries=10, clock=clock)
    met = capacity.events["MAX_SESSIONS", "evict"]
    for n in range(6):
        await sessions.set(f"old{n}", n)
    await clock.advance(6)
    assert await sessions.get("old1") == 1  # lives longer, and is as old as before
    await sessions.set("old2", 2)  # is the newest now
    for n in range(4):
        await sessions.set(f"new{n}", n)
    await clock.advance(4)
    assert await sessions.size() == 10
    await sessions.set("new4", 4)
    assert len(there(sessions)) == 11  # 110 % is not above
    await sessions.set("new5", 5)
    assert there(sessions) == ["old1", "old2", "new0", "new1", "new2", "new3", "new4", "new5"]
    assert capacity.events["MAX_SESSIONS", "evict"] == met
    for n in range(6, 10):
        await sessions.set(f"new{n}", n)
    assert there(sessions)[:2] == ["new0", "new1"]
    assert await sessions.size() == 10
    assert capacity.events["MAX_SESSIONS", "evict"] == met + 2


async def test_the_bound_is_the_constant_and_can_be_changed(clock: FakeClock) -> None:
    sessions = Session(ttl=10, clock=clock)
    with capacity_override(MAX_SESSIONS=3):
        for n in range(30):
            await sessions.set(str(n), n)
    assert there(sessions) == ["27", "28", "29"]


async def test_without_a_bound_the_expired_go_when_it_has_doubled(clock: FakeClock) -> None:
    sessions = Session(ttl=10, max_entries=None, clock=clock)
    for n in range(1024):
        await sessions.set(str(n), n)
    await clock.advance(10)
    assert await sessions.size() == 1024
    await sessions.set("new", 1)
    assert there(sessions) == ["new"]


async def test_values_are_held_as_they_are(clock: FakeClock) -> None:
    sessions, value = Session(ttl=10, clock=clock), {"a": 1}
    sessions.set_nowait("a", value)
    assert sessions.get_nowait("a") is value
    assert (sessions.touch_nowait("a"), sessions.delete_nowait("a"), sessions.get_nowait("a")) == (
        True,
        True,
        None,
    )


async def test_outside_of_production_a_value_needs_a_json_form(app: Runtime) -> None:
    sessions = Session(ttl=10)
    if app.settings.server.env == "production":
        await sessions.set("a", object())
        assert await sessions.size() == 1
    else:
        with pytest.raises(TypeError, match="has no JSON form"):
            await sessions.set("a", object())
        assert await sessions.get("a") is None


async def test_it_is_empty_when_the_app_has_ended(app: Runtime) -> None:
    sessions = Session(ttl=10)
    await sessions.set("a", 1)
    assert app.metrics.snapshot()["capacity_size"]["MAX_SESSIONS",] == 1
    await app.stop(timeout=0)
    assert await sessions.size() == 0


async def test_a_reload_keeps_them_and_takes_the_new_ttl(clock: FakeClock) -> None:
    old, new = Session(ttl=10, clock=clock), Session(ttl=100)
    await old.set("a", 1)
    assert new.adopt(old)
    assert await new.get("a") == 1
    await clock.advance(99)
    assert await old.get("a") == 1


@pytest.mark.parametrize(
    "options",
    [{"ttl": 0}, {"ttl": -1}, {"ttl": math.inf}, {"ttl": True}, {"ttl": "1"}, {"max_entries": 0, "ttl": 1}],
)
def test_options_are_checked(options: Any) -> None:
    with pytest.raises(ValueError, match=rf"^session: {next(iter(options))} must be"):
        Session(**options)


def test_it_says_what_it_is_and_no_token(clock: FakeClock) -> None:
    sessions = Session(ttl=1, clock=clock)
    sessions.set_nowait("secret", 1)
    assert repr(sessions) == "<Session of 1 entries>"
