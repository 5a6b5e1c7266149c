"""Every switch that turns a default off: told, counted, and refused where it is dangerous. Platform 5.0."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from runtime.core.metrics import Metrics
from runtime.core.settings import SecuritySettings, ServerSettings, Settings, WebSocketSettings
from runtime.server.startup import OFF, StartupRefused, active_optouts, announce, refusals, refuse_unsafe
from tests.cli.apps import write_project
from tests.cli.commands import realtime, serving

# Name in `[security]`, the value that opts out, and whether that is dangerous: platform 5.1 to 5.15.
SWITCHES: list[tuple[str, Any, bool]] = [
    ("allow_system_topic_subscribe", True, False),
    ("allow_system_topic_publish", True, True),
    ("allow_non_ascii_topics", True, False),
    ("auth_require_origin", False, False),
    ("compress_credentialed_responses", True, False),
    ("unsafe_same_origin_without_host_pin", True, False),
    ("cookie_attribute_check", False, True),
    ("dedup_include_origin", False, True),
    ("idempotency_namespace", False, True),
    ("replay_authorize", False, True),
    ("redact_urls", False, True),
    ("redact_logs", False, True),
    ("async_predicates", "legacy_allow", True),
    ("bus_allow_system_topics", True, False),
]
PIN = ServerSettings(env="production", origin="https://app.example.com")


def test_the_list_is_complete() -> None:
    switches = {
        name
        for name in SecuritySettings.__struct_fields__
        if isinstance(getattr(SecuritySettings(), name), bool) or name == "async_predicates"
    }
    assert {name for name, _, _ in SWITCHES} == switches


@pytest.mark.spec("PLAT-119")
@pytest.mark.parametrize(("name", "value", "dangerous"), SWITCHES)
def test_each_is_told_once_and_counted(
    name: str, value: Any, dangerous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = Settings(server=PIN, security=SecuritySettings(**{name: value}))
    metrics = Metrics()
    announce(chosen, metrics)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"security.{name} = {json.dumps(value)}: a default that protects the app is off"
    )
    assert metrics.snapshot()["security_optouts"] == {(name,): 1}
    assert active_optouts(chosen) == [name]


@pytest.mark.spec("PLAT-120")
@pytest.mark.parametrize(("name", "value", "dangerous"), SWITCHES)
def test_production_starts_with_a_dangerous_one_only_by_its_own_name(
    name: str, value: Any, dangerous: bool
) -> None:
    def refused(env: str, *acknowledge: str) -> list[str]:
        security = SecuritySettings(**{name: value}, acknowledge=acknowledge)
        server = ServerSettings(env=env, origin="https://app.example.com")
        chosen = Settings(server=server, security=security)
        found = [str(one) for one in refusals(chosen, has_upgrade_hook=False)]
        if env in ("dev", "test") or not found:
            refuse_unsafe(chosen, has_upgrade_hook=False)
        else:
            with pytest.raises(StartupRefused):
                refuse_unsafe(chosen, has_upgrade_hook=False)
        return found

    text = (
        f"security.{name} = {json.dumps(value)} re-opens a known hole; "
        f'add "{name}" to security.acknowledge or remove it'
    )
    expected = [text] if dangerous else []
    assert refused("production") == expected
    assert refused("staging") == expected
    assert refused("production", name) == []
    for wrong in (name.upper(), f"security.{name}", "*", "all", f" {name}x", name[:-1]):
        assert refused("production", wrong) == expected
    refused("dev")
    refused("test")


@pytest.mark.spec("PLAT-119")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("server.body_limit", 0),
        ("server.header_timeout", 0),
        ("server.min_body_rate", 0),
        ("server.trusted_proxies", ["*"]),
        ("websocket.upgrade_rate_limit", 0),
        ("websocket.auth_rate_limit", 0),
        ("websocket.compression", True),
    ],
)
def test_limits_that_are_off_are_told_and_counted(
    key: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert key in OFF
    section, _, name = key.partition(".")
    server: dict[str, Any] = {"env": "production", "origin": "https://app.example.com"}
    websocket: dict[str, Any] = {}
    (server if section == "server" else websocket)[name] = value
    metrics = Metrics()
    announce(Settings(server=ServerSettings(**server), websocket=WebSocketSettings(**websocket)), metrics)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"[{section}] {name} = {json.dumps(value)} ")
    assert metrics.snapshot()["security_optouts"] == {(name,): 1}


def test_with_the_defaults_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    announce(Settings(server=PIN), metrics)
    assert not caplog.records
    assert metrics.total("security_optouts") == 0
    assert refusals(Settings(server=PIN), has_upgrade_hook=False) == []


TOML = """
    [server]
    origin = "https://app.example.com"
    [security]
    async_predicates = "legacy_allow"
"""


@pytest.mark.spec("PLAT-120")
def test_serve_refuses_and_says_what_to_write(tmp_path: Path) -> None:
    project = write_project(tmp_path / "app", {"realtime.toml": TOML})
    ended = realtime("serve", "--port", "0", "--project", project, cwd=tmp_path)
    assert ended.code == 2
    assert ended.err == (
        'error: refused to start: security.async_predicates = "legacy_allow" re-opens a known hole\n'
        '  next: add "async_predicates" to security.acknowledge or remove it\n'
    )
    assert "Traceback" not in ended.err


@pytest.mark.spec("PLAT-120", "PLAT-119")
def test_serve_starts_when_it_is_acknowledged(tmp_path: Path) -> None:
    toml = f"{TOML}    acknowledge = ['async_predicates']\n"
    project = write_project(tmp_path / "app", {"realtime.toml": toml})
    with serving(project) as (_, url):
        assert url.startswith("http://")
