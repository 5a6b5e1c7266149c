from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from runtime.client import ClientOptions, connect
from runtime.client.transport import origin_of


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        ({"timeout": 0}, ValueError, "timeout"),
        ({"open_timeout": -1}, ValueError, "open_timeout"),
        ({"resume_grace": -1}, ValueError, "resume_grace"),
        ({"volatile_backpressure": -1}, ValueError, "volatile_backpressure"),
        ({"max_attempts": -1}, ValueError, "max_attempts"),
        ({"reconnect_interval": -1}, ValueError, "reconnect_interval"),
        ({"max_reconnect_interval": -1}, ValueError, "max_reconnect_interval"),
        ({"offline": True}, TypeError, "offline"),
        ({"auth": "no-slash"}, ValueError, "auth"),
        ({"onConnect": print}, TypeError, "unknown option 'onConnect'; did you mean 'on_connect'"),
        ({"zzz": 1}, TypeError, "known: auth, headers"),
    ],
)
def test_options_are_checked_where_they_are_given(
    options: dict[str, Any], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        connect("ws://host/ws", **options)


def test_the_path_of_the_preflight() -> None:
    assert ClientOptions().auth_path is None
    assert ClientOptions(auth=True).auth_path == "/__ws/auth"
    assert ClientOptions(auth="/custom").auth_path == "/custom"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("ws://localhost:3000/ws", "http://localhost:3000"),
        ("wss://app.example/ws?x=1", "https://app.example"),
        ("ws://app.example:80/ws", "http://app.example"),
        ("wss://app.example:443/ws", "https://app.example"),
        ("wss://app.example:80/ws", "https://app.example:80"),
        ("ws://[::1]:9/ws", "http://[::1]:9"),
    ],
)
def test_the_origin_is_that_of_a_page_of_the_server(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["http://host/ws", "host/ws", "ws://", "", "wss:///ws"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url: must be ws://host/path"):
        connect(url)


def test_the_client_imports_no_server() -> None:
    code = "import sys, runtime.client; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"starlette", "uvicorn", "anyio", "jinja2", "pydantic", "watchfiles", "runtime.server"}
    assert not heavy & set(loaded)
