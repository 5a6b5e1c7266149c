"""The request before a connect: `POST /__ws/auth` runs the `authenticate` hook. Spec: wire 1.5, platform 1.4 and 5.6.

A session cookie that is renewed here travels on an ordinary answer, which no proxy takes offence at.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, NoMatchFound

from runtime.core.errors import HookTimeout
from runtime.core.tasks import reraise_own_cancellation
from runtime.server.cookies import Cookies, parse_cookies
from runtime.server.csrf import may_be_ours
from runtime.server.headercheck import check_headers, encode_header
from runtime.server.requestcontext import route_path
from runtime.server.upgrade import joined_headers, request_url

if TYPE_CHECKING:
    from starlette.datastructures import URLPath
    from starlette.types import Message, Receive, Scope, Send

    from runtime.server.assembly import Runtime

__all__ = ["AuthRoute"]

logger = logging.getLogger("realtime.auth")

# No body, and so no length of one (RFC 9110, 8.6).
_BODILESS: Final = frozenset({204, 304})
# Only the answer ends the connection: the body of the request may be on its way still.
_CLOSE: Final = {"connection": "close"}


class AuthRoute(BaseRoute):
    """Matches the auth path while the app has an `authenticate` hook; without one the path is like any other."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._path = runtime.settings.websocket.auth_path
        self._result_told = False

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return a full match for the auth path with any method."""
        if scope["type"] != "http" or route_path(scope) != self._path:
            return Match.NONE, {}
        runtime = self._runtime
        # Hooks that do not load may have one: the client shall try again, not give up.
        if runtime.hooks.get("authenticate") is None and runtime.hooks_problem is None:
            return Match.NONE, {}
        return Match.FULL, {"endpoint": self}

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """Raise: the path is for clients of the app, which know it."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing is sent to a client that has gone meanwhile."""
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers)
        if answer is None:
            try:
                await self._serve(scope, headers, receive, send)
            except ClientDisconnect:
                return
        else:
            await answer(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to a request that the hook is not asked about."""
        runtime = self._runtime
        if scope["method"] != "POST":
            return self._refuse("auth_method", 405, "Method Not Allowed", {"allow": "POST"})
        edge = runtime.edge
        checks = runtime.settings.security.auth_require_origin
        if checks and not may_be_ours(headers, edge, scope["state"]["base_origin"]):
            return self._refuse("auth_origin", 403, "Origin not allowed")
        if not edge.may_authenticate(edge.proxies.remote_address(scope, headers)):
            return self._refuse("auth_rate", 429, "Too many requests")
        if not runtime.is_ready:
            return self._refuse("auth_unready", 503, "Server is not ready, please retry")
        if runtime.hooks_problem is not None:
            return PlainTextResponse("WebSocket handler failed to load", 500)
        return None

    def _refuse(self, rule: str, status: int, body: str, headers: dict[str, str] | None = None) -> Response:
        self._runtime.metrics.add("security_refusals_total", rule)
        return PlainTextResponse(body, status, headers)

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        settings = self._runtime.settings
        cookies = Cookies(
            parse_cookies("; ".join(headers.getlist("cookie"))),
            check_attributes=settings.security.cookie_attribute_check,
        )
        answer = await self._answer(scope, headers, cookies, receive)
        sent = _Once(send)
        try:
            await answer(scope, receive, sent)
        except Exception:
            if sent.has_begun:
                raise
            await self._failed()(scope, receive, send)

    async def _answer(
        self, scope: Scope, headers: Headers, cookies: Cookies, receive: Receive
    ) -> Response | _Merged:
        """Read the body and ask the hook, each within `auth_timeout`."""
        settings = self._runtime.settings.websocket
        try:
            async with asyncio.timeout(settings.auth_timeout):
                body = await _read(receive, headers, settings.auth_body_limit)
        except TimeoutError:
            return self._too_late()
        if body is None:
            return self._refuse("auth_body", 413, "Content Too Large", _CLOSE)
        try:
            return await self._ask(_replayed(scope, body, receive), headers, cookies)
        except HookTimeout:
            return self._too_late()
        except (Exception, asyncio.CancelledError):
            reraise_own_cancellation()
            return self._failed()

    def _too_late(self) -> Response:
        return PlainTextResponse("Upgrade timed out", 504, _CLOSE)

    def _failed(self) -> Response:
        """Note the exception that is being handled and return the answer to it, which says nothing of it."""
        logger.exception("hook authenticate failed")
        self._runtime.metrics.add("hook_errors_total", "authenticate")
        return PlainTextResponse("Internal Server Error", 500)

    async def _ask(self, request: Request, headers: Headers, cookies: Cookies) -> Response | _Merged:
        """Run the hook and return the answer to what it says."""
        runtime, scope = self._runtime, request.scope
        proxies = runtime.edge.proxies
        result = await runtime.hooks.run(
            "authenticate",
            runtime.settings.websocket.auth_timeout,
            request=request,
            headers=joined_headers(headers),
            cookies=cookies,
            url=request_url(scope),
            remote_address=proxies.remote_address(scope, headers),
            get_client_address=lambda: proxies.client_address(scope, headers),
            platform=scope["state"]["platform"],
            request_id=scope["state"]["request_id"],
        )
        if result is False:
            return self._refuse("auth_denied", 401, "Unauthorized")
        if isinstance(result, Response):
            return _Merged(result, cookies)
        if result is not None and not self._result_told:
            self._result_told = True
            logger.warning(
                "the authenticate hook returned %s, which counts as None; return None, False or a Response",
                type(result).__name__,
            )
        return _Merged(Response(status_code=204), cookies)


class _Once:
    """A `send` that knows whether the answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        self.has_begun = True
        await self._send(message)


class _Merged:
    """A response with the cookies that the hook set, behind its own; its length is made anew."""

    def __init__(self, response: Response, cookies: Cookies) -> None:
        self._response = response
        self._cookies = [encode_header("set-cookie", value) for value in cookies.header_values]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def merging(message: Message) -> None:
            if message["type"] == "http.response.start":
                raw = list(message.get("headers", ()))
                check_headers(raw)
                message = {**message, "headers": [*self._with_length(raw, message["status"]), *self._cookies]}
            await send(message)

        await self._response(scope, receive, merging)

    def _with_length(self, raw: list[tuple[bytes, bytes]], status: int) -> list[tuple[bytes, bytes]]:
        headers = MutableHeaders(
            raw=[(name, value) for name, value in raw if name.lower() != b"content-length"]
        )
        body: Any = getattr(self._response, "body", None)  # a streamed one has none
        if isinstance(body, bytes) and status >= 200 and status not in _BODILESS:
            headers["content-length"] = str(len(body))
        return headers.raw


async def _read(receive: Receive, headers: Headers, limit: int) -> bytes | None:
    """Return the body of a request, `None` when it is larger than `limit` bytes.

    Raises:
        ClientDisconnect: the client has gone.
    """
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        return None
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _replayed(scope: Scope, body: bytes, receive: Receive) -> Request:
    """Return a request whose body was read before."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return Request(scope, replay)
