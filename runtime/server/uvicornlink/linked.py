"""uvicorn's own WebSocket protocol with a bound on closing.

ASGI has no way to drop a peer. `transport.close()` and the closing handshake both stand behind what the peer has not
read yet, so one that does not read at all would never go. Under this protocol class a peer that is being closed, by
us, by uvicorn's missing pong or by its own close frame, has `CLOSE_TIMEOUT` seconds and is then aborted.
Other ASGI servers give no such link: there a peer that does not read stays until that server drops it.
`tests/server/test_uvicornlink.py` checks what is assumed of uvicorn.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode

from runtime.core.clock import SystemClock
from runtime.server.asgisink import PEER_LINK
from runtime.server.fastpath.messages import INVALID_DATA, PROTOCOL_ERROR
from runtime.server.fastpath.peer import CLOSE_TIMEOUT, MAX_PINGS_PER_SECOND, RULES, FastPeer
from runtime.wire import closing
from runtime.wire.limits import MAX_FRAGMENTS

if TYPE_CHECKING:
    import uvicorn
    from websockets.http11 import Response

    from runtime.core.clock import Clock, TimerHandle
    from runtime.core.metrics import Metrics
    from runtime.server.fastpath.group import PeerGroup

__all__ = ["CLOSE_TIMEOUT", "GONE", "MAX_EARLY_BYTES", "LinkedProtocol", "abort_all", "closing_peers"]

# Bytes that a peer may send between its upgrade request and our answer to it.
MAX_EARLY_BYTES: Final = 64 * 1024


class _NoTransport(asyncio.Transport):
    """Stands for a transport that was given away, so that nothing of uvicorn's closes it."""

    def close(self) -> None:
        """Close nothing."""

    def is_closing(self) -> bool:
        """Say that nothing can be sent here."""
        return True


GONE = _NoTransport()


class LinkedProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with a bound on closing; it is the `runtime.server.asgisink.PeerLink` of its peer."""

    clock: Clock = SystemClock()
    compresses = False
    #: Where it is counted what a peer is closed for; nowhere without an app.
    metrics: Metrics | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reject = self.conn.reject
        # `websockets` answers what is no handshake by itself, with the peer's own words in the text.
        self.conn.reject = self._refusal  # type: ignore[method-assign]  # uvicorn makes the object
        if self.compresses:
            # Without context takeover a broadcast is deflated once for all peers.
            self.conn.available_extensions = [
                ServerPerMessageDeflateFactory(
                    server_no_context_takeover=True, client_no_context_takeover=True
                )
            ]
        self._deadline: TimerHandle | None = None
        self._early = b""
        self._is_detached = False
        self._ping_since, self._ping_count = 0.0, 0

    def _refusal(self, status: Any, text: str) -> Response:
        response = self._reject(status, text)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def data_received(self, data: bytes) -> None:
        """Take bytes of the peer; what comes between its request and our answer waits for the answer."""
        if not self.handshake_initiated:
            super().data_received(data)
            self._look_at_request()
        elif not self.handshake_complete:
            self._early += data
            if len(self._early) > MAX_EARLY_BYTES:
                self.terminate()
        else:
            super().data_received(data)

    def _look_at_request(self) -> None:
        """See to it that a request which never gets to the app has an answer and an end."""
        if not self.handshake_initiated:
            # `websockets` could not read it, and has an answer only to one that is too large; uvicorn sends neither.
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            answer = b"".join(self.conn.data_to_send())
            self.transport.write(
                answer or self.conn.reject(HTTPStatus.BAD_REQUEST, "Bad Request").serialize()
            )
            self.transport.close()
        if self.close_sent:
            self.close_within_bound()

    async def send(self, message: Any) -> None:
        """Send what the app says; once it has accepted, what the peer sent too early is read."""
        await super().send(message)
        if self._early and self.handshake_complete and not self._is_detached:
            self.loop.call_soon(
                self._read_early
            )  # unless the fast path takes the peer over, and them with it

    def _read_early(self) -> None:
        early, self._early = self._early, b""
        if early:
            super().data_received(early)

    def take_over(self, group: PeerGroup) -> FastPeer | None:
        """Give the transport of an accepted peer to a protocol of our own; `None` when the peer has gone meanwhile.

        This object is of no use to anybody then: it goes with the task that runs the app.
        """
        transport = self.transport
        if not self.handshake_complete or self.disconnected or self.close_sent or transport.is_closing():
            return None
        self.stop_keepalive()
        self._is_detached = True
        self.connections.discard(self)
        connections: Any = self.connections
        peer = group.take(transport, connections, deflates=bool(self.conn.extensions))
        transport.set_protocol(peer)
        early, self._early = self._early, b""
        if early:
            self.loop.call_soon(peer.data_received, early)
        # Reading began with uvicorn's protocol, which is not handed buffers.
        transport.pause_reading()
        transport.resume_reading()
        self.transport = GONE
        return peer

    @property
    def is_closing(self) -> bool:
        """Whether the peer has been given its last seconds."""
        return self._deadline is not None

    def terminate(self) -> None:
        """Drop the peer at once, with whatever it has not read; the app is told 1006."""
        if not self.disconnected:
            self.disconnected = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": closing.ABNORMAL})
        self.transport.abort()

    def close_within_bound(self) -> None:
        """Abort the peer in `CLOSE_TIMEOUT` seconds unless it has gone by then."""
        if self._deadline is None and not self.disconnected:
            self._deadline = self.clock.call_later(CLOSE_TIMEOUT, self.terminate)

    async def run_asgi(self) -> None:
        """Run the app with the link in its scope; what it leaves behind has to go in time."""
        self.scope["extensions"][PEER_LINK] = {"link": self}
        try:
            await super().run_asgi()
        finally:
            if not self._is_detached:
                self.close_within_bound()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Let go of everything when the app is done and the transport was given away."""
        super().on_task_complete(task)
        if self._is_detached:
            # The scope holds the link and the link the scope: nobody needs either of them now.
            self.__dict__.clear()

    def refused(self) -> None:
        """Note that an HTTP answer ended the handshake; uvicorn logs an error for each such peer otherwise."""
        self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """Close a peer whose pong did not come."""
        super().keepalive_timeout()
        self.close_within_bound()

    def handle_events(self) -> None:
        """Take what the peer sent, unless it sends more pings than it may: those are answered all at once."""
        pings = sum(isinstance(one, Frame) and one.opcode is Opcode.PING for one in self.conn.events)
        if pings and self._is_flood(pings):
            self._fail(closing.POLICY_VIOLATION, "too many pings")
        else:
            super().handle_events()

    def _is_flood(self, pings: int) -> bool:
        now = self.clock.monotonic()
        if now - self._ping_since >= 1.0:
            self._ping_since, self._ping_count = now, 0
        self._ping_count += pings
        return self._ping_count > MAX_PINGS_PER_SECOND

    def handle_cont(self, event: Frame) -> None:
        """Take a piece of a message; empty ones add nothing to its size, so that their number has a bound too."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self.frames = []
            self._fail(PROTOCOL_ERROR, "message has too many fragments")
        elif not self.close_sent:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hand a message to the app; for one that is no text uvicorn would write a traceback."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self._fail(INVALID_DATA, "invalid UTF-8")
                return
        super().send_receive_event_to_app()

    def _fail(self, code: int, reason: str) -> None:
        """Tell the peer what it did wrong, in place of the answers that it waits for, and close."""
        if self.close_sent:
            self.terminate()
            return
        self.conn.data_to_send()
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """Close a peer that broke the WebSocket protocol."""
        if self.metrics is not None and not self.close_sent and self.conn.close_sent is not None:
            self.metrics.add("security_refusals_total", RULES.get(self.conn.close_sent.code, "frame"))
        super().handle_parser_exception()
        self.close_within_bound()

    def handle_close(self, event: Any) -> None:
        """Answer the peer's close frame."""
        super().handle_close(event)
        self.close_within_bound()

    def shutdown(self) -> None:
        """Close because the server stops."""
        super().shutdown()
        self.close_within_bound()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the peer has gone."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        super().connection_lost(exc)


def closing_peers(server: uvicorn.Server) -> list[LinkedProtocol | FastPeer]:
    """Return the WebSocket peers of `server` that are being closed and have not gone yet."""
    return [
        protocol
        for protocol in server.server_state.connections
        if isinstance(protocol, LinkedProtocol | FastPeer) and protocol.is_closing
    ]


def abort_all(server: uvicorn.Server) -> None:
    """Drop every peer of `server`, HTTP ones too: the time for goodbyes is over."""
    for protocol in list(server.server_state.connections):
        if isinstance(protocol, FastPeer):
            protocol.terminate()
        else:
            protocol.transport.abort()
