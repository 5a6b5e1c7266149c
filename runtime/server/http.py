"""The HTTP side of the app as routes, in the order in which they are asked. Spec: platform 3.1."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match, NoMatchFound, Route

from runtime.server.clientfile import CLIENT_FILE, PACKED_CLIENT_FILE, ClientFile
from runtime.server.health import Readiness, health_routes
from runtime.server.requestcontext import route_path
from runtime.server.static import StaticIndex
from runtime.server.staticfile import ENTRY_KEY
from runtime.server.stubs import CLIENT_NAME, StubSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.datastructures import URLPath
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from runtime.core.metrics import Metrics
    from runtime.core.redactor import Redactor
    from runtime.core.settings import Settings
    from runtime.live.registry import Registry
    from runtime.server.devtools import Devtools
    from runtime.server.metricsendpoint import MetricsEndpoint
    from runtime.server.static import Entry

__all__ = ["HttpRuntime", "StaticRoute", "http_routes"]

ALLOWED: Final = {"allow": "GET, HEAD"}


class Live(Protocol):
    """What knows the live modules of the moment."""

    @property
    def registry(self) -> Registry:
        """The current registry; another object after each reload."""


class HttpRuntime(Readiness, Protocol):
    """What the HTTP side needs of a worker."""

    project: Path | None
    settings: Settings
    page_snippets: list[str]
    static: StaticIndex | None
    metrics: Metrics
    scraping: MetricsEndpoint | None
    devtools: Devtools | None
    redactor: Redactor

    @property
    def live(self) -> Live:
        """The live modules."""


def http_routes(
    runtime: HttpRuntime, routes: Sequence[BaseRoute] = (), *, socket: Sequence[BaseRoute] = ()
) -> list[BaseRoute]:
    """Return the routes: health, metrics, `socket`, client and stubs, the app's own `routes`, static files and pages.

    The index of static files becomes `runtime.static`; it reads the folder here, and again at its `refresh`.
    """
    settings = runtime.settings
    client = ClientFile(CLIENT_FILE, fresh=True) if settings.is_dev else ClientFile(PACKED_CLIENT_FILE)
    stubs = StubSource(settings, runtime.project)

    async def live_module(request: Request) -> Response:
        name = request.path_params["module"]
        if name == CLIENT_NAME:
            return client.respond(request)
        return stubs.respond(request, name, runtime.live.registry)

    found: list[BaseRoute] = [*health_routes(settings.server, runtime)]
    if runtime.scraping is not None and settings.metrics.listen is None:
        found.append(runtime.scraping.route)
    if runtime.devtools is not None:
        found += runtime.devtools.routes()
    found += [*socket, Route("/live/{module:path}.js", live_module), *routes]
    if runtime.project is not None:
        web = runtime.project / settings.server.web
        runtime.static = StaticIndex(web, settings, runtime.page_snippets)
        runtime.static.refresh()
        found.append(StaticRoute(runtime.static, runtime.metrics))
    return found


class StaticRoute(BaseRoute):
    """Matches exactly the paths of an index; everything else goes on to the next route, or to 404."""

    def __init__(self, index: StaticIndex, metrics: Metrics, *, windows: bool = os.name == "nt") -> None:
        self.index = index
        self.metrics = metrics
        self.windows = windows

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return a full match for a path of the index, and for one that has to be refused as malformed."""
        if scope["type"] != "http":
            return Match.NONE, {}
        if self._is_malformed(scope):
            return Match.FULL, {"endpoint": self.index, ENTRY_KEY: None}
        entry = self.index.find(route_path(scope))
        if entry is None:
            return Match.NONE, {}
        return Match.FULL, {"endpoint": self.index, ENTRY_KEY: entry}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the file, page or redirect; 405 for other methods than GET and HEAD."""
        entry: Entry | None = scope[ENTRY_KEY]
        if entry is None:
            self.metrics.add("security_refusals_total", "path")
            raise HTTPException(400)
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(405, headers=ALLOWED)
        response = await entry.respond(Request(scope, receive))
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """Raise: static files have no names for `url_for`."""
        raise NoMatchFound(name, path_params)

    def _is_malformed(self, scope: Scope) -> bool:
        """Whether the path is not percent-encoded UTF-8, or on Windows names a drive or a short file name."""
        path: str = scope["path"]
        if self.windows and (":" in path or "~" in path):
            return True
        raw_path = scope.get("raw_path")
        if raw_path is None:
            return "\N{REPLACEMENT CHARACTER}" in path
        try:
            unquote_to_bytes(raw_path).decode("utf-8")
        except UnicodeDecodeError:
            return True
        return False
