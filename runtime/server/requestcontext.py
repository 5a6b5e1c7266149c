"""What every HTTP request of the app begins with: its host is the app's, and it knows its id and its client.

`request.state` has `request_id`, `platform` (a view with that id), `base_origin` and `client_address`. Spec: platform
2.8, 3.8 and 5.8.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from runtime.server.edge import INVALID_HOST
from runtime.server.proxies import ClientAddressError
from runtime.wire import closing

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runtime.server.assembly import Runtime
    from runtime.server.edge import Arrival

__all__ = ["RequestContext", "request_id_of", "route_path"]

MAX_REQUEST_ID: Final = 128  # characters
NOSNIFF: Final = {"x-content-type-options": "nosniff"}


def request_id_of(headers: Headers) -> str:
    """Return the id that the client sent if it is usable (1 to 128 visible ASCII characters), else a fresh one."""
    trimmed = headers.get("x-request-id", "").strip()
    if 1 <= len(trimmed) <= MAX_REQUEST_ID and all("!" <= character <= "~" for character in trimmed):
        return trimmed
    return str(uuid.uuid4())


def route_path(scope: Scope) -> str:
    """Return the decoded path without the prefix under which the app is mounted."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "")
    if prefix and path.startswith(prefix):
        path = path[len(prefix) :]
    return path or "/"


class RequestContext:
    """The outermost layer of the app: refuses requests for foreign hosts, and says who asks."""

    def __init__(self, app: ASGIApp, runtime: Runtime, *, http: ASGIApp | None = None) -> None:
        """Serve `app`, and `http` instead of it for HTTP."""
        self._app = app
        self._http = http or app
        self._runtime = runtime
        server = runtime.settings.server
        self._emits_id = server.emit_request_id
        # Load balancers and scrapers ask for these by address.
        self._for_any_host = {path for path in (server.health_path, server.ready_path) if path is not None}
        metrics = runtime.settings.metrics
        if metrics.enabled and metrics.listen is None and metrics.token is not None:
            self._for_any_host.add(metrics.path)  # not without a token: a foreign page could rebind its name
        self._websocket_path = runtime.settings.websocket.path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket" and route_path(scope) != self._websocket_path:
            await self._socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket route of the app's own, unless it is asked for under a foreign host: then 403."""
        if self._arrive(scope, Headers(scope=scope)).problem is None:
            await self._app(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": closing.POLICY_VIOLATION, "reason": INVALID_HOST})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        request_id = request_id_of(headers)
        if self._emits_id:
            send = _with_id(send, request_id)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["platform"] = self._runtime.platform.view(request_id)
        if route_path(scope) not in self._for_any_host:
            arrival = self._arrive(scope, headers)
            if arrival.problem is not None:
                await PlainTextResponse(arrival.problem, 400, NOSNIFF)(scope, receive, send)
                return
            state["base_origin"] = arrival.base
        try:
            state["client_address"] = self._runtime.edge.proxies.client_address(scope, headers)
        except ClientAddressError as error:
            scope["state"] = _StateWithoutAddress(state, error)
        await self._http(scope, receive, send)

    def _arrive(self, scope: Scope, headers: Headers) -> Arrival:
        arrival = self._runtime.edge.arrive(scope, headers)
        if arrival.problem is not None:
            rule = "host" if arrival.problem == INVALID_HOST else "authority"
            self._runtime.metrics.add("security_refusals_total", rule)
        return arrival


class _StateWithoutAddress(dict[str, Any]):
    """The state of a request whose proxy did not say which client sent it: reading the address raises."""

    def __init__(self, state: dict[str, Any], error: ClientAddressError) -> None:
        super().__init__(state)
        self._error = error

    def __missing__(self, key: str) -> Any:
        if key == "client_address":
            raise self._error
        raise KeyError(key)


def _with_id(send: Send, request_id: str) -> Send:
    async def send_with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"x-request-id" for name, _ in headers):
                headers.append((b"x-request-id", request_id.encode()))
            message = {**message, "headers": headers}
        await send(message)

    return send_with_id
