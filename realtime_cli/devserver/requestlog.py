"""Middleware of the dev server: logs requests worth a line and knows which upgrades are not decided yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.server.devtools.owner import PAGE_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from realtime_cli.devserver.calllog import CallLog

__all__ = ["RequestLog", "Traffic"]

_OWN = f"{PAGE_PATH}/"  # ours, wherever the app is mounted; the page itself is worth a line


class Traffic:
    """What is on its way through the app now."""

    def __init__(self) -> None:
        self.upgrades = 0
        """WebSocket requests that got no answer yet."""


class RequestLog:
    """Pass everything on; log pages, failed requests, and with `verbose` every request."""

    def __init__(
        self, app: ASGIApp, *, log: CallLog, traffic: Traffic, clock: Callable[[], float], verbose: bool
    ) -> None:
        self.app = app
        self._log = log
        self._traffic = traffic
        self._clock = clock
        self._verbose = verbose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http" and _OWN not in scope["path"]:
            await self._http(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = True
        self._traffic.upgrades += 1

        def decided() -> None:
            nonlocal is_open
            if is_open:
                is_open = False
                self._traffic.upgrades -= 1

        async def noting(message: Message) -> None:
            await send(message)
            decided()

        try:
            await self.app(scope, receive, noting)
        finally:
            decided()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._clock()
        status, is_page = 500, False

        async def noting(message: Message) -> None:
            nonlocal status, is_page
            if message["type"] == "http.response.start":
                status = message["status"]
                is_page = any(
                    name.lower() == b"content-type" and value.startswith(b"text/html")
                    for name, value in message.get("headers", ())
                )
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            if self._verbose or is_page or status >= 400:
                self._log.request(scope["method"], scope["path"], status, self._clock() - started)
