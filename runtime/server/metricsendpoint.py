"""`GET /metrics`: on the app's own listener, for those who may, or on a listener of its own. Spec: platform 3.5.

Loaded only where `[metrics] enabled` is set, and with it prometheus-client.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import socket
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from runtime.server.headers import NosniffMiddleware
from runtime.server.metricsexport import CONTENT_TYPE, MetricsExport
from runtime.server.metricssources import load_topic_label
from runtime.server.proxies import ClientAddressError, Networks
from runtime.server.startup import StartupError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from starlette.requests import Request

    from runtime.server.assembly import Runtime

__all__ = ["MetricsEndpoint"]

logger = logging.getLogger("realtime.metrics")

SCRAPE_HEADER: Final = "x-scrape-token"
#: Headers by which proxies tell of a client; one of them means that the socket's peer is not who asks.
FORWARDED: Final = ("x-forwarded-for", "x-real-ip", "forwarded")


class MetricsEndpoint:
    """Answers scrapes of one worker. `await start()` opens the own listener, if there is to be one."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._settings = runtime.settings.metrics
        self._export = MetricsExport(runtime.metrics, self._settings)
        self._allowed = Networks(self._settings.allow)
        self._server: _Listener | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def route(self) -> Route:
        """The route of the metrics."""
        return Route(self._settings.path, self._respond)

    @property
    def port(self) -> int | None:
        """The port of the own listener while it is open."""
        return self._server.port if self._server is not None else None

    async def start(self) -> None:
        """Take the functions that the settings name, and listen.

        Raises:
            StartupError: there is no such function, or, outside dev, the address cannot be listened on.
        """
        if self._settings.map_topic is not None:
            self._runtime.metrics.topic_label = load_topic_label(self._settings.map_topic)
        if self._settings.listen is None:
            return
        app = NosniffMiddleware(Starlette(routes=[self.route]))
        is_dev = self._runtime.settings.is_dev
        try:
            self._server = _Listener(app, self._settings.listen, beside_others=is_dev)
        except StartupError as error:
            if not is_dev:
                raise
            logger.warning("%s", error)
            return
        self._serving = self._runtime.tasks.start(self._server.listen(), name="metrics listener")
        logger.info("metrics on http://%s%s", self._server.address, self._settings.path)

    async def stop(self) -> None:
        """Close the own listener."""
        server, serving = self._server, self._serving
        self._server = self._serving = None
        if server is not None and serving is not None:
            server.should_exit = server.force_exit = True
            await serving

    async def _respond(self, request: Request) -> Response:
        status = self._refusal(request)
        if status is None:
            text = await self._export.text()
            return Response(
                text, media_type=None, headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"}
            )
        headers = {"cache-control": "no-store"}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        return Response(None, status, headers)

    def _refusal(self, request: Request) -> int | None:
        """Return the status for somebody who may not read the metrics."""
        if self._settings.allow and not self._is_near(request):
            self._runtime.metrics.add("security_refusals_total", "metrics_network")
            return 403
        if self._settings.token is not None and not self._has_token(request, self._settings.token):
            self._runtime.metrics.add("security_refusals_total", "metrics_token")
            return 401
        return None

    def _is_near(self, request: Request) -> bool:
        """Whether the client is in one of the networks of `allow`; one behind an unknown proxy is not."""
        headers = request.headers
        if self._runtime.settings.server.address_header is None and any(
            name in headers for name in FORWARDED
        ):
            return False
        try:
            return self._allowed.has(self._runtime.edge.proxies.client_address(request.scope, headers))
        except ClientAddressError:
            return False

    @staticmethod
    def _has_token(request: Request, token: str) -> bool:
        """Whether one of the two headers holds the token; how long it takes does not depend on what it holds."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        sent = [request.headers.get(SCRAPE_HEADER, "")]
        if scheme.lower() == "bearer":
            sent.append(bearer.strip())
        expected = token.encode()
        found = [hmac.compare_digest(one.encode("latin-1"), expected) for one in sent]
        return any(found)


class _Listener(uvicorn.Server):
    """A server for the metrics alone, on a socket that is bound when it is made."""

    def __init__(self, app: Any, address: str, *, beside_others: bool = False) -> None:
        """Bind `address`; `beside_others` while the worker that this one replaces still has it."""
        host, _, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            reuse = beside_others and hasattr(socket, "SO_REUSEPORT")
            self._socket = socket.create_server((host, int(port)), family=family, reuse_port=reuse)
        except OSError as error:
            raise StartupError(
                f"cannot listen on {address} for the metrics: {error.strerror or error}; stop what has the port, or "
                "change [metrics] listen"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        self.address = f"{address.rpartition(':')[0]}:{self.port}"
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
            )
        )

    async def listen(self) -> None:
        """Serve until `should_exit` is set."""
        try:
            await self.serve(sockets=[self._socket])
        finally:
            self._socket.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the app's own server."""
        yield
