"""What a scrape says: ours, the app's, bounds and failures. Spec: platform 3.5, 6.4 and 9.3, live-api 29."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from runtime.core.capacity import capacity_override
from runtime.core.metrichelp import HELP, exported_name, reference_name
from runtime.core.metrics import HISTOGRAMS, LABELS, Metrics
from runtime.core.settings import MetricsSettings, ServerSettings, Settings
from runtime.server import current, metricsexport
from runtime.server.metricsexport import MetricsExport
from runtime.server.metricsregistry import AppRegistry, metrics_registry
from runtime.server.metricssources import make_metrics
from tests.unit.server.runtimes import BareFactory

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[AppRegistry]:
    """The app's registry, empty."""
    metrics_registry.cache_clear()
    yield metrics_registry()
    metrics_registry.cache_clear()


async def scrape(metrics: Metrics, **settings: Any) -> Samples:
    text = await MetricsExport(metrics, MetricsSettings(**settings)).text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.mark.spec("PLAT-172")
async def test_counters_gauges_and_histograms(registry: AppRegistry) -> None:
    metrics = Metrics()
    metrics.add("rpc_total", "a/b", "ok", amount=3)
    metrics.add("ws_connections", amount=2)
    metrics.watch("ws_topics", lambda: 7)
    for seconds in (0.0005, 0.004, 0.004, 5.0):
        metrics.observe("rpc_duration_seconds", seconds, "a/b")
    found = await scrape(metrics)
    assert found["realtime_rpc_total", (("path", "a/b"), ("status", "ok"))] == 3
    assert found["realtime_ws_connections", ()] == 2
    assert found["realtime_ws_topics", ()] == 7
    assert found["realtime_ws_subscriptions", ()] == 0
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name.endswith("rpc_duration_seconds_bucket")
    }
    assert buckets == {
        "0.001": 1, "0.005": 3, "0.01": 3, "0.025": 3, "0.05": 3, "0.1": 3, "0.25": 3, "0.5": 3, "1.0": 3, "+Inf": 4,
    }  # fmt: skip
    assert found["realtime_rpc_duration_seconds_count", (("path", "a/b"),)] == 4
    assert found["realtime_rpc_duration_seconds_sum", (("path", "a/b"),)] == pytest.approx(5.0085)


async def test_label_values_cannot_end_their_quotes(registry: AppRegistry) -> None:
    metrics = Metrics()
    metrics.add("rpc_total", 'a"\n\\b', "ok")
    assert (await scrape(metrics))["realtime_rpc_total", (("path", 'a"\n\\b'), ("status", "ok"))] == 1


def test_every_metric_has_its_line_of_help() -> None:
    assert set(HELP) == {*LABELS, *HISTOGRAMS}
    assert all(text.endswith(".") for text in HELP.values())


@pytest.mark.spec("PLAT-172")
async def test_every_metric_is_in_the_text_with_its_type(registry: AppRegistry) -> None:
    text = (await MetricsExport(Metrics(), MetricsSettings()).text()).decode()
    for name in LABELS:
        kind = "counter" if name.endswith("_total") else "gauge"
        assert f"# TYPE {exported_name(name, 'realtime_')} {kind}\n" in text
    for name in HISTOGRAMS:
        assert f"# TYPE realtime_{name} histogram\n" in text


async def test_the_prefix_can_be_another(registry: AppRegistry) -> None:
    assert ("app_ws_topics", ()) in await scrape(Metrics(), prefix="app_")
    assert ("ws_topics", ()) in await scrape(Metrics(), prefix="")


async def test_names_of_the_reference(registry: AppRegistry) -> None:
    metrics = Metrics()
    metrics.add("rpc_total", "a/b", "ok")
    metrics.add("ws_connection_close_total", "1000")
    found = await scrape(metrics, reference_names=True)
    labels = (("path", "a/b"), ("status", "ok"))
    assert found["svelte_realtime_rpc_total", labels] == found["realtime_rpc_total", labels] == 1
    assert found["ws_connection_close_total", (("code", "1000"),)] == 1
    assert reference_name("ws_connections") is None
    assert reference_name("metrics_series_dropped_total") == "prometheus_series_dropped_total"
    bare = await scrape(metrics, reference_names=True, prefix="")
    assert bare["ws_connection_close_total", (("code", "1000"),)] == 1
    assert ("svelte_realtime_rpc_total", labels) not in await scrape(metrics)


async def test_buckets_are_those_of_the_settings(registry: AppRegistry) -> None:
    settings = MetricsSettings(buckets=[2, 2500])
    metrics = make_metrics(settings)
    metrics.observe("hook_duration_seconds", 0.003, "open")
    found = await scrape(metrics, buckets=[2, 2500])
    edges = {
        dict(labels)["le"] for (name, labels) in found if name == "realtime_hook_duration_seconds_bucket"
    }
    assert edges == {"0.002", "2.5", "+Inf"}


@pytest.mark.spec("PLAT-88")
async def test_at_most_so_many_series(registry: AppRegistry) -> None:
    metrics = make_metrics(MetricsSettings(max_series=2))
    for number in range(5):
        metrics.add("rpc_total", f"a/{number}", "ok")
    own = Counter("own", "Own.", ["n"], registry=registry)
    timed = Histogram("timed", "Timed.", ["n"], registry=registry, buckets=(1.0, 2.0))
    for number in range(4):
        own.labels(str(number)).inc()
        timed.labels(str(number)).observe(1)
    found = await scrape(metrics, max_series=2)
    assert len([name for name, _ in found if name == "realtime_rpc_total"]) == 2
    assert found["realtime_metrics_series_dropped_total", (("metric", "rpc_total"),)] == 3
    assert len([name for name, _ in found if name == "own_total"]) == 2
    assert len([name for name, _ in found if name == "timed_count"]) == 2
    assert len([name for name, _ in found if name == "timed_bucket"]) == 6
    again = await scrape(metrics, max_series=2)
    assert again["realtime_metrics_series_dropped_total", (("metric", "own"),)] > 0


def test_the_bound_of_the_settings_or_of_the_capacity() -> None:
    with capacity_override(MAX_METRIC_SERIES=1):
        metrics = make_metrics(MetricsSettings())
    for number in range(2):
        metrics.add("rpc_total", str(number), "ok")
    assert len(metrics.snapshot()["rpc_total"]) == 1


@pytest.mark.spec("PLAT-172")
async def test_metrics_of_the_app_stand_beside_ours(registry: AppRegistry) -> None:
    orders = Counter("orders", "Orders.", ["kind"], registry=registry)
    orders.labels("new").inc(2)
    Gauge("queue_size", "Queue.", registry=registry).set(5)
    found = await scrape(Metrics())
    assert found["orders_total", (("kind", "new"),)] == 2
    assert found["queue_size", ()] == 5
    assert ("realtime_ws_connections", ()) in found


@pytest.mark.spec("PLAT-172")
async def test_a_collector_that_raises_is_skipped_counted_and_told_once(
    registry: AppRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def collect(self) -> Any:
            raise RuntimeError("no database")

    class Late:
        def collect(self) -> Any:
            yield GaugeMetricFamily("late", "Late.", 1)
            raise RuntimeError("half way")

    registry.register(Broken())
    registry.register(Late())
    Gauge("after", "After.", registry=registry).set(1)
    metrics = Metrics()
    export = MetricsExport(metrics, MetricsSettings())
    for _ in range(2):
        text = (await export.text()).decode()
    assert "after 1.0" in text
    assert "\nlate " not in text
    assert metrics.get("metrics_collector_errors_total", "Broken") == 2
    assert [record.getMessage() for record in caplog.records] == [
        "the app's metric Broken could not be read; it is left out",
        "the app's metric Late could not be read; it is left out",
    ]


async def test_a_name_of_ours_stays_ours(registry: AppRegistry) -> None:
    Gauge("realtime_ws_topics", "Mine.", registry=registry).set(99)
    metrics = Metrics()
    assert (await scrape(metrics))["realtime_ws_topics", ()] == 0
    assert metrics.get("metrics_collector_errors_total", "realtime_ws_topics") == 1


@pytest.mark.spec("PLAT-172")
async def test_the_text_is_made_outside_of_the_loop_from_a_copy(
    registry: AppRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics()
    metrics.add("ws_connections")
    threads: list[threading.Thread] = []
    waiting, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    render = metricsexport._render

    def slow(whole: Any) -> bytes:
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(waiting.set)
        assert go.wait(10)
        return render(whole)

    monkeypatch.setattr(metricsexport, "_render", slow)
    task = asyncio.create_task(MetricsExport(metrics, MetricsSettings()).text())
    await waiting.wait()
    metrics.add("ws_connections", amount=41)  # the loop is free, and what is being told does not change
    go.set()
    assert b"realtime_ws_connections 1.0\n" in await task
    assert threads[0] is not threading.main_thread()


@pytest.mark.spec("PLAT-172")
def test_publishing_loads_no_metrics_library() -> None:
    source = """
import asyncio, sys
from runtime.server.app import create_app
from runtime.core.settings import Settings, ServerSettings
async def main():
    app = create_app(None, settings=Settings(server=ServerSettings(env="test")))
    await app.start()
    app.runtime.platform.publish("todos", "created", {})
    assert app.runtime.metrics.total("publish_total") == 1
    await app.stop()
asyncio.run(main())
print("prometheus_client" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


async def test_what_a_worker_counts_is_read_at_the_scrape(bare: BareFactory, registry: AppRegistry) -> None:
    one = await bare()
    runtime = one.runtime
    runtime.platform.publish("todos", "created", {})
    with capacity_override(MAX_TOPICS=77):
        found = await scrape(runtime.metrics)
    assert found["realtime_ws_publishes_total", ()] == 1
    assert found["realtime_publish_total", (("surface", "platform"),)] == 1
    assert found["realtime_capacity_limit", (("structure", "MAX_TOPICS"),)] == 77
    assert found["realtime_capacity_size", (("structure", "MAX_TOPIC_SEQS"),)] == 1
    assert found["realtime_ws_topics", ()] == 0
    assert ("realtime_pressure_reason", (("reason", "NONE"),)) in found


@pytest.mark.parametrize("name", ["", "a-b", "ä", "a b", "1a"])
def test_names_that_prometheus_does_not_take(registry: AppRegistry, name: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)metric"):
        Gauge(name, "X.", registry=registry)


@pytest.mark.parametrize("label", ["__a", "a-b", "ä", ""])
def test_labels_that_prometheus_does_not_take(registry: AppRegistry, label: str) -> None:
    with pytest.raises(ValueError, match=r"label"):
        Gauge("a", "X.", [label], registry=registry)
    assert registry.collectors() == []


@pytest.mark.parametrize("labels", [[], ["n"]])
def test_a_histogram_has_at_most_32_buckets(registry: AppRegistry, labels: list[str]) -> None:
    Histogram("a", "X.", labels, registry=registry, buckets=range(1, 33))
    with pytest.raises(ValueError, match="a histogram may have 32 buckets, not 33"):
        Histogram("b", "X.", labels, registry=registry, buckets=range(1, 34))


@pytest.mark.parametrize("env", ["dev", "test"])
def test_a_name_is_registered_once_except_where_modules_are_loaded_again(
    registry: AppRegistry, env: str
) -> None:
    first = Counter("orders", "Orders.", registry=registry)
    with pytest.raises(ValueError, match="orders"):
        Counter("orders", "Orders.", registry=registry)
    platform: Any = object()
    current.set_platform(platform, Settings(server=ServerSettings(env=env)))
    try:
        second = Counter("orders", "Orders.", registry=registry)
    finally:
        current.forget_platform(platform)
    assert registry.collectors() == [second]
    assert first is not second
    registry.unregister(second)
    assert registry.collectors() == []


async def test_what_the_cluster_violates_has_one_name_everywhere(registry: AppRegistry) -> None:
    metrics = Metrics()
    metrics.watch("extensions_assertion_violations_total", lambda: {("pubsub.envelope.shape",): 2})
    for prefix in ("realtime_", "app_", ""):
        found = await scrape(metrics, prefix=prefix)
        key = "extensions_assertion_violations_total", (("category", "pubsub.envelope.shape"),)
        assert found[key] == 2
        assert not any("_extensions_" in name for name, _ in found)
