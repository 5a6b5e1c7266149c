"""`[capacity] profile`: the stated values for a size of machine, and that written keys win. Spec: platform 6.3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.capacityprofiles import PROFILES
from runtime.core.settings import Settings, SettingsError, WebSocketSettings
from runtime.server.settings_source import LoadedSettings, load_settings

#: The columns of the table, as it stands in the specification.
ROWS = {
    "small": (1_000, 256, 256, 50_000, 200_000, 50_000, 50_000, 10_000, 256 * 1024, 5_000),
    "medium": (10_000, 1_024, 1_024, 500_000, 2_000_000, 500_000, 500_000, 100_000, 512 * 1024, 50_000),
    "large": (
        100_000,
        4_096,
        4_096,
        4_000_000,
        10_000_000,
        5_000_000,
        2_000_000,
        1_000_000,
        1024 * 1024,
        400_000,
    ),
}
BOUNDS = (
    "MAX_SUBSCRIPTIONS_PER_CONNECTION",
    "MAX_PENDING_REQUESTS_PER_CONNECTION",
    "MAX_COALESCED_KEYS_PER_CONNECTION",
    "MAX_TOPICS",
    "MAX_TOPIC_SEQS",
    "MAX_PUSH_REGISTRY",
    "MAX_PRESENCE_REF",
    "MAX_SESSIONS",
)


def load(project: Path, text: str, **variables: str) -> LoadedSettings:
    (project / "realtime.toml").write_text(text, encoding="utf-8")
    return load_settings(project, environ=variables)


def stated(settings: Settings) -> tuple[Any, ...]:
    websocket = settings.websocket
    return (
        *(settings.capacity[name] for name in BOUNDS),
        websocket.max_backpressure,
        websocket.max_connections,
    )


@pytest.mark.spec("PLAT-126")
@pytest.mark.parametrize("name", ROWS)
def test_a_profile_sets_the_stated_values(name: str, tmp_path: Path) -> None:
    loaded = load(tmp_path, f'[capacity]\nprofile = "{name}"\n')
    assert loaded.settings.profile == name
    assert stated(loaded.settings) == ROWS[name]
    assert loaded.settings.capacity["MAX_DEDUP_IDS"] == loaded.settings.capacity["MAX_SESSIONS"]
    total = loaded.settings.capacity.get("UPLOAD_MAX_CONCURRENT_TOTAL")
    assert total == (1000 if name == "small" else None)
    assert loaded.origins["capacity.MAX_TOPICS"] == f"profile {name}"
    assert loaded.origins["websocket.max_connections"] == f"profile {name}"
    assert loaded.origins["capacity.profile"] == "realtime.toml:2"
    assert stated(Settings(capacity={"profile": name})) == ROWS[name]
    assert stated(Settings(profile=name)) == ROWS[name]


@pytest.mark.spec("PLAT-126")
def test_reference_is_the_table_of_defaults(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[capacity]\nPROFILE = "reference"\n')
    assert loaded.settings == Settings()
    assert (dict(loaded.settings.capacity), loaded.settings.profile) == ({}, "reference")
    assert set(PROFILES) == {"reference", *ROWS}


@pytest.mark.spec("PLAT-126")
def test_written_keys_win_wherever_they_are_written(tmp_path: Path) -> None:
    text = '[websocket]\nmax_backpressure = "1M"\n[capacity]\nmax_topics = 7\nprofile = "medium"\n'
    loaded = load(tmp_path, text, REALTIME_CAPACITY__PROFILE="small", REALTIME_WEBSOCKET__MAX_CONNECTIONS="0")
    settings = loaded.settings
    assert (settings.profile, loaded.origins["capacity.profile"]) == ("small", "REALTIME_CAPACITY__PROFILE")
    assert (settings.capacity["MAX_TOPICS"], settings.capacity["MAX_TOPIC_SEQS"]) == (7, 200_000)
    # Both are the defaults, and were written nevertheless.
    assert (settings.websocket.max_backpressure, settings.websocket.max_connections) == (1024**2, None)
    assert loaded.origins["websocket.max_backpressure"] == "realtime.toml:2"
    made = Settings(
        capacity={"profile": "small", "max_topics": 7}, websocket=WebSocketSettings(max_connections=9)
    )
    assert (made.capacity["MAX_TOPICS"], made.websocket.max_connections) == (7, 9)
    assert made.websocket.max_backpressure == 256 * 1024


@pytest.mark.spec("PLAT-126")
def test_every_bound_of_a_profile_is_one(tmp_path: Path) -> None:
    for profile in PROFILES.values():
        assert profile.bounds.keys() <= capacity.DEFAULTS.keys()
    with pytest.raises(
        SettingsError, match=r'profile = "tiny": expected one of "reference", "small"'
    ) as found:
        load(tmp_path, '[capacity]\nprofile = "tiny"\n')
    assert found.value.key == "capacity.profile"
    with pytest.raises(SettingsError, match="there is no profile 'tiny'"):
        Settings(profile="tiny")
    with pytest.raises(SettingsError, match="did you mean 'profile'"):
        load(tmp_path, '[capacity]\nprofil = "small"\n')
