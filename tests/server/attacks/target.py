"""`realtime serve` in production as a process of its own, with an app that attackers would like to know more of."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.cli.apps import write_project
from tests.cli.commands import PROGRAM, TIMEOUT, environment

__all__ = ["MALLORY", "SECRET", "TOKEN", "VICTIM", "Target", "target"]

#: What the app keeps for the victim, on disk and in the settings; no attacker may ever read one of these.
SECRET, TOKEN = "the-victims-own-secret", "metrics-token-0123456789"
VICTIM, MALLORY = "victim-session-7f3a", "mallory-session-91bc"

TOML = """
    [server]
    allowed_hosts = ["127.0.0.1", "localhost"]
    header_timeout = 1
    access_log = "json"

    [metrics]
    enabled = true
    token = "{token}"

    {more}
"""
PAGES = """
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
    from starlette.routing import Route

    from runtime import Cookies

    counts = {"auth": 0, "hit": 0, "upgrade": 0, "subscribe": 0}


    async def hit(request: Request) -> Response:
        counts["hit"] += 1
        return PlainTextResponse("hit")


    async def seen(request: Request) -> Response:
        return JSONResponse(counts)


    async def header(request: Request) -> Response:
        return PlainTextResponse("x", headers={request.query_params.get("n", "x-v"): request.query_params["v"]})


    async def go(request: Request) -> Response:
        return RedirectResponse(request.query_params["to"])


    async def cookie(request: Request) -> Response:
        cookies = Cookies({})
        cookies.set("n", "v", path=request.query_params["path"])
        return PlainTextResponse("x", headers={"set-cookie": cookies.header_values[0]})


    async def where(request: Request) -> Response:
        state = request.state
        cookies = dict(request.cookies)
        return JSONResponse({"origin": state.base_origin, "client": state.client_address, "cookies": cookies})


    async def echo(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))


    async def large(request: Request) -> Response:
        return PlainTextResponse("y" * 4_000_000)


    routes = [Route(f"/{one.__name__}", one) for one in (hit, seen, header, go, cookie, where, large)]
    routes.append(Route("/echo", echo, methods=["POST", "PUT"]))
"""
HOOKS = """
    from pages import counts, routes as routes

    SESSIONS = {"victim-session-7f3a": "victim", "mallory-session-91bc": "mallory"}


    def authenticate(cookies):
        counts["auth"] += 1
        return cookies.get("sid") in SESSIONS


    def upgrade(cookies):
        counts["upgrade"] += 1
        name = SESSIONS.get(cookies.get("sid"))
        return {"id": name} if name else False


    def subscribe(ws, topic):
        counts["subscribe"] += 1
        return topic in ("lobby", f"room:{ws.user_data['id']}")
"""
LEDGER = """
    from typing import Any

    from runtime import guard, live

    _guard = guard(authenticated=True)


    @live
    async def add(ctx, number: int) -> int:
        ctx.publish(f"room:{ctx.user['id']}", "created", {"id": number, "note": "the-victims-own-secret"})
        return number


    @live
    async def echo(ctx, value: Any) -> Any:
        return value


    @live
    async def typed(ctx, value: dict[str, int], count: int = 1) -> str:
        return f"{type(value).__name__} {count}"


    @live
    async def big(ctx) -> str:
        return "z" * 500_000


    @live.stream(lambda ctx: f"room:{ctx.user['id']}", replay={"size": 100})
    async def entries(ctx) -> list[dict[str, Any]]:
        return []
"""


@dataclass(frozen=True)
class Target:
    """A production server that runs. `address` is `127.0.0.1:port`."""

    address: str
    project: Path
    log: Path
    child: subprocess.Popen[bytes]

    @property
    def http(self) -> str:
        """The address of its pages."""
        return f"http://{self.address}"

    def said(self) -> str:
        """Everything that the server has logged so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def write_app(root: Path, more: str = "") -> Path:
    """Write the app, with `more` in its settings, and files around it that are nobody's business."""
    project = write_project(
        root / "app",
        {
            "realtime.toml": TOML.format(token=TOKEN, more=more),
            "hooks.py": HOOKS,
            "pages.py": PAGES,
            "live/ledger.py": LEDGER,
            "web/index.html": "<h1>hello</h1>",
            "web/about/index.html": "<h1>about</h1>",
            "web/page.html.j2": f"{{# {SECRET} #}}page",
            "web/.env": f"KEY={SECRET}",
            "web/_draft.html": SECRET,
            "web/.git/config": SECRET,
            "secret.txt": SECRET,
            ".env": SECRET,
        },
    )
    (root / "outside.txt").write_text(SECRET)
    (project / "web" / "link.txt").symlink_to(root / "outside.txt")
    (project / "web" / "folder").symlink_to(root)
    return project


@contextlib.contextmanager
def target(root: Path, more: str = "") -> Iterator[Target]:
    """Serve the app while the block runs; it ends with 0, whatever was done to it."""
    project, log = write_app(root, more), root / "server.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0"],
            cwd=project,
            env=environment(),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Target(_address(child, log), project, log, child)
    finally:
        child.terminate()
        try:
            code = child.wait(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise
    assert code == 0, log.read_text()[-4000:]


def _address(child: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        said = log.read_text(encoding="utf-8", errors="replace")
        if "Listening on http" in said:
            return urlsplit(said.partition("Listening on ")[2].split()[0]).netloc
        if child.poll() is not None:
            break
        time.sleep(0.02)  # real time: another process writes the log
    raise AssertionError(f"the server did not start ({sys.executable}):\n{log.read_text()}")
