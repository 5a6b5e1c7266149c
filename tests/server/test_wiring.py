"""The bus seam, `realtime()` and publishing from outside, in whole apps. Spec: live-api 17.1 to 17.3 and 17.5."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import (
    PlatformNotReady,
    activate_derived,
    get_bus,
    get_platform,
    on_error,
    publish,
    publish_threadsafe,
    realtime,
    set_bus,
    set_cron_platform,
)
from runtime.core.logpace import LINES_PER_SECOND
from runtime.live import collector
from runtime.live.wiring import MAX_HANDLING
from runtime.testing import FakeClock
from tests.server.conftest import AppFactory
from tests.server.peers import App, turns

LIVE = """
    # realtime-allow-public
    from runtime import live

    @live
    async def send(ctx, *topics: str):
        for topic in topics:
            ctx.publish(topic, "created", {"id": topic})

    @live
    async def by_platform(ctx, topic: str):
        return ctx.platform.publish(topic, "created", {"id": topic})

    @live
    async def by_batch(ctx, topic: str):
        ctx.batch([{"topic": topic, "event": "created", "data": 1}, {"topic": topic, "event": "updated", "data": 2}])

    @live
    async def both(ctx, topic: str):
        return ctx.platform.batch([{"topic": topic, "event": "a"}, {"topic": topic, "event": "b", "relay": False}])

    @live
    async def together(ctx, topic: str):
        ctx.platform.publish_batched([{"topic": topic, "event": "a"}, {"topic": topic, "event": "b", "seq": False}])

    @live
    async def unnumbered(ctx, topic: str):
        ctx.publish(topic, "x", 1, seq=False)
        ctx.platform.threadsafe.publish(topic, "y", 2, relay=False, seq=9)

    @live(thread=True)
    def from_a_thread(ctx, topic: str):
        ctx.publish(topic, "created", 1)
        ctx.platform.threadsafe.publish(topic, "later", 2)
"""
BUS = """
    class Wrapped:
        def __init__(self, bus, platform):
            self.bus, self.platform = bus, platform

        def publish(self, topic, event, data=None, *, relay=True, **options):
            reached = self.platform.publish(topic, event, data, **options)
            if relay:
                self.bus.sent.append((topic, event, data))
            return reached

        def batch(self, messages):
            reached = self.platform.batch(messages)
            self.bus.sent += [(m["topic"], m["event"], m.get("data")) for m in messages if m.get("relay", True)]
            return reached

        def publish_batched(self, messages):
            self.platform.publish_batched(messages)
            self.bus.sent += [(m["topic"], m["event"], m.get("data")) for m in messages if m.get("relay", True)]

    class Bus:
        def __init__(self):
            self.sent = []
            self.wraps = 0

        def wrap(self, platform):
            self.wraps += 1
            return Wrapped(self, platform)
"""
HOOKS = (
    BUS
    + """
    from runtime import realtime, publish
    bus = Bus()
    hooks = realtime(bus=bus)

    def open(ws, platform):
        platform.publish("opened", "created", 1)
"""
)


@pytest.fixture(autouse=True)
def nothing_ambient() -> Iterator[None]:
    collector.ambient.wiring.clear()
    yield
    collector.ambient.wiring.clear()


def bus_of(app: App) -> Any:
    bus = app.runtime.live.registry.wiring["bus"]
    assert get_bus() is bus
    return bus


@pytest.mark.spec("LIVE-156")
async def test_every_publish_goes_through_the_bus_once_and_reaches_the_peers_here(
    make_app: AppFactory,
) -> None:
    app = await make_app({"hooks.py": HOOKS, "live/m.py": LIVE})
    bus = bus_of(app)
    ann = await app.connect("ann")
    assert bus.sent == [("opened", "created", 1)]
    for topic in ("t", "u"):
        ann.send({"type": "subscribe", "topic": topic, "ref": 1})
    bus.sent.clear()
    row = {"id": "t"}
    expected: dict[str, list[Any]] = {
        "send": [("created", row)],
        "by_platform": [("created", row)],
        "by_batch": [("created", 1), ("updated", 2)],
        "both": [("a", None), ("b", None)],
        "together": [("a", None), ("b", None)],
        "from_a_thread": [("created", 1), ("later", 2)],
    }
    for path, events in expected.items():
        got = len(ann.events("t"))
        assert (await ann.request(f"m/{path}", "t"))["ok"], path
        await turns()
        assert ann.events("t")[got:] == events, path
        relayed = [("t", *event) for event in events if (path, event[0]) != ("both", "b")]
        assert bus.sent == relayed, path
        bus.sent.clear()
    got = len(ann.events("t"))
    assert publish("t", "created", 5) is True
    await asyncio.to_thread(publish_threadsafe, "t", "created", 6)
    await turns()
    assert app.runtime.platform.topic("t").created(7) is True
    assert bus.sent == [("t", "created", 5), ("t", "created", 6), ("t", "created", 7)]
    await turns()
    assert [data for _, data in ann.events("t")[got:]] == [5, 6, 7]
    assert bus.wraps == 1


@pytest.mark.spec("LIVE-156")
async def test_the_publishes_of_a_call_stay_together_in_order_and_before_its_reply(
    make_app: AppFactory,
) -> None:
    app = await make_app({"hooks.py": HOOKS, "live/m.py": LIVE})
    bus = bus_of(app)
    ann = await app.connect("ann")
    for topic in ("t", "u"):
        ann.send({"type": "subscribe", "topic": topic, "ref": 1})
    await ann.request("m/send", "t", "u", "t")
    batch, reply = ann.parsed()[-2:]
    assert [one["topic"] for one in batch["events"]] == ["t", "u", "t"]
    assert [one["seq"] for one in batch["events"]] == [1, 1, 2]
    assert reply["topic"] == "__rpc"
    assert [topic for topic, *_ in bus.sent] == ["opened", "t", "u", "t"]


@pytest.mark.spec("LIVE-157")
async def test_what_comes_from_the_bus_is_delivered_and_not_relayed_again(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": HOOKS, "live/m.py": LIVE})
    bus = bus_of(app)
    ann = await app.connect("ann")
    ann.send({"type": "subscribe", "topic": "t", "ref": 1})
    bus.sent.clear()
    app.runtime.platform.publish("t", "created", 1, relay=False)
    app.runtime.platform.publish_batched([{"topic": "t", "event": "created", "data": 2, "relay": False}])
    app.runtime.platform.batch([{"topic": "t", "event": "created", "data": 3, "relay": False}])
    await turns()
    assert [data for _, data in ann.events("t")] == [1, 2, 3]
    assert bus.sent == []


@pytest.mark.spec("LIVE-156")
async def test_the_bus_can_be_changed_while_the_app_runs(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": HOOKS, "live/m.py": LIVE})
    first = bus_of(app)
    ann = await app.connect("ann")
    first.sent.clear()
    second = type(first)()
    set_bus(second)
    assert get_bus() is second
    await ann.request("m/send", "t")
    assert (first.sent, second.sent) == ([], [("t", "created", {"id": "t"})])
    set_bus(None)
    assert get_bus() is None
    await ann.request("m/send", "t")
    await ann.request("m/by_platform", "t")
    assert (len(first.sent), len(second.sent)) == (0, 1)


async def test_a_reload_leaves_the_bus_that_was_set_meanwhile(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": HOOKS, "live/m.py": LIVE})
    second = type(bus_of(app))()
    set_bus(second)
    await app.runtime.live.reload([app.write("live/m.py", LIVE + "\n\n    NEW = 1\n")])
    assert get_bus() is second


@pytest.mark.spec("LIVE-156")
async def test_a_bus_that_fails_costs_no_call_its_reply(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"hooks.py": HOOKS, "live/m.py": LIVE})
    ann = await app.connect("ann")

    class Broken:
        def wrap(self, platform: Any) -> Any:
            return self

        def publish_batched(self, messages: Any) -> None:
            raise OSError("the line is cut")

    set_bus(Broken())
    assert (await ann.request("m/send", "t"))["ok"]
    assert "the bus failed; 1 publishes may not have reached everybody" in caplog.text


async def test_a_bus_that_only_publishes_gets_each_message(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": HOOKS, "live/m.py": LIVE})
    ann = await app.connect("ann")
    ann.send({"type": "subscribe", "topic": "t", "ref": 1})
    sent: list[Any] = []

    class Plain:
        def wrap(self, platform: Any) -> Any:
            self.platform = platform
            return self

        def publish(self, topic: str, event: str, data: Any = None, **options: Any) -> bool:
            sent.append((topic, event, data, options))
            return bool(self.platform.publish(topic, event, data, **options))

    set_bus(Plain())
    await ann.request("m/by_batch", "t")
    reply = await ann.request("m/both", "t")
    await ann.request("m/together", "t")
    await ann.request("m/unnumbered", "t")
    await turns()
    platform = app.runtime.platform
    platform.publish_batched(
        [
            {"topic": "t", "event": "old", "coalesce_key": "k"},
            {"topic": "t", "event": "new", "coalesce_key": "k", "volatile": True},
        ]
    )
    await turns()
    with pytest.raises(TypeError, match="list or tuple"):
        platform.publish_batched("x")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match="'event' is missing"):
        platform.batch([{"topic": "t"}])
    assert reply["data"] == [True, True]
    assert sent == [
        ("t", "created", 1, {}),
        ("t", "updated", 2, {}),
        ("t", "a", None, {}),
        ("t", "b", None, {"relay": False}),
        ("t", "a", None, {}),
        ("t", "b", None, {"seq": False}),
        ("t", "x", 1, {"seq": False}),
        ("t", "y", 2, {"seq": 9, "relay": False}),
        ("t", "new", None, {"volatile": True}),
    ]
    assert [event for event, _ in ann.events("t")] == [
        "created",
        "updated",
        "a",
        "b",
        "a",
        "b",
        "x",
        "y",
        "new",
    ]


def test_what_is_no_bus_is_refused() -> None:
    for bad in (object(), "redis://", 7):
        with pytest.raises(TypeError, match="wrap"):
            set_bus(bad)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(TypeError, match="wrap"):
            realtime(bus=bad)
    with pytest.raises(TypeError, match="upgrade"):
        realtime(upgrade="x")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError, match="on_error"):
        realtime(on_error="x")
    with pytest.raises(TypeError, match="on_error"):
        on_error("x")  # type: ignore[type-var]  # that is the point


@pytest.mark.spec("LIVE-158")
async def test_publishing_from_outside_needs_an_app_that_has_been_started(make_app: AppFactory) -> None:
    assert get_platform() is None
    for function in (publish, publish_threadsafe):
        with pytest.raises(PlatformNotReady, match="before the app was started") as caught:
            function("t", "created")
        assert isinstance(caught.value, RuntimeError)
    app = await make_app({"live/m.py": LIVE})
    platform = get_platform()
    assert platform is app.runtime.platform
    ann = await app.connect("ann")
    ann.send({"type": "subscribe", "topic": "t", "ref": 1})
    assert [publish("t", "created", 1), publish("u", "created", 1)] == [True, False]
    assert publish("__realtime", "mine", 1) is True
    publish("t", "created", 2, seq=False)
    publish("t", "created", 3, seq=77)
    publish("t", "created", 4, volatile=True)
    await turns()
    seqs = [frame.get("seq") for frame in ann.parsed() if frame.get("topic") == "t" and "event" in frame]
    assert seqs == [1, None, 77, None]
    await app.runtime.stop()
    assert get_platform() is None


WIRED = """
    from runtime import realtime, publish

    failed = []
    hooks = realtime(upgrade=lambda: {"user_id": "ann"}, on_error=lambda path, error: failed.append((path, error)))
    init, open, close, message, upgrade = hooks.init, hooks.open, hooks.close, hooks.message, hooks.upgrade
"""


async def test_the_hooks_that_realtime_returns_can_stand_in_the_hooks_file(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": WIRED, "live/m.py": LIVE})
    upgrade = app.runtime.hooks.get("upgrade")
    assert upgrade is not None
    ann = await app.connect(await upgrade())
    pushes = app.runtime.live.pushes
    assert pushes.connection_of("ann") is ann.connection
    ann.send("no call")
    await ann.request("m/send", "t")
    await ann.leave()
    assert pushes.connection_of("ann") is None
    failed = upgrade._function.__globals__["failed"]
    error = ValueError("x")
    app.runtime.live.wiring.report("timer", error)
    assert failed == [("timer", error)]
    hooks = realtime()
    with pytest.raises(ValueError, match="init"):
        hooks.init(None)
    hooks.init(app.runtime.platform)


async def test_failures_without_a_caller_are_logged_or_go_to_the_handler(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/m.py": LIVE})
    wiring = app.runtime.live.wiring
    wiring.report("timer", ValueError("unseen"))
    assert "timer failed" in caplog.text

    @on_error
    def broken(path: str, error: BaseException) -> None:
        raise RuntimeError("worse")

    wiring.report("timer", ValueError("x"))
    assert "the on_error handler failed for timer" in caplog.text


async def test_failures_of_every_event_do_not_fill_the_log(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    app = await make_app({"live/m.py": LIVE}, clock=clock)
    for _ in range(1000):
        app.runtime.live.wiring.report("aggregate", ValueError("x"))
    assert [record.getMessage() for record in caplog.records] == ["aggregate failed"] * LINES_PER_SECOND
    await clock.advance(1)
    app.runtime.live.wiring.report("aggregate", ValueError("x"))
    assert caplog.records[-1].getMessage() == (
        f"aggregate failed ({1000 - LINES_PER_SECOND} more failures before this one were left out of the log)"
    )


async def test_a_slow_handler_is_not_run_without_end(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/m.py": LIVE})
    wiring = app.runtime.live.wiring
    go, seen = asyncio.Event(), 0

    @on_error
    async def slow(path: str, error: BaseException) -> None:
        nonlocal seen
        seen += 1
        await go.wait()
        raise SystemExit(3)

    for _ in range(MAX_HANDLING + 2):
        wiring.report("aggregate", ValueError("x"))
    await turns()
    assert seen == MAX_HANDLING
    assert [record.getMessage() for record in caplog.records] == ["aggregate failed"] * 2
    go.set()
    await turns()
    wiring.report("aggregate", ValueError("x"))
    await turns()
    assert seen == MAX_HANDLING + 1, "those that have ended make room"


@pytest.mark.spec("LIVE-195")
async def test_an_init_that_activates_by_hand_what_is_active_changes_nothing(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    files = {
        "hooks.py": """
            from runtime import activate_derived, set_cron_platform

            def init(platform):
                set_cron_platform(platform)
                activate_derived(platform)
                activate_derived(platform)
        """,
        "live/m.py": """
            # realtime-allow-public
            from runtime import live
            runs = []

            @live.derived("orders")
            async def total(): runs.append("total")

            @live.effect("orders")
            async def log(event): runs.append(event)
        """,
    }
    app = await make_app(files)
    assert get_platform() is app.runtime.platform
    publish("orders", "created")
    await turns(10)
    assert sorted(app.runtime.live.registry.modules["m"].module.runs) == ["created", "total"]
    assert caplog.text == ""


@pytest.mark.spec("LIVE-195")
async def test_an_init_after_the_references_documents_changes_nothing(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"hooks.py": HOOKS})
    platform = app.runtime.platform
    for function in (set_cron_platform, activate_derived):
        function(platform)
        function(platform.view("other"))
        assert get_platform() is platform
        with pytest.raises(ValueError, match="init hook"):
            function(None)  # type: ignore[arg-type]  # that is the point
    assert caplog.text == ""
    wrapped: Any = bus_of(app).wrap(platform)
    with caplog.at_level(logging.WARNING):
        activate_derived(wrapped)
    assert "another platform takes the place" in caplog.text
    assert get_platform() is wrapped
    await app.runtime.stop()
    assert get_platform() is None


async def test_a_bus_set_before_the_app_is_started_is_its_bus(make_app: AppFactory) -> None:
    class Bus:
        def wrap(self, platform: Any) -> Any:
            return platform

    bus = Bus()
    set_bus(bus)
    assert get_bus() is bus
    app = await make_app({"live/m.py": LIVE})
    outlet = app.runtime.platform.parts.outlet
    assert outlet is not None
    assert outlet.bus is bus


WRAPPING = """
    from runtime import live, set_bus

    class Wrapped:
        def __init__(self, platform): self.platform = platform
        def publish_batched(self, messages):
            self.platform.publish_batched([{**m, "event": "wrapped " + m["event"]} for m in messages])
        def __getattr__(self, name): return getattr(self.platform, name)

    class Bus:
        wrap = Wrapped

    live.message_options(platform=lambda platform: Wrapped(platform))
"""


async def test_a_platform_of_the_message_options_is_what_live_functions_publish_with(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"hooks.py": WRAPPING, "live/m.py": LIVE}, env="dev")
    ann = await app.connect("ann")
    ann.send({"type": "subscribe", "topic": "t", "ref": 1})
    await ann.request("m/send", "t")
    await ann.request("m/together", "t")
    publish("t", "outside")
    await turns()
    assert [event for event, _ in ann.events("t")] == ["wrapped created", "wrapped a", "wrapped b", "outside"]
    assert "twice" not in caplog.text


async def test_a_platform_of_the_message_options_beside_a_bus_is_warned_of(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    await make_app({"hooks.py": WRAPPING + "\n    set_bus(Bus())\n", "live/m.py": LIVE}, env="dev")
    assert caplog.text.count("everything is relayed twice") == 1
