"""Counters, gauges and histograms as plain numbers of this worker. Spec: platform 3.5 and 9.3, live-api 29.

Hot paths add to a dict; nothing here locks, allocates label objects or calls a metrics library.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from runtime.core import capacity

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HISTOGRAMS", "LABELS", "Histogram", "Metrics", "Spread"]

# Every metric name with its label names; the prefix `realtime_` is added on export.
LABELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "capacity_events_total": ("structure", "action"),
        "connections": (),
        "hook_errors_total": ("hook",),
        "hook_timeouts_total": ("hook",),
        "metrics_series_dropped_total": ("metric",),
        "publish_dropped_total": ("reason",),
        "publish_total": ("surface",),
        "reload_total": ("kind", "result"),
        "replay_messages_replayed_total": ("topic",),
        "replay_publishes_total": ("topic",),
        "replay_truncations_total": ("topic",),
        "rpc_calls_dropped_total": ("reason",),
        "rpc_errors_total": ("path", "code"),
        "rpc_total": ("path", "status"),
        "security_optouts": ("name",),
        "security_refusals_total": ("rule",),
        "stream_subscriptions": (),
        "ws_bytes_in_total": (),
        "ws_bytes_out_total": (),
        "ws_coalesced_evicted_total": (),
        "ws_coalesced_pending": (),
        "ws_connection_close_total": ("code",),
        "ws_control_dropped_total": ("reason",),
        "ws_deliveries_total": (),
        "ws_frames_dropped_total": ("kind",),
        "ws_frames_unhandled_total": (),
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


_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LIFETIME = (1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0)
_MESSAGES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
_BYTES = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8)

# Every histogram; the prefix is added on export as well.
HISTOGRAMS: Mapping[str, Histogram] = MappingProxyType(
    {
        "hook_duration_seconds": Histogram(("hook",), _SECONDS),
        "ws_connection_bytes_in": Histogram((), _BYTES),
        "ws_connection_bytes_out": Histogram((), _BYTES),
        "ws_connection_duration_seconds": Histogram((), _LIFETIME),
        "ws_connection_messages_in": Histogram((), _MESSAGES),
        "ws_connection_messages_out": Histogram((), _MESSAGES),
    }
)


class Metrics:
    """The numbers of one worker, by metric name and label values.

    At most `MAX_METRIC_SERIES` label sets per metric: further ones are counted in `metrics_series_dropped_total`.
    """

    __slots__ = ("_limit", "_spreads", "_values")

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], int]] = {name: {} for name in LABELS}
        self._spreads: dict[str, dict[tuple[str, ...], Spread]] = {name: {} for name in HISTOGRAMS}
        self._limit = capacity.get("MAX_METRIC_SERIES")

    def add(self, name: str, *labels: str, amount: int = 1) -> None:
        """Add `amount` to the series of `name` with these label values (in the order of `LABELS[name]`)."""
        series = self._values[name]
        value = series.get(labels)
        if value is None:
            if len(series) >= self._limit:
                self.add("metrics_series_dropped_total", name)
                return
            value = 0
        series[labels] = value + amount

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add `value` to the series of the histogram `name` with these label values."""
        series = self._spreads[name]
        bounds = HISTOGRAMS[name].bounds
        spread = series.get(labels)
        if spread is None:
            if len(series) >= self._limit:
                self.add("metrics_series_dropped_total", name)
                return
            spread = series[labels] = Spread([0] * (len(bounds) + 1))
        spread.counts[bisect_left(bounds, value)] += 1
        spread.total += value

    def spread(self, name: str, *labels: str) -> Spread:
        """Return what one series of the histogram `name` has seen, as a copy."""
        found = self._spreads[name].get(labels)
        if found is None:
            return Spread([0] * (len(HISTOGRAMS[name].bounds) + 1))
        return Spread(list(found.counts), found.total)

    def spreads(self) -> dict[str, dict[tuple[str, ...], Spread]]:
        """Return a copy of all series of all histograms."""
        return {
            name: {labels: Spread(list(one.counts), one.total) for labels, one in series.items()}
            for name, series in self._spreads.items()
            if series
        }

    def get(self, name: str, *labels: str) -> int:
        """Return the present value of one series, 0 if it never moved."""
        return self._values[name].get(labels, 0)

    def total(self, name: str) -> int:
        """Return the sum over all label values of `name`."""
        return sum(self._values[name].values())

    def snapshot(self) -> dict[str, dict[tuple[str, ...], int]]:
        """Return a copy of all series."""
        return {name: dict(series) for name, series in self._values.items() if series}
