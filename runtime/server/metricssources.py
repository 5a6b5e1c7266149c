"""What a worker counts anyway, as metrics: read at each scrape, and counted nowhere twice. Spec: platform 9.3."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.metrics import Metrics, Series
from runtime.server.capacitysizes import sizes_of
from runtime.server.startup import StartupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.settings import MetricsSettings
    from runtime.server.assembly import Runtime

__all__ = ["load_topic_label", "make_metrics", "watch_runtime"]

logger = logging.getLogger("realtime.metrics")


def make_metrics(settings: MetricsSettings) -> Metrics:
    """Return the store of a worker as `[metrics]` wants it; a bound that was not changed there is `[capacity]`'s."""
    chosen = None if settings.max_series == capacity.MAX_METRIC_SERIES else settings.max_series
    return Metrics(max_series=chosen, buckets=tuple(bound / 1000 for bound in settings.buckets))


def watch_runtime(runtime: Runtime) -> None:
    """Name what of a worker is read at a scrape."""
    watch, subscriptions = runtime.metrics.watch, runtime.subscriptions
    watch("ws_subscriptions", lambda: subscriptions.total)
    watch("ws_topics", lambda: subscriptions.topics)
    watch("ws_publishes_total", lambda: runtime.metrics.total("publish_total"))
    watch("capacity_events_total", _capacity_events)
    watch("capacity_limit", lambda: {(name,): capacity.get(name) for name in capacity.DEFAULTS})
    watch("capacity_size", lambda: {(name,): size for name, size in sizes_of(runtime).items()})


def load_topic_label(name: str) -> Callable[[str], str]:
    """Return the function that `[metrics] map_topic` names; where it fails or gives no text, the label is `*`.

    Raises:
        StartupError: there is no such function.
    """
    module, _, attribute = name.rpartition(".")
    try:
        function: Any = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise StartupError(f"[metrics] map_topic = {name!r} cannot be imported: {error}") from error
    if not callable(function):
        raise StartupError(f"[metrics] map_topic = {name!r} is no function")
    told: list[str] = []

    def label(topic: str) -> str:
        try:
            text = function(topic)
        except Exception:
            text = None
            if not told:
                told.append(name)
                logger.exception("[metrics] map_topic = %r failed; the label is *", name)
        return text if isinstance(text, str) else "*"

    return label


def _capacity_events() -> Series:
    return {met: count for met, count in capacity.events.items()}  # noqa: C416 - the keys are of a wider type
