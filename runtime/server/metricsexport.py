"""The metrics of a worker as text for Prometheus, made by prometheus-client. Spec: platform 3.5.

The loop copies the numbers; families and text are made from the copy in a thread, so a scrape holds up nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from runtime.core.metrichelp import HELP, exported_name, reference_name
from runtime.core.metrics import HISTOGRAMS, LABELS, Series, Spread
from runtime.server.metricsregistry import metrics_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from runtime.core.metrics import Metrics
    from runtime.core.settings import MetricsSettings

__all__ = ["CONTENT_TYPE", "MetricsExport", "WorkerCollector"]

logger = logging.getLogger("realtime.metrics")

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PER_SERIES: Final = frozenset({"le", "quantile"})  # labels that part the samples of one series


@dataclass(frozen=True, eq=False, slots=True)
class WorkerCollector:
    """A collector of prometheus-client over a copy of a worker's numbers."""

    values: Mapping[str, Series]
    spreads: Mapping[str, Mapping[tuple[str, ...], Spread]]
    bounds: Mapping[str, Sequence[float]]
    prefix: str
    reference_names: bool = False

    def collect(self) -> Iterator[Metric]:
        """Yield every family; a counter or gauge without labels is 0 before it moved."""
        for name in sorted([*LABELS, *HISTOGRAMS]):
            shown = exported_name(name, self.prefix)
            yield self._family(name, shown)
            other = reference_name(name) if self.reference_names else None
            if other is not None and other != shown:
                yield self._family(name, other)

    def _family(self, name: str, shown: str) -> Metric:
        text = HELP.get(name, "")
        if name in HISTOGRAMS:
            return self._histogram(name, shown, text)
        labels = LABELS[name]
        kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        family = kind(shown, text, labels=labels)
        series = self.values.get(name, {})
        if not labels and not series:
            series = {(): 0}
        for values, value in series.items():
            family.add_metric(values, value)
        return family

    def _histogram(self, name: str, shown: str, text: str) -> Metric:
        family = HistogramMetricFamily(shown, text, labels=HISTOGRAMS[name].labels)
        edges = [_edge(bound) for bound in (*self.bounds[name], float("inf"))]
        for labels, spread in self.spreads.get(name, {}).items():
            buckets, seen = [], 0
            for edge, count in zip(edges, spread.counts, strict=True):
                seen += count
                buckets.append((edge, float(seen)))
            family.add_metric(labels, buckets, spread.total)
        return family


@dataclass(eq=False, slots=True)
class _Whole:
    """Our families, then those that the app registered; what cannot be read or has our name is left out."""

    own: WorkerCollector
    others: Sequence[Collector]
    max_series: int
    failed: dict[str, Exception | None] = field(default_factory=dict)
    cut: Counter[str] = field(default_factory=Counter)

    def collect(self) -> Iterator[Metric]:
        taken = set()
        for family in self.own.collect():
            taken.add(family.name)
            yield family
        for collector in self.others:
            try:
                families = list(collector.collect())
            except Exception as error:
                self.failed[type(collector).__name__] = error
                continue
            for family in families:
                if family.name in taken:
                    self.failed[family.name] = None
                    continue
                taken.add(family.name)
                yield self._bounded(family)

    def _bounded(self, family: Metric) -> Metric:
        if len(family.samples) <= self.max_series:
            return family
        kept: set[tuple[tuple[str, str], ...]] = set()
        samples = []
        for sample in family.samples:
            series = tuple(sorted(item for item in sample.labels.items() if item[0] not in _PER_SERIES))
            if series in kept or len(kept) < self.max_series:
                kept.add(series)
                samples.append(sample)
            else:
                self.cut[family.name] += 1
        family.samples = samples
        return family


class MetricsExport:
    """Makes the text of one worker's metrics, one scrape at a time."""

    def __init__(self, metrics: Metrics, settings: MetricsSettings) -> None:
        self._metrics = metrics
        self._settings = settings
        self._lock = asyncio.Lock()
        self._told: set[str] = set()

    async def text(self) -> bytes:
        """Return the text of now, with the app's own metrics behind ours."""
        async with self._lock:
            metrics, settings = self._metrics, self._settings
            own = WorkerCollector(
                metrics.snapshot(),
                metrics.spreads(),
                metrics.bounds,
                settings.prefix,
                settings.reference_names,
            )
            whole = _Whole(own, metrics_registry().collectors(), settings.max_series)
            text = await asyncio.to_thread(_render, whole)
            self._note(whole)
            return text

    def _note(self, whole: _Whole) -> None:
        for name, error in whole.failed.items():
            self._metrics.add("metrics_collector_errors_total", name)
            if name not in self._told:  # as many as the app has registered
                self._told.add(name)
                why = "could not be read" if error else "has the name of another metric"
                logger.warning("the app's metric %s %s; it is left out", name, why, exc_info=error)
        for name, count in whole.cut.items():
            self._metrics.add("metrics_series_dropped_total", name, amount=count)


def _edge(bound: float) -> str:
    text: str = floatToGoString(bound)  # type: ignore[no-untyped-call]  # prometheus-client has no types there
    return text


def _render(whole: _Whole) -> bytes:
    registry = CollectorRegistry()
    registry.register(whole)
    return generate_latest(registry)
