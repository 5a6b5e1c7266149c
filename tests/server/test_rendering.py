"""Pages of routes and of `web/` that load: one render for all who ask, and typed errors. Spec: live-api 19."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route

from runtime import LiveError, RpcError, create_app, render, transport
from runtime.core.settings import SecuritySettings, ServerSettings, Settings
from runtime.server.liveerrors import STATUS, status_of
from runtime.testing import eventually
from tests.server.peers import write_file

LIVE = """
    # realtime-allow-public
    import asyncio
    from runtime import LiveError, LockReentry, LockTimeout, RpcError, live

    loads = []
    gate = live.keep("gate", asyncio.Event)

    @live.stream(lambda room: f"chat:{room}")
    async def messages(ctx, room: str):
        loads.append((room, ctx.user, ctx.request_id))
        await gate.wait()
        if room == "lock":
            raise LockTimeout("secret-key", 1.0, 1.0)
        if room == "reentry":
            raise LockReentry("secret-key")
        if room == "remote":
            raise RpcError("OTHER", "The other server says no", retry_after=0.2)
        if room == "bug":
            raise ValueError("secret")
        if room not in ("a", "b"):
            error = LiveError(room, f"There is no room <{room}>", {"secret": True})
            error.retry_after = {"RATE_LIMITED": 2.2, "NEVER": float("inf")}.get(room)
            if room == "NEVER":
                error.issues = [{"path": ["\\ud800"], "message": float("nan")}]
            raise error
        return [{"id": 1, "text": f"in {room}"}]
"""
PAGE = """<!doctype html><head></head>
<ul>{% for one in rows %}<li>{{ one.text }}{% endfor %}</ul>{{ live_data('m', rows) }}"""
FILES = {
    "live/chat.py": LIVE,
    "hooks.py": """
        from starlette.routing import Route
        from runtime import live, render

        async def room(request):
            name = request.path_params["room"]
            user = request.cookies.get("user")
            rows = await live.load("chat/messages", request.state.platform, user=user, args=[name])
            return await render(request, "_room.html.j2", {"rows": rows}, headers={"X-Room": name})

        async def broken(request):
            return await render(request, "_nothing.html.j2")

        routes = [Route("/rooms/{room}", room), Route("/broken", broken)]
    """,
    "web/_room.html.j2": PAGE,
    "web/page.html.j2": "{% set rows = load('chat/messages', args=['a']) %}" + PAGE,
}
HTML = {"accept": "text/html,*/*;q=0.8"}


class Site:
    def __init__(self, project: Path, **settings: Any) -> None:
        server = {"env": "test", "allowed_hosts": ("*.example", "a.example")} | settings.pop("server", {})
        self.app = create_app(project, settings=Settings(server=ServerSettings(**server), **settings))
        self.client = self.asking(self.app)
        self.get = self.client.get

    @staticmethod
    def asking(app: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://a.example"
        )

    @property
    def module(self) -> Any:
        return self.app.runtime.live.registry.modules["chat"].module

    @property
    def loads(self) -> list[tuple[str, Any, str]]:
        return self.module.loads  # type: ignore[no-any-return]


@pytest.fixture
async def make_site(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    made: list[Site] = []

    async def factory(files: dict[str, str] | None = None, **settings: Any) -> Site:
        project = tmp_path / f"p{len(made)}"
        for name, source in {**FILES, **(files or {})}.items():
            write_file(project, name, source)
        site = Site(project, **settings)
        made.append(site)
        await site.app.start()
        site.module.gate.set()
        return site

    yield factory
    for site in made:
        await site.client.aclose()
        await site.app.stop()


async def test_a_route_and_a_page_of_the_folder_render_what_they_load(make_site: Any) -> None:
    site = await make_site()
    answer = await site.get("/rooms/a", headers={"x-request-id": "r-1", "cookie": "user=ann"})
    assert answer.status_code == 200
    assert "<li>in a" in answer.text
    assert '<script type="application/json" data-live="m">[{"id":1,"text":"in a"}]</script>' in answer.text
    assert '<script type="importmap">' in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-room"] == "a"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "<li>in a" in (await site.get("/page")).text
    assert site.loads[0] == ("a", "ann", "r-1")
    assert site.loads[1][:2] == ("a", None)
    assert (await site.get("/_room")).status_code == 404, "a template of a route is no page"
    assert (await site.get("/broken")).status_code == 500


async def together(site: Site, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Ask all at once, and let the loaders go on when every request has arrived."""
    site.module.gate.clear()
    dedup = "page_dedup_total"
    before = site.app.runtime.metrics.total(dedup)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(site.get("/page", **one)) for one in requests]
        # Every request is either at its loader or waits for another one.
        await eventually(lambda: len(site.loads) + waiting(site) == len(requests))
        site.module.gate.set()
    assert site.app.runtime.metrics.total(dedup) > before
    return [task.result() for task in asked]


def waiting(site: Site) -> int:
    return site.app.runtime.sizes["MAX_SSR_DEDUP_WAITERS"]()


@pytest.mark.spec("PLAT-90", "PLAT-112")
async def test_anonymous_requests_of_one_origin_share_a_load(make_site: Any) -> None:
    site = await make_site()
    answers = await together(site, *[{}] * 20)
    assert {answer.text for answer in answers} == {answers[0].text}
    assert "<li>in a" in answers[0].text
    assert len(site.loads) == 1

    site.loads.clear()
    hosts = [{"headers": {"host": host}} for host in ("a.example", "b.example", "a.example:81", "A.EXAMPLE")]
    await together(site, *hosts)
    assert len(site.loads) == 3, "another host or port has its own; letters of another case are the same host"

    site.loads.clear()
    mixed = [{}, {"headers": {"cookie": "user=ann"}}, {"headers": {"authorization": "Bearer x"}}, {}]
    await together(site, *mixed)
    assert len(site.loads) == 3, "whoever brings credentials is served alone"

    site.loads.clear()
    await site.get("/page")
    await site.get("/page")
    assert len(site.loads) == 2, "no cache"


async def test_an_app_may_share_across_origins(make_site: Any) -> None:
    site = await make_site(security=SecuritySettings(dedup_include_origin=False))
    await together(site, {}, {"headers": {"host": "b.example"}})
    assert len(site.loads) == 1


@pytest.mark.spec("LIVE-168")
async def test_an_error_of_a_load_is_a_page_with_its_class_and_code(make_site: Any) -> None:
    site = await make_site()
    answer = await site.get("/rooms/NO_ROOM", headers=HTML)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "LiveError NO_ROOM" in answer.text
    assert "<h1>There is no room &lt;NO_ROOM&gt;</h1>" in answer.text
    payload = re.search(r"data-live-error>([^<]*)</script>", answer.text)
    assert payload is not None
    error = transport.decode(json.loads(payload[1]))
    assert (type(error), error.code, error.message) == (LiveError, "NO_ROOM", "There is no room <NO_ROOM>")
    assert '<script type="importmap">' in answer.text, "a script of the page finds the client"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


async def test_who_takes_no_html_gets_the_payload(make_site: Any) -> None:
    site = await make_site()
    for headers in ({}, {"accept": "application/json"}):
        answer = await site.get("/rooms/FORBIDDEN", headers=headers)
        assert answer.status_code == 403
        assert answer.json() == {
            "type": "LiveError",
            "value": ["FORBIDDEN", "There is no room <FORBIDDEN>"],
        }
        assert "accept" in answer.headers["vary"].lower()
    remote = await site.get("/rooms/remote")
    assert remote.json() == {"type": "RpcError", "value": ["OTHER", "The other server says no", None]}
    assert (remote.status_code, remote.headers["retry-after"]) == (400, "1")
    limited = await site.get("/rooms/RATE_LIMITED")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "3")
    lock = await site.get("/rooms/lock")
    assert (lock.status_code, lock.json()["value"][0]) == (503, "LOCK_TIMEOUT")
    assert "secret-key" not in lock.text
    for mistake in ("bug", "reentry"):
        bug = await site.get(f"/rooms/{mistake}", headers=HTML)
        assert (bug.status_code, bug.text) == (500, "Internal Server Error")
    missing = await site.get("/rooms/a", headers={"cookie": "user=ann"})
    assert missing.status_code == 200


def test_codes_have_statuses() -> None:
    assert {code: status_of(LiveError(code)) for code in STATUS} == STATUS
    assert status_of(RpcError("NOT_FOUND")) == 404
    assert status_of(LiveError("ANYTHING")) == 400


@pytest.mark.spec("LIVE-168")
async def test_an_error_may_hold_whatever_json_can(make_site: Any) -> None:
    site = await make_site()
    for headers in ({}, HTML):
        answer = await site.get("/rooms/NEVER", headers=headers)
        assert answer.status_code == 400
        assert "retry-after" not in answer.headers
        found = re.search(r"data-live-error>(.*)</script>", answer.text)
        payload = json.loads(found[1] if found else answer.text)
        assert payload["value"][2] == [{"path": ["\ud800"], "message": None}]


async def test_errors_are_not_shared(make_site: Any) -> None:
    site = await make_site({"web/page.html.j2": "{% set rows = load('chat/messages', args=['NO']) %}x"})
    answers = await together(site, {"headers": HTML}, {"headers": {"accept": "application/json"}})
    kinds = [answer.headers["content-type"].partition(";")[0] for answer in answers]
    assert kinds == ["text/html", "application/json"]


async def test_an_app_has_an_error_page_of_its_own(make_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    own = (
        "<!doctype html><title>{{ status }}</title><p>{{ error.message }} at {{ request.url.path }}"
        "{{ live_error(error) }}"
    )
    site = await make_site({"web/_error.html.j2": own})
    answer = await site.get("/rooms/NOT_FOUND", headers=HTML)
    assert answer.status_code == 404
    assert "<title>404</title><p>There is no room &lt;NOT_FOUND&gt; at /rooms/NOT_FOUND<script" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert (await site.get("/_error")).status_code == 404
    broken = await make_site({"web/_error.html.j2": "{{ 1 / 0 }}"})
    with caplog.at_level(logging.ERROR, "realtime.server"):
        answer = await broken.get("/rooms/NOT_FOUND", headers=HTML)
    assert "LiveError NOT_FOUND" in answer.text
    assert "_error.html.j2 failed" in caplog.text


async def test_dev_shows_where_an_error_came_from(make_site: Any) -> None:
    site = await make_site(server={"env": "dev"})
    answer = await site.get("/rooms/NO_ROOM", headers=HTML)
    assert "Where it came from" in answer.text
    assert "live/chat.py" in answer.text
    assert "raise error" in answer.text


async def test_a_request_of_another_app_is_told_what_to_do(make_site: Any) -> None:
    site = await make_site()
    errors: list[str] = []

    async def outside(request: Request) -> Any:
        try:
            return await render(request, "_room.html.j2", {"rows": []})
        except RuntimeError as error:
            errors.append(str(error))
            raise LiveError("TOLD") from error

    outer = Starlette(routes=[Route("/outside", outside), Mount("/in", app=site.app)])
    async with Site.asking(outer) as client:
        await client.get("/outside")
        inside = await client.get("/in/rooms/a")
    assert "Jinja2Templates" in errors[0]
    assert inside.status_code == 200
    assert '"$live/":"/in/live/"' in inside.text
