"""What keeps an app from starting, and what is said at its start. Spec: platform 5.0 and 5.8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.core.metrics import Metrics
from runtime.core.settings import SecuritySettings, ServerSettings, Settings, WebSocketSettings
from runtime.server.app import create_app
from runtime.server.assembly import StartupError, StartupRefused
from runtime.server.hooks import Hook, HookSet
from runtime.server.startup import active_optouts, announce, refuse_unsafe


def settings(
    env: str = "production",
    *,
    websocket: dict[str, Any] | None = None,
    security: dict[str, Any] | None = None,
    **server: Any,
) -> Settings:
    return Settings(
        server=ServerSettings(env=env, shutdown_timeout=0.1, **server),
        websocket=WebSocketSettings(**(websocket or {})),
        security=SecuritySettings(**(security or {})),
    )


@pytest.mark.spec("WIRE-7", "PLAT-110")
@pytest.mark.parametrize("env", ["production", "staging"])
def test_a_same_origin_policy_without_a_host_is_refused_and_told_what_to_do(env: str) -> None:
    with pytest.raises(StartupRefused) as refused:
        refuse_unsafe(settings(env), has_upgrade_hook=False)
    assert isinstance(refused.value, StartupError)
    for remedy in (
        "[server] allowed_hosts",
        'allowed_hosts = ["localhost", "127.0.0.1"]',
        'origin = "https://',
        "host_header",
        "[websocket] allowed_origins",
        "upgrade hook in hooks.py",
        "unsafe_same_origin_without_host_pin = true",
    ):
        assert remedy in str(refused.value)


@pytest.mark.spec("WIRE-7", "PLAT-110")
@pytest.mark.parametrize(
    ("options", "has_hook"),
    [
        ({"origin": "https://app.example"}, False),
        ({"allowed_hosts": ["app.example"]}, False),
        ({"host_header": "x-forwarded-host"}, False),
        ({"tls_cert": "cert.pem", "tls_key": "key.pem"}, False),
        ({"websocket": {"allowed_origins": ["https://app.example"]}}, False),
        ({"websocket": {"allowed_origins": "*"}}, False),
        ({"websocket": {"enabled": False}}, False),
        ({"security": {"unsafe_same_origin_without_host_pin": True}}, False),
        ({}, True),
    ],
)
def test_each_remedy_is_one(options: dict[str, Any], has_hook: bool) -> None:
    refuse_unsafe(settings(**options), has_upgrade_hook=has_hook)


@pytest.mark.spec("PLAT-110")
def test_in_dev_it_is_a_warning_and_in_tests_nothing(caplog: pytest.LogCaptureFixture) -> None:
    refuse_unsafe(settings("test"), has_upgrade_hook=False)
    assert caplog.text == ""
    refuse_unsafe(settings("dev"), has_upgrade_hook=False)
    assert len(caplog.records) == 1
    assert "realtime serve will refuse to start" in caplog.text
    assert "[server] allowed_hosts" in caplog.text


@pytest.mark.spec("WIRE-7")
async def test_an_app_does_not_start_before_its_host_is_known() -> None:
    ran: list[str] = []
    app = create_app(None, settings=settings())
    app.runtime.set_hooks(HookSet({"init": Hook("init", lambda: ran.append("init"))}))
    with pytest.raises(StartupRefused):
        await app.start()
    assert (ran, app.runtime.is_ready) == ([], False)


async def test_an_upgrade_hook_decides_who_connects() -> None:
    app = create_app(None, settings=settings())
    app.runtime.set_hooks(HookSet({"upgrade": Hook("upgrade", lambda: None)}))
    await app.start()
    assert app.runtime.is_ready
    await app.stop()


@pytest.mark.spec("PLAT-120")
def test_a_dangerous_opt_out_needs_to_be_acknowledged_in_production() -> None:
    def tried(env: str, *acknowledge: str) -> None:
        security = {"cookie_attribute_check": False, "acknowledge": acknowledge}
        refuse_unsafe(settings(env, security=security, allowed_hosts=["a.example"]), has_upgrade_hook=False)

    with pytest.raises(StartupRefused) as refused:
        tried("production")
    assert str(refused.value) == (
        "security.cookie_attribute_check = false re-opens a known hole; "
        'add "cookie_attribute_check" to security.acknowledge or remove it'
    )
    with pytest.raises(StartupRefused):
        tried("production", "something_else")
    tried("production", "cookie_attribute_check")
    tried("dev")


@pytest.mark.spec("PLAT-119")
def test_every_opt_out_is_told_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    chosen = settings(
        security={"auth_require_origin": False, "allow_non_ascii_topics": True}, origin="https://a.example"
    )
    announce(chosen, metrics)
    assert active_optouts(chosen) == ["allow_non_ascii_topics", "auth_require_origin"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "security.auth_require_origin = false" in caplog.text
    assert metrics.get("security_optouts", "auth_require_origin") == 1
    assert metrics.total("security_optouts") == 2


@pytest.mark.spec("PLAT-91")
@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        ({"allowed_hosts": ["a.example"]}, 1),
        ({"origin": "https://a.example"}, 0),
        ({"host_header": "x-forwarded-host"}, 0),
        ({"protocol_header": "x-forwarded-proto"}, 0),
        ({"allowed_hosts": ["a.example"], "tls_cert": "cert.pem", "tls_key": "key.pem"}, 0),
        ({"env": "dev"}, 0),
        ({"env": "test"}, 0),
        ({"websocket": {"enabled": False}}, 0),
    ],
)
def test_one_warning_when_nothing_says_whether_people_use_https(
    options: dict[str, Any], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    announce(settings(**options), Metrics())
    assert len(caplog.records) == warnings


def test_an_app_that_a_test_makes_is_one_under_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "realtime.toml").write_text("")
    assert create_app(None).runtime.settings.server.env == "test"
    assert create_app(tmp_path).runtime.settings.server.env == "test"
    monkeypatch.delenv("PYTEST_VERSION")
    assert create_app(None).runtime.settings.server.env == "production"
    assert create_app(tmp_path).runtime.settings.server.env == "production"
    monkeypatch.setenv("REALTIME_ENV", "staging")
    assert create_app(tmp_path).runtime.settings.server.env == "staging"


@pytest.mark.spec("PLAT-165")
@pytest.mark.parametrize(
    ("env", "limit", "told"), [("production", 0, True), ("production", "1g", False), ("dev", 0, False)]
)
def test_bodies_without_a_bound_are_told(
    caplog: pytest.LogCaptureFixture, env: str, limit: Any, told: bool
) -> None:
    server = ServerSettings(env=env, body_limit=limit, origin="https://app.example.com")
    announce(Settings(server=server), Metrics())
    assert ("[server] body_limit = 0 takes a body of any size from anybody (SEC042)" in caplog.text) is told
