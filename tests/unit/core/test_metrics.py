"""Counters and gauges as plain integers."""

from __future__ import annotations

import pytest

from runtime.core import capacity
from runtime.core.metrics import HISTOGRAMS, LABELS, Metrics


def test_series_are_counted_by_their_labels() -> None:
    metrics = Metrics()
    metrics.add("rpc_total", "a/b", "ok")
    metrics.add("rpc_total", "a/b", "ok", amount=4)
    metrics.add("rpc_total", "a/b", "error")
    metrics.add("connections", amount=-1)
    assert metrics.get("rpc_total", "a/b", "ok") == 5
    assert metrics.get("rpc_total", "a/c", "ok") == 0
    assert metrics.total("rpc_total") == 6
    assert metrics.snapshot() == {
        "rpc_total": {("a/b", "ok"): 5, ("a/b", "error"): 1},
        "connections": {(): -1},
    }


def test_a_snapshot_is_a_copy() -> None:
    metrics = Metrics()
    metrics.add("connections")
    metrics.snapshot()["connections"][()] = 99
    assert metrics.get("connections") == 1


@pytest.mark.parametrize("name", ["unknown", "rpc_totals"])
def test_an_unknown_metric_is_a_mistake(name: str) -> None:
    with pytest.raises(KeyError):
        Metrics().add(name)
    assert name not in LABELS


def test_beyond_the_bound_new_series_are_dropped_and_counted() -> None:
    with capacity.capacity_override(MAX_METRIC_SERIES=2):
        metrics = Metrics()
    for path in ("a", "b", "c", "a", "d"):
        metrics.add("rpc_total", path, "ok")
    assert metrics.snapshot()["rpc_total"] == {("a", "ok"): 2, ("b", "ok"): 1}
    assert metrics.get("metrics_series_dropped_total", "rpc_total") == 2


def test_a_histogram_counts_into_buckets_and_keeps_the_sum() -> None:
    metrics = Metrics()
    bounds = HISTOGRAMS["hook_duration_seconds"].bounds
    for value in (0.0, 0.001, 0.0011, 5.0):
        metrics.observe("hook_duration_seconds", value, "open")
    spread = metrics.spread("hook_duration_seconds", "open")
    assert spread.counts == [2, 1, *[0] * (len(bounds) - 2), 1]
    assert spread.total == pytest.approx(5.0021)
    assert sum(metrics.spread("hook_duration_seconds", "close").counts) == 0
    metrics.spreads()["hook_duration_seconds"][("open",)].counts.clear()
    assert metrics.spread("hook_duration_seconds", "open") == spread


def test_histograms_have_the_bound_of_series_too() -> None:
    with capacity.capacity_override(MAX_METRIC_SERIES=1):
        metrics = Metrics()
    metrics.observe("hook_duration_seconds", 1, "open")
    metrics.observe("hook_duration_seconds", 1, "close")
    assert list(metrics.spreads()["hook_duration_seconds"]) == [("open",)]
    assert metrics.get("metrics_series_dropped_total", "hook_duration_seconds") == 1
