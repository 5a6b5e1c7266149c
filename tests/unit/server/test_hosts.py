"""Under which names the app answers. Spec: platform 1.6 step 5 and 4."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core.settings import ServerSettings
from runtime.server.hosts import MAX_NAMED, HostRule


def rule(*allowed: str, env: str = "production", **server: Any) -> HostRule:
    return HostRule(ServerSettings(env=env, allowed_hosts=allowed, **server))


@pytest.mark.parametrize(
    ("allowed", "host", "answered"),
    [
        ([], "anything.example", True),
        (["app.example"], "app.example", True),
        (["App.Example"], "app.example", True),
        (["app.example"], "www.app.example", False),
        (["app.example"], "evilapp.example", False),
        (["app.example"], "127.0.0.1", False),
        (["app.example"], "localhost", False),
        (["*.app.example"], "a.app.example", True),
        (["*.app.example"], "a.b.app.example", True),
        (["*.app.example"], "app.example", False),
        (["*.app.example"], ".app.example", False),
        (["*.app.example"], "evilapp.example", False),
        (["localhost", "127.0.0.1"], "localhost", True),
        (["localhost", "127.0.0.1"], "127.0.0.1", True),
        (["localhost", "127.0.0.1"], "127.0.0.2", False),
        (["[::1]"], "::1", True),
    ],
)
def test_in_production_only_the_names_that_are_listed(allowed: list[str], host: str, answered: bool) -> None:
    assert rule(*allowed).allows(host) is answered


@pytest.mark.parametrize("env", ["dev", "test"])
@pytest.mark.parametrize("listens", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost", True),
        ("board.localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.0.7", True),
        ("2001:db8::1", True),
        ("app.example", True),
        ("rebound.evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_in_dev_names_that_a_foreign_page_can_have_are_refused(
    env: str, listens: str, host: str, answered: bool
) -> None:
    assert rule("app.example", env=env, host=listens).allows(host) is answered
    if env == "dev":
        assert rule(env=env, host=listens, origin="https://app.example").allows(host) is answered


@pytest.mark.parametrize("host", ["laptop", "laptop.local"])
def test_in_dev_other_machines_may_use_the_name_of_this_one_if_it_listens_to_them(host: str) -> None:
    assert rule(env="dev", host="0.0.0.0").allows(host)
    assert not rule(env="dev", host="127.0.0.1").allows(host)
    assert not rule(env="dev", host="localhost").allows(host)
    assert rule("app.example", env="test", host="127.0.0.1").allows(host)
    assert not rule("app.example", env="production").allows(host)


def test_only_dev_is_guarded_without_a_list() -> None:
    assert [rule(env=env).is_on for env in ("production", "staging", "test", "dev")] == [
        False,
        False,
        False,
        True,
    ]


def test_a_refused_name_is_told_once_and_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    on = rule("app.example")
    for _ in range(3):
        on.allows("shop.example\nforged line")
    assert len(caplog.records) == 1
    assert "'shop.example\\nforged line'" in caplog.text
    assert "[server] allowed_hosts" in caplog.text
    for number in range(2 * MAX_NAMED):
        on.allows(f"{number}.example")
    assert len(caplog.records) == MAX_NAMED
