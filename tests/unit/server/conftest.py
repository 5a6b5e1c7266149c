"""A site of files without the realtime half, and a runtime without the HTTP half."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Mount

from runtime.core.metrics import Metrics
from runtime.core.pressure import PressureSnapshot
from runtime.core.redactor import Redactor
from runtime.core.settings import ServerSettings, Settings
from runtime.live.registry import Registry
from runtime.server.errorpages import error_handlers
from runtime.server.http import http_routes
from runtime.server.httpstack import HttpLayers
from runtime.server.static import StaticIndex
from tests.unit.server.runtimes import Bare, BareFactory

MTIME_MS = 1_700_000_000_123


@dataclass
class Answer:
    """What an app answered, byte for byte; `error` is what it raised besides."""

    status_code: int
    headers: Headers
    content: bytes
    error: Exception | None = None

    @property
    def text(self) -> str:
        return self.content.decode()


class Client:
    """Asks an ASGI app for raw request targets, decoded as uvicorn does, with nothing normalised."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def get(self, target: str, headers: Any = ()) -> Answer:
        return self.request("GET", target, headers)

    def head(self, target: str, headers: Any = ()) -> Answer:
        return self.request("HEAD", target, headers)

    def request(self, method: str, target: str, headers: Any = (), body: bytes = b"") -> Answer:
        return asyncio.run(self.ask(method, target, headers, [body]))

    async def ask(
        self, method: str, target: str, headers: Any = (), chunks: Sequence[bytes] = (b"",), **extra: Any
    ) -> Answer:
        """Ask from a running loop; `chunks` are the body as it comes, `extra` goes into the scope."""
        pairs: Iterable[tuple[str, str]] = headers.items() if isinstance(headers, Mapping) else headers
        raw_path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw_path),
            "raw_path": raw_path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": "",
            "headers": [
                (name.lower().encode(), value.encode("latin-1")) for name, value in [("host", "t"), *pairs]
            ],
            "server": ("t", 80),
            "client": ("127.0.0.1", 1),
            **extra,
        }
        sent: list[Any] = []
        left = list(chunks)

        async def receive() -> dict[str, Any]:
            body = left.pop(0) if left else b""
            return {"type": "http.request", "body": body, "more_body": bool(left)}

        async def send(message: Any) -> None:
            sent.append(message)

        error = None
        try:
            await self.app(scope, receive, send)
        except Exception as raised:
            error = raised
        if not sent and error is not None:
            raise error
        start, *bodies = sent
        content = b"".join(message.get("body", b"") for message in bodies)
        return Answer(start["status"], Headers(raw=start["headers"]), content, error)


class Site:
    """The folder, the stand-in for a runtime, and a client that asks it."""

    def __init__(
        self, project: Path, settings: Settings, snippets: list[str], routes: list[BaseRoute]
    ) -> None:
        self.project = project
        self.metrics = Metrics()
        self.live = SimpleNamespace(registry=Registry())
        self.runtime: Any = SimpleNamespace(
            project=project,
            settings=settings,
            live=self.live,
            page_snippets=snippets,
            static=None,
            is_ready=True,
            is_draining=False,
            platform=SimpleNamespace(pressure=PressureSnapshot()),
            scraping=None,
            devtools=None,
            metrics=self.metrics,
            redactor=Redactor(settings),
        )
        routed = Starlette(
            routes=http_routes(self.runtime, routes), exception_handlers=error_handlers(self.runtime)
        )
        routed.router.redirect_slashes = False
        self.layers = HttpLayers(routed, settings, self.metrics, self.runtime.static)
        self.app = self.layers.entry
        self.client = Client(self.app)
        self.get = self.client.get
        self.head = self.client.head

    @property
    def static(self) -> StaticIndex:
        assert self.runtime.static is not None
        return self.runtime.static

    def write(self, files: Mapping[str, str | bytes], *, mtime_ms: int = MTIME_MS) -> None:
        """Write files below the project, all of one age, and index them."""
        for name, content in files.items():
            file = self.project / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
            os.utime(file, ns=(mtime_ms * 1_000_000, mtime_ms * 1_000_000))
        self.static.refresh()

    def mounted(self, prefix: str) -> Client:
        """Return a client for an app that has this one mounted at `prefix`."""
        return Client(Starlette(routes=[Mount(prefix, self.app)]))


@pytest.fixture
def make_site(tmp_path) -> Callable[..., Site]:
    """Make a site: `make_site({"web/a.txt": "..."}, precompress=False)`; keywords are `[server]` settings."""

    def make(
        files: Mapping[str, str | bytes] | None = None,
        *,
        settings: Settings | None = None,
        snippets: list[str] | None = None,
        routes: list[BaseRoute] | None = None,
        **server: Any,
    ) -> Site:
        project = tmp_path / "project"
        (project / "web").mkdir(parents=True, exist_ok=True)
        effective = settings or Settings(server=ServerSettings(**server))
        site = Site(project, effective, snippets or [], routes or [])
        site.write(files or {})
        return site

    return make


@pytest.fixture
async def bare() -> AsyncIterator[BareFactory]:
    """`await bare({"subscribe": function}, security={...})` gives a started runtime."""
    made: list[Bare] = []

    async def factory(
        hooks: dict[str, Any] | None = None,
        *,
        websocket: dict[str, Any] | None = None,
        security: dict[str, Any] | None = None,
        **capacity: int,
    ) -> Bare:
        one = Bare(hooks or {}, websocket or {}, security or {}, capacity)
        made.append(one)
        await one.runtime.start()
        return one

    yield factory
    for one in made:
        await one.runtime.stop()
