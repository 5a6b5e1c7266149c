"""`[metrics]`: whether and to whom the counters of a worker are shown. Spec: platform 3.5 and 4."""

from __future__ import annotations

from typing import Annotated

from runtime.core import addresskinds, capacity, metrickinds
from runtime.core import settingkinds as kinds
from runtime.core.settingsection import Key, Section

__all__ = ["MetricsSettings"]


class MetricsSettings(Section, frozen=True, kw_only=True):
    """`[metrics]`: the endpoint for Prometheus. `None` where nothing is set, buckets in milliseconds."""

    enabled: Annotated[bool, Key(kinds.boolean(), "Answer with the metrics of this worker.")] = False
    path: Annotated[str, Key(kinds.url_path(), "Path of the metrics.")] = "/metrics"
    listen: Annotated[
        str | None,
        Key(
            metrickinds.listen_address(),
            "Address of a listener for the metrics alone, such as `127.0.0.1:9464`; without it they are on the "
            "app's own.",
        ),
    ] = None
    token: Annotated[
        str | None,
        Key(
            metrickinds.secret(),
            "Who asks must send it as `Authorization: Bearer ...` or `x-scrape-token`; write `env:NAME`.",
            secret=True,
        ),
    ] = None
    allow: Annotated[
        tuple[str, ...],
        Key(addresskinds.networks(), "Networks from which the metrics may be asked for; others get 403."),
    ] = ()
    prefix: Annotated[
        str, Key(metrickinds.metric_prefix(), "What the names of our metrics begin with; may be empty.")
    ] = "realtime_"
    map_topic: Annotated[
        str | None,
        Key(
            metrickinds.dotted_name(),
            "Function `module.name` that shortens topics for labels; without it what follows the first `:` is `*`.",
        ),
    ] = None
    max_series: Annotated[
        int,
        Key(
            kinds.integer(1),
            "Label sets per metric; further ones are counted in `metrics_series_dropped_total`.",
        ),
    ] = capacity.MAX_METRIC_SERIES
    buckets: Annotated[
        tuple[float, ...],
        Key(
            metrickinds.buckets(),
            "Upper bounds of the buckets of durations, in milliseconds, ascending.",
        ),
    ] = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
    reference_names: Annotated[
        bool, Key(kinds.boolean(), "Also show metrics under the names of the JavaScript reference.")
    ] = False
