"""How loaded a worker is. Spec: platform 2.7."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded
from runtime.core.memory import MIB, Memory
from runtime.core.pressure import PressureSnapshot, Sampler, TopicRate
from runtime.core.settings import PressureSettings, Settings, WebSocketSettings
from runtime.testing import FakeClock
from tests.server.peers import turns
from tests.unit.core.parts import Core


class SaidMemory(Memory):
    """Memory that a test says; the limit is 1,000 MiB."""

    def __init__(self) -> None:
        super().__init__(1000 * MIB)
        self.taken = 0

    def resident(self) -> int:
        return self.taken * MIB


def loaded(**pressure: Any) -> tuple[Core, SaidMemory]:
    memory = SaidMemory()
    settings = Settings(websocket=WebSocketSettings(pressure=PressureSettings(**pressure)))
    return Core(settings=settings, memory=memory), memory


class Load:
    """Puts a load on a core and samples it after one second."""

    def __init__(self, **pressure: Any) -> None:
        self.core, self.memory = loaded(**pressure)
        self.sampler = self.core.parts.sampler
        self.peer = self.core.connect()
        self.platform = self.core.platform

    async def sample(
        self, *, memory: int = 0, publishes: int = 0, topics: int = 0, seconds: float = 1
    ) -> PressureSnapshot:
        self.memory.taken = memory
        for _ in range(publishes):
            self.platform.publish("t", "e")
        for topic in set(self.peer.all_topics) - {str(n) for n in range(topics)}:
            self.peer.unsubscribe(topic)
        for n in range(topics):
            self.peer.subscribe(str(n))
        await self.core.clock.advance(seconds)
        return self.sampler.sample()

    async def reasons(self, *loads: dict[str, int]) -> list[str]:
        return [(await self.sample(**load)).reason for load in loads]


SMALL = {"publish_rate": 10, "subscriber_ratio": 5, "memory_ratio": 0.5}


async def test_rates_are_over_the_time_that_really_passed() -> None:
    load = Load()
    assert load.platform.pressure == PressureSnapshot()
    first = await load.sample(publishes=40, seconds=2, topics=3, memory=250)
    assert first == PressureSnapshot(
        active=False,
        reason="NONE",
        subscriber_ratio=3,
        publish_rate=20,
        memory_mb=250,
        memory_ratio=0.25,
        top_publishers=[TopicRate("t", 20, first.top_publishers[0].bytes_per_sec)],
    )
    assert load.platform.pressure is first
    second = await load.sample()
    assert (second.publish_rate, second.top_publishers) == (0, [])
    assert first.publish_rate == 20


async def test_every_way_to_publish_counts_once_and_a_send_does_not() -> None:
    load = Load()
    core, platform, peer = load.core, load.platform, load.peer
    platform.publish("t", "e")
    platform.batch([{"topic": "t", "event": "e"}] * 2)
    platform.publish_batched([{"topic": "t", "event": "e"}] * 3)
    platform.publish_batched([{"topic": "t", "event": "e", "coalesce_key": "k"}] * 9)
    platform.send(peer, "t", "e")
    platform.send_to(lambda user: True, "t", "e")
    platform.send_coalesced(peer, key="k", topic="t", event="e")
    with pytest.raises(ValueError, match="topic"):
        platform.publish("", "e")
    assert core.metrics.total("publish_total") == 7
    assert (await load.sample()).publish_rate == 7


async def test_two_samples_at_one_moment_divide_by_nothing() -> None:
    load = Load(topic_publish_rate=1)
    load.platform.on_publish_rate(lambda rates: pytest.fail("no time has passed"))
    snapshot = await load.sample(publishes=3, seconds=0)
    assert (snapshot.publish_rate, snapshot.top_publishers, snapshot.reason) == (0, [], "NONE")


async def test_without_connections_there_is_no_ratio() -> None:
    core, _ = loaded()
    await core.clock.advance(1)
    assert core.parts.sampler.sample().subscriber_ratio == 0


@pytest.mark.spec("PLAT-70")
@pytest.mark.parametrize(
    ("memory", "publishes", "topics", "reason"),
    [
        (499, 9, 4, "NONE"),
        (0, 0, 5, "SUBSCRIBERS"),
        (0, 10, 0, "PUBLISH_RATE"),
        (0, 10, 5, "PUBLISH_RATE"),
        (500, 0, 0, "MEMORY"),
        (500, 10, 5, "MEMORY"),
        (501, 0, 5, "MEMORY"),
    ],
)
async def test_the_most_urgent_signal_at_its_threshold_is_the_reason(
    memory: int, publishes: int, topics: int, reason: str
) -> None:
    snapshot = await Load(**SMALL).sample(memory=memory, publishes=publishes, topics=topics)
    assert (snapshot.reason, snapshot.active) == (reason, reason != "NONE")


@pytest.mark.spec("PLAT-70")
@pytest.mark.parametrize(
    ("off", "reason"),
    [("memory_ratio", "PUBLISH_RATE"), ("publish_rate", "MEMORY"), ("subscriber_ratio", "MEMORY")],
)
async def test_false_switches_one_signal_off(off: str, reason: str) -> None:
    load = Load(**{**SMALL, off: False})
    assert (await load.sample(memory=900, publishes=50, topics=50)).reason == reason
    alone = Load(memory_ratio=False, publish_rate=False, subscriber_ratio=False)
    assert (await alone.sample(memory=999, publishes=50, topics=99)).reason == "NONE"


async def test_the_default_thresholds() -> None:
    for topics, reason in ((49, "NONE"), (50, "SUBSCRIBERS")):
        assert (await Load().sample(topics=topics)).reason == reason
    for memory, reason in ((849, "NONE"), (850, "MEMORY")):
        assert (await Load().sample(memory=memory)).reason == reason
    for publishes, reason in ((9_999, "NONE"), (10_000, "PUBLISH_RATE")):
        load = Load()
        load.platform.publish_batched([{"topic": "t", "event": "e"}] * publishes)
        assert (await load.sample()).reason == reason


CALM: dict[str, int] = {}
BUSY = {"publishes": 10}
TIGHT = {"memory": 500}


@pytest.mark.spec("PLAT-71")
async def test_callbacks_hear_of_changes_only_and_at_most_once_for_each_sample() -> None:
    load = Load(**SMALL)
    heard: list[str] = []
    off = load.platform.on_pressure(lambda snapshot: heard.append(snapshot.reason))
    await load.reasons(CALM, BUSY, BUSY, TIGHT, TIGHT, CALM, CALM)
    assert heard == ["PUBLISH_RATE", "MEMORY", "NONE"]
    off()
    off()
    await load.sample(**BUSY)
    assert len(heard) == 3


@pytest.mark.spec("PLAT-71")
async def test_a_callback_that_raises_or_ends_another_disturbs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    load = Load(**SMALL)
    heard: list[str] = []
    offs: list[Callable[[], None]] = []

    def broken(snapshot: PressureSnapshot) -> None:
        heard.append("broken")
        offs[0]()
        raise RuntimeError("no")

    load.platform.on_pressure(broken)
    offs.append(load.platform.on_pressure(lambda snapshot: heard.append("ended")))
    load.platform.on_pressure(lambda snapshot: heard.append("last"))
    await load.sample(**BUSY)
    assert heard == ["broken", "last"]
    assert [record.getMessage() for record in caplog.records] == ["a callback of on_pressure raised"]


async def test_an_asynchronous_callback_runs_as_a_task() -> None:
    load = Load(**SMALL)
    heard: list[str] = []

    async def callback(snapshot: PressureSnapshot) -> None:
        heard.append(snapshot.reason)

    load.platform.on_pressure(callback)
    await load.sample(**BUSY)
    await turns(2)
    assert heard == ["PUBLISH_RATE"]
    await load.core.parts.tasks.close()
    with pytest.warns(RuntimeWarning, match="never awaited"):
        await load.sample(**CALM)  # the worker has ended: there is nobody to run it


async def test_there_is_a_bound_on_callbacks_of_each_kind() -> None:
    load = Load()
    with capacity.capacity_override(MAX_PRESSURE_LISTENERS=2):
        for register in (load.platform.on_pressure, load.platform.on_publish_rate):
            off = register(print)
            register(print)
            with pytest.raises(CapacityExceeded, match="callbacks exceeded 2"):
                register(print)
            off()
            register(print)


@pytest.mark.spec("PLAT-72")
async def test_leaving_waits_for_so_many_calmer_samples_and_entering_for_none() -> None:
    load = Load(**SMALL, release_samples=3)
    assert await load.reasons(BUSY, CALM, CALM, CALM) == ["PUBLISH_RATE"] * 3 + ["NONE"]
    # A busy sample in between starts the wait anew, and what is more urgent holds at once.
    assert await load.reasons(BUSY, CALM, CALM, BUSY, CALM, CALM, CALM) == ["PUBLISH_RATE"] * 6 + ["NONE"]
    assert await load.reasons(BUSY, CALM, TIGHT, BUSY, CALM, BUSY) == [
        "PUBLISH_RATE",
        "PUBLISH_RATE",
        "MEMORY",
        "MEMORY",
        "MEMORY",
        "PUBLISH_RATE",
    ]


@pytest.mark.spec("PLAT-72")
async def test_a_reason_is_left_below_its_threshold_times_the_ratio() -> None:
    load = Load(**SMALL, release_ratio=0.5)
    loads = [{"publishes": 9}, {"publishes": 10}, {"publishes": 5}, {"publishes": 4}, {"publishes": 9}]
    assert await load.reasons(*loads) == ["NONE", "PUBLISH_RATE", "PUBLISH_RATE", "NONE", "NONE"]
    # The ratio counts for the reason in force, not for those below it.
    assert await load.reasons(TIGHT, {"memory": 249, "publishes": 9}) == ["MEMORY", "NONE"]


async def test_the_busiest_topics_are_named_busiest_first() -> None:
    load = Load()
    for n in range(1, 8):
        load.platform.batch([{"topic": f"t{n}", "event": "e", "data": "x" * 100}] * n)
    top = (await load.sample(seconds=2)).top_publishers
    assert [(rate.topic, rate.messages_per_sec) for rate in top] == [
        ("t7", 3.5),
        ("t6", 3),
        ("t5", 2.5),
        ("t4", 2),
        ("t3", 1.5),
    ]
    frame = '{"topic":"t7","event":"e","data":"' + "x" * 100 + '","seq":1}'
    assert top[0].bytes_per_sec == 7 * len(frame) / 2


async def test_what_was_sampled_is_in_the_metrics() -> None:
    load = Load(**SMALL)
    for n in range(12):
        load.platform.batch([{"topic": f"doc:{n}", "event": "e"}] * 2)
    load.platform.batch([{"topic": "plain", "event": "e"}] * 5)
    await load.sample(memory=250, seconds=2)
    found = load.core.metrics.snapshot()
    assert found["pressure_memory_ratio"] == {(): 0.25}
    assert found["pressure_reason"] == {
        ("NONE",): 0,
        ("PUBLISH_RATE",): 1,
        ("SUBSCRIBERS",): 0,
        ("MEMORY",): 0,
    }
    # The ten busiest topics, and those of one kind added up.
    assert found["ws_topic_publish_rate"] == {("plain",): 2.5, ("doc:*",): 9}
    assert found["ws_topic_publish_bytes"][("plain",)] > 0


@pytest.mark.spec("PLAT-75")
async def test_topics_are_counted_anew_in_each_window_and_within_a_bound() -> None:
    load = Load()
    with capacity.capacity_override(MAX_TOPIC_STATS=3):
        for n in range(10):
            load.platform.publish(f"t{n}", "e")
        first = await load.sample()
        assert {rate.topic for rate in first.top_publishers} == {"t0", "t1", "t2", "__other__"}
        assert first.publish_rate == 10
        assert first.top_publishers[0] == TopicRate("__other__", 7, first.top_publishers[0].bytes_per_sec)
        load.platform.publish("t9", "e")
        assert [rate.topic for rate in (await load.sample()).top_publishers] == ["t9"]


@pytest.mark.spec("PLAT-74")
async def test_all_runaway_topics_of_a_window_come_in_one_call(caplog: pytest.LogCaptureFixture) -> None:
    load = Load(topic_publish_rate=4, topic_publish_bytes=1000)
    calls: list[list[TopicRate]] = []
    off = load.platform.on_publish_rate(calls.append)
    for name, count, size in (("fine", 3, 9), ("often", 4, 9), ("large", 1, 2000), ("both", 5, 900)):
        load.platform.batch([{"topic": name, "event": "e", "data": "x" * size}] * count)
    await load.sample()
    assert [[rate.topic for rate in call] for call in calls] == [["both", "often", "large"]]
    await load.sample()
    assert len(calls) == 1
    assert caplog.records == []
    off()
    await load.sample(publishes=4)
    assert len(calls) == 1
    assert len(caplog.records) == 1


@pytest.mark.spec("PLAT-74")
async def test_without_a_callback_a_topic_is_warned_of_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    load = Load(topic_publish_rate=4)
    for _ in range(60):
        await load.sample(publishes=5)
    assert [record.getMessage() for record in caplog.records] == [
        "runaway publisher topic=t msg/s=5 bytes/s=225"
    ]
    await load.sample(publishes=4)
    assert len(caplog.records) == 2


async def test_the_memory_of_warnings_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    load = Load(topic_publish_rate=1)
    caplog.set_level(logging.WARNING, "realtime.pressure")

    async def warned(*topics: str) -> list[str]:
        caplog.clear()
        for topic in topics:
            load.platform.publish(topic, "e")
        await load.sample()
        return [r.getMessage().split()[2][6:] for r in caplog.records if r.name == "realtime.pressure"]

    with capacity.capacity_override(PUBLISH_WARN_DEDUP_MAX=2):
        assert await warned("a", "b") == ["a", "b"]
        assert await warned("a", "b") == []
        assert await warned("c") == ["c"]
        assert await warned("b", "c") == []
        assert await warned("a") == ["a"]


@pytest.mark.spec("PLAT-74")
async def test_a_callback_that_ends_itself_was_told_so_nothing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    load = Load(topic_publish_rate=4)
    told: list[str] = []

    def once(rates: list[TopicRate]) -> None:
        told.extend(rate.topic for rate in rates)
        off()

    off = load.platform.on_publish_rate(once)
    await load.sample(publishes=4)
    assert told == ["t"]
    assert caplog.records == []
    await load.sample(publishes=4)
    assert [record.getMessage()[:26] for record in caplog.records] == ["runaway publisher topic=t "]


@pytest.mark.spec("PLAT-74")
async def test_false_switches_a_runaway_limit_off_and_the_rest_is_no_topic() -> None:
    load = Load(topic_publish_rate=False, topic_publish_bytes=False)
    load.platform.on_publish_rate(lambda rates: pytest.fail("both limits are off"))
    await load.sample(publishes=50)
    with capacity.capacity_override(MAX_TOPIC_STATS=1):
        rest = Load(topic_publish_rate=2)
        rest.platform.on_publish_rate(lambda rates: pytest.fail("one publish on each topic"))
        for n in range(9):
            rest.platform.publish(f"t{n}", "e")
        await rest.sample()


class LateClock(FakeClock):
    """A loop that is busy when a timer is due."""

    lag = 0.0

    async def sleep(self, delay: float) -> None:
        await super().sleep(delay + self.lag)


async def test_the_sampler_runs_once_per_interval_and_notes_how_late_the_loop_was() -> None:
    clock = LateClock()
    core = Core(
        clock=clock,
        settings=Settings(websocket=WebSocketSettings(pressure=PressureSettings(sample_interval=2))),
    )
    samples: list[float] = []
    sampler = core.parts.sampler
    task = core.parts.tasks.start(sampler.run(), name="pressure")
    await clock.advance(1.9)
    assert sampler.snapshot == PressureSnapshot()
    core.platform.publish("t", "e")
    await clock.advance(0.1)
    assert (sampler.snapshot.publish_rate, sampler.snapshot.loop_lag) == (0.5, 0)
    clock.lag = 0.5
    await clock.advance(2.0)
    samples.append(sampler.snapshot.loop_lag)
    await clock.advance(2.5)
    samples.append(sampler.snapshot.loop_lag)
    assert samples == [0, 0.5]
    assert core.metrics.spread("loop_lag_seconds").total == 0.5
    task.cancel()


async def test_a_sample_that_fails_does_not_end_the_sampler(caplog: pytest.LogCaptureFixture) -> None:
    core, memory = loaded()
    broken = [RuntimeError("no")]

    def resident() -> int:
        if broken:
            raise broken.pop()
        return 500 * MIB

    memory.resident = resident
    task = core.parts.tasks.start(core.parts.sampler.run(), name="pressure")
    await core.clock.advance(1)
    assert [record.getMessage() for record in caplog.records] == ["the load could not be sampled"]
    await core.clock.advance(1)
    assert core.platform.pressure.memory_mb == 500
    task.cancel()


@pytest.mark.parametrize(("given", "taken"), [(0.05, 1.0), (0.1, 0.1), (0.0, 1.0), (5.0, 5.0), (None, 2.5)])
def test_an_interval_below_the_floor_is_replaced(given: float | None, taken: float) -> None:
    core = Core()
    sampler = Sampler(
        PressureSettings(sample_interval=2.5),
        core.clock,
        publisher=core.publisher,
        subscriptions=core.subscriptions,
        connections={},
        memory=Memory(0),
        metrics=core.metrics,
        tasks=core.parts.tasks,
        interval=given,
    )
    assert sampler.interval == taken
