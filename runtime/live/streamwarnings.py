"""What dev says of streams that are silent, and of topics that are published to too much. Spec: live-api 8.13."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.wire import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runtime.core.clock import Clock, TimerHandle
    from runtime.core.platform import Platform
    from runtime.core.settings import DevSettings
    from runtime.live.streamsubs import StreamSubs
    from runtime.live.topicshapes import TopicShapes

__all__ = ["PublishRateRule", "SilentTopicRule", "StreamWarnings"]

logger = logging.getLogger("realtime.stream")

SILENT_AFTER = 30.0  # seconds
BUSY_RATE = 200.0  # events per second on one topic
BUSY_INTERVAL = 5.0  # seconds between two looks


@dataclass(slots=True, frozen=True)
class SilentTopicRule:
    """When a topic counts as silent: seconds without an event, and topics of which that is not said."""

    threshold: float = SILENT_AFTER
    suppress: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, enabled: bool | None, threshold: float | None, suppress: Iterable[str] | None
    ) -> SilentTopicRule | None:
        """Return the rule of `live.silent_topic_warning(...)`, `None` for none.

        Raises:
            ValueError: an argument that cannot be.
        """
        what = "live.silent_topic_warning"
        if not _is_on(what, enabled, threshold, suppress):
            return None
        if isinstance(suppress, str) or (
            suppress is not None and not all(isinstance(t, str) for t in suppress)
        ):
            raise ValueError(f"{what}: suppress must be a list of topics, not {suppress!r}")
        seconds = SILENT_AFTER if threshold is None else _positive(what, "threshold", threshold)
        return cls(seconds, frozenset(suppress or ()))


@dataclass(slots=True, frozen=True)
class PublishRateRule:
    """Above how many events a second a topic is published to too much, and how often that is looked at, in seconds."""

    threshold: float = BUSY_RATE
    interval: float = BUSY_INTERVAL

    @classmethod
    def of(
        cls, enabled: bool | None, threshold: float | None, interval: float | None
    ) -> PublishRateRule | None:
        """Return the rule of `live.publish_rate_warning(...)`, `None` for none.

        Raises:
            ValueError: an argument that cannot be.
        """
        what = "live.publish_rate_warning"
        if not _is_on(what, enabled, threshold, interval):
            return None
        return cls(
            BUSY_RATE if threshold is None else _positive(what, "threshold", threshold),
            BUSY_INTERVAL if interval is None else _positive(what, "interval", interval),
        )


class StreamWarnings:
    """The warnings of one worker in dev; each is given once per topic."""

    __slots__ = (
        "_clock",
        "_heard",
        "_is_dev",
        "_loud",
        "_platform",
        "_rate",
        "_shapes",
        "_silent",
        "_subs",
        "_timer",
        "_usual",
        "_waiting",
        "_warned",
    )

    def __init__(self, platform: Platform, subs: StreamSubs, shapes: TopicShapes) -> None:
        self._platform = platform
        self._clock: Clock = platform.parts.clock
        self._is_dev = platform.settings.is_dev
        self._subs = subs
        self._shapes = shapes
        #: What the settings say; the app's own calls come before them.
        self._usual = _rules_of(platform.settings.dev)
        self._silent: SilentTopicRule | None = self._usual[0]
        self._rate: PublishRateRule | None = self._usual[1]
        #: Topics with subscribers on which nothing has come yet, with the timer of each.
        self._waiting: dict[str, TimerHandle] = {}
        self._warned: OrderedDict[str, None] = OrderedDict()
        self._loud: OrderedDict[str, None] = OrderedDict()
        self._timer: TimerHandle | None = None
        self._heard = False

    def sizes(self) -> dict[str, int]:
        """Return how many topics each kind of warning remembers."""
        return {
            "SILENT_TOPIC_WARN_DEDUP_MAX": len(self._warned),
            "PUBLISH_RATE_WARN_DEDUP_MAX": len(self._loud),
        }

    def configure(self, rules: Mapping[str, Any]) -> None:
        """Take the rules of the registry in force: `silent` and `rate`; those of the settings where it says nothing."""
        silent, rate = rules.get("silent", self._usual[0]), rules.get("rate", self._usual[1])
        if (silent, rate) == (self._silent, self._rate):
            return
        self._silent, self._rate = silent, rate
        for topic in list(self._waiting):
            self._forget(topic)
            self.subscribed(topic)
        self._restart()

    def subscribed(self, topic: str) -> None:
        """Begin to wait for the first event of a topic that somebody has got on."""
        if not self._is_dev or names.is_system_topic(topic):
            return
        if self._timer is None:
            self._restart()
        rule = self._silent
        if rule is None or topic in self._waiting or topic in self._warned or topic in rule.suppress:
            return
        if not self._heard:
            self._heard = True
            publisher = self._platform.parts.publisher
            publisher.observers = (*publisher.observers, self._published)
        self._waiting[topic] = self._clock.call_later(rule.threshold, self._look, topic, rule.threshold)

    def left(self, topic: str) -> None:
        """Wait no longer: the last subscriber has gone."""
        self._forget(topic)

    def close(self) -> None:
        """Warn of nothing any more."""
        for topic in list(self._waiting):
            self._forget(topic)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _published(self, topic: str, _: str) -> None:
        if topic in self._waiting:
            self._forget(topic)
            _remember(
                self._warned, topic, "SILENT_TOPIC_WARN_DEDUP_MAX"
            )  # it is not silent: no warning, for good

    def _forget(self, topic: str) -> None:
        timer = self._waiting.pop(topic, None)
        if timer is not None:
            timer.cancel()

    def _look(self, topic: str, threshold: float) -> None:
        self._waiting.pop(topic, None)
        if not self._subs.on_topic(topic):
            return
        _remember(self._warned, topic, "SILENT_TOPIC_WARN_DEDUP_MAX")
        places = ", ".join(self._subs.places(topic))
        logger.warning(
            "nothing was published on %r for %g s although %s is subscribed to: is the topic spelt as it is where you "
            "publish? live.silent_topic_warning(suppress=[...]) silences this",
            topic,
            threshold,
            places,
        )

    def _restart(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_dev and self._rate is not None:
            self._timer = self._clock.call_later(self._rate.interval, self._look_at_rates)

    def _look_at_rates(self) -> None:
        rule = self._rate
        self._restart()
        if rule is None:
            return
        for rate in self._platform.pressure.top_publishers:
            options = self._shapes.by_topic.get(rate.topic)
            is_meant = options is not None and (options.volatile or options.coalesce_by is not None)
            if rate.messages_per_sec <= rule.threshold or rate.topic in self._loud or is_meant:
                continue
            _remember(self._loud, rate.topic, "PUBLISH_RATE_WARN_DEDUP_MAX")
            places = self._subs.places(rate.topic)
            logger.warning(
                "%r%s gets %d events a second; more than %g are more than a page can show: use ctx.publish_throttled, "
                "coalesce_by or volatile; live.publish_rate_warning(threshold=...) moves the mark",
                rate.topic,
                f" of {', '.join(places)}" if places else "",
                rate.messages_per_sec,
                rule.threshold,
            )


def _rules_of(dev: DevSettings) -> tuple[SilentTopicRule | None, PublishRateRule | None]:
    silent, rate = dev.silent_topic_warning, dev.publish_rate_warning
    return (
        None if silent is None else SilentTopicRule(silent.after, frozenset(silent.suppress)),
        None if rate is None else PublishRateRule(rate.threshold, rate.interval),
    )


def _remember(known: OrderedDict[str, None], topic: str, bound: str) -> None:
    if len(known) >= capacity.get(bound):
        known.popitem(last=False)
        capacity.record(bound, "evict", hint="topics may be warned of again")
    known[topic] = None


def _is_on(what: str, enabled: Any, *others: Any) -> bool:
    if enabled is not None and not isinstance(enabled, bool):
        raise ValueError(f"{what}: True, False or named options are needed, not {enabled!r}")
    if enabled is False and any(other is not None for other in others):
        raise ValueError(f"{what}: False takes no options")
    return enabled is not False


def _positive(what: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise ValueError(f"{what}: {name} must be a number above 0, not {value!r}")
    return float(value)
