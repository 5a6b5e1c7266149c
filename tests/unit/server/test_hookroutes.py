"""Routes that hooks.py names. Spec: platform 3.1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import NoMatchFound

from runtime.core.settings import ServerSettings, Settings
from runtime.server.app import RealtimeApp, create_app
from tests.server.peers import write_file

HOOKS = """
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    async def login(request):
        request.state.platform.publish("logins", "in", request.path_params["who"])
        return PlainTextResponse(f"hello {request.path_params['who']}")

    async def page(request):
        return PlainTextResponse("of a route")

    def authenticate(): return None

    routes = [
        Route("/login/{who}", login, methods=["POST"], name="login"),
        Route("/login/{who}", page, methods=["PUT"]),
        Route("/page.html", page),
        Route("/healthz", page),
        Route("/ws", page),
        Route("/__ws/auth", page),
        Mount("/below", routes=[Route("/x", page)]),
    ]
"""


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[RealtimeApp]:
    write_file(tmp_path, "hooks.py", HOOKS)
    write_file(tmp_path, "web/page.html", "of a file")
    write_file(tmp_path, "web/other.html", "of a file")
    made = create_app(tmp_path, settings=Settings(server=ServerSettings(env="test")))
    await made.start()
    yield made
    await made.stop()


@pytest.mark.spec("PLAT-79")
@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("POST", "/login/ada", 200, "hello ada"),
        ("PUT", "/login/ada", 200, "of a route"),
        ("GET", "/login/ada", 405, "Method Not Allowed"),
        ("GET", "/below/x", 200, "of a route"),
        ("GET", "/page.html", 200, "of a route"),
        ("GET", "/other.html", 200, "of a file"),
        ("GET", "/nothing", 404, "Not Found"),
        ("GET", "/healthz", 200, "OK"),
        ("GET", "/ws", 426, "Upgrade Required"),
        ("GET", "/__ws/auth", 405, "Method Not Allowed"),
    ],
)
async def test_they_come_behind_our_paths_and_before_the_files(
    app: RealtimeApp, method: str, path: str, status: int, text: str
) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.example") as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert text in answer.text


async def test_they_have_names(app: RealtimeApp) -> None:
    assert app.url_path_for("login", who="ada") == "/login/ada"
    with pytest.raises(NoMatchFound):
        app.url_path_for("logout")
