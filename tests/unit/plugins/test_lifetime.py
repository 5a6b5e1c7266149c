"""What all plugins have in common: clock, app, end, reload. Spec: platform 7."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime.core.capacity import capacity_override
from runtime.core.clock import SystemClock, TimerHandle
from runtime.core.errors import PlatformNotReady
from runtime.core.settings import ServerSettings, Settings
from runtime.plugins.lifetime import Plugin, PluginState, adopt_all
from runtime.plugins.options import UNSET, bound, seconds, text_key, whole
from runtime.server.assembly import Runtime, assemble
from runtime.testing import FakeClock
from tests.server.conftest import AppFactory
from tests.unit.core.parts import Core


class TallyState(PluginState):
    def __init__(self) -> None:
        super().__init__()
        self.value = 0
        self.timer: TimerHandle | None = None


class Tally(Plugin[TallyState]):
    """Counts, and says its step when its timer runs."""

    label = "tally"

    def __init__(self, step: int = 1, clock: Any = None, said: list[Any] | None = None) -> None:
        super().__init__(TallyState(), clock)
        self.step = step
        self.said = [] if said is None else said
        self.hangs = False

    def add(self) -> int:
        self._app()
        self._state.value += self.step
        return self._state.value

    def start(self) -> None:
        state = self._state
        state.timer = self._later(5, lambda: state.plugin.tick())

    def tick(self) -> None:
        self.said.append(("tick", self.step))

    def at_shutdown(self) -> None:
        self.said.append("flushed")
        if self.hangs:
            raise RuntimeError("no flush")

    def sizes(self) -> dict[str, int]:
        return {"MAX_SESSIONS": self._state.value}

    async def _close(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        self.said.append("closed")
        if self._state.timer is not None:
            self._state.timer.cancel()
        self._state.value = 0


class OtherTally(Tally):
    pass


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    runtime = assemble(None, Settings(server=ServerSettings(env="test")), clock=FakeClock())
    await runtime.start()
    yield runtime
    await runtime.stop(timeout=0)


# ------------------------------------------------------------ clock


def test_the_clock_is_a_clock_or_a_function() -> None:
    fake = FakeClock()
    assert Tally(clock=fake)._clock is fake
    measured = Tally(clock=lambda: 17.0)._clock
    assert (measured.monotonic(), isinstance(measured, SystemClock)) == (17.0, True)
    assert Tally(clock=time.monotonic)._clock.monotonic() == pytest.approx(time.monotonic(), abs=5)
    with pytest.raises(ValueError, match=r"^tally: clock must be a Clock"):
        Tally(clock=3)


def test_without_an_app_the_clock_is_the_machines() -> None:
    assert isinstance(Tally()._clock, SystemClock)


async def test_the_clock_of_the_app_is_used_when_none_was_given(runtime: Runtime) -> None:
    tally = Tally()
    assert tally._clock is runtime.clock
    await tally.close()
    assert tally._state.clock is None


# ------------------------------------------------------------ the app


@pytest.mark.spec("PLAT-177")
async def test_the_platform_is_the_one_given_or_the_connections_or_the_process(runtime: Runtime) -> None:
    given, connected = Core().platform, Core().connect()
    tally = Tally()
    assert tally._platform(given, connected) is given
    assert tally._platform(None, connected) is connected.platform
    assert tally._platform() is runtime.platform


@pytest.mark.spec("PLAT-177")
def test_without_any_platform_the_error_names_the_plugin() -> None:
    with pytest.raises(PlatformNotReady, match=r"^tally: no app runs; give the platform"):
        Tally()._platform()


async def test_a_plugin_belongs_to_the_app_of_its_first_use(runtime: Runtime) -> None:
    tally = Tally()
    own = len(runtime.platform.parts.closing)  # the app's own parts that end with it
    tally.add()
    tally.add()
    assert len(runtime.platform.parts.closing) == own + 1
    assert tally._metrics is runtime.metrics
    tally._count("lock_timeouts_total")
    assert runtime.metrics.get("lock_timeouts_total") == 1
    assert runtime.metrics.snapshot()["capacity_size"]["MAX_SESSIONS",] == 2
    tally.add()
    other = Tally(9)
    other.add()
    assert runtime.metrics.snapshot()["capacity_size"]["MAX_SESSIONS",] == 9  # the fullest


async def test_what_nobody_uses_any_more_is_not_kept(runtime: Runtime) -> None:
    import gc

    own = len(runtime.platform.parts.closing)
    Tally().add()
    gc.collect()
    assert len(runtime.platform.parts.closing) == own


async def test_the_plugins_of_one_worker_are_bounded(runtime: Runtime) -> None:
    own = len(runtime.platform.parts.closing)
    with capacity_override(MAX_PLUGINS=own + 2):
        tallies = [Tally() for _ in range(4)]
        assert [tally.add() for tally in tallies] == [1, 1, 1, 1]
        assert len(runtime.platform.parts.closing) == own + 2


# ------------------------------------------------------------ the end


async def test_the_app_flushes_and_closes_its_plugins(runtime: Runtime) -> None:
    tally = Tally()
    tally.add()
    tally.start()
    clock = runtime.clock
    assert isinstance(clock, FakeClock)
    waiting = clock.pending
    await runtime.stop(timeout=0)
    assert tally.said == ["flushed", "closed"]
    assert clock.pending < waiting
    # Empty and without an app, it can be used again.
    assert (tally.add(), tally._state.core) == (1, None)


async def test_plugins_are_flushed_while_connections_are_there(runtime: Runtime) -> None:
    from tests.unit.server.test_lifecycle import connect

    peer = connect(runtime)
    inbound = next(iter(runtime.connections.values()))
    inbound.subscribe("news")

    class Late(Tally):
        def at_shutdown(self) -> None:
            self._platform().publish("news", "last", 1)

    late = Late()
    late.add()
    await runtime.stop(timeout=0)
    assert peer.events("news") == [("last", 1)]


async def test_one_that_fails_or_hangs_keeps_no_other_open(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    closing = runtime.platform.parts.closing
    tallies = [Tally(), Tally(), Tally()]
    for tally in tallies:
        tally.add()
    tallies[0].hangs = True
    with caplog.at_level(logging.WARNING):
        closing.flush()
        await closing.close(0.01)
    assert [tally.said for tally in tallies] == [["flushed"], ["flushed", "closed"], ["flushed", "closed"]]
    assert "tally could not be flushed" in caplog.text
    assert "1 plugins did not close within 0.01 s" in caplog.text
    assert not closing.add(Tally()._state)  # nothing is taken up by an app that has ended


async def test_the_end_of_a_block_closes(runtime: Runtime) -> None:
    own = len(runtime.platform.parts.closing)
    async with Tally() as tally:
        tally.add()
    await tally.close()
    assert (tally.said, len(runtime.platform.parts.closing)) == (["closed", "closed"], own)


# ------------------------------------------------------------ reload


def test_a_successor_has_the_state_and_its_own_options() -> None:
    old, new = Tally(1), Tally(10)
    old.add()
    assert new.adopt(old)
    assert [new.add(), old.add(), new.add()] == [11, 12, 22]


async def test_a_timer_of_the_old_code_calls_the_new() -> None:
    clock = FakeClock()
    said: list[Any] = []
    old, new = Tally(1, clock, said), Tally(10, None, said)
    old.start()
    new.adopt(old)
    await clock.advance(5)
    assert said == [("tick", 10)]
    assert new._clock is clock  # its times are of that clock


def test_only_its_like_can_follow() -> None:
    old, new = Tally(), OtherTally()
    assert not new.adopt(old)
    assert not old.adopt(old)
    assert new._state is not old._state


def test_who_takes_over_from_whom() -> None:
    mine, shared, foreign = Tally(1), Tally(2), Tally(3)
    before = {
        "a": {"mine": mine, "shared": shared},
        "b": {"shared": shared, "was": mine},
        "c": {"other": foreign},
    }
    new_mine, new_shared, was = Tally(), Tally(), Tally()
    after = {
        "a": {"mine": new_mine, "shared": new_shared, "fresh": Tally(), "text": "x"},
        "b": {"shared": new_shared, "was": was, "other": foreign},
    }
    states = mine._state, shared._state, foreign._state, was._state
    assert adopt_all(before, after) == 2
    assert (new_mine._state, new_shared._state, foreign._state, was._state) == states


def test_the_state_of_one_that_is_still_used_is_left_alone() -> None:
    used = Tally()
    before = {"a": {"tally": used}, "b": {"tally": used}}
    new = Tally()
    assert adopt_all(before, {"b": {"tally": new}}) == 0
    assert new._state is not used._state


SOURCE = """
from runtime import live
from tests.unit.plugins.test_lifetime import Tally
tally = Tally(STEP)

@live
async def add(ctx) -> int:
    return tally.add()
"""


async def test_a_reload_keeps_the_state_of_plugins(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": SOURCE.replace("STEP", "1")}, env="dev")
    peer = await app.connect()
    own = len(app.runtime.platform.parts.closing)
    assert [(await peer.request("a/add"))["data"] for _ in range(2)] == [1, 2]
    app.write("live/a.py", SOURCE.replace("STEP", "10"))
    assert (await app.runtime.live.reload([app.project / "live/a.py"])).ok
    assert (await peer.request("a/add"))["data"] == 12
    app.write("live/a.py", SOURCE.replace("STEP", "1 / 0"))
    assert not (await app.runtime.live.reload([app.project / "live/a.py"])).ok
    assert (await peer.request("a/add"))["data"] == 22
    assert len(app.runtime.platform.parts.closing) == own + 1


# ------------------------------------------------------------ options


def test_bounds_are_their_constant_unless_they_are_given() -> None:
    with capacity_override(MAX_SESSIONS=7):
        assert bound("tally", "size", UNSET, "MAX_SESSIONS").limit == 7
        assert bound("tally", "size", 3, "MAX_SESSIONS").limit == 3
        assert bound("tally", "size", None, "MAX_SESSIONS").limit == math.inf
        assert bound("tally", "size", math.inf, "MAX_SESSIONS").limit == math.inf
    for bad in (0, -1, True, 1.5, "3", math.nan):
        with pytest.raises(ValueError, match=r"^tally: size must be a whole number of at least 1"):
            bound("tally", "size", bad, "MAX_SESSIONS")  # type: ignore[arg-type]


def test_seconds_are_finite_and_above_zero() -> None:
    assert (seconds("t", "ttl", 2), seconds("t", "ttl", 0, zero=True)) == (2.0, 0.0)
    for bad in (0, -1, math.inf, math.nan, True, "1", None):
        with pytest.raises(ValueError, match=r"^t: ttl must be a finite number of seconds above 0"):
            seconds("t", "ttl", bad)
    with pytest.raises(ValueError, match="of at least 0"):
        seconds("t", "ttl", -1, zero=True)
    assert whole("t", "n", 0, least=0) == 0


def test_keys_are_texts_of_some_length() -> None:
    assert text_key("t", "key", "abc", 3) == "abc"
    for bad, said in (
        ("", "not an empty one"),
        (3, "not int"),
        (None, "not NoneType"),
        ("abcd", "has 4 characters"),
    ):
        with pytest.raises(ValueError, match=rf"^t: key .*{said}"):
            text_key("t", "key", bad, 3)
