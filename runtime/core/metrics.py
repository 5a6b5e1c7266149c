"""Counters, gauges and histograms as plain numbers of this worker. Spec: platform 3.5 and 9.3, live-api 29.

Hot paths add to a dict; nothing here locks, allocates label objects or calls a metrics library. What somebody else
counts already is read when it is asked for: `watch`.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from runtime.core import capacity

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.metricsink import MetricSink

__all__ = ["HISTOGRAMS", "LABELS", "Histogram", "Metrics", "Series", "Spread", "fold_topic"]

logger = logging.getLogger("realtime.metrics")

#: The present values of one metric by their label values.
Series = dict[tuple[str, ...], float]

# Every counter (`..._total`) and gauge with its label names; the prefix `realtime_` is added on export. A label never
# holds what a client chose; a topic passes `Metrics.topic_label` first.
LABELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aggregate_reducer_errors_total": (),
        "assertion_violations_total": ("category",),
        "bus_rejected_total": ("bus", "reason"),
        "capacity_events_total": ("structure", "action"),
        "capacity_limit": ("structure",),
        "capacity_size": ("structure",),
        "cron_errors_total": ("path",),
        "cron_total": ("path", "status"),
        "cursor_broadcasts_total": ("topic",),
        "cursor_throttled_total": ("topic",),
        "cursor_updates_total": ("topic",),
        "extensions_assertion_violations_total": ("category",),
        "group_joins_rejected_total": ("group",),
        "group_joins_total": ("group",),
        "group_leaves_total": ("group",),
        "group_publishes_total": ("group",),
        "hook_errors_total": ("hook",),
        "hook_timeouts_total": ("hook",),
        "http_in_flight": (),
        "http_requests_total": ("method", "status", "kind"),
        "idempotency_aborts_total": (),
        "idempotency_acquired_total": (),
        "idempotency_commits_total": (),
        "idempotency_hits_total": (),
        "idempotency_lost_total": (),
        "idempotency_pending_total": (),
        "lock_timeouts_total": (),
        "metrics_collector_errors_total": ("metric",),
        "metrics_series_dropped_total": ("metric",),
        "page_dedup_total": ("outcome",),
        "presence_joins_total": ("topic",),
        "presence_leaves_total": ("topic",),
        "presence_total_online": ("topic",),
        "notify_total": ("result",),
        "pressure_memory_ratio": (),
        "pressure_reason": ("reason",),
        "publish_total": ("surface",),
        "push_total": ("result",),
        "ratelimit_allowed_total": (),
        "ratelimit_bans_total": (),
        "ratelimit_denied_total": (),
        "replay_messages_replayed_total": ("topic",),
        "replay_publishes_total": ("topic",),
        "replay_truncations_total": ("topic",),
        "rpc_calls_dropped_total": ("reason",),
        "rpc_errors_total": ("path", "code"),
        "rpc_total": ("path", "status"),
        "security_optouts": ("name",),
        "security_refusals_total": ("rule",),
        "stream_subscriptions": (),
        "upload_aborts_total": ("code",),
        "upload_bytes_total": (),
        "upload_frames_dropped_total": (),
        "uploads_active": (),
        "watcher_depth_exceeded_total": (),
        "ws_bytes_in_total": (),
        "ws_bytes_out_total": (),
        "ws_coalesced_evicted_total": (),
        "ws_coalesced_pending": (),
        "ws_connection_close_total": ("code",),
        "ws_connections": (),
        "ws_control_dropped_total": ("reason",),
        "ws_control_errors_total": ("type",),
        "ws_deliveries_total": (),
        "ws_frames_dropped_total": ("kind",),
        "ws_frames_unhandled_total": (),
        "ws_publishes_total": (),
        "ws_subscribe_denied_total": ("reason",),
        "ws_subscriptions": (),
        "ws_topic_publish_bytes": ("topic",),
        "ws_topic_publish_rate": ("topic",),
        "ws_topics": (),
        "ws_upgrades_total": ("outcome",),
    }
)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How a histogram counts: its label names, and the upper bounds of its buckets in ascending order."""

    labels: tuple[str, ...]
    bounds: tuple[float, ...]


@dataclass(slots=True)
class Spread:
    """What one series of a histogram has seen: how many values fell into each bucket, the last one without a bound."""

    counts: list[int]
    total: float = 0.0


# In seconds; `[metrics] buckets` replaces it.
_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LIFETIME = (1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 14_400.0, 86_400.0)
_MESSAGES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
_BYTES = (1024.0, 64 * 1024.0, 1024.0**2, 16 * 1024.0**2, 256 * 1024.0**2)

# Every histogram; the prefix is added on export as well.
HISTOGRAMS: Mapping[str, Histogram] = MappingProxyType(
    {
        "hook_duration_seconds": Histogram(("hook",), _SECONDS),
        "http_request_duration_seconds": Histogram(("kind",), _SECONDS),
        "lock_wait_seconds": Histogram((), _SECONDS),
        "loop_lag_seconds": Histogram((), _SECONDS),
        "rpc_duration_seconds": Histogram(("path",), _SECONDS),
        "ws_connection_bytes_in": Histogram((), _BYTES),
        "ws_connection_bytes_out": Histogram((), _BYTES),
        "ws_connection_duration_seconds": Histogram((), _LIFETIME),
        "ws_connection_messages_in": Histogram((), _MESSAGES),
        "ws_connection_messages_out": Histogram((), _MESSAGES),
    }
)


def fold_topic(topic: str) -> str:
    """Return a topic as a label: what follows its first `:` is `*`, so that ids make no series of their own."""
    name, colon, _ = topic.partition(":")
    return f"{name}:*" if colon else topic


class Metrics:
    """The numbers of one worker, by metric name and label values.

    Args:
        max_series: label sets per metric, `MAX_METRIC_SERIES` when `None`; further ones are dropped and counted in
            `metrics_series_dropped_total`.
        buckets: upper bounds of the histograms of short durations, in seconds, ascending; at most
            `MAX_HISTOGRAM_BUCKETS`.

    Raises:
        ValueError: more buckets than that.
    """

    __slots__ = ("_limit", "_spreads", "_values", "_warned", "_watched", "bounds", "sink", "topic_label")

    def __init__(self, *, max_series: int | None = None, buckets: tuple[float, ...] = ()) -> None:
        if len(buckets) > capacity.get("MAX_HISTOGRAM_BUCKETS"):
            capacity.record("MAX_HISTOGRAM_BUCKETS", "reject", size=len(buckets))
            raise ValueError(f"buckets: at most {capacity.get('MAX_HISTOGRAM_BUCKETS')}, not {len(buckets)}")
        #: Upper bounds of the buckets of each histogram.
        self.bounds: Mapping[str, tuple[float, ...]] = {
            name: (buckets or _SECONDS) if histogram.bounds is _SECONDS else histogram.bounds
            for name, histogram in HISTOGRAMS.items()
        }
        #: Shortens a topic for a label; whoever counts by topic calls it.
        self.topic_label: Callable[[str], str] = fold_topic
        self._values: dict[str, dict[tuple[str, ...], int]] = {name: {} for name in LABELS}
        self._spreads: dict[str, dict[tuple[str, ...], Spread]] = {name: {} for name in HISTOGRAMS}
        self._watched: dict[str, Callable[[], float | Mapping[tuple[str, ...], float]]] = {}
        self._limit = capacity.get("MAX_METRIC_SERIES") if max_series is None else max_series
        self._warned: set[str] = set()
        #: Counts the same in a registry of the app's.
        self.sink: MetricSink | None = None

    def add(self, name: str, *labels: str, amount: int = 1) -> None:
        """Add `amount` to the series of `name` with these label values (in the order of `LABELS[name]`)."""
        series = self._values[name]
        value = series.get(labels)
        if value is None:
            if len(series) >= self._limit:
                self._drop(name)
                return
            value = 0
        series[labels] = value + amount
        if self.sink is not None:
            self.sink.add(name, labels, amount)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add `value` to the series of the histogram `name` with these label values."""
        bounds = self.bounds[name]
        series = self._spreads[name]
        spread = series.get(labels)
        if spread is None:
            if len(series) >= self._limit:
                self._drop(name)
                return
            spread = series[labels] = Spread([0] * (len(bounds) + 1))
        spread.counts[bisect_left(bounds, value)] += 1
        spread.total += value
        if self.sink is not None:
            self.sink.observe(name, labels, value)

    def watch(self, name: str, read: Callable[[], float | Mapping[tuple[str, ...], float]]) -> None:
        """Read the value of `name` from elsewhere when it is asked for: one number, or numbers by label values.

        Raises:
            KeyError: there is no such metric.
        """
        if name not in LABELS:
            raise KeyError(name)
        self._watched[name] = read

    def sizes(self) -> dict[str, int]:
        """Return how many series the metric with the most of them has."""
        most = max(max(map(len, self._values.values())), max(map(len, self._spreads.values())))
        return {"MAX_METRIC_SERIES": most}

    def spread(self, name: str, *labels: str) -> Spread:
        """Return what one series of the histogram `name` has seen, as a copy."""
        found = self._spreads[name].get(labels)
        if found is None:
            return Spread([0] * (len(self.bounds[name]) + 1))
        return Spread(list(found.counts), found.total)

    def spreads(self) -> dict[str, dict[tuple[str, ...], Spread]]:
        """Return a copy of all series of all histograms."""
        return {
            name: {labels: Spread(list(one.counts), one.total) for labels, one in series.items()}
            for name, series in self._spreads.items()
            if series
        }

    def get(self, name: str, *labels: str) -> int:
        """Return the present value of one series, 0 if it never moved; not of what is watched."""
        return self._values[name].get(labels, 0)

    def total(self, name: str) -> int:
        """Return the sum over all label values of `name`; not of what is watched."""
        return sum(self._values[name].values())

    def snapshot(self) -> dict[str, Series]:
        """Return a copy of all series, with what is watched; one that cannot be read now is left out."""
        watched = {name: self._read(name) for name in self._watched}
        found: dict[str, Series] = {}
        for name, series in self._values.items():
            values: Series = {**series, **watched.get(name, {})}
            if values:
                found[name] = values
        return found

    def _read(self, name: str) -> Series:
        try:
            value = self._watched[name]()
            return dict(value) if isinstance(value, Mapping) else {(): value}
        except Exception:
            self.add("metrics_collector_errors_total", name)
            if name not in self._warned:
                self._warned.add(name)
                logger.exception("the value of %s cannot be read; it is left out", name)
            return {}

    def _drop(self, name: str) -> None:
        dropped = self._values["metrics_series_dropped_total"]  # at most one series per metric: never full
        dropped[name,] = dropped.get((name,), 0) + 1
        capacity.record("MAX_METRIC_SERIES", "skip", hint="a label has too many values", limit=self._limit)
        if name not in self._warned:
            self._warned.add(name)
            logger.warning(
                "metric %s has %d series, as many as it may have; further ones are left out",
                name,
                self._limit,
            )
