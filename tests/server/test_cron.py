"""Jobs in whole apps: when they run, what becomes of their results and failures. Spec: live-api 16.2 to 16.4."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from runtime.core.settings import CronSettings, SettingsError
from runtime.live.cron import MAX_ERROR_TEXT
from runtime.server.assembly import StartupError
from tests.server.conftest import AppFactory
from tests.server.crons import at, start, statuses
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
        runs.append(ctx)
        return {"n": len(runs)}

    @live.stream("stats", merge="set", replay=True)
    async def stats(ctx):
        return None
"""
)


def module(app: App, name: str = "m") -> Any:
    return app.runtime.live.registry.modules[name].module


@pytest.mark.spec("LIVE-148", "LIVE-150", "LIVE-89")
async def test_a_result_is_set_on_the_topic_at_each_full_minute(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY)
    peer = await app.connect()
    assert (await peer.stream("m/stats"))["ok"]
    await clock.advance(29.9)
    assert peer.events("stats") == []
    await clock.advance(0.1)
    assert peer.events("stats") == [("set", {"n": 1})]
    await clock.advance(179.9)
    assert peer.events("stats") == [("set", {"n": n}) for n in (1, 2, 3)]
    assert statuses(app) == {"ok": 3}
    assert app.runtime.metrics.total("cron_errors_total") == 0
    kept = await app.runtime.platform.replay.since("stats", 0)
    assert [(message.event, message.data) for message in kept] == [("set", {"n": n}) for n in (1, 2, 3)]


@pytest.mark.spec("LIVE-150")
async def test_none_and_no_topic_publish_nothing_but_a_false_value_does(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        HEAD
        + """
    @live.cron("* * * * *", "a")
    async def nothing(ctx):
        runs.append("nothing")

    @live.cron("* * * * *")
    async def nowhere(ctx):
        runs.append("nowhere")
        return 5

    @live.cron("* * * * *", "c")
    async def zero(ctx):
        return 0

    @live.cron("* * * * *", "d")
    async def null(ctx):
        ctx.publish("d", "set", None)

    for name in "abcd":
        globals()["on_" + name] = live.channel(name)
""",
    )
    peer = await app.connect()
    for name in "abcd":
        await peer.stream(f"m/on_{name}")
    await clock.advance(30)
    assert sorted(module(app).runs) == ["nothing", "nowhere"]
    assert [peer.events(topic) for topic in "abcd"] == [[], [], [("set", 0)], [("set", None)]]


@pytest.mark.spec("LIVE-148")
async def test_a_job_of_minutes_runs_once_per_minute_beside_one_of_seconds(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        HEAD
        + """
    @live.cron("*/2 * * * *")
    def job():
        runs.append("minute")

    @live.cron("*/5 * * * * *")
    def seconds():
        runs.append("second")
""",
    )
    await clock.advance_to("2026-11-26T10:10:30+00:00")
    assert (module(app).runs.count("minute"), module(app).runs.count("second")) == (5, 120)
    assert statuses(app) == {"ok": 5}
    assert statuses(app, "m/seconds") == {"ok": 120}


async def test_the_seconds_of_a_run_are_those_of_the_wall_clock(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        HEAD
        + """
    import time
    from runtime import get_platform

    @live.cron("*/7 * * * * *")
    def job():
        runs.append(get_platform().parts.clock.now() % 60)
""",
    )
    clock.jump(0.25)  # the timers of a second begin anywhere in it
    await clock.advance(60)
    assert module(app).runs == pytest.approx([35, 42, 49, 56, 0, 7, 14, 21, 28], abs=0.26)
    module(app).runs.clear()
    await clock.advance(30)
    assert module(app).runs == pytest.approx([35, 42, 49, 56, 0], abs=0.001)


@pytest.mark.spec("LIVE-149")
async def test_a_run_that_is_due_while_one_goes_on_is_left_out(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        HEAD
        + """
    @live.cron("* * * * *")
    async def job():
        runs.append("begun")
        await gate.wait()
        runs.append("ended")

    @live.cron("* * * * *")
    async def other():
        pass
""",
    )
    await clock.advance(30)
    await clock.advance(120)
    assert module(app).runs == ["begun"]
    assert statuses(app) == {"skipped": 2}
    module(app).gate.set()
    await turns()
    assert module(app).runs == ["begun", "ended"]
    assert statuses(app) == {"skipped": 2, "ok": 1}
    await clock.advance(60)
    assert module(app).runs == ["begun", "ended"] * 2
    assert (statuses(app), statuses(app, "m/other")) == ({"skipped": 2, "ok": 2}, {"ok": 4})


FAILING = (
    HEAD
    + """
    from runtime import LiveError

    @live.cron("* * * * *", "stats")
    async def job(ctx):
        runs.append(1)
        if len(runs) == 1:
            raise LiveError("NO", "not now")
        if len(runs) == 2:
            return object()  # has no JSON form
        if len(runs) == 3:
            raise SystemExit(4)
        if len(runs) == 4:
            task = asyncio.get_running_loop().create_future()
            task.cancel()
            await task

    @live.cron("* * * * *")
    async def other():
        pass
"""
)


@pytest.mark.spec("LIVE-151")
async def test_a_failure_is_counted_and_reported_and_the_schedule_goes_on(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        {
            "live/m.py": FAILING,
            "hooks.py": """
                from runtime import on_error
                seen = []

                @on_error
                def report(path, error):
                    seen.append((path, type(error).__name__))
            """,
        },
    )
    await clock.advance(5 * 60)
    assert statuses(app) == {"error": 4, "ok": 1}
    assert app.runtime.metrics.get("cron_errors_total", "m/job") == 4
    assert statuses(app, "m/other") == {"ok": 5}
    handler = app.runtime.live.registry.wiring["on_error"]
    names = ["LiveError", "EncodeError", "RuntimeError", "CancelledError"]
    assert handler.__globals__["seen"] == [("m/job", name) for name in names]


UNSPEAKABLE = """
    # realtime-allow-public
    from runtime import live

    class Unspeakable(Exception):
        def __str__(self): raise ValueError("no text")

    @live.cron("* * * * *")
    def job(): raise Unspeakable

    @live.cron("* * * * *")
    def long(): raise ValueError("postgres://app:hunter2@db/app password=hunter2 " + "x" * 5000)
"""


@pytest.mark.spec("LIVE-151")
async def test_what_an_exception_says_is_no_matter(make_app: AppFactory) -> None:
    app, clock = await start(make_app, UNSPEAKABLE)
    await clock.advance(60)
    assert (statuses(app), statuses(app, "m/long")) == ({"error": 1}, {"error": 1})
    assert [app.runtime.metrics.get("cron_errors_total", path) for path in ("m/job", "m/long")] == [1, 1]
    reports = {report.path: report for report in app.runtime.live.cron.jobs}
    assert (reports["m/job"].error, reports["m/job"].last_status) == ("Unspeakable", "error")
    assert len(reports["m/long"].error or "") == MAX_ERROR_TEXT


@pytest.mark.spec("LIVE-151")
async def test_the_devtools_show_no_secret_of_a_failure(make_app: AppFactory) -> None:
    app, clock = await start(make_app, UNSPEAKABLE, env="dev")
    await clock.advance(60)
    assert app.runtime.devtools is not None
    shown = {row["path"]: row["error"] for row in app.runtime.devtools.read()["cron"]["rows"]}
    assert shown["m/long"].startswith("ValueError: postgres://app:***@db/app password=*** xxx")


@pytest.mark.spec("LIVE-151")
async def test_without_a_handler_a_failure_is_logged(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    _app, clock = await start(make_app, FAILING)
    await clock.advance(30)
    assert "m/job failed" in caplog.text
    assert "not now" in caplog.text


async def test_what_a_job_gets(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        HEAD
        + """
    from runtime import CronCtx, current_ctx, live
    import threading

    @live.cron("* * * * *")
    async def job(ctx: CronCtx):
        assert current_ctx() is ctx
        runs.append(ctx)
        ctx.publish("a", "x", 1)
        ctx.batch([{"topic": "a", "event": "y", "data": 2}])
        ctx.publish_throttled("a", "z", 3, 1)
        ctx.send_signal("ada", "hi")
        assert ctx.shed("background") is False
        assert ctx.skip("k", 1) is False

    @live.cron("* * * * *", "a")
    @live(thread=True)
    def blocking(ctx=None):
        assert threading.current_thread() is not threading.main_thread()
        ctx.publish("a", "from a thread", 4)
        runs.append("thread")
        return 5

    @live.cron("* * * * *")
    def anything(*args):
        runs.append(len(args))

    a = live.channel("a")
""",
    )
    peer = await app.connect()
    await peer.stream("m/a")
    await clock.advance(30)
    await peer.wait(lambda _: len(peer.events("a")) == 5)
    ctx = next(run for run in module(app).runs if not isinstance(run, int | str))
    assert (ctx.user, ctx.ws, ctx.cursor, ctx.idempotency_key) == (None, None, None, None)
    assert ctx.platform is app.runtime.platform
    assert ctx.request_id == "worker-0"
    assert not ctx.signal.aborted
    assert 1 in module(app).runs
    assert sorted(peer.events("a"), key=str) == sorted(
        [("x", 1), ("y", 2), ("z", 3), ("from a thread", 4), ("set", 5)], key=str
    )
    assert statuses(app, "m/blocking") == {"ok": 1}


@pytest.mark.spec("LIVE-42")
async def test_nobody_can_call_a_job_and_middleware_and_guard_do_not_stand_around_it(
    make_app: AppFactory,
) -> None:
    app, clock = await start(
        make_app,
        MINUTELY
        + """
    from runtime import guard
    _guard = guard(authenticated=True)

    @live.middleware
    async def around(ctx, next):
        runs.append("middleware")
        return await next()
""",
    )
    peer = await app.connect({"id": 1})
    reply = await peer.request("m/job")
    assert (reply["ok"], reply["code"]) == (False, "NOT_FOUND")
    assert module(app).runs == []
    await clock.advance(30)
    assert [type(run).__name__ for run in module(app).runs] == ["CronCtx"]
    assert list(app.runtime.live.registry.endpoints) == ["m/stats"]


async def test_a_job_belongs_to_the_module_that_declares_it(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        {
            "live/m.py": MINUTELY,
            "live/other.py": "from live.m import job\n",
            "live/_helper.py": "from live.m import job\n",
        },
    )
    assert [job.path for job in app.runtime.live.cron.jobs] == ["m/job"]
    await clock.advance(30)
    assert len(module(app).runs) == 1


async def test_two_jobs_of_one_name_are_a_mistake(make_app: AppFactory) -> None:
    again = """
    @live.cron("0 * * * *")
    async def job():
        pass
"""
    with pytest.raises(StartupError) as caught:
        await start(make_app, MINUTELY + again)
    assert "path 'm/job' is declared twice" in str(caught.value.problems[0])


async def test_wrappers_of_calls_stand_around_a_job_too(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        HEAD
        + """
    @live.cron("* * * * *", "a")
    @live.lock("one")
    async def below(ctx):
        runs.append("below")
        return 1

    @live.lock("one")
    @live.cron("* * * * *", "a")
    async def above(ctx):
        runs.append("above")
        return 2

    a = live.channel("a")
""",
    )
    peer = await app.connect()
    await peer.stream("m/a")
    await clock.advance(30)
    assert sorted(module(app).runs) == ["above", "below"]
    assert sorted(peer.events("a")) == [("set", 1), ("set", 2)]


@pytest.mark.spec("LIVE-154")
async def test_the_clock_of_the_job_counts_on_the_days_on_which_it_is_set(make_app: AppFactory) -> None:
    source = (
        HEAD
        + """
    @live.cron("30 1 * * *", tz="America/New_York")
    def job():
        runs.append(1)

    @live.cron("0 * * * *")
    def hourly():
        runs.append(0)
"""
    )
    app, clock = await start(make_app, source, "2026-11-01T05:00:00+00:00", tz="America/New_York")
    for instant, runs in (("05:29:59", 0), ("05:30:00", 1), ("06:29:59", 1), ("06:30:00", 2)):
        await clock.advance_to(f"2026-11-01T{instant}+00:00")
        assert module(app).runs.count(1) == runs
    await clock.advance_to("2026-11-01T07:00:00+00:00")
    assert statuses(app) == {"ok": 2}
    assert statuses(app, "m/hourly") == {"ok": 2}


async def test_nothing_runs_only_because_the_server_starts(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY, "2026-11-26T10:00:00+00:00")
    await clock.advance(59.9)
    assert module(app).runs == []
    await clock.advance(0.1)
    assert len(module(app).runs) == 1


async def test_before_the_start_and_after_the_end_nothing_runs(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/m.py": MINUTELY}, env="dev", start=False)
    app.runtime.load()
    cron = app.runtime.live.cron
    with caplog.at_level(logging.WARNING):
        assert cron.tick(at("2026-11-26T10:00:00+00:00")).started == ()
        assert cron.tick(at("2026-11-26T10:01:00+00:00")).started == ()
    assert caplog.text.count("the app has not started") == 1
    assert [job.next_run for job in cron.jobs] == [None]
    await app.runtime.start()
    assert cron.tick(at("2036-11-26T10:02:00+00:00")).started == ("m/job",)
    await app.runtime.stop()
    assert cron.tick(at("2036-11-26T10:03:00+00:00")).started == ()
    cron.start()
    assert cron.tick(at("2036-11-26T10:04:00+00:00")).started == ()
    assert caplog.text.count("the app has not started") == 1


async def test_switched_off_jobs_run_in_the_ticks_of_tests_only(make_app: AppFactory) -> None:
    app, clock = await start(make_app, MINUTELY, enabled=False)
    await clock.advance(600)
    assert module(app).runs == []
    tick = app.runtime.live.cron.tick(at("2026-11-26T10:11:00+00:00"))
    assert tick.started == ("m/job",)
    assert module(app).runs == []
    assert (await tick) is tick
    assert len(module(app).runs) == 1
    assert (await app.runtime.live.cron.tick(at("2026-11-26T10:11:59+00:00"))).started == ()


@pytest.mark.parametrize("zone", ["Europe/Berlim", "", 3])
def test_a_zone_of_the_settings_must_exist(zone: Any) -> None:
    with pytest.raises(SettingsError, match="a time zone that this machine knows"):
        CronSettings(tz=zone)
    assert CronSettings(tz="Europe/Berlin").tz == "Europe/Berlin"
    assert CronSettings().tz is None


@pytest.mark.spec("LIVE-145")
@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ('@live.cron("61 * * * *", "a")', "minute: 61"),
        ('@live.cron("* * * *", "a")', "not 4"),
        ('@live.cron("* * * * * * *", "a")', "not 7"),
        ('@live.cron("* * * * *", "__a")', "topic: '__a' begins with the reserved prefix"),
        ('@live.cron("* * * * *", "")', "topic:"),
        ('@live.cron("* * * * *", 5)', "topic: must be a string"),
        ('@live.cron("* * * * *", tz="Mars/Base")', "tz: there is no time zone 'Mars/Base'"),
        ('@live.cron("* * * * *", per_worker=1)', "per_worker: must be a bool"),
        ('@live.cron("* * * * *", timezone="UTC")', "'timezone' is no option of it"),
        ("@live.cron", "an expression such as"),
        ('@live.cron("* * * * *")\n    @live.cron("0 * * * *")', "has a schedule already"),
        ('@live.cron("* * * * *")\n    @live.stream("s")', "is a stream"),
        ('@live.stream("s")\n    @live.cron("* * * * *")', "cannot be a stream as well"),
        ('@live.cron("* * * * *")\n    class', "a function is needed"),
    ],
)
async def test_a_declaration_that_cannot_be_keeps_the_app_from_starting(
    make_app: AppFactory, declaration: str, message: str
) -> None:
    what = "" if declaration.endswith("class") else "\n    async def"
    source = (
        HEAD
        + f"""
    {declaration}{what} job{"(ctx)" if what else ""}:
        pass
"""
    )
    with pytest.raises(StartupError) as caught:
        await start(make_app, source)
    assert message in str(caught.value.problems[0])
    assert "live/m.py" in str(caught.value.problems[0])


@pytest.mark.parametrize("parameters", ["ctx, more", "*, key", "ctx, *, key"])
async def test_a_job_takes_ctx_or_nothing(make_app: AppFactory, parameters: str) -> None:
    source = (
        HEAD
        + f"""
    @live.cron("* * * * *")
    async def job({parameters}):
        pass
"""
    )
    with pytest.raises(StartupError) as caught:
        await start(make_app, source)
    assert "must take ctx, or nothing" in str(caught.value.problems[0])


@pytest.mark.spec("LIVE-146")
async def test_dev_says_that_day_and_weekday_must_both_match(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    source = (
        HEAD
        + """
    @live.cron("0 0 13 * fri")
    async def job():
        pass

    @live.cron("0 0 13 * *")
    async def other():
        pass
"""
    )
    await start(make_app, source, env="dev")
    assert caplog.text.count("restricts both day and weekday") == 1
    assert "job: '0 0 13 * fri'" in caplog.text


async def test_what_is_known_of_the_jobs(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        HEAD
        + """
    @live.cron("*/10 * * * * *", "t", tz="Europe/Berlin", per_worker=True)
    async def b(ctx):
        await gate.wait()
        raise ValueError("no")

    @live.cron("@daily")
    async def a(ctx):
        pass
""",
    )
    cron = app.runtime.live.cron
    first, second = cron.jobs
    assert (first.path, first.schedule, first.zone, first.topic) == ("m/a", "@daily", "UTC", None)
    assert first.next_run == at("2026-11-27T00:00:00+00:00")
    assert (second.path, second.zone, second.topic, second.per_worker) == ("m/b", "Europe/Berlin", "t", True)
    assert (second.is_running, second.last_run, second.last_status, second.error) == (False, None, None, None)
    await clock.advance(10)
    second = cron.jobs[1]
    assert (second.is_running, second.last_run) == (True, at("2026-11-26T10:00:40+00:00"))
    assert second.next_run == at("2026-11-26T10:00:50+00:00")
    await clock.advance(11)
    assert cron.jobs[1].last_status == "skipped"
    module(app).gate.set()
    await turns()
    second = cron.jobs[1]
    assert (second.is_running, second.last_status, second.duration) == (False, "error", 11.0)
    assert second.error == "ValueError: no"
