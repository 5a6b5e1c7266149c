"""The bounds by name and value, each to be imported, overridden and put back. Spec: platform 6.2, live-api 27.1."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import runtime
from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.core.settings import Settings, SettingsError
from runtime.server.settings_source import load_settings
from tests.unit.capacity.world import World, lines

#: The tables, of which only the cluster's part and two caches that the runtime has no use for are missing.
STATED = {
    "BINARY_MAX_SIZE": 10_485_760,
    "MAX_AGGREGATE_BUCKETS": 1_000,
    "MAX_AGGREGATE_HYDRATION_QUEUE": 10_000,
    "MAX_BATCH_CALLS": 50,
    "MAX_BATCH_EVENTS": 10_000,
    "MAX_BREAKER_LISTENERS": 10_000,
    "MAX_CLIENT_QUEUE": 1_000,
    "MAX_COALESCED_KEYS_PER_CONNECTION": 1_000_000,
    "MAX_CONTROL_QUEUE": 1_024,
    "MAX_CURSOR_CONNECTIONS": 1_000_000,
    "MAX_CURSOR_TOPICS": 1_000_000,
    "MAX_DEBOUNCE_TIMERS": 5_000,
    "MAX_DEDUP_IDS": 10_000,
    "MAX_DEFERRED_UPGRADES": 10_000,
    "MAX_DERIVED_ARGS": 10_000,
    "MAX_ENVELOPE_DEPTH": 64,
    "MAX_GROUPS_LOCAL_MEMBERS": 10_000_000,
    "MAX_HELD_FRAMES": 1_000,
    "MAX_HISTOGRAM_BUCKETS": 32,
    "MAX_IDEMPOTENCY_INFLIGHT": 10_000,
    "MAX_IDEMPOTENCY_KEY": 256,
    "MAX_IDEMPOTENCY_KEY_LENGTH": 1_024,
    "MAX_IDEMPOTENCY_RESULTS": 10_000,
    "MAX_INFLIGHT_CALLS": 1_000,
    "MAX_JSON_DEPTH": 64,
    "MAX_LOCK_KEYS": 1_000_000,
    "MAX_METRIC_SERIES": 10_000,
    "MAX_OPTIMISTIC_QUEUE_DEPTH": 1_000,
    "MAX_PENDING_REQUESTS_PER_CONNECTION": 1_000_000,
    "MAX_PRESENCE_CONNECTIONS": 1_000_000,
    "MAX_PRESENCE_REF": 1_000_000,
    "MAX_PRESENCE_TOPICS": 1_000_000,
    "MAX_PRESSURE_LISTENERS": 100,
    "MAX_PUSH_REGISTRY": 10_000_000,
    "MAX_QUEUE_KEYS": 100_000,
    "MAX_QUEUE_SIZE": 1_000_000,
    "MAX_RATELIMIT_BUCKETS": 1_000_000,
    "MAX_RATE_LIMIT_IDENTITIES": 5_000,
    "MAX_RESUME_TOPICS": 1_000,
    "MAX_SESSIONS": 10_000,
    "MAX_SKIP_GATES": 5_000,
    "MAX_SSR_DEDUP": 500,
    "MAX_SSR_DEDUP_BODY": 524_288,
    "MAX_SSR_DEDUP_WAITERS": 10_000,
    "MAX_SUBSCRIPTIONS_PER_CONNECTION": 1_000_000,
    "MAX_THROTTLE_TIMERS": 5_000,
    "MAX_THROTTLE_TOPICS": 1_000_000,
    "MAX_TOPICS": 2_000_000,
    "MAX_TOPIC_SEQS": 10_000_000,
    "MAX_TOPIC_STATS": 100_000,
    "MAX_TOPIC_WS_COUNTS": 10_000_000,
    "MAX_UPGRADE_RATE_ENTRIES": 10_000,
    "MAX_USER_ID_LENGTH": 256,
    "MAX_WATCHER_DEPTH": 8,
    "MAX_WRAPPER_DEPTH": 10,
    "PUBLISH_RATE_WARN_DEDUP_MAX": 1_000_000,
    "PUBLISH_WARN_DEDUP_MAX": 1_000_000,
    "SILENT_TOPIC_WARN_DEDUP_MAX": 1_000_000,
    "STREAM_EVENTS_QUEUE": 10_000,
    "TOPIC_SEQS_WARN_THRESHOLD": 1_000_000,
    "TOPIC_WS_COUNTS_WARN_THRESHOLD": 1_000_000,
    "UPLOAD_MAX_BUFFERED_CHUNKS": 64,
    "UPLOAD_MAX_CONCURRENT_PER_SESSION": 4,
    "UPLOAD_MAX_SIZE": 104_857_600,
    "UPLOAD_PENDING_MAX_AGGREGATE": 67_108_864,
    "UPLOAD_PENDING_MAX_CHUNKS": 64,
    "UPLOAD_PENDING_MAX_SIZE": 16_777_216,
    "VOLATILE_WARN_CAP": 256,
}
EVERY = pytest.mark.parametrize("name", capacity.DEFAULTS)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.mark.spec("PLAT-123")
@pytest.mark.parametrize(("name", "default"), STATED.items())
def test_a_stated_default(name: str, default: int) -> None:
    assert getattr(importlib.import_module("runtime"), name) == default
    assert getattr(capacity, name) == default


@pytest.mark.spec("PLAT-123")
@EVERY
def test_a_bound_is_overridden_and_put_back(name: str) -> None:
    default = capacity.DEFAULTS[name]
    assert getattr(runtime, name) == default == capacity.get(name)
    with capacity_override(**{name: 9}):
        assert capacity.get(name) == 9
        with pytest.raises(ValueError, match=name), capacity_override(**{name: 0}):
            pytest.fail("a bound of nothing was taken")
        assert capacity.get(name) == 9
        assert getattr(runtime, name) == default  # the constant is the default
    assert capacity.get(name) == default


@pytest.mark.spec("PLAT-123")
@EVERY
def test_a_bound_is_a_setting_with_a_range(name: str, tmp_path: Path) -> None:
    for spelled in (name, name.lower()):
        (tmp_path / "realtime.toml").write_text(f"[capacity]\n{spelled} = 9\n", encoding="utf-8")
        settings = load_settings(tmp_path, environ={}).settings
        found = settings.security.max_envelope_depth if "ENVELOPE" in name else settings.capacity[name]
        assert found == 9
    assert Settings(capacity={name: 9}).capacity == {name: 9}
    for wrong in (0, -1, 1.5, True, "many"):
        with pytest.raises(SettingsError, match=f"capacity {name}: expected a whole number"):
            Settings(capacity={name: wrong})


@pytest.mark.spec("PLAT-125")
async def test_numbers_are_never_forgotten_and_new_topics_go_without_them(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(capacity, "_told", {})
    sequence, peer = world.runtime.sequence, await world.peer()
    known = len(sequence)
    with capacity_override(TOPIC_SEQS_WARN_THRESHOLD=known + 2, MAX_TOPIC_SEQS=known + 4):
        for n in range(40):
            peer.connection.subscribe(f"t{n}")
        await world.publishes(*(f"t{n}" for n in range(40)))
        await world.publishes(*(f"t{n}" for n in range(40)))
        assert len(sequence) == known + 4
        found = {
            topic: [one.get("seq") for one in peer.parsed() if one.get("topic") == topic]
            for topic in ("t0", "t3", "t4", "t39")
        }
        base = found["t0"][0] - 1
        assert found == {
            "t0": [base + 1, base + 2],
            "t3": [base + 1, base + 2],
            "t4": [None, None],
            "t39": [None, None],
        }
        # Whoever comes and goes changes nothing: a number that began anew would look like an old one.
        await peer.leave()
        await world.publishes("t0")
        assert sequence.current("t0") == base + 3
    said = [(one["structure"], one["action"]) for one in lines([r.getMessage() for r in caplog.records])]
    assert said == [("TOPIC_SEQS_WARN_THRESHOLD", "warn"), ("MAX_TOPIC_SEQS", "skip")]
