"""Jobs and a clock that is late or set, changed code, and the end of the app. Spec: live-api 16.3 and 16.4."""

from __future__ import annotations

import asyncio
import logging
from types import ModuleType
from typing import Any

import pytest

from runtime.core.tasks import TaskOwner
from runtime.server.hooks import HookSet
from tests.server.conftest import AppFactory
from tests.server.crons import JumpClock, at, start, statuses
from tests.server.peers import App, turns

HEAD = """
    # realtime-allow-public
    import asyncio
    from runtime import live

    runs = live.keep("runs", list)
    gate = live.keep("gate", asyncio.Event)
"""
MINUTELY = (
    HEAD
    + """
    @live.cron("* * * * *", "stats")
    async def job(ctx):
        runs.append(1)
        return len(runs)

    stats = live.channel("stats")
"""
)
SECONDLY = MINUTELY.replace("* * * * *", "* * * * * *")


def module(app: App, name: str = "m") -> Any:
    return app.runtime.live.registry.modules[name].module


# ---------------------------------------------------------------- late


@pytest.mark.spec("LIVE-155")
@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (0, {"ok": 1}),
        (1, {"ok": 1}),
        (59, {"ok": 1}),
        # A minute late is not too late; by then the next run is due, and one is enough.
        (60, {"ok": 1, "missed": 1}),
        (61, {"ok": 1, "missed": 1}),
        (300, {"ok": 1, "missed": 5}),
    ],
)
async def test_a_blocked_loop_delays_a_job_and_neither_loses_nor_repeats_it(
    make_app: AppFactory, late: int, expected: dict[str, int]
) -> None:
    app, clock = await start(make_app, MINUTELY)
    await clock.advance(29)
    clock.jump(late)
    await clock.advance(1)  # the timer of 10:01 fires now
    assert statuses(app) == expected
    await clock.advance(59 - late % 60)
    assert statuses(app) == expected
    await clock.advance(1)
    assert statuses(app) == {**expected, "ok": 2}


@pytest.mark.spec("LIVE-155")
@pytest.mark.parametrize(("late", "expected"), [(60, {"ok": 1}), (61, {"missed": 1}), (3600, {"missed": 1})])
async def test_what_is_more_than_a_minute_late_is_missed(
    make_app: AppFactory, late: int, expected: dict[str, int]
) -> None:
    app, clock = await start(make_app, MINUTELY.replace('"* * * * *"', '"5 10 * * *"'))
    await clock.advance_to("2026-11-26T10:04:59+00:00")
    clock.jump(late)
    await clock.advance(1)
    assert statuses(app) == expected
    await clock.advance(120)
    assert statuses(app) == expected


@pytest.mark.spec("LIVE-155")
async def test_seconds_that_were_slept_through_are_one_run(make_app: AppFactory) -> None:
    app, clock = await start(make_app, SECONDLY)
    await clock.advance(3)
    clock.jump(10)
    await clock.advance(1)
    assert statuses(app) == {"ok": 4, "missed": 10}
    await clock.advance(3)
    assert statuses(app) == {"ok": 7, "missed": 10}


async def test_the_misses_of_a_night_are_counted_to_a_bound(make_app: AppFactory) -> None:
    app, clock = await start(make_app, SECONDLY)
    clock.jump(8 * 3600)
    await clock.advance(1)
    assert statuses(app) == {"ok": 1, "missed": 1000 + 60}
    await clock.advance(1)
    assert statuses(app) == {"ok": 2, "missed": 1000 + 60}


@pytest.mark.spec("LIVE-155")
@pytest.mark.parametrize("back", [1, 10, 60])
async def test_a_clock_that_is_set_back_a_little_repeats_nothing(make_app: AppFactory, back: int) -> None:
    app, clock = await start(make_app, SECONDLY)
    await clock.advance(60)
    assert statuses(app) == {"ok": 60}
    clock.jump(-back)
    await clock.advance(back)
    assert statuses(app) == {"ok": 60}
    await clock.advance(5)
    assert statuses(app) == {"ok": 65}


async def test_a_clock_that_is_set_back_far_goes_on_there(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY)
    await clock.advance(90)
    assert statuses(app) == {"ok": 2}
    clock.jump(-3600)
    await clock.advance(60)
    assert statuses(app) == {"ok": 3}
    await clock.advance(180)
    assert statuses(app) == {"ok": 6}


async def test_a_clock_that_is_set_back_little_by_little_goes_on_as_well(make_app: AppFactory) -> None:
    app, clock = await start(make_app, SECONDLY)
    await clock.advance(60)
    clock.jump(-40)
    assert app.runtime.live.cron.tick().started == ()
    clock.jump(-40)
    assert app.runtime.live.cron.tick().started == ("m/job",)
    await clock.advance(10)
    assert statuses(app) == {"ok": 71}


async def test_a_clock_that_is_set_ahead_is_noticed_within_a_minute(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY.replace('"* * * * *"', '"0 20 * * *"'))
    clock.jump(at("2026-11-26T19:59:30+00:00") - clock.now())
    await clock.advance(60)
    assert statuses(app) == {"ok": 1}


@pytest.mark.spec("LIVE-155")
async def test_a_timer_that_fires_too_early_runs_nothing_twice(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY)
    await clock.advance(29)
    clock.jump(-0.5)  # the wall clock was slowed down
    await clock.advance(1)
    assert statuses(app) == {}
    await clock.advance(0.5)
    assert statuses(app) == {"ok": 1}
    await clock.advance(59)
    assert statuses(app) == {"ok": 1}


async def test_a_timer_may_fire_some_milliseconds_early(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY)
    await clock.advance(29)
    clock.jump(-0.004)
    await clock.advance(1)
    assert statuses(app) == {"ok": 1}
    await clock.advance(59)
    assert statuses(app) == {"ok": 1}


async def test_what_is_due_while_the_app_starts_does_not_run(make_app: AppFactory) -> None:
    clock = JumpClock(at("2026-11-26T10:00:30+00:00"))
    app = await make_app({"live/m.py": MINUTELY}, clock=clock, start=False)
    app.runtime.load()
    clock.jump(45)
    await app.runtime.start()
    await clock.advance(44)
    assert statuses(app) == {}
    await clock.advance(1)
    assert statuses(app) == {"ok": 1}


async def test_ticks_of_a_test_run_what_is_due_once(make_app: AppFactory) -> None:
    app, _ = await start(make_app, MINUTELY)
    cron = app.runtime.live.cron
    noon = at("2030-01-01T12:00:00+00:00")
    assert cron.tick(noon - 1).started == ("m/job",)  # of 11:59, 59 s late
    await turns()
    assert cron.tick(noon).started == ("m/job",)
    assert cron.tick(noon).started == ()
    await turns()
    assert cron.tick(noon + 59.9).started == ()
    assert cron.tick(noon + 60).started == ("m/job",)
    await turns()
    assert cron.tick(noon).started == ()  # a minute back
    assert cron.tick(noon - 3600).started == ("m/job",)
    assert statuses(app)["ok"] == 3


# ---------------------------------------------------------------- changed code


@pytest.mark.spec("LIVE-173")
async def test_a_reload_doubles_nothing_and_runs_the_new_code(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY, env="dev")
    await clock.advance(30)
    file = app.write("live/m.py", MINUTELY.replace("runs.append(1)", "runs.append(2)"))
    for _ in range(3):
        assert (await app.runtime.live.reload([file])).ok
    await clock.advance(30)
    assert module(app).runs == [1]
    await clock.advance(30)
    assert module(app).runs == [1, 2]
    file = app.write("live/m.py", MINUTELY.replace('"* * * * *"', '"*/2 * * * *"'))
    assert (await app.runtime.live.reload([file])).ok
    await clock.advance_to("2026-11-26T10:04:59+00:00")
    assert module(app).runs == [1, 2, 1]
    file = app.write("live/m.py", HEAD)
    assert (await app.runtime.live.reload([file])).ok
    assert app.runtime.live.cron.jobs == []
    await clock.advance(600)
    assert module(app).runs == [1, 2, 1]


@pytest.mark.spec("LIVE-173")
async def test_a_run_ends_in_its_code_while_the_new_code_runs(make_app: AppFactory) -> None:
    waiting = (
        HEAD
        + """
    @live.cron("* * * * *")
    async def job():
        runs.append("old begun")
        await gate.wait()
        runs.append("old ended")
"""
    )
    app, clock = await start(make_app, {"live/m.py": waiting, "live/other.py": MINUTELY}, env="dev")
    await clock.advance(30)
    assert module(app).runs == ["old begun"]
    # A module that did not run again keeps its flag.
    file = app.write("live/other.py", MINUTELY + "\n    # changed\n")
    assert (await app.runtime.live.reload([file])).ok
    await clock.advance(60)
    assert statuses(app) == {"skipped": 1}
    old = app.runtime.live.generation
    file = app.write("live/m.py", waiting.replace("old", "new"))
    assert (await app.runtime.live.reload([file])).ok
    assert [job.is_running for job in app.runtime.live.cron.jobs] == [False, False]
    await clock.advance(60)
    assert module(app).runs == ["old begun", "new begun"]
    begun = [one for one in (*app.runtime.live._old, old) if one.running]
    assert [one.running for one in begun] == [1]
    module(app).gate.set()
    await turns(20)
    assert module(app).runs == ["old begun", "new begun", "old ended", "new ended"]
    assert begun[0].running == 0
    assert statuses(app) == {"skipped": 1, "ok": 2}


@pytest.mark.spec("LIVE-155", "LIVE-173")
async def test_what_is_due_while_code_is_loaded_is_not_lost(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY, env="dev")
    await clock.advance(29)
    clock.jump(2)  # the import took its time
    file = app.write("live/m.py", MINUTELY + "\n    # changed\n")
    assert (await app.runtime.live.reload([file])).ok
    await clock.advance(0)
    assert statuses(app) == {"ok": 1}
    await clock.advance(58)
    assert statuses(app) == {"ok": 1}
    await clock.advance(1)
    assert statuses(app) == {"ok": 2}


async def test_a_new_schedule_does_not_run_for_the_past(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY.replace('"* * * * *"', '"0 0 * * *"'), env="dev")
    await clock.advance(20)
    file = app.write("live/m.py", MINUTELY.replace('"* * * * *"', '"40 * * * * *"'))
    assert (await app.runtime.live.reload([file])).ok
    await clock.advance(39)
    assert statuses(app) == {}
    await clock.advance(11)
    assert statuses(app) == {"ok": 1}


async def test_a_new_zone_is_a_new_schedule(make_app: AppFactory) -> None:
    source = MINUTELY.replace('"* * * * *", "stats"', '"0 12 * * *", "stats", tz="UTC"')
    app, _ = await start(make_app, source, env="dev")
    file = app.write("live/m.py", source.replace('"UTC"', '"Europe/Berlin"'))
    assert (await app.runtime.live.reload([file])).ok
    assert [job.next_run for job in app.runtime.live.cron.jobs] == [at("2026-11-26T11:00:00+00:00")]


# ---------------------------------------------------------------- the end


async def test_a_stop_waits_for_a_run_whose_result_still_reaches_its_subscribers(
    make_app: AppFactory,
) -> None:
    app, clock = await start(
        make_app,
        HEAD
        + """
    @live.cron("* * * * *", "stats")
    async def job(ctx):
        runs.append("begun")
        await ctx.signal.wait()
        return "the last"

    stats = live.channel("stats")
""",
    )
    peer = await app.connect()
    await peer.stream("m/stats")
    await clock.advance(30)
    assert module(app).runs == ["begun"]
    await app.runtime.stop()
    assert peer.events("stats") == [("set", "the last")]
    assert peer.sink.closed == (1001, "Server shutting down")
    assert statuses(app) == {"ok": 1}


async def test_a_stop_tells_runs_of_replaced_code_as_well(make_app: AppFactory) -> None:
    waiting = (
        HEAD
        + """
    @live.cron("* * * * *")
    async def job(ctx):
        await ctx.signal.wait()
        runs.append("old")
"""
    )
    app, clock = await start(make_app, waiting, env="dev")
    await clock.advance(30)
    file = app.write("live/m.py", HEAD)
    assert (await app.runtime.live.reload([file])).ok
    runs = module(app).runs
    assert runs == []
    await app.runtime.stop()
    assert runs == ["old"]


async def test_a_stop_cancels_what_does_not_end_and_says_so(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, clock = await start(
        make_app,
        HEAD
        + """
    @live.cron("* * * * *")
    async def job():
        try:
            await gate.wait()
        finally:
            runs.append("cancelled")
""",
    )
    await clock.advance(30)
    runs = module(app).runs
    with caplog.at_level(logging.WARNING):
        await app.runtime.stop()
    assert runs == ["cancelled"]
    assert "1 cron runs were still going on 0.2 s into the shutdown" in caplog.text
    assert statuses(app) == {}


async def test_from_the_shutdown_hook_on_no_tick_is_taken(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY)
    begun, go = asyncio.Event(), asyncio.Event()

    async def shutdown() -> None:
        begun.set()
        await go.wait()

    hooks = ModuleType("hooks")
    vars(hooks)["shutdown"] = shutdown
    app.runtime.set_hooks(HookSet.from_module(hooks))
    tasks = TaskOwner("test")
    stopping = tasks.start(app.runtime.stop(), name="stop")
    async with asyncio.timeout(5):
        await begun.wait()
    await clock.advance(30)  # everything works while the hook runs
    assert statuses(app) == {"ok": 1}
    go.set()
    await stopping
    await clock.advance(300)
    assert statuses(app) == {"ok": 1}
    await tasks.close()


async def test_nothing_begins_while_a_stop_waits_for_a_run(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        HEAD
        + """
    told = asyncio.Event()

    @live.cron("* * * * *")
    async def job(ctx):
        await ctx.signal.wait()
        told.set()
        await gate.wait()

    @live.cron("* * * * * *")
    async def other():
        pass
""",
    )
    await clock.advance(30)
    before = statuses(app, "m/other")
    names, tasks = vars(module(app)), TaskOwner("test")
    stopping = tasks.start(app.runtime.stop(), name="stop")
    async with asyncio.timeout(5):
        await names["told"].wait()
    await clock.advance(10)
    assert app.runtime.live.cron.tick().started == ()
    assert statuses(app, "m/other") == before
    names["gate"].set()
    await stopping
    assert (statuses(app), statuses(app, "m/other")) == ({"ok": 1}, before)
    await tasks.close()


async def test_an_app_that_fails_to_start_runs_nothing(make_app: AppFactory) -> None:
    app = await make_app(
        {"live/m.py": SECONDLY, "hooks.py": "def init():\n    raise RuntimeError('no')\n"}, start=False
    )
    with pytest.raises(Exception, match="init hook failed"):
        await app.runtime.start()
    assert app.runtime.live.cron.tick().started == ()
