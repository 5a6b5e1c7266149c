"""Headers that the code of an app makes: nothing in them begins another one. Spec: platform 5.13."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from runtime.core.settings import ServerSettings, Settings
from tests.server.sockets import served


async def value(request: Request) -> Response:
    return PlainTextResponse("hello", headers={"x-a": "b\r\nset-cookie: a=b"})


async def name(request: Request) -> Response:
    return PlainTextResponse("hello", headers={"x a": "b"})


async def zero(request: Request) -> Response:
    return PlainTextResponse("hello", headers={"x-a": "b\x00"})


async def redirect(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"])


ROUTES = [Route(f"/{endpoint.__name__}", endpoint) for endpoint in (value, name, zero, redirect)]


@pytest.mark.spec("PLAT-115")
@pytest.mark.parametrize("path", ["/value", "/name", "/zero"])
async def test_a_header_that_would_hold_another_is_500(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(server=ServerSettings(env="test", shutdown_timeout=1))
    async with (
        served(tmp_path, settings, routes=ROUTES) as server,
        httpx.AsyncClient(base_url=server.http) as client,
    ):
        answer = await client.get(path)
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
        assert "set-cookie" not in answer.headers
        requests = server.runtime.metrics.snapshot()["http_requests_total"]
        assert requests == {("GET", "500", "app"): 1}
        again = await client.get("/healthz")  # the connection is as good as before
        assert again.status_code == 200
    assert "header" in caplog.text


@pytest.mark.spec("PLAT-115")
async def test_a_redirect_to_what_the_client_says_stays_one_header(tmp_path: Path) -> None:
    settings = Settings(server=ServerSettings(env="test", shutdown_timeout=1))
    async with (
        served(tmp_path, settings, routes=ROUTES) as server,
        httpx.AsyncClient(base_url=server.http) as client,
    ):
        answer = await client.get("/redirect", params={"to": "/x\r\nset-cookie: a=b"})
        assert answer.status_code == 307
        assert "set-cookie" not in answer.headers
