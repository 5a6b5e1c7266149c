"""What is counted of HTTP. Spec: platform 9.3."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from runtime.core.settings import MetricsSettings, ServerSettings, Settings
from runtime.server.app import create_app
from runtime.testing import eventually
from tests.server.peers import write_file


@pytest.fixture
async def app(tmp_path):
    write_file(tmp_path, "live/todos.py", "from runtime import live\n@live\nasync def add(ctx): ...\n")
    write_file(tmp_path, "web/a.txt", "x")
    write_file(tmp_path, "web/page.html", "x")
    write_file(tmp_path, "web/docs/index.html", "x")
    write_file(tmp_path, "web/t.html.j2", "x")
    write_file(tmp_path, "web/fail.html.j2", "{{ 1 / 0 }}")

    async def own(request: Any) -> PlainTextResponse:
        return PlainTextResponse("own")

    async def wait(request: Any) -> PlainTextResponse:
        await request.app.state.go.wait()
        return PlainTextResponse("own")

    settings = Settings(
        server=ServerSettings(env="test", body_limit=10), metrics=MetricsSettings(enabled=True, token="t")
    )
    below = Mount("/below", routes=[Route("/x", own), Route("/wait", wait)])
    made = create_app(tmp_path, settings=settings, routes=[Route("/own", own), Route("/wait", wait), below])
    made.state.go = asyncio.Event()
    await made.start()
    yield made
    await made.stop()


def client(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/healthz", "200", "health"),
        ("GET", "/readyz", "200", "health"),
        ("GET", "/metrics", "401", "metrics"),
        ("POST", "/__ws/auth", "404", "auth"),
        ("GET", "/ws", "426", "socket"),
        ("GET", "/live/todos.js", "200", "live"),
        ("GET", "/live/client.js", "200", "live"),
        ("GET", "/a.txt", "200", "static"),
        ("HEAD", "/a.txt", "200", "static"),
        ("GET", "/docs", "308", "static"),
        ("DELETE", "/a.txt", "405", "static"),
        ("GET", "/page", "200", "page"),
        ("GET", "/t", "200", "page"),
        ("GET", "/fail", "500", "page"),
        ("GET", "/own", "200", "app"),
        ("GET", "/below/x", "200", "app"),
        ("PROPFIND", "/nothing", "404", "none"),
        ("GET", "/nothing", "404", "none"),
        ("GET", "/%ff", "400", "none"),
    ],
)
async def test_each_request_is_counted_with_its_kind(app, method, path, status, kind):
    async with client(app) as ask:
        await ask.request(method, path)
    label = method if method != "PROPFIND" else "other"
    assert app.runtime.metrics.snapshot()["http_requests_total"] == {(label, status, kind): 1}
    assert sum(app.runtime.metrics.spread("http_request_duration_seconds", kind).counts) == 1
    assert app.runtime.metrics.get("http_in_flight") == 0


async def test_what_is_refused_before_the_routes_is_counted_too(app):
    async with client(app) as ask:
        await ask.post("/own", content=b"x" * 11)
        await ask.get("/own", headers={"host": "a b"})
    assert app.runtime.metrics.snapshot()["http_requests_total"] == {
        ("POST", "413", "none"): 1,
        ("GET", "400", "none"): 1,
    }


async def test_shared_renders_have_the_kind_of_their_leader(app):
    async with client(app) as ask:
        asked = [asyncio.create_task(ask.get("/wait")) for _ in range(3)]
        await eventually(lambda: app.runtime.metrics.get("http_in_flight") == 3)
        app.state.go.set()
        await asyncio.gather(*asked)
    assert app.runtime.metrics.snapshot()["http_requests_total"] == {("GET", "200", "app"): 3}
    assert app.runtime.metrics.get("page_dedup_total", "shared") == 2


async def test_below_a_mount_prefix_nothing_is_still_nothing(app):
    async with client(Starlette(routes=[Mount("/rt", app)])) as ask:
        assert (await ask.get("/rt/own")).status_code == 200
        assert (await ask.get("/rt/nothing")).status_code == 404
        assert (await ask.get("/rt/healthz")).status_code == 200
    assert app.runtime.metrics.snapshot()["http_requests_total"] == {
        ("GET", "200", "app"): 1,
        ("GET", "404", "none"): 1,
        ("GET", "200", "health"): 1,
    }


async def test_an_aborted_request_has_no_status(app):
    async with client(app) as ask:
        task = asyncio.create_task(ask.get("/wait"))
        await eventually(lambda: app.runtime.metrics.get("http_in_flight") == 1)
        task.cancel()
        await asyncio.wait([task])
    assert app.runtime.metrics.get("http_requests_total", "GET", "none", "app") == 1
    assert app.runtime.metrics.get("http_in_flight") == 0
