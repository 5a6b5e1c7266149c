"""The layers around the routes for HTTP, in one place and in their order. WebSockets pass none of them.

```
HttpMeter       counts and times                  server/httpmeter.py
  ...           access log, request timeout, who asks for which host
BodyLimit       413, 400                          server/bodylimit.py
Compression     and HEAD without its body         server/compression.py
Nosniff         x-content-type-options            server/headers.py
RenderSharing   one render for all who ask now    server/dedup.py
  routes
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.server.bodylimit import BodyLimit
from runtime.server.compression import Compression
from runtime.server.credentials import Credentials
from runtime.server.dedup import RenderSharing
from runtime.server.headers import NosniffMiddleware
from runtime.server.pages import TemplatePage
from runtime.server.requestcontext import route_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Scope

    from runtime.core.metrics import Metrics
    from runtime.core.settings import Settings
    from runtime.server.static import StaticIndex

__all__ = ["HttpLayers"]


class HttpLayers:
    """What stands between a request whose host is known and the routes of `app`; `app` gets only HTTP from here."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        metrics: Metrics,
        static: StaticIndex | None = None,
        body_limit_of: Callable[[Scope], int | None] | None = None,
    ) -> None:
        """Wrap `app`; `static` is its index of `web/`, `body_limit_of` knows requests with a limit of their own."""
        server, security = settings.server, settings.security
        credentials = Credentials(security)
        self._static = static
        self._own = {
            server.health_path,
            server.ready_path,
            settings.websocket.path,
            settings.websocket.auth_path,
        }
        if settings.metrics.enabled:
            self._own.add(settings.metrics.path)
        self.sharing = RenderSharing(
            app,
            credentials=credentials,
            metrics=metrics,
            is_plain=self._is_plain,
            include_origin=security.dedup_include_origin,
        )
        hidden = None if security.compress_credentialed_responses else credentials
        compression = Compression(NosniffMiddleware(self.sharing), hidden, enabled=server.compress)
        #: The outermost of the layers.
        self.entry: ASGIApp = BodyLimit(compression, server.body_limit, metrics, body_limit_of)

    def _is_plain(self, scope: Scope) -> bool:
        """Whether nothing is rendered at this path: it is one of ours, or a file."""
        path = route_path(scope)
        if path in self._own or (path.startswith("/live/") and path.endswith(".js")):
            return True
        entry = self._static.find(path) if self._static is not None else None
        return entry is not None and not isinstance(entry, TemplatePage)
