"""The WebSocket endpoint: upgrade checks, then frames in and out over ASGI. Spec: wire 1, platform 1.6 and 1.7."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import PlainTextResponse

from runtime.server.asgisink import PEER_LINK, AsgiSink, PausableReceive, PeerLink
from runtime.server.fastpath.group import PeerGroup
from runtime.server.upgrade import Accepted, Refused, decide
from runtime.wire import closing

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from runtime.server.assembly import Runtime
    from runtime.server.fastpath.peer import FastPeer
    from runtime.server.inbound import Inbound

__all__ = ["WebSocketEndpoint", "upgrade_required"]

# Codes that stand for a close frame without a code, or for none at all.
NO_STATUS = (1005, closing.ABNORMAL)


class WebSocketEndpoint:
    """An ASGI app for the WebSocket path of one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._peers = PeerGroup(runtime) if runtime.settings.websocket.fast_path != "off" else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket from handshake to close."""
        await receive()
        runtime = self._runtime
        runtime.upgrading += 1
        reading = PausableReceive(receive) if _link(scope) is None else None
        outcome = "aborted"  # unless the peer is still there for our answer
        try:
            decision = await decide(runtime, scope)
            if isinstance(decision, Refused):
                peer: Refused | tuple[AsgiSink, Inbound] | None = decision
            else:
                peer = await self._accept(decision, scope, send, reading)
            outcome = decision.outcome
        finally:
            runtime.upgrading -= 1
            runtime.metrics.add("ws_upgrades_total", outcome)
        if isinstance(peer, Refused):
            await _refuse(peer, scope, send)
        elif peer is not None:
            await self._serve(*peer, reading or receive)

    async def _accept(
        self, accepted: Accepted, scope: Scope, send: Send, reading: PausableReceive | None
    ) -> tuple[AsgiSink, Inbound] | None:
        """Accept the peer; `None` when the fast path has it from here on and this app is done."""
        offered = scope.get("subprotocols") or [None]
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": offered[0],
                "headers": accepted.headers,
            }
        )
        link = _link(scope)
        if link is not None and self._peers is not None:
            peer = link.take_over(self._peers)
            if peer is not None:
                self._begin(peer, accepted)
                return None
        sink = AsgiSink(send, self._runtime.sends, direct=link is not None, link=link, reading=reading)
        return sink, self._runtime.connect(sink, accepted.handshake)

    def _begin(self, peer: FastPeer, accepted: Accepted) -> None:
        runtime = self._runtime
        try:
            inbound = runtime.connect(peer, accepted.handshake)
        except BaseException:  # of the app's own user data; nobody else would ever close it
            peer.terminate()
            raise
        peer.serve(inbound)
        if runtime.hooks.get("open") is None:
            runtime.let_through(inbound)
            peer.opened()
        else:
            runtime.tasks.start(_open(runtime, inbound, peer), name="open")

    async def _serve(self, sink: AsgiSink, inbound: Inbound, receive: Receive) -> None:
        runtime = self._runtime
        opening: asyncio.Task[None] | None = None
        if runtime.hooks.get("open") is None:
            runtime.let_through(inbound)
        else:
            opening = runtime.tasks.start(runtime.opened(inbound), name="open")
        code, reason = closing.ABNORMAL, ""
        limit = runtime.settings.websocket.max_payload_length
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    code, reason = message.get("code", 1005), message.get("reason") or ""
                    break
                data: str | bytes | None = message.get("text")
                if data is None:
                    data = message.get("bytes") or b""
                if len(data) > limit or (isinstance(data, str) and _bytes_exceed(data, limit)):
                    runtime.metrics.add("security_refusals_total", "message_size")
                    inbound.connection.close_soon(closing.TOO_BIG, "Message too big")
                    continue
                inbound.feed(data)
                if opening is not None:
                    # Nothing more is read while the hook runs, so the peer's own sending has to wait (platform 1.7).
                    # Without a frame of it the loop waits for one above, and so sees a peer that leaves.
                    await asyncio.wait([opening])
                await sink.readable()
        finally:
            if code in NO_STATUS and sink.closing is not None:
                code, reason = sink.closing  # the peer went without an answer to what we closed it with
            sink.lost()
            inbound.connection.mark_closed(reason or "connection closed")
            if opening is not None:
                await asyncio.wait([opening])
            await inbound.closed(code, reason)


async def _open(runtime: Runtime, inbound: Inbound, peer: FastPeer) -> None:
    try:
        await runtime.opened(inbound)
    finally:
        peer.opened()


def upgrade_required(request: Request) -> Response:
    """Answer a plain request to the WebSocket path. Spec: wire 1.1."""
    return PlainTextResponse("Upgrade Required", 426, {"upgrade": "websocket", "connection": "upgrade"})


def _bytes_exceed(text: str, limit: int) -> bool:
    """Return whether `text` has more than `limit` bytes; encodes only where the length leaves doubt."""
    return not text.isascii() and len(text) * 4 > limit and len(text.encode("utf-8", "surrogatepass")) > limit


def _link(scope: Scope) -> PeerLink | None:
    """Return what the server offers beyond ASGI, or `None` under servers other than ours."""
    link: PeerLink | None = (scope.get("extensions") or {}).get(PEER_LINK, {}).get("link")
    return link


async def _refuse(refused: Refused, scope: Scope, send: Send) -> None:
    """Send an HTTP answer instead of the 101 where the server can; else every refusal is its 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": closing.POLICY_VIOLATION, "reason": refused.body})
        return
    body = refused.body.encode()
    headers: list[Any] = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
    ]
    await send({"type": "websocket.http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
    if (link := _link(scope)) is not None:
        link.refused()
