"""The one module that knows uvicorn's WebSocket protocol from within: what ASGI cannot say is said here.

ASGI has no way to drop a peer. `transport.close()` and the closing handshake both stand behind what the peer has not
read yet, so one that does not read at all would never go. Under this protocol class a peer that is being closed, by
us, by uvicorn's missing pong or by its own close frame, has `CLOSE_TIMEOUT` seconds and is then aborted.
Other ASGI servers give no such link: there a peer that does not read stays until that server drops it.
`tests/server/test_uvicornlink.py` checks what is assumed of uvicorn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from runtime.server.asgisink import PEER_LINK
from runtime.wire import closing

if TYPE_CHECKING:
    import uvicorn

    from runtime.core.clock import Clock, TimerHandle

__all__ = ["CLOSE_TIMEOUT", "LinkedProtocol", "abort_all", "closing_peers", "linked_protocol"]

CLOSE_TIMEOUT = 5.0  # seconds that a peer has to read what is left and to answer the closing handshake


class LinkedProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with a bound on closing; it is the `runtime.server.asgisink.PeerLink` of its peer."""

    clock: Clock

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: TimerHandle | None = None

    @property
    def is_closing(self) -> bool:
        """Whether the peer has been given its last seconds."""
        return self._deadline is not None

    def abort(self) -> None:
        """Drop the peer at once, with whatever it has not read; the app is told 1006."""
        if not self.disconnected:
            self.disconnected = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": closing.ABNORMAL})
        self.transport.abort()

    def close_within_bound(self) -> None:
        """Abort the peer in `CLOSE_TIMEOUT` seconds unless it has gone by then."""
        if self._deadline is None and not self.disconnected:
            self._deadline = self.clock.call_later(CLOSE_TIMEOUT, self.abort)

    async def run_asgi(self) -> None:
        """Run the app with the link in its scope; what it leaves behind has to go in time."""
        self.scope["extensions"][PEER_LINK] = {"link": self}
        try:
            await super().run_asgi()
        finally:
            self.close_within_bound()

    def refused(self) -> None:
        """Note that an HTTP answer ended the handshake; uvicorn logs an error for each such peer otherwise."""
        self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """Close a peer whose pong did not come."""
        super().keepalive_timeout()
        self.close_within_bound()

    def handle_parser_exception(self) -> None:
        """Close a peer that broke the WebSocket protocol."""
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


def linked_protocol(clock: Clock) -> type[LinkedProtocol]:
    """Return the protocol class for `uvicorn.Config(ws=...)` whose deadlines run on `clock`."""
    return type("LinkedProtocol", (LinkedProtocol,), {"clock": clock})


def closing_peers(server: uvicorn.Server) -> list[LinkedProtocol]:
    """Return the WebSocket peers of `server` that are being closed and have not gone yet."""
    return [
        protocol
        for protocol in server.server_state.connections
        if isinstance(protocol, LinkedProtocol) and protocol.is_closing
    ]


def abort_all(server: uvicorn.Server) -> None:
    """Drop every peer of `server`, HTTP ones too: the time for goodbyes is over."""
    for protocol in list(server.server_state.connections):
        protocol.transport.abort()
