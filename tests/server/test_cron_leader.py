"""One of several workers runs the jobs, and a bus carries what they publish. Spec: live-api 16.5 and 17.1."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import configure_cron, get_bus, realtime
from runtime.live import collector
from tests.server.conftest import AppFactory
from tests.server.crons import JumpClock, start, statuses
from tests.server.peers import App

JOBS = """
    # realtime-allow-public
    import asyncio
    from runtime import configure_cron, live

    runs = live.keep("runs", list)
    asked = live.keep("asked", list)
    answers = live.keep("answers", dict)
    answers.setdefault("leader", True)

    @live.cron("* * * * *", "stats")
    async def job():
        runs.append("job")
        return len(runs)

    @live.cron("* * * * *", "stats")
    async def other():
        runs.append("other")

    @live.cron("*/2 * * * *", per_worker=True)
    async def everywhere():
        runs.append("everywhere")

    stats = live.channel("stats")

    class Leader:
        def is_leader(self):
            asked.append(1)
            answer = answers["leader"]
            if isinstance(answer, BaseException):
                raise answer
            return answer() if callable(answer) else answer

        def __call__(self):
            raise AssertionError("is_leader() is there to be asked")

    leader = Leader()
"""
BY_METHOD = JOBS + "\n    configure_cron(leader=leader.is_leader)\n"
BY_OBJECT = JOBS + "\n    configure_cron(leader=leader)\n"


class LocalBus:
    """A bus between apps of this process: what one publishes, each other one publishes without relaying it again."""

    def __init__(self) -> None:
        self.wrapped: list[Wrapped] = []

    def wrap(self, platform: Any) -> Wrapped:
        self.wrapped.append(Wrapped(self, platform))
        return self.wrapped[-1]


class Wrapped:
    def __init__(self, bus: LocalBus, platform: Any) -> None:
        self.bus, self.platform = bus, platform

    def publish(
        self, topic: str, event: str, data: Any = None, *, relay: bool = True, **options: Any
    ) -> bool:
        reached: bool = self.platform.publish(topic, event, data, **options)
        if relay:
            for other in self.bus.wrapped:
                if other is not self:
                    other.publish(topic, event, data, relay=False)
        return reached


@pytest.fixture(autouse=True)
def nothing_ambient() -> Iterator[None]:
    collector.ambient.wiring.clear()
    yield
    collector.ambient.wiring.clear()


def names(app: App) -> dict[str, Any]:
    return vars(app.runtime.live.registry.modules["m"].module)


async def started(make_app: AppFactory, source: str = BY_METHOD, env: str = "test") -> tuple[App, JumpClock]:
    return await start(make_app, source, env=env)


@pytest.mark.spec("LIVE-152", "LIVE-196")
@pytest.mark.parametrize("source", [BY_METHOD, BY_OBJECT], ids=["method", "object"])
@pytest.mark.parametrize("answer", [False, None, 0, "", []])
async def test_who_does_not_lead_runs_nothing_but_what_runs_everywhere(
    make_app: AppFactory, source: str, answer: Any
) -> None:
    app, clock = await started(make_app, source)
    names(app)["answers"]["leader"] = answer
    await clock.advance(30)
    assert (names(app)["runs"], names(app)["asked"]) == ([], [1])
    assert statuses(app, "*") == {"not-leader": 1}
    await clock.advance(60)
    assert (names(app)["runs"], names(app)["asked"]) == (["everywhere"], [1, 1])
    assert statuses(app, "*") == {"not-leader": 2}
    assert statuses(app) == {}
    names(app)["answers"]["leader"] = True
    await clock.advance(60)
    assert sorted(names(app)["runs"]) == ["everywhere", "job", "other"]
    assert statuses(app, "*") == {"not-leader": 2}


@pytest.mark.spec("LIVE-152", "LIVE-196")
@pytest.mark.parametrize("source", [BY_METHOD, BY_OBJECT], ids=["method", "object"])
async def test_who_leads_runs_everything_and_is_asked_once_per_tick(
    make_app: AppFactory, source: str
) -> None:
    app, clock = await started(make_app, source)
    names(app)["answers"]["leader"] = "yes"
    await clock.advance(90)
    assert sorted(names(app)["runs"]) == ["everywhere", "job", "job", "other", "other"]
    assert names(app)["asked"] == [1, 1]
    assert statuses(app, "*") == {}


async def nobody_waits() -> bool:
    return True


class Unsure:
    def __bool__(self) -> bool:
        raise ValueError("yes and no")


@pytest.mark.spec("LIVE-152", "LIVE-196")
@pytest.mark.parametrize("source", [BY_METHOD, BY_OBJECT], ids=["method", "object"])
@pytest.mark.parametrize("answer", [OSError("gone"), SystemExit(1), nobody_waits, Unsure()])
async def test_a_leader_that_cannot_be_asked_does_not_lead(
    make_app: AppFactory, source: str, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app, clock = await started(make_app, source)
    names(app)["answers"]["leader"] = answer
    await clock.advance(150)
    assert names(app)["runs"] == ["everywhere"]
    assert statuses(app, "*") == {"leader-error": 3}
    assert caplog.text.count("the leader could not be asked") == 1
    names(app)["answers"]["leader"] = True
    await clock.advance(60)
    assert statuses(app) == {"ok": 1}
    names(app)["answers"]["leader"] = answer
    await clock.advance(60)
    assert statuses(app) == {"ok": 1}
    assert caplog.text.count("the leader could not be asked") == 2


@pytest.mark.spec("LIVE-152")
async def test_runs_that_others_do_are_not_missed_here(make_app: AppFactory) -> None:
    app, clock = await started(make_app)
    names(app)["answers"]["leader"] = False
    await clock.advance(29)
    clock.jump(600)
    await clock.advance(1)
    assert statuses(app) == {}
    assert statuses(app, "m/everywhere") == {"ok": 1, "missed": 4}


async def test_a_leader_without_a_bus_is_a_mistake_that_dev_names_once(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, clock = await started(make_app, env="dev")
    with caplog.at_level(logging.WARNING):
        await clock.advance(150)
    assert caplog.text.count("there is a leader but no bus") == 1
    assert statuses(app) == {"ok": 3}
    caplog.clear()
    _, clock = await started(make_app, env="test")
    await clock.advance(60)
    assert "no bus" not in caplog.text


async def test_a_leader_with_a_bus_is_none(make_app: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    source = (
        JOBS
        + """
    from tests.server.test_cron_leader import LocalBus
    configure_cron(leader=leader, bus=LocalBus())
"""
    )
    app, clock = await started(make_app, source, env="dev")
    await clock.advance(30)
    assert statuses(app) == {"ok": 1}
    assert "no bus" not in caplog.text


@pytest.mark.spec("LIVE-153", "LIVE-156")
async def test_what_the_leader_publishes_reaches_the_subscribers_of_every_instance_once(
    make_app: AppFactory,
) -> None:
    bus = LocalBus()
    apps = [await started(make_app) for _ in range(3)]
    peers = []
    for number, (app, _) in enumerate(apps):
        app.runtime.live.wiring.apply({"bus": bus})
        names(app)["answers"]["leader"] = number == 1
        peers.append(await app.connect())
        assert (await peers[-1].stream("m/stats"))["ok"]
    for _, clock in apps:
        await clock.advance(30)
    assert [peer.events("stats") for peer in peers] == [[("set", 1)]] * 3
    assert [statuses(app) for app, _ in apps] == [{}, {"ok": 1}, {}]


@pytest.mark.spec("LIVE-152")
async def test_a_reload_keeps_the_leader_and_takes_back_what_is_no_longer_said(make_app: AppFactory) -> None:
    app, clock = await start(
        make_app,
        {
            "live/m.py": JOBS,
            "hooks.py": "from runtime import configure_cron\nconfigure_cron(leader=lambda: False)\n",
        },
        env="dev",
    )
    await clock.advance(30)
    assert statuses(app, "*") == {"not-leader": 1}
    file = app.write("live/m.py", JOBS + "\n    # changed\n")
    assert (await app.runtime.live.reload([file])).ok
    await clock.advance(60)
    assert statuses(app, "*") == {"not-leader": 2}
    # hooks.py comes first; without it the module's own holds until it says so no more.
    app.runtime.live.collector.wiring.clear()
    file = app.write("live/m.py", BY_METHOD)
    assert (await app.runtime.live.reload([file])).ok
    names(app)["answers"]["leader"] = False
    await clock.advance(60)
    assert statuses(app, "*") == {"not-leader": 3}
    file = app.write("live/m.py", JOBS)
    assert (await app.runtime.live.reload([file])).ok
    await clock.advance(60)
    assert (statuses(app), statuses(app, "*")) == ({"ok": 1}, {"not-leader": 3})


async def test_leader_and_bus_are_set_and_taken_back_at_run_time(make_app: AppFactory) -> None:
    app, clock = await started(make_app, JOBS)
    wiring, bus, leader = app.runtime.live.wiring, LocalBus(), names(app)["leader"]
    configure_cron(leader=lambda: False)
    await clock.advance(30)
    assert statuses(app, "*") == {"not-leader": 1}
    configure_cron(bus=bus)
    assert wiring.leader is not None
    assert get_bus() is bus
    configure_cron(leader=None)
    assert (wiring.leader, get_bus()) == (None, bus)
    await clock.advance(60)
    assert statuses(app) == {"ok": 1}
    configure_cron(leader=lambda: True, bus=None)
    assert wiring.leader is not None
    assert get_bus() is None
    configure_cron(leader=lambda: True, bus=bus)
    configure_cron(None)
    assert (wiring.leader, get_bus()) == (None, None)
    configure_cron(None, bus=bus)
    assert (wiring.leader, get_bus()) == (None, bus)
    configure_cron(leader.is_leader)
    assert (wiring.leader, get_bus()) == (leader.is_leader, bus)
    configure_cron(None, None)
    assert (wiring.leader, get_bus()) == (None, None)
    configure_cron(leader, bus)
    assert (wiring.leader, get_bus()) == (leader.is_leader, bus)
    realtime(leader=lambda: False)
    assert wiring.leader is not None
    assert get_bus() is bus
    realtime(leader=None, bus=None)
    assert (wiring.leader, get_bus()) == (None, None)


def test_what_is_no_leader_and_no_bus_is_refused() -> None:
    with pytest.raises(ValueError, match="leader or bus is needed"):
        configure_cron()
    for bad in (5, "me", object()):
        with pytest.raises(TypeError, match="leader: must be a function, or an object with is_leader"):
            configure_cron(leader=bad)
        with pytest.raises(TypeError, match="leader: must be"):
            realtime(leader=bad)
        with pytest.raises(TypeError, match=r"bus: must have a method wrap"):
            configure_cron(bus=bad)
        with pytest.raises(TypeError, match="leader: must be"):
            configure_cron(bad)
    with pytest.raises(TypeError, match="not async"):
        configure_cron(leader=nobody_waits)
    with pytest.raises(TypeError, match="two leaders"):
        configure_cron(bool, leader=bool)
    assert collector.ambient.wiring == {}
