"""The settings of `[metrics]`. Spec: platform 3.5 and 4."""

from __future__ import annotations

import pytest

from runtime.core.capacity import capacity_override
from runtime.core.settings import MetricsSettings, ServerSettings, Settings, SettingsError
from runtime.server.settings_source import load_settings


def test_defaults() -> None:
    metrics = Settings().metrics
    assert (metrics.enabled, metrics.path, metrics.prefix, metrics.max_series) == (
        False,
        "/metrics",
        "realtime_",
        10_000,
    )
    assert (metrics.listen, metrics.token, metrics.allow, metrics.map_topic) == (None, None, (), None)
    assert metrics.buckets == (1, 5, 10, 25, 50, 100, 250, 500, 1000)
    assert metrics.reference_names is False


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("listen", "9464"),
        ("listen", "127.0.0.1:65536"),
        ("listen", "::1:9464"),
        ("listen", "http://127.0.0.1:9464"),
        ("token", ""),
        ("token", "with space"),
        ("token", "umläut"),
        ("token", "x" * 1025),
        ("allow", ["10.0.0.0/33"]),
        ("prefix", "1_"),
        ("prefix", "a-"),
        ("map_topic", "nodots"),
        ("map_topic", "a..b"),
        ("max_series", 0),
        ("buckets", []),
        ("buckets", [0, 1]),
        ("buckets", [1, 1]),
        ("buckets", [2, 1]),
        ("buckets", [1, float("inf")]),
        ("buckets", [float("nan")]),
        ("buckets", [True, 2]),
        ("buckets", list(range(1, 34))),
        ("path", "metrics"),
    ],
)
def test_what_does_not_fit(key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{key}: expected"):
        MetricsSettings(**{key: value})


@pytest.mark.parametrize("listen", ["127.0.0.1:9464", "[::1]:0", "localhost:9464", "0.0.0.0:1"])
def test_addresses(listen: str) -> None:
    assert MetricsSettings(listen=listen).listen == listen


@pytest.mark.parametrize("written", ["1,5,2500", "[1, 5, 2500]"])
def test_buckets_from_the_environment(tmp_path, written) -> None:
    found = load_settings(tmp_path, environ={"REALTIME_METRICS__BUCKETS": written}).settings.metrics
    assert found.buckets == (1, 5, 2500)


def test_the_bound_of_buckets_is_a_capacity() -> None:
    with capacity_override(MAX_HISTOGRAM_BUCKETS=2), pytest.raises(SettingsError, match="buckets"):
        MetricsSettings(buckets=[1, 2, 3])


@pytest.mark.spec("PLAT-101")
def test_the_token_is_shown_nowhere(tmp_path) -> None:
    (tmp_path / "realtime.toml").write_text('[metrics]\ntoken = "env:SCRAPE"\n')
    settings = load_settings(tmp_path, environ={"SCRAPE": "hunter2"}).settings
    assert settings.metrics.token == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "token=***" in repr(settings.metrics)
    assert "token=None" in repr(MetricsSettings())
    for token in ("hunter2 ", 5):
        with pytest.raises(SettingsError) as caught:
            MetricsSettings(token=token)
        assert repr(token) not in str(caught.value)
        assert "***" in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, environ={"SCRAPE": "hunter 2"})
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("path", ["/healthz", "/ws", "/live/x", "/__realtime/x"])
def test_the_path_is_nobody_elses(path: str) -> None:
    with pytest.raises(SettingsError, match=r"metrics.path"):
        Settings(metrics=MetricsSettings(enabled=True, path=path))
    for free in (MetricsSettings(path=path), MetricsSettings(enabled=True, path=path, listen="127.0.0.1:0")):
        assert Settings(metrics=free).metrics.path == path


def test_paths_that_are_off_collide_with_nothing() -> None:
    server = ServerSettings(health_path=False)
    assert (
        Settings(server=server, metrics=MetricsSettings(enabled=True, path="/healthz")).server.health_path
        is None
    )
