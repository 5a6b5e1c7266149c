"""Counts and times the HTTP requests of a worker. Spec: platform 9.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runtime.server.pages import HtmlPage, TemplatePage
from runtime.server.requestcontext import route_path
from runtime.server.staticfile import ENTRY_KEY

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runtime.core.clock import Clock
    from runtime.core.metrics import Metrics
    from runtime.core.settings import Settings

__all__ = ["HttpMeter"]

# A label never holds what a client made up.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LIVE: Final = "/live/"


class HttpMeter:
    """The outermost layer for HTTP: notes each request with its method, status, kind and duration.

    The kinds are `health`, `metrics`, `auth`, `socket`, `live`, `static`, `page`, `app` for the app's own routes, and
    `none` where there is nothing at the path. The status is `none` of a request without an answer.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, clock: Clock) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock
        server, websocket = settings.server, settings.websocket
        self._kinds: dict[str | None, str] = {
            server.health_path: "health",
            server.ready_path: "health",
        }
        if settings.metrics.enabled and settings.metrics.listen is None:
            self._kinds[settings.metrics.path] = "metrics"
        if websocket.enabled:
            self._kinds |= {websocket.auth_path: "auth", websocket.path: "socket"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        metrics, clock = self._metrics, self._clock
        path = route_path(scope)
        around = scope.get("endpoint")  # of the app in which this one is mounted
        status = "none"
        began = clock.monotonic()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        metrics.add("http_in_flight")
        try:
            await self._app(scope, receive, noted)
        finally:
            metrics.add("http_in_flight", amount=-1)
            kind = self._kind(path, scope, around)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            metrics.add("http_requests_total", method, status, kind)
            metrics.observe("http_request_duration_seconds", clock.monotonic() - began, kind)

    def _kind(self, path: str, scope: Scope, around: object) -> str:
        kind = self._kinds.get(path)
        if kind is not None:
            return kind
        if path.startswith(_LIVE) and path.endswith(".js"):
            return "live"
        entry = scope.get(ENTRY_KEY)
        if entry is not None:
            return "page" if isinstance(entry, HtmlPage | TemplatePage) else "static"
        is_found = ENTRY_KEY not in scope and scope.get("endpoint") is not around
        return "app" if is_found else "none"
