"""Counters and gauges as plain integers."""

from __future__ import annotations

import pytest

from runtime.core import capacity
from runtime.core.metrics import HISTOGRAMS, LABELS, Metrics, fold_topic


def test_series_are_counted_by_their_labels() -> None:
    metrics = Metrics()
    metrics.add("rpc_total", "a/b", "ok")
    metrics.add("rpc_total", "a/b", "ok", amount=4)
    metrics.add("rpc_total", "a/b", "error")
    metrics.add("ws_connections", amount=-1)
    assert metrics.get("rpc_total", "a/b", "ok") == 5
    assert metrics.get("rpc_total", "a/c", "ok") == 0
    assert metrics.total("rpc_total") == 6
    assert metrics.snapshot() == {
        "rpc_total": {("a/b", "ok"): 5, ("a/b", "error"): 1},
        "ws_connections": {(): -1},
    }


def test_a_snapshot_is_a_copy() -> None:
    metrics = Metrics()
    metrics.add("ws_connections")
    metrics.snapshot()["ws_connections"][()] = 99
    assert metrics.get("ws_connections") == 1


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


def test_dropped_series_of_several_metrics_are_counted_whatever_the_bound() -> None:
    metrics = Metrics(max_series=1)
    for path in ("a", "b", "c"):
        metrics.add("rpc_total", path, "ok")
        metrics.add("rpc_errors_total", path, "X")
    assert metrics.snapshot()["metrics_series_dropped_total"] == {("rpc_total",): 2, ("rpc_errors_total",): 2}


def test_own_buckets_are_those_of_short_durations_only() -> None:
    metrics = Metrics(buckets=(0.5, 2.0))
    assert metrics.bounds["hook_duration_seconds"] == (0.5, 2.0)
    assert metrics.bounds["rpc_duration_seconds"] == (0.5, 2.0)
    assert metrics.bounds["ws_connection_bytes_in"] == HISTOGRAMS["ws_connection_bytes_in"].bounds
    metrics.observe("rpc_duration_seconds", 1.0, "a/b")
    assert metrics.spread("rpc_duration_seconds", "a/b").counts == [0, 1, 0]


def test_too_many_buckets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"buckets: at most 32, not 33"):
        Metrics(buckets=tuple(range(1, 34)))


def test_what_is_watched_is_read_for_each_snapshot() -> None:
    metrics = Metrics()
    topics = {"a": 1}
    metrics.watch("ws_topics", lambda: len(topics))
    metrics.watch("capacity_limit", lambda: {("MAX_TOPICS",): 5})
    assert metrics.snapshot() == {"ws_topics": {(): 1}, "capacity_limit": {("MAX_TOPICS",): 5}}
    topics["b"] = 2
    assert metrics.snapshot()["ws_topics"] == {(): 2}
    with pytest.raises(KeyError):
        metrics.watch("unknown", lambda: 0)


def test_a_value_that_cannot_be_read_is_left_out_counted_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics()
    metrics.watch("ws_topics", lambda: 1 // 0)
    metrics.add("rpc_total", "a", "ok")
    for times in (1, 2):
        assert metrics.snapshot() == {
            "rpc_total": {("a", "ok"): 1},
            "metrics_collector_errors_total": {("ws_topics",): times},
        }
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("topic", "label"),
    [("todos", "todos"), ("todos:1", "todos:*"), ("room:1:2", "room:*"), (":x", ":*"), ("", "")],
)
def test_topics_are_folded_at_their_first_colon(topic: str, label: str) -> None:
    assert fold_topic(topic) == label
    assert Metrics().topic_label(topic) == label
