"""`create_app()`: the whole server as one Starlette app, alone or mounted in another. Spec: platform 1.9 and 3.1."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, WebSocketRoute

from runtime.server.accesslog import AccessLog
from runtime.server.assembly import Runtime, assemble
from runtime.server.auth import AuthRoute
from runtime.server.errorpages import error_handlers
from runtime.server.headercheck import HeaderCheck
from runtime.server.hookroutes import HookRoutes
from runtime.server.http import http_routes
from runtime.server.httpmeter import HttpMeter
from runtime.server.httpstack import HttpLayers
from runtime.server.requestcontext import RequestContext
from runtime.server.requesttimeout import RequestTimeout
from runtime.server.settings_source import load_settings
from runtime.server.webhookroutes import WebhookRoutes
from runtime.server.websocket import WebSocketEndpoint, upgrade_required

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from runtime.core.clock import Clock
    from runtime.core.settings import Settings

__all__ = ["RealtimeApp", "create_app"]

# Methods of a plain request to the WebSocket path that are told to upgrade.
PLAIN_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class RealtimeApp(Starlette):
    """A Starlette app with a runtime behind it; `app.state.runtime` and `app.state.platform` are set."""

    def __init__(
        self, runtime: Runtime, *, routes: Sequence[BaseRoute], lifespan: Literal["auto", "manual"]
    ) -> None:
        self.runtime = runtime
        own: list[BaseRoute] = []
        if runtime.settings.websocket.enabled:
            path = runtime.settings.websocket.path
            own = [
                AuthRoute(runtime),
                WebSocketRoute(path, WebSocketEndpoint(runtime)),
                Route(path, upgrade_required, methods=PLAIN_METHODS),
            ]
        webhooks = WebhookRoutes(runtime.live)
        super().__init__(
            debug=False,
            routes=http_routes(runtime, [webhooks, *routes, HookRoutes(runtime)], socket=own),
            middleware=[Middleware(HeaderCheck)],
            exception_handlers=error_handlers(runtime),
            lifespan=_lifespan if lifespan == "auto" else None,
        )
        # Starlette would answer 307 with an absolute URL made from the Host header; static files redirect themselves.
        self.router.redirect_slashes = False
        self.state.runtime = runtime
        self.state.platform = runtime.platform
        # Around everything, the answers to exceptions too.
        layers = HttpLayers(
            super().__call__, runtime.settings, runtime.metrics, runtime.static, webhooks.body_limit_of
        )
        runtime.sizes["MAX_SSR_DEDUP"] = lambda: len(layers.sharing)
        runtime.sizes["MAX_SSR_DEDUP_WAITERS"] = lambda: layers.sharing.waiting
        entry: ASGIApp = RequestContext(super().__call__, runtime, http=layers.entry)
        server = runtime.settings.server
        if server.request_timeout is not None:
            entry = RequestTimeout(entry, server.request_timeout, runtime.clock)
        #: Writes the access log; `None` when it is off.
        self.access_log = AccessLog(entry, runtime) if server.access_log != "off" else None
        self._entry = self.access_log or entry
        self._http = HttpMeter(self._entry, runtime.settings, runtime.metrics, runtime.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket or lifespan."""
        await (self._http if scope["type"] == "http" else self._entry)(scope, receive, send)

    async def start(self) -> None:
        """Load the project, run the `init` hook and accept connections from then on.

        Call it from the lifespan of the app this one is mounted in (`lifespan="manual"`); a second call does nothing.

        Raises:
            StartupError: what keeps the app from starting, with the place in the project.
        """
        await self.runtime.start(self)

    async def stop(self, reason: str = "lifespan") -> None:
        """Run the `shutdown` hook, close every connection with 1001 and release everything. Idempotent."""
        await self.runtime.stop(reason)


def create_app(
    project: str | os.PathLike[str] | None = ".",
    *,
    settings: Settings | None = None,
    routes: Sequence[BaseRoute] = (),
    lifespan: Literal["auto", "manual"] = "auto",
    page_snippets: Sequence[str] = (),
    clock: Clock | None = None,
) -> RealtimeApp:
    """Build the app of the project in folder `project`.

    Several apps may live in one process, each with its own `live.*`. What belongs to the process is common to them:
    the values of `[capacity]` are those of the app that was built last, and modules beside `live/` have one name for
    all, so two projects with, say, a `db.py` each that is imported do not start together.

    Args:
        project: the folder with `realtime.toml`; `None` for an app whose live modules are registered by hand.
        settings: effective settings; read from the project and the environment when missing, `[server] env` being
            `test` under pytest and `production` elsewhere unless they say otherwise.
        routes: Starlette routes of yours, in front of the static files; those of `hooks.py` come behind them.
        lifespan: `auto` starts and stops with the ASGI server; `manual` when mounted in an app whose lifespan calls
            `await app.start()` and `await app.stop()`.
        page_snippets: markup for the head of every HTML page.
        clock: another source of time, for tests.

    Raises:
        SettingsError: a setting that cannot be; the message says where it stands.
        FileNotFoundError: there is no such folder.
    """
    folder = None if project is None else Path(project)
    if settings is None:
        from runtime.core.settings import ServerSettings
        from runtime.core.settings import Settings as Defaults

        env = "test" if _is_under_pytest() else "production"
        if folder is not None:
            settings = load_settings(folder, env_default=env).settings
        else:
            settings = Defaults(server=ServerSettings(env=env))
    runtime = assemble(folder, settings, clock=clock)
    runtime.page_snippets.extend(page_snippets)
    return RealtimeApp(runtime, routes=routes, lifespan=lifespan)


def _is_under_pytest() -> bool:
    """Whether this process runs tests; one that a test starts does not, though it has the variable too."""
    return "pytest" in sys.modules and "PYTEST_VERSION" in os.environ


@contextlib.asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    await app.start()
    try:
        yield
    finally:
        await app.stop()
