"""Everything that follows publishes together: circles, and two workers with a bus. Spec: live-api 10.3 and 17.2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runtime import publish
from runtime.live import collector
from tests.server.conftest import AppFactory
from tests.server.peers import App, turns

LIVE = """
    # realtime-allow-public
    from runtime import Reducer, live

    seen, runs = [], []
    n = [0]

    def one_more(acc, event, data): return acc + 1

    counted = live.aggregate("orders", {"count": Reducer(init=lambda: 0, reduce=one_more)}, topic="counts")

    @live.derived(["orders"])
    async def total():
        runs.append("total")
        return n[0]

    @live.derived("counts")
    async def twice():
        return len(runs)

    @live.effect("orders")
    async def log(event, data, platform):
        seen.append((event, data))

    @live.effect("m/twice")
    async def last(event): seen.append("twice")

    # A circle of an aggregate and a derived stream.
    circle = live.aggregate("round", {"count": Reducer(init=lambda: 0, reduce=one_more)}, topic="and")

    @live.derived("and")
    async def back(ctx):
        ctx.publish("round", "again")
        runs.append("back")
"""


@pytest.fixture(autouse=True)
def nothing_ambient() -> Iterator[None]:
    collector.ambient.wiring.clear()
    yield
    collector.ambient.wiring.clear()


def module(app: App) -> Any:
    return app.runtime.live.registry.modules["m"].module


async def started(make_app: AppFactory) -> App:
    return await make_app({"live/m.py": LIVE})


@pytest.mark.spec("LIVE-9")
async def test_each_follows_what_another_makes(make_app: AppFactory) -> None:
    app = await started(make_app)
    ann = await app.connect("ann")
    for topic in ("counts", "m/total", "m/twice"):
        ann.send({"type": "subscribe", "topic": topic, "ref": 1})
    publish("orders", "created", 7)
    await turns(40)
    assert ann.events("counts") == [("set", {"count": 1})]
    assert ann.events("m/total") == [("set", 0)]
    assert [event for event, _ in ann.events("m/twice")] == ["set"]
    assert sorted(module(app).seen, key=str) == [("created", 7), "twice"]


@pytest.mark.spec("LIVE-112")
async def test_a_circle_through_an_aggregate_and_a_derived_stream_stops(make_app: AppFactory) -> None:
    app = await started(make_app)
    for number in (1, 2):
        module(app).runs.clear()
        publish("round", "begin")
        await turns(400)
        # round at depth 0, and at 1, round at 2, ..., and at 7, round at 8: nobody looks at that one any more.
        assert module(app).runs == ["back"] * 4
        assert app.runtime.metrics.get("watcher_depth_exceeded_total") == number


class Line:
    """Carries publishes between two workers of one process, when the test says so."""

    def __init__(self) -> None:
        self.ends: list[Any] = []
        self.waiting: list[tuple[int, str, str, Any]] = []
        self.carried: list[tuple[int, str]] = []

    def bus(self) -> Any:
        line, number = self, len(self.ends)

        class Bus:
            def wrap(self, platform: Any) -> Any:
                line.ends.append(platform)
                self.platform = platform
                return self

            def publish(
                self, topic: str, event: str, data: Any = None, *, relay: bool = True, **options: Any
            ) -> bool:
                if relay:
                    line.waiting.append((number, topic, event, data))
                return bool(self.platform.publish(topic, event, data, relay=relay, **options))

        return Bus()

    async def carry(self, apps: list[App]) -> None:
        for _ in range(50):
            await turns(30)
            waiting, self.waiting = self.waiting, []
            for number, topic, event, data in waiting:
                self.carried.append((number, topic))
                apps[1 - number].runtime.platform.publish(topic, event, data, relay=False)
        assert self.waiting == []


@pytest.mark.spec("LIVE-156", "LIVE-157")
async def test_two_workers_follow_one_publish_and_do_not_follow_each_other_for_ever(
    make_app: AppFactory,
) -> None:
    apps = [await started(make_app) for _ in range(2)]
    line = Line()
    for app in apps:
        app.runtime.live.wiring.apply({"bus": line.bus()})
    peers = [await app.connect("ann") for app in apps]
    for peer in peers:
        for topic in ("orders", "counts", "m/total"):
            peer.send({"type": "subscribe", "topic": topic, "ref": 1})
    apps[0].runtime.platform.publish("orders", "created", 7)
    await line.carry(apps)
    for app, peer in zip(apps, peers, strict=True):
        assert peer.events("orders") == [("created", 7)]
        assert peer.events("counts") == [("set", {"count": 1})]
        assert peer.events("m/total")[-1] == ("set", 0)
        assert ("created", 7) in module(app).seen
        assert module(app).runs == ["total"]
    assert line.carried.count((0, "orders")) == 1
    assert line.carried.count((0, "m/total")) == 1
    assert {number for number, _ in line.carried} == {0}, "the other one sends nothing back"
