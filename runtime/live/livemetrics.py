"""`live.metrics`: the metrics of the live layer in a registry of the app's own as well. Spec: live-api 18.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from runtime.core.metricsink import MetricSink
from runtime.live.wiring import record

if TYPE_CHECKING:
    from runtime.core.metricsink import Registry

__all__ = ["metrics"]

#: A registry makes its metrics once, however often the code that names it is loaded again.
_sinks: WeakKeyDictionary[Any, MetricSink] = WeakKeyDictionary()


def metrics(registry: Registry | None) -> None:
    """Count what the live layer does in `registry` too, from the start of the app on; `None` ends that.

    The worker's own numbers, and the endpoint that shows them, go on as they are. The names are `realtime_rpc_total`,
    `realtime_rpc_duration_seconds` and so on, whatever `[metrics] prefix` says. Call it once, in `hooks.py`.

    Args:
        registry: has `counter(name, help, labelnames)`, `gauge(...)` and `histogram(...)`. What they return has
            `inc(labels)`, `inc()` and `dec()`, and `observe(labels, seconds)`; with a number behind that where it
            changes by more than 1. `labels` is a dict.

    Raises:
        TypeError: the registry cannot make metrics.
    """
    record(metrics=None if registry is None else _sink_of(registry))


def _sink_of(registry: Any) -> MetricSink:
    try:
        known = _sinks.get(registry)
    except TypeError:  # it cannot be a key
        return MetricSink(registry)
    if known is None:
        known = _sinks[registry] = MetricSink(registry)
    return known
