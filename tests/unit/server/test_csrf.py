"""The gate in front of the auth path. Spec: wire 1.5, platform 5.6."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.datastructures import Headers

from runtime.core.settings import DevSettings, ServerSettings, Settings, WebSocketSettings
from runtime.server.csrf import may_be_ours
from runtime.server.edge import Edge
from runtime.testing import FakeClock

BASE = "https://app.example"
XRW = "x-requested-with"
SITE = "sec-fetch-site"


def passes(*headers: tuple[str, str], env: str = "production", skip: bool = False, **websocket: Any) -> bool:
    settings = Settings(
        server=ServerSettings(env=env),
        websocket=WebSocketSettings(**websocket),
        dev=DevSettings(skip_origin_check=skip),
    )
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return may_be_ours(Headers(raw=raw), Edge(settings, FakeClock()), BASE)


@pytest.mark.spec("WIRE-14", "PLAT-108")
@pytest.mark.parametrize(
    "headers",
    [
        [(XRW, "XMLHttpRequest")],
        [(XRW, "xmlhttprequest")],
        [(XRW, "svelte-adapter-uws")],
        [(XRW, "realtime")],
        [(XRW, " realtime ")],
        [(XRW, "realtime"), (XRW, "XMLHttpRequest")],
        [(XRW, "realtime"), (SITE, "same-site")],
        [(XRW, "realtime"), (SITE, "none")],
        [(XRW, "realtime"), ("origin", "https://evil.example")],
        [(SITE, "same-origin")],
        [(SITE, "Same-Origin")],
        [(SITE, "same-origin"), (XRW, "unknown")],
        [("origin", BASE)],
        [("origin", "https://APP.example:443")],
        [("origin", BASE), (SITE, "same-site")],
        [("origin", BASE), (SITE, "cross-site"), (XRW, "realtime")],
    ],
)
def test_a_page_of_the_app_passes(headers: list[tuple[str, str]]) -> None:
    assert passes(*headers)


@pytest.mark.spec("WIRE-14", "PLAT-108")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("content-type", "application/x-www-form-urlencoded"), ("origin", "https://evil.example")],
        [("content-type", "text/plain"), ("origin", "https://evil.example"), (SITE, "cross-site")],
        [("origin", "null")],
        [("origin", "https://app.example.evil.test")],
        [("origin", "https://app.example@evil.test")],
        [("origin", "http://app.example")],
        [("origin", BASE), ("origin", "https://evil.example")],
        [("origin", "")],
        [(XRW, "realtime"), (SITE, "same-origin, cross-site")],
        [(SITE, "same-origin, none")],
        [(SITE, "same-site")],
        [(SITE, "cross-site")],
        [(SITE, "none")],
        [(SITE, "same-origin"), (SITE, "cross-site")],
        [(SITE, "same-origin"), (SITE, "same-site")],
        [(XRW, "xmlhttprequest2")],
        [(XRW, "")],
        [(XRW, "realtime"), (XRW, "other")],
        [(XRW, "realtime, other")],
        [(XRW, "realtime"), (SITE, "cross-site")],
        [(XRW, "realtime"), (SITE, "cross-site"), ("origin", "https://evil.example")],
    ],
)
def test_what_a_foreign_page_can_send_does_not(headers: list[tuple[str, str]]) -> None:
    assert not passes(*headers)


@pytest.mark.spec("WIRE-14", "PLAT-108")
def test_the_policy_is_that_of_the_upgrade_and_a_missing_origin_never_passes() -> None:
    assert passes(("origin", "https://b.example"), allowed_origins=["https://b.example"])
    assert not passes(("origin", BASE), allowed_origins=["https://b.example"])
    assert passes(("origin", "null"), allowed_origins="*")
    assert passes(("origin", "https://b.example"), (SITE, "cross-site"), allowed_origins="*")
    assert not passes(allowed_origins="*")
    assert passes(("origin", "http://localhost:5173"), env="dev", skip=True)
    assert not passes(("origin", "http://localhost:5173"), env="production", skip=True)
