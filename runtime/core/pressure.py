"""How loaded this worker is: a sample in every interval, who is told, and who publishes most. Spec: platform 2.7."""

from __future__ import annotations

import heapq
import inspect
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from runtime.core import assertions, capacity
from runtime.core.assertions import assert_invariant
from runtime.core.errors import CapacityExceeded
from runtime.core.memory import MIB
from runtime.core.publisher import OTHER_TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sized

    from runtime.core.clock import Clock
    from runtime.core.memory import Memory
    from runtime.core.metrics import Metrics
    from runtime.core.pressuresettings import PressureSettings
    from runtime.core.publisher import Publisher
    from runtime.core.subscriptions import Subscriptions
    from runtime.core.tasks import TaskOwner

__all__ = ["REASONS", "PressureSnapshot", "Sampler", "TopicRate"]

logger = logging.getLogger("realtime.pressure")

Reason = Literal["NONE", "PUBLISH_RATE", "SUBSCRIBERS", "MEMORY"]
REASONS: tuple[str, ...] = ("NONE", "PUBLISH_RATE", "SUBSCRIBERS", "MEMORY")

# Most urgent first. Spec: platform 2.7.
_URGENCY: tuple[Reason, ...] = ("MEMORY", "PUBLISH_RATE", "SUBSCRIBERS", "NONE")

DEFAULT_INTERVAL = 1.0  # seconds
MIN_INTERVAL = 0.1
TOP_PUBLISHERS = 5  # of a snapshot
TOP_METRICS = 10  # topics whose rates are metrics
WARNING_INTERVAL = 60.0  # seconds between two warnings of one topic

T = TypeVar("T")


class TopicRate(NamedTuple):
    """How much was published on one topic in the last window. `__other__` stands for topics beyond the counted ones."""

    topic: str
    messages_per_sec: float
    bytes_per_sec: float


@dataclass(slots=True, frozen=True)
class PressureSnapshot:
    """One sample of this worker; each sample is an object of its own, so one that is kept does not change.

    Attributes:
        active: whether there is a reason.
        reason: the most urgent signal over its threshold.
        subscriber_ratio: subscriptions per connection.
        publish_rate: publishes per second.
        memory_mb: resident memory in MiB.
        top_publishers: the five topics with the most messages, busiest first.
        memory_ratio: resident memory over the worker's limit.
        loop_lag: seconds by which the event loop was late for the sample.
    """

    active: bool = False
    reason: Reason = "NONE"
    subscriber_ratio: float = 0.0
    publish_rate: float = 0.0
    memory_mb: float = 0.0
    top_publishers: list[TopicRate] = field(default_factory=list)
    memory_ratio: float = 0.0
    loop_lag: float = 0.0


class Sampler:
    """Take samples and tell the callbacks. `run()` is the loop around `sample()`; reading `snapshot` costs nothing."""

    __slots__ = (
        "_calmer",
        "_clock",
        "_connections",
        "_lag",
        "_memory",
        "_metrics",
        "_publisher",
        "_rate_listeners",
        "_reason_listeners",
        "_runaways",
        "_sampled_at",
        "_settings",
        "_subscriptions",
        "_top",
        "interval",
        "snapshot",
    )

    def __init__(
        self,
        settings: PressureSettings,
        clock: Clock,
        *,
        publisher: Publisher,
        subscriptions: Subscriptions,
        connections: Sized,
        memory: Memory,
        metrics: Metrics,
        tasks: TaskOwner,
        interval: float | None = None,
    ) -> None:
        """Sample what these parts count.

        Args:
            settings: thresholds and hysteresis.
            clock: for rates, intervals and the lag of the loop.
            publisher: counts messages and bytes per topic.
            subscriptions: counts the pairs of connection and topic.
            connections: the open ones.
            memory: what the process has taken.
            metrics: shows what was sampled.
            tasks: runs what asynchronous callbacks return.
            interval: seconds between samples instead of the setting; below 0.1 the default is used.
        """
        wanted = settings.sample_interval if interval is None else interval
        self.interval = wanted if wanted >= MIN_INTERVAL else DEFAULT_INTERVAL
        self._settings = settings
        self._clock = clock
        self._publisher = publisher
        self._subscriptions = subscriptions
        self._connections = connections
        self._memory = memory
        self._reason_listeners: _Listeners[PressureSnapshot] = _Listeners("on_pressure", tasks)
        self._rate_listeners: _Listeners[list[TopicRate]] = _Listeners("on_publish_rate", tasks)
        self._runaways = _Runaways(settings, clock)
        self._sampled_at = clock.monotonic()
        self._lag = 0.0
        #: Samples in a row that were less urgent than the reason in force.
        self._calmer = 0
        #: The last sample.
        self.snapshot = PressureSnapshot()
        self._top: list[TopicRate] = []
        self._metrics = metrics
        metrics.watch("pressure_memory_ratio", lambda: self.snapshot.memory_ratio)
        metrics.watch(
            "pressure_reason", lambda: {(one,): float(one == self.snapshot.reason) for one in REASONS}
        )
        metrics.watch("ws_topic_publish_rate", lambda: self._by_label(1))
        metrics.watch("ws_topic_publish_bytes", lambda: self._by_label(2))

    def sizes(self) -> dict[str, int]:
        """Return how many callbacks the kind with the most of them has, and how many topics were warned of."""
        listeners = max(len(self._reason_listeners), len(self._rate_listeners))
        return {"MAX_PRESSURE_LISTENERS": listeners, "PUBLISH_WARN_DEDUP_MAX": len(self._runaways)}

    def on_pressure(self, callback: Callable[[PressureSnapshot], Any]) -> Callable[[], None]:
        """Call `callback(snapshot)` whenever the reason has changed; return the function that ends it.

        Raises:
            CapacityExceeded: `MAX_PRESSURE_LISTENERS` are registered already.
        """
        return self._reason_listeners.add(callback)

    def on_publish_rate(self, callback: Callable[[list[TopicRate]], Any]) -> Callable[[], None]:
        """Call `callback(rates)` for every window with runaway topics; return the function that ends it.

        Raises:
            CapacityExceeded: `MAX_PRESSURE_LISTENERS` are registered already.
        """
        return self._rate_listeners.add(callback)

    async def run(self) -> None:
        """Sample for ever, once per interval."""
        while True:
            due = self._clock.monotonic() + self.interval
            await self._clock.sleep(self.interval)
            self._lag = max(0.0, self._clock.monotonic() - due)
            self._metrics.observe("loop_lag_seconds", self._lag)
            try:
                self.sample()
            except Exception:
                logger.exception("the load could not be sampled")

    def sample(self) -> PressureSnapshot:
        """Take a sample now, make it the current snapshot and tell the callbacks."""
        now = self._clock.monotonic()
        elapsed = now - self._sampled_at
        self._sampled_at = now
        window = self._publisher.take_window()
        messages = sum([counts[0] for counts in window.values()])
        assert_invariant(
            all(len(counts) == 2 for counts in window.values()),
            assertions.TOPIC_STATS_SHAPE,
            size=len(window),
        )
        assert_invariant(
            elapsed >= 0 and messages >= 0,
            assertions.PRESSURE_WINDOW_NEGATIVE,
            elapsed=elapsed,
            messages=messages,
        )
        held = self._subscriptions.total
        assert_invariant(held >= 0, assertions.SUBS_TOTAL_NEGATIVE, total=held)
        connections = len(self._connections)
        resident = self._memory.resident()
        values: dict[Reason, float] = {
            "MEMORY": self._memory.ratio(resident),
            "PUBLISH_RATE": messages / elapsed if elapsed > 0 else 0.0,
            "SUBSCRIBERS": held / connections if connections else 0.0,
        }
        self._top = _top(window, elapsed)
        before = self.snapshot.reason
        reason = self._decide(before, values)
        snapshot = self.snapshot = PressureSnapshot(
            active=reason != "NONE",
            reason=reason,
            subscriber_ratio=values["SUBSCRIBERS"],
            publish_rate=values["PUBLISH_RATE"],
            memory_mb=resident / MIB,
            top_publishers=self._top[:TOP_PUBLISHERS],
            memory_ratio=values["MEMORY"],
            loop_lag=self._lag,
        )
        if reason != before:
            self._reason_listeners.call(snapshot)
        runaways = self._runaways.among(window, elapsed)
        if runaways and not self._rate_listeners.call(runaways):
            self._runaways.warn(runaways)
        return snapshot

    def _decide(self, before: Reason, values: Mapping[Reason, float]) -> Reason:
        """Return the reason from now on: what is more urgent holds at once, what is less so has to last."""
        found: Reason = "NONE"
        for reason in _URGENCY[:-1]:
            if self._is_over(reason, before, values):
                found = reason
                break
        if _URGENCY.index(found) <= _URGENCY.index(before):
            self._calmer = 0
            return found
        self._calmer += 1
        if self._calmer < self._settings.release_samples:
            return before
        self._calmer = 0
        return found

    def _by_label(self, column: int) -> dict[tuple[str, ...], float]:
        """Return one column of the busiest topics; topics that share a label are added up."""
        values: dict[tuple[str, ...], float] = {}
        for rate in self._top:
            label = (self._metrics.topic_label(rate.topic),)
            values[label] = values.get(label, 0.0) + float(rate[column])
        return values

    def _is_over(self, reason: Reason, before: Reason, values: Mapping[Reason, float]) -> bool:
        settings = self._settings
        if reason == "MEMORY":
            threshold = settings.memory_ratio
        elif reason == "PUBLISH_RATE":
            threshold = settings.publish_rate
        else:
            threshold = settings.subscriber_ratio
        if threshold is None:
            return False
        if reason == before:
            threshold *= settings.release_ratio
        return values[reason] >= threshold


class _Listeners(Generic[T]):
    """Callbacks of one kind, called in the order in which they came; one that raises does not stop the others."""

    def __init__(self, kind: str, tasks: TaskOwner) -> None:
        self._kind = kind
        self._tasks = tasks
        self._callbacks: dict[object, Callable[[T], Any]] = {}

    def add(self, callback: Callable[[T], Any]) -> Callable[[], None]:
        limit = capacity.get("MAX_PRESSURE_LISTENERS")
        if len(self._callbacks) >= limit:
            capacity.record(
                "MAX_PRESSURE_LISTENERS", "reject", hint="callbacks are registered and never ended"
            )
            raise CapacityExceeded(f"{self._kind} callbacks exceeded {limit}")
        token = object()
        self._callbacks[token] = callback

        def off() -> None:
            self._callbacks.pop(token, None)

        return off

    def __len__(self) -> int:
        return len(self._callbacks)

    def call(self, value: T) -> bool:
        """Call everybody; return whether there was anybody."""
        callbacks = list(self._callbacks.items())
        for token, callback in callbacks:
            if token not in self._callbacks:
                continue  # ended by a callback before it
            try:
                result = callback(value)
                if inspect.isawaitable(result) and not self._tasks.closed:
                    self._tasks.start(_awaited(result), name=self._kind)
            except Exception:
                logger.exception("a callback of %s raised", self._kind)
        return bool(callbacks)


class _Runaways:
    """Topics on which so much is published that something must be wrong."""

    def __init__(self, settings: PressureSettings, clock: Clock) -> None:
        self._messages = settings.topic_publish_rate
        self._bytes = settings.topic_publish_bytes
        self._clock = clock
        self._warned: dict[str, float] = {}

    def __len__(self) -> int:
        """Return how many topics were warned of."""
        return len(self._warned)

    def among(self, window: Mapping[str, tuple[int, int]], elapsed: float) -> list[TopicRate]:
        """Return the runaway topics of a window, busiest first."""
        if elapsed <= 0:
            return []
        most = float("inf")
        messages = most if self._messages is None else self._messages * elapsed
        size = most if self._bytes is None else self._bytes * elapsed
        found = [
            _rate(topic, counts, elapsed)
            for topic, counts in window.items()
            if (counts[0] >= messages or counts[1] >= size) and topic != OTHER_TOPICS
        ]
        return sorted(found, key=lambda rate: rate.messages_per_sec, reverse=True)

    def warn(self, rates: list[TopicRate]) -> None:
        """Log each topic, at most once a minute."""
        now = self._clock.monotonic()
        for rate in rates:
            last = self._warned.get(rate.topic)
            if last is not None and now - last < WARNING_INTERVAL:
                continue
            self._remember(rate.topic, now)
            logger.warning(
                "runaway publisher topic=%s msg/s=%.0f bytes/s=%.0f",
                rate.topic,
                rate.messages_per_sec,
                rate.bytes_per_sec,
            )

    def _remember(self, topic: str, now: float) -> None:
        self._warned.pop(topic, None)
        if len(self._warned) >= capacity.get("PUBLISH_WARN_DEDUP_MAX"):
            del self._warned[next(iter(self._warned))]
            capacity.record(
                "PUBLISH_WARN_DEDUP_MAX", "evict", hint="the evicted topic may be warned of again"
            )
        self._warned[topic] = now


def _top(window: Mapping[str, tuple[int, int]], elapsed: float) -> list[TopicRate]:
    if elapsed <= 0:
        return []
    busiest = heapq.nlargest(TOP_METRICS, window.items(), key=lambda item: item[1])
    return [_rate(topic, counts, elapsed) for topic, counts in busiest]


def _rate(topic: str, counts: tuple[int, int], elapsed: float) -> TopicRate:
    return TopicRate(topic, counts[0] / elapsed, counts[1] / elapsed)


async def _awaited(result: Any) -> None:
    await result
