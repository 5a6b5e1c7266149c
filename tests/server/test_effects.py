"""Effects, and who hears of failures that have no caller. Spec: live-api 10.2, 17.2 and 18.4."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import on_error, publish, realtime, set_bus
from runtime.live import collector
from runtime.plugins.replay import Replay
from runtime.testing import FakeClock, capacity_override
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

LIVE = """
    # realtime-allow-public
    import asyncio, threading
    from runtime import current_ctx, live, on_error

    seen, errors, asked, threads = [], [], [], []
    gate = asyncio.Event()
    gate.set()

    @on_error
    def report(path, error):
        errors.append((path, str(error)))

    @live.middleware
    async def middleware(ctx, next):
        asked.append(1)
        return await next()

    @live.effect(["orders", "returns"])
    async def mail(event, data, platform):
        await gate.wait()
        seen.append((event, data, platform, current_ctx()))

    @live.effect("quick")
    def plain(event):
        seen.append(event)

    @live.effect("none")
    async def nothing(): seen.append("nothing")

    @live.effect("burst", debounce=0.5)
    async def burst(event, data): seen.append((event, data))

    @live.effect("risky")
    async def risky(event, data):
        if data == 13: raise ValueError("bad luck")
        if data == 14: raise SystemExit(3)
        seen.append(data)

    @live(thread=True)
    @live.effect("threaded")
    def threaded(event, data, platform):
        threads.append(threading.current_thread() is threading.main_thread())
        platform.threadsafe.publish("echo", event, data)

    @live.effect("loop")
    async def loop(event, data, platform):
        seen.append(event)
        platform.publish("loop", "again")

    @live.effect("mutable")
    async def first(event, data): data["list"].append("first"); seen.append(data)

    @live.effect("mutable")
    async def second(event, data): data["list"].append("second"); seen.append(data)

    @live.effect("kept")
    async def keep(event, data, platform): platform.publish("log", event, data)

    @live
    async def send(ctx, topic: str, *values):
        for value in values:
            ctx.publish(topic, "created", value)
        return len(seen)

    @live.stream("quiet", volatile=True)
    async def quiet(ctx): return []

    @live
    async def later(ctx, topic: str):
        ctx.publish_debounced(topic, "created", 1, 5)
"""


@pytest.fixture(autouse=True)
def nothing_ambient() -> Iterator[None]:
    collector.ambient.wiring.clear()
    yield
    collector.ambient.wiring.clear()


async def started(make_app: AppFactory, **options: Any) -> tuple[App, Peer, Any]:
    app = await make_app({"live/m.py": LIVE}, **options)
    return app, await app.connect("ann"), module(app)


def module(app: App) -> Any:
    return app.runtime.live.registry.modules["m"].module


@pytest.mark.spec("LIVE-111")
async def test_an_effect_runs_after_the_publish_and_holds_nobody_up(make_app: AppFactory) -> None:
    app, ann, m = await started(make_app)
    ann.send({"type": "subscribe", "topic": "orders", "ref": 1})
    m.gate.clear()
    row = {"id": 1}
    assert (await ann.request("m/send", "orders", row, "two"))["data"] == 0
    await turns(20)
    assert ann.events("orders") == [("created", row), ("created", "two")], "nobody waits for it"
    assert m.seen == []
    m.gate.set()
    publish("returns", "deleted", 3)
    await turns(20)
    platform = app.runtime.platform
    assert m.seen == [
        ("created", row, platform, None),
        ("created", "two", platform, None),
        ("deleted", 3, platform, None),
    ]


@pytest.mark.spec("LIVE-111")
async def test_an_effect_takes_as_much_as_it_wants_and_may_be_plain(make_app: AppFactory) -> None:
    _, _, m = await started(make_app)
    publish("quick", "created", 1)
    publish("none", "created", 1)
    assert m.seen == [], "not in the publish itself"
    await turns()
    assert m.seen == ["created", "nothing"]


async def test_a_thread_runs_what_blocks(make_app: AppFactory) -> None:
    _, ann, m = await started(make_app)
    ann.send({"type": "subscribe", "topic": "echo", "ref": 1})
    publish("threaded", "created", 7)
    async with asyncio.timeout(5):
        while not ann.events("echo"):
            await turns()
    assert (m.threads, ann.events("echo")) == ([False], [("created", 7)])


async def test_only_the_last_of_a_burst_is_taken(make_app: AppFactory) -> None:
    clock = FakeClock()
    _, ann, m = await started(make_app, clock=clock)
    for value in (1, 2, 3):
        await ann.request("m/send", "burst", value)
        await clock.advance(0.4)
    assert m.seen == []
    await clock.advance(0.1)
    assert m.seen == [("created", 3)]
    await clock.advance(5)
    assert m.seen == [("created", 3)]


async def test_what_waits_for_silence_is_run_when_the_worker_stops(make_app: AppFactory) -> None:
    app, _, m = await started(make_app, clock=FakeClock())
    publish("burst", "created", 1)
    publish("orders", "created", 2)
    await app.runtime.stop()
    assert m.seen[0] == ("created", 2, app.runtime.platform, None)
    assert m.seen[1:] == [("created", 1)]


async def test_what_does_not_end_is_ended_with_the_worker(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, _, m = await started(make_app)
    m.gate.clear()
    publish("orders", "created", 2)
    await turns()
    await app.runtime.stop()
    assert m.seen == []
    assert "1 effects were still running when the worker stopped" in caplog.text


@pytest.mark.spec("LIVE-110")
async def test_what_fails_reaches_on_error_and_nothing_else_breaks(make_app: AppFactory) -> None:
    app, ann, m = await started(make_app)
    ann.send({"type": "subscribe", "topic": "risky", "ref": 1})
    await ann.request("m/send", "risky", 13, 14, 15)
    await turns(20)
    assert [path for path, _ in m.errors] == ["effect", "effect"]
    assert m.errors[0][1] == "bad luck"
    assert "sys.exit()" in m.errors[1][1]
    assert m.seen == [15]
    assert [data for _, data in ann.events("risky")] == [13, 14, 15]
    assert app.runtime.live.registry.find("m/risky") is None


@pytest.mark.spec("LIVE-110")
async def test_a_handler_may_be_async_and_may_fail(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    _, _, _ = await started(make_app)
    told: list[str] = []

    @on_error
    async def slow(path: str, error: BaseException) -> None:
        await turns()
        told.append(f"{path} {error}")
        raise RuntimeError("the handler too")

    publish("risky", "created", 13)
    await turns(20)
    assert told == ["effect bad luck"]
    assert "the on_error handler failed for effect" in caplog.text

    @on_error
    def plain(path: str, error: BaseException) -> None:
        raise RuntimeError("and this one")

    caplog.clear()
    publish("risky", "created", 13)
    await turns(20)
    assert told == ["effect bad luck"], "the last one wins"
    assert "the on_error handler failed for effect" in caplog.text
    caplog.clear()
    realtime(on_error=None)
    publish("risky", "created", 13)
    await turns(20)
    assert "effect failed" in caplog.text
    assert "bad luck" in caplog.text


async def test_an_async_handler_that_comes_too_late_is_not_run(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, _, _ = await started(make_app)
    wiring = app.runtime.live.wiring
    await app.runtime.stop()

    async def slow(path: str, error: BaseException) -> None:
        raise AssertionError("it must not run")

    wiring.apply({"on_error": slow})
    wiring.report("effect", ValueError("late"))
    assert "too late for an async on_error handler" in caplog.text


async def test_publishes_that_were_to_come_later_are_reported_as_timer(make_app: AppFactory) -> None:
    clock = FakeClock()
    app, ann, m = await started(make_app, clock=clock)
    await ann.stream("m/quiet")
    assert (await ann.request("m/later", "quiet"))["ok"]
    replay = Replay()
    replay.record_topic("quiet", 10, app.runtime.platform)  # from now on its events need a number
    await clock.advance(6)
    assert [path for path, _ in m.errors] == ["timer"]
    assert "each needs a number" in m.errors[0][1]


@pytest.mark.spec("LIVE-42")
async def test_middleware_does_not_run_for_effects(make_app: AppFactory) -> None:
    _, ann, m = await started(make_app)
    publish("quick", "created")
    await turns()
    assert (m.seen, m.asked) == (["created"], [])
    assert (await ann.request("m/send", "x"))["ok"]
    assert m.asked == [1]


@pytest.mark.spec("LIVE-112")
async def test_an_effect_that_publishes_what_it_runs_after_stops(make_app: AppFactory) -> None:
    app, _, m = await started(make_app)
    publish("loop", "first")
    await turns(100)
    assert m.seen == ["first", *["again"] * 7]
    assert app.runtime.metrics.get("watcher_depth_exceeded_total") == 1


async def test_what_one_effect_does_to_its_data_is_not_seen_by_another(make_app: AppFactory) -> None:
    _, _, m = await started(make_app)
    data: dict[str, list[str]] = {"list": []}
    publish("mutable", "created", data)
    await turns()
    assert m.seen == [{"list": ["first"]}, {"list": ["second"]}]
    assert data == {"list": []}


async def test_runs_that_do_not_end_are_bounded(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    _, _, m = await started(make_app)
    m.gate.clear()
    with capacity_override(MAX_EFFECT_RUNS=2):
        for value in range(4):
            publish("orders", "created", value)
        publish("quick", "others go on")
        await turns()
    m.gate.set()
    await turns()
    assert [one[1] if isinstance(one, tuple) else one for one in m.seen] == ["others go on", 0, 1]
    assert "MAX_EFFECT_RUNS" in caplog.text
    publish("orders", "created", 5)
    await turns()
    assert m.seen[-1][1] == 5


async def test_clients_can_neither_call_nor_subscribe_to_it(make_app: AppFactory) -> None:
    app, ann, _ = await started(make_app)
    assert (await ann.request("m/mail"))["code"] == "NOT_FOUND"
    assert (await ann.stream("m/mail"))["code"] == "NOT_FOUND"
    assert set(app.runtime.live.registry.effects) >= {"m/mail", "m/burst"}


@pytest.mark.spec("LIVE-9")
async def test_what_init_publishes_is_seen(make_app: AppFactory) -> None:
    hooks = """
        def init(platform):
            platform.publish("quick", "from init")
    """
    app = await make_app({"live/m.py": LIVE, "hooks.py": hooks})
    await turns()
    assert module(app).seen == ["from init"]


@pytest.mark.spec("LIVE-89")
async def test_what_an_effect_publishes_is_kept_for_replay(make_app: AppFactory) -> None:
    app, _, _ = await started(make_app)
    replay = Replay()
    app.runtime.platform.replay = replay
    replay.record_topic("log", 10, app.runtime.platform)
    publish("kept", "created", 7)
    await turns()
    kept = await replay.since("log", 0)
    assert kept is not None
    assert [(one.event, one.seq) for one in kept] == [("created", 1)]


class Bus:
    """Carries what is published to other workers: here, into a list."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []

    def wrap(self, platform: Any) -> Any:
        self.platform = platform
        return self

    def publish(
        self, topic: str, event: str, data: Any = None, *, relay: bool = True, **options: Any
    ) -> bool:
        if relay:
            self.sent.append((topic, event, data))
        return bool(self.platform.publish(topic, event, data, **options))


DERIVED = """
    # realtime-allow-public
    from runtime import live

    count = [0]

    @live.derived("orders")
    async def total():
        count[0] += 1
        return count[0]

    @live.effect("orders")
    async def log(event, data, platform):
        platform.publish("log", event, data)

    @live
    async def sell(ctx):
        ctx.publish("orders", "created", 1)
"""


@pytest.mark.spec("LIVE-156")
async def test_a_bus_relays_what_derived_streams_and_effects_publish_once(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": DERIVED})
    bus = Bus()
    set_bus(bus)
    ann = await app.connect("ann")
    for topic in ("log", "m/total"):
        ann.send({"type": "subscribe", "topic": topic, "ref": 1})
    await ann.request("m/sell")
    await turns(20)
    assert bus.sent[0] == ("orders", "created", 1)
    assert sorted(bus.sent[1:]) == [("log", "created", 1), ("m/total", "set", 1)]
    assert (ann.events("log"), ann.events("m/total")) == ([("created", 1)], [("set", 1)])


@pytest.mark.spec("LIVE-157")
async def test_what_comes_from_a_bus_is_followed_here_and_its_value_not_sent_back(
    make_app: AppFactory,
) -> None:
    app = await make_app({"live/m.py": DERIVED})
    bus = Bus()
    set_bus(bus)
    ann = await app.connect("ann")
    ann.send({"type": "subscribe", "topic": "m/total", "ref": 1})
    app.runtime.platform.publish("orders", "created", 1, relay=False)
    await turns(20)
    assert ann.events("m/total") == [("set", 1)]
    assert bus.sent == [("log", "created", 1)], "what an effect publishes is the app's own word"


async def test_after_a_reload_the_new_code_runs_for_what_waits(make_app: AppFactory) -> None:
    clock = FakeClock()
    app, _, m = await started(make_app, clock=clock)
    m.gate.clear()
    publish("orders", "created", "old run")
    publish("burst", "created", 1)
    await turns()
    renewed = LIVE.replace("seen.append((event, data))", 'seen.append(("new", data))').replace(
        '["orders", "returns"]', '["returns"]'
    )
    await app.runtime.live.reload([app.write("live/m.py", renewed)])
    n = module(app)
    await clock.advance(1)
    assert n.seen == [("new", 1)]
    publish("orders", "created")
    publish("returns", "created", 2)
    await turns()
    assert [one[1] for one in n.seen] == [1, 2]
    m.gate.set()
    await turns()
    assert [one[1] for one in m.seen] == ["old run"], "a run ends in the code in which it began"
    publish("burst", "created", 3)
    await app.runtime.live.reload([app.write("live/m.py", "# realtime-allow-public\n")])
    await turns()
    assert n.seen[-1] == ("new", 3), "the last chance of what waits"
    assert app.runtime.platform.parts.publisher.watchers == {}


BAD = {
    "four": (
        '@live.effect("a")\n    async def bad(event, data, platform, more): ...',
        "more: an effect is given",
    ),
    "keyword": ('@live.effect("a")\n    async def bad(event, *, more): ...', "more: an effect is given"),
    "a stream": (
        '@live.effect("a")\n    @live.stream("t")\n    async def bad(ctx): ...',
        "nothing else as well",
    ),
    "bare": ("@live.effect\n    async def bad(event): ...", "needs parentheses"),
    "function": ("@live.effect(lambda: ['a'])\n    async def bad(event): ...", "needs parentheses"),
    "nothing": ("@live.effect([])\n    async def bad(event): ...", "at least one topic"),
    "wait": ("@live.effect('a', debounce=float('inf'))\n    async def bad(event): ...", "debounce"),
    "option": ("@live.effect('a', wait=1)\n    async def bad(event): ...", "'wait' is no option"),
}


@pytest.mark.parametrize("case", BAD)
async def test_declarations_that_cannot_be_say_what_is_wrong(make_app: AppFactory, case: str) -> None:
    source, message = BAD[case]
    text = f"\n    # realtime-allow-public\n    from runtime import live\n    {source}\n"
    app = await make_app({"live/m.py": text}, env="dev")
    registry = app.runtime.live.registry
    assert any(message in problem.message for problem in registry.problems), registry.problems
    assert not registry.effects
