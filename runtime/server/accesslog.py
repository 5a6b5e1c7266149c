"""One line per request, and per opening and closing of a WebSocket, when `[server] access_log` asks for it.

```
2026-01-02T03:04:05.678Z 203.0.113.7 GET /todos 200 5120 3.2ms 6f1c0c1e
2026-01-02T03:04:09.000Z 203.0.113.7 OPEN /ws 101 - - 0d1f6a52
2026-01-02T03:07:09.000Z 203.0.113.7 CLOSE /ws 1001 - 180000.0ms 0d1f6a52
```

Time, client, method, path, status or close code, bytes of the body, duration, request id; `-` is "none". Query strings,
header values, cookies and bodies are never written, and the health and readiness paths have no lines. The lines go to
the logger `realtime.access`. Spec: platform 3.9.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from runtime.core.events import ConnectionClosedEvent, ConnectionOpened
from runtime.server.requestcontext import route_path

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runtime.server.assembly import Runtime

__all__ = ["AccessLog", "shown_path"]

logger = logging.getLogger("realtime.access")

MAX_PATH: Final = 1024  # characters of a path that are written
_PLAIN: Final = "/:@!$&'()*+,;=~-._[]"  # characters of a path that stand for themselves


def shown_path(path: str) -> str:
    """Return a path as it may stand in a line of a log: percent-encoded, and of bounded length."""
    return quote(path, safe=_PLAIN, errors="replace")[:MAX_PATH]


class _Line(NamedTuple):
    client: str
    method: str
    path: str
    status: int | None
    size: int | None
    duration: float | None
    request_id: str


class AccessLog:
    """Writes the lines of one app. As an ASGI app it serves what is below it."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        server = runtime.settings.server
        self._app = app
        self._runtime = runtime
        self._as_json = server.access_log == "json"
        self._unlogged = {path for path in (server.health_path, server.ready_path) if path is not None}
        self._own_socket = runtime.settings.websocket.path
        #: The open connections of the own endpoint: what their last line needs. As many as there are connections.
        self._open: dict[str, _Line] = {}
        runtime.events.subscribe(self._watch)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket and write its lines."""
        if scope["type"] == "http" and route_path(scope) not in self._unlogged:
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def refused(self, rule: str, status: int | None, client: str) -> None:
        """Write the line of a request that the server refused before the app; `rule` stands where the path does."""
        self._write(_Line(client, "-", f"({rule})", status, None, None, ""))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = self._runtime.clock.monotonic()
        status: int | None = None
        size = 0

        async def counting(message: Message) -> None:
            nonlocal status, size
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))

        try:
            await self._app(scope, receive, counting)
        except Exception:
            status = status or 500
            raise
        finally:
            if scope["method"] == "HEAD":
                size = 0
            duration = self._runtime.clock.monotonic() - begun
            self._write(self._line(scope, scope["method"], status, size, duration))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = self._runtime.clock.monotonic()
        is_own = route_path(scope) == self._own_socket
        is_open = is_refused = False
        code: int | None = None

        def elapsed() -> float:
            return self._runtime.clock.monotonic() - begun

        async def watching(message: Message) -> None:
            nonlocal is_open, is_refused, code
            kind = message["type"]
            if kind == "websocket.accept":
                is_open = True
                if not is_own:
                    self._write(self._line(scope, "OPEN", 101, None, None))
            elif not is_open and kind in ("websocket.http.response.start", "websocket.close"):
                is_refused = True
                self._write(self._line(scope, "GET", message.get("status", 403), None, elapsed()))
            elif kind == "websocket.close":
                code = message.get("code", 1000)
            await send(message)

        async def hearing() -> Message:
            nonlocal code
            message = await receive()
            if message["type"] == "websocket.disconnect" and code is None:
                code = message.get("code", 1005)
            return message

        try:
            # Connections of the own endpoint outlive the call of the app where the fast path has them.
            await self._app(scope, receive if is_own else hearing, watching)
        finally:
            if is_open and not is_own:
                self._write(self._line(scope, "CLOSE", 1006 if code is None else code, None, elapsed()))
            elif not is_open and not is_refused:  # the app failed, or the client went first
                self._write(self._line(scope, "GET", None, None, elapsed()))

    def _watch(self, event: object) -> None:
        """Write the lines of the own endpoint."""
        if isinstance(event, ConnectionOpened):
            connection = self._runtime.connections[event.connection_id]
            line = _Line(
                event.remote_address, "OPEN", connection.path, 101, None, None, connection.request_id
            )
            self._open[event.connection_id] = line
            self._write(line)
        elif isinstance(event, ConnectionClosedEvent):
            opened = self._open.pop(event.connection_id, None)
            if opened is not None:
                self._write(opened._replace(method="CLOSE", status=event.code, duration=event.duration))

    def _line(
        self, scope: Scope, method: str, status: int | None, size: int | None, duration: float | None
    ) -> _Line:
        state: Any = scope.get("state") or {}
        client = state.get("client_address") or (scope.get("client") or ("",))[0]
        return _Line(client, method, scope["path"], status, size, duration, state.get("request_id", ""))

    def _write(self, line: _Line) -> None:
        now = datetime.fromtimestamp(self._runtime.clock.now(), UTC)
        time = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        path = shown_path(line.path)
        duration_ms = None if line.duration is None else round(line.duration * 1000, 1)
        if self._as_json:
            fields = {
                "time": time,
                "client": line.client or None,
                "method": line.method,
                "path": path,
                "code" if line.method == "CLOSE" else "status": line.status,
                "bytes": line.size,
                "duration_ms": duration_ms,
                "request_id": line.request_id or None,
            }
            logger.info("%s", msgspec.json.encode(fields).decode())
            return
        words = [
            time,
            shown_path(line.client) or "-",  # perhaps from a header, so anything
            shown_path(line.method),
            path,
            "-" if line.status is None else str(line.status),
            "-" if line.size is None else str(line.size),
            "-" if duration_ms is None else f"{duration_ms}ms",
            line.request_id or "-",
        ]
        logger.info("%s", " ".join(words))
