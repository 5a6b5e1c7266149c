"""Health, readiness, the order of routes, and errors outside handlers. Spec: platform 3.1, 3.3, 3.9."""

from __future__ import annotations

import json

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from runtime.core.pressure import PressureSnapshot
from runtime.core.settings import ServerSettings, Settings

DEV = Settings(server=ServerSettings(env="dev"))
HTML = {"accept": "text/html,*/*"}


@pytest.mark.spec("PLAT-87")
@pytest.mark.parametrize(
    ("is_ready", "is_draining", "status", "body"),
    [
        (True, False, 200, {"ready": True}),
        (False, False, 503, {"ready": False, "reason": "starting"}),
        (False, True, 503, {"ready": False, "reason": "draining"}),
        (True, True, 503, {"ready": False, "reason": "draining"}),
    ],
)
def test_readiness_follows_the_worker_and_health_does_not(make_site, is_ready, is_draining, status, body):
    site = make_site()
    site.runtime.is_ready, site.runtime.is_draining = is_ready, is_draining
    ready = site.get("/readyz")
    assert (ready.status_code, json.loads(ready.content)) == (status, body)
    assert ready.content == json.dumps(body, separators=(",", ":")).encode()
    health = site.get("/healthz")
    assert (health.status_code, health.text) == (200, "OK")
    assert health.headers["content-type"] == "text/plain; charset=utf-8"
    assert "server" not in health.headers


@pytest.mark.spec("PLAT-87")
def test_health_paths_can_move_and_be_off(make_site):
    site = make_site(health_path="/status", ready_path=False)
    assert site.get("/status").text == "OK"
    assert site.get("/healthz").status_code == 404
    assert site.get("/readyz").status_code == 404
    assert site.client.request("POST", "/status").status_code == 405


@pytest.mark.spec("PLAT-87")
@pytest.mark.parametrize(
    ("asked", "reason", "status"),
    [(True, "MEMORY", 503), (True, "PUBLISH_RATE", 200), (True, "NONE", 200), (False, "MEMORY", 200)],
)
def test_readiness_looks_at_memory_where_it_is_told_to(make_site, asked, reason, status):
    site = make_site(ready_pressure=asked)
    site.runtime.platform.pressure = PressureSnapshot(reason != "NONE", reason)
    answer = site.get("/readyz")
    assert answer.status_code == status
    if status == 503:
        assert answer.text == '{"ready":false,"reason":"pressure"}'
    site.runtime.is_draining = True
    assert json.loads(site.get("/readyz").content)["reason"] == "draining"


@pytest.mark.spec("PLAT-79")
def test_routes_are_asked_in_order(make_site):
    async def own(request):
        return PlainTextResponse("own")

    site = make_site(
        {
            "web/healthz": "file",
            "web/own": "file",
            "web/both": "file",
            "web/both.html": "page",
            "web/live/x.js": "file",
        },
        routes=[Route(path, own) for path in ("/healthz", "/own", "/live/client.js")],
    )
    assert site.get("/healthz").text == "OK"
    assert site.get("/own").text == "own"
    assert site.get("/both").text == "file"
    assert site.get("/live/client.js").text != "own"
    assert site.get("/live/x.js").status_code == 404


def failing_site(make_site, settings):
    async def fail(request):
        secret = "redis://u:hunter2@host"
        raise RuntimeError(f"cannot reach {secret} <b>")

    async def refuse(request):
        raise HTTPException(418, "short and stout", {"x-pot": "tea"})

    async def missing(request):
        raise HTTPException(404, "no such order")

    async def empty(request):
        raise HTTPException(304)

    async def large(request):
        raise HTTPException(413)

    async def framed(request):
        return Response("x", headers={"x-content-type-options": "own"})

    routes = [Route(f"/{fn.__name__}", fn) for fn in (fail, refuse, missing, empty, large, framed)]
    return make_site(
        {"web/a.html": "x", "web/b.txt": "x"}, settings=settings, routes=routes, snippets=["<i>"]
    )


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/nothing", 404, "Not Found"),
        ("/fail", 500, "Internal Server Error"),
        ("/refuse", 418, "short and stout"),
        ("/missing", 404, "no such order"),
        ("/empty", 304, ""),
        ("/large", 413, "Content Too Large"),
        ("/%ff", 400, "Bad Request"),
    ],
)
@pytest.mark.parametrize("headers", [{}, HTML])
def test_errors_are_short_plain_text(make_site, path, status, body, headers):
    answer = failing_site(make_site, Settings()).get(path, headers)
    assert (answer.status_code, answer.text) == (status, body)
    if body:
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_headers_of_the_app_are_kept(make_site):
    site = failing_site(make_site, Settings())
    assert site.get("/refuse").headers["x-pot"] == "tea"
    assert site.get("/framed").headers.getlist("x-content-type-options") == ["own"]


def test_error_in_dev_is_a_page_with_the_traceback(make_site):
    site = failing_site(make_site, DEV)
    answer = site.get("/fail", HTML)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "RuntimeError: cannot reach redis://u:***@host &lt;b&gt;" in answer.text
    assert "Traceback (most recent call last)" in answer.text
    assert "hunter2" not in answer.text
    assert "<i>" in answer.text
    assert isinstance(answer.error, RuntimeError)
    plain = site.get("/fail")
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"
    assert "Traceback (most recent call last)" in plain.text
    assert "hunter2" not in plain.text


def test_missing_page_in_dev_lists_what_there_is(make_site):
    site = failing_site(make_site, DEV)
    answer = site.get("/nothing%3Cb%3E", HTML)
    assert answer.status_code == 404
    assert "404: nothing at /nothing" in answer.text
    assert "<b>" not in answer.text
    assert '<a href="/a.html">' in answer.text
    assert "<i>" in answer.text
    assert site.get("/nothing").text == "Not Found"
    assert site.get("/missing", HTML).text == "no such order"


def test_missing_page_of_an_empty_site_in_dev_says_how_to_begin(make_site):
    site = make_site(settings=Settings(server=ServerSettings(env="dev", web="empty")))
    assert "put an <code>index.html</code> into the folder" in site.get("/", HTML).text
