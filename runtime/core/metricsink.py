"""A second place where the metrics of the live layer are counted: a registry of the app's own.

The worker's own numbers always count; a `MetricSink` is told of the same changes at the same time. Spec: live-api 18.2
and 29.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from runtime.core import assertions
from runtime.core.metrichelp import HELP
from runtime.core.metrics import HISTOGRAMS, LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.core.metrics import Metrics

__all__ = ["MetricSink", "Registry", "attach"]

logger = logging.getLogger("realtime.metrics")

PREFIX: Final = "realtime_"
ASSERTIONS: Final = "assertion_violations_total"
#: The gauges among `NAMES`.
GAUGES: Final = frozenset({"stream_subscriptions", "uploads_active"})
#: What the live layer counts.
NAMES: Final = (
    "aggregate_reducer_errors_total",
    ASSERTIONS,
    "cron_errors_total",
    "cron_total",
    "notify_total",
    "publish_total",
    "push_total",
    "rpc_duration_seconds",
    "rpc_errors_total",
    "rpc_total",
    "stream_subscriptions",
    "upload_aborts_total",
    "upload_bytes_total",
    "uploads_active",
    "watcher_depth_exceeded_total",
)


class Registry(Protocol):
    """What makes metrics. Labels are given as a mapping from name to value.

    A counter has `inc(labels)`, and `inc(labels, amount)` where it grows by more than 1; a gauge `inc()` and `dec()`,
    or with an amount likewise; a histogram `observe(labels, seconds)`.
    """

    def counter(self, name: str, help: str, labelnames: Sequence[str]) -> Any:
        """Return a counter."""

    def gauge(self, name: str, help: str, labelnames: Sequence[str]) -> Any:
        """Return a gauge."""

    def histogram(self, name: str, help: str, labelnames: Sequence[str]) -> Any:
        """Return a histogram."""


class MetricSink:
    """The metrics of one registry of an app. What they raise is counted and logged once, and never reaches a call.

    Raises:
        TypeError: `registry` cannot make metrics; what it lacks is named.
    """

    __slots__ = ("_labels", "_made", "_metrics", "_warned")

    def __init__(self, registry: Any) -> None:
        for kind in ("counter", "gauge", "histogram"):
            if not callable(getattr(registry, kind, None)):
                raise TypeError(
                    f"live.metrics: the registry needs {kind}(name, help, labelnames), which {registry!r} has not"
                )
        self._made: dict[str, Any] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        self._warned: set[str] = set()
        self._metrics: Metrics | None = None
        for name in NAMES:
            is_histogram = name in HISTOGRAMS
            make = (
                registry.histogram if is_histogram else registry.gauge if name in GAUGES else registry.counter
            )
            labels = HISTOGRAMS[name].labels if is_histogram else LABELS[name]
            self._made[name] = make(PREFIX + name, HELP[name], list(labels))
            self._labels[name] = labels

    def add(self, name: str, labels: tuple[str, ...], amount: int) -> None:
        """Tell the app's metric of a change, if it is one of the live layer's."""
        metric = self._made.get(name)
        if metric is None:
            return
        try:
            if name in GAUGES:
                change, size = (metric.inc, amount) if amount > 0 else (metric.dec, -amount)
                change() if size == 1 else change(size)
            elif amount == 1:
                metric.inc(self._named(name, labels))
            else:
                metric.inc(self._named(name, labels), amount)
        except Exception:
            self._failed(name)

    def observe(self, name: str, labels: tuple[str, ...], value: float) -> None:
        """Tell the app's histogram of a value, if it is one of the live layer's."""
        metric = self._made.get(name)
        if metric is None:
            return
        try:
            metric.observe(self._named(name, labels), value)
        except Exception:
            self._failed(name)

    def violated(self, category: str) -> None:
        """Tell of a violated assertion."""
        self.add(ASSERTIONS, (category,), 1)

    def begin(self, metrics: Metrics) -> None:
        """Be told of the changes of `metrics` from now on; gauges begin where they are."""
        self._metrics = metrics
        metrics.sink = self
        assertions.listen(self.violated)
        for name in GAUGES:
            present = metrics.total(name)
            if present > 0:
                self.add(name, (), present)

    def end(self) -> None:
        """Be told no more."""
        if self._metrics is not None:
            self._metrics.sink = None
        self._metrics = None
        assertions.unlisten(self.violated)

    def _named(self, name: str, labels: tuple[str, ...]) -> Mapping[str, str]:
        return dict(zip(self._labels[name], labels, strict=True))

    def _failed(self, name: str) -> None:
        if self._metrics is not None:
            self._metrics.add("metrics_collector_errors_total", name)
        if name not in self._warned:
            self._warned.add(name)
            logger.exception("the app's metric %s%s failed; calls go on without it", PREFIX, name)


def attach(metrics: Metrics, sink: MetricSink | None) -> None:
    """Let `sink` be told of what `metrics` counts, in the place of who was told before; `None` ends that."""
    before = metrics.sink
    if before is sink:
        return
    if before is not None:
        before.end()
    if sink is not None:
        sink.begin(metrics)
