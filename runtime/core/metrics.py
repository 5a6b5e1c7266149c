"""Counters and gauges as plain integers of this worker. Spec: platform 3.5 and 9.3, live-api 29.

Hot paths add to a dict; nothing here locks, allocates label objects or calls a metrics library.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from runtime.core import capacity

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LABELS", "Metrics"]

# Every metric name with its label names; the prefix `realtime_` is added on export.
LABELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "capacity_events_total": ("structure", "action"),
        "connections": (),
        "hook_errors_total": ("hook",),
        "metrics_series_dropped_total": ("metric",),
        "publish_dropped_total": ("reason",),
        "publish_total": ("surface",),
        "reload_total": ("kind", "result"),
        "rpc_calls_dropped_total": ("reason",),
        "rpc_errors_total": ("path", "code"),
        "rpc_total": ("path", "status"),
        "security_optouts": ("name",),
        "security_refusals_total": ("rule",),
        "stream_subscriptions": (),
        "ws_bytes_out_total": (),
        "ws_control_dropped_total": ("reason",),
        "ws_deliveries_total": (),
        "ws_frames_dropped_total": ("kind",),
        "ws_frames_unhandled_total": (),
        "ws_upgrades_total": ("outcome",),
    }
)


class Metrics:
    """The numbers of one worker, by metric name and label values.

    At most `MAX_METRIC_SERIES` label sets per metric: further ones are counted in `metrics_series_dropped_total`.
    """

    __slots__ = ("_limit", "_values")

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], int]] = {name: {} for name in LABELS}
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

    def get(self, name: str, *labels: str) -> int:
        """Return the present value of one series, 0 if it never moved."""
        return self._values[name].get(labels, 0)

    def total(self, name: str) -> int:
        """Return the sum over all label values of `name`."""
        return sum(self._values[name].values())

    def snapshot(self) -> dict[str, dict[tuple[str, ...], int]]:
        """Return a copy of all series."""
        return {name: dict(series) for name, series in self._values.items() if series}
