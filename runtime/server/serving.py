"""Our app under uvicorn: start, stop and signals in the order of platform 1.9."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import uvicorn

from runtime.server.assembly import StartupError
from runtime.server.uvicornlink import abort_all, closing_peers, linked_protocol
from runtime.wire import closing

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from runtime.server.app import RealtimeApp

__all__ = ["RealtimeServer"]

# How long peers have at the shutdown to answer the closing handshake before they are dropped.
GOODBYE_TIMEOUT = 0.5
GOODBYE_POLL = 0.01
# uvicorn's own limit lies above ours: the endpoint answers 1009 itself, also for text whose bytes exceed its length.
PAYLOAD_MARGIN = 1024


class RealtimeServer(uvicorn.Server):
    """Serve one `RealtimeApp`. `await serve()` returns after a signal or after `should_exit` was set.

    `close_code` and `close_reason` are what open connections are told at the end: 1001, or 1012 for a dev worker that
    another one replaces.
    """

    def __init__(
        self,
        app: RealtimeApp,
        *,
        host: str | None = None,
        port: int | None = None,
        log_level: str = "warning",
        access_log: bool = False,
    ) -> None:
        self.runtime = app.runtime
        self._realtime_app = app
        self.close_code = closing.GOING_AWAY
        self.close_reason = closing.SHUTDOWN_REASON
        self.stop_reason = "shutdown"
        self.ready = asyncio.Event()
        settings = app.runtime.settings
        idle = settings.websocket.idle_timeout
        ping = idle / 2 if settings.websocket.ping and idle else None
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.server.host if host is None else host,
                port=settings.server.port if port is None else port,
                loop=settings.server.loop,
                http="auto",
                ws=linked_protocol(app.runtime.clock),
                ws_max_size=settings.websocket.max_payload_length + PAYLOAD_MARGIN,
                ws_ping_interval=ping,
                ws_ping_timeout=ping,
                ws_per_message_deflate=False,
                lifespan="off",
                log_level=log_level,
                access_log=access_log,
                server_header=False,
                # Its default believes what anybody on this machine says of the peer's address and scheme.
                proxy_headers=False,
                timeout_graceful_shutdown=int(settings.server.shutdown_timeout) or 1,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then listen: no connection is accepted before the `init` hook has returned.

        Raises:
            StartupError: the app cannot start, or the address cannot be listened on; nothing is left running then.
        """
        await self._realtime_app.start()
        try:
            await self._listen(sockets)
        finally:
            if not self.started:
                await self._realtime_app.stop(self.stop_reason)
        self.ready.set()

    async def _listen(self, sockets: list[socket.socket] | None) -> None:
        try:
            await super().startup(sockets=sockets)
        except SystemExit as ended:
            # uvicorn logs what kept it from listening and exits; whoever embeds us wants to go on living.
            cause = ended.__context__
            where = f"{self.config.host}:{self.config.port}"
            raise StartupError(
                f"cannot listen on {where}: {cause or 'see the log'}; stop what has the port, or take another"
            ) from cause

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the `shutdown` hook, stop listening, say goodbye to every peer, release everything."""
        await self.runtime.drain(self.stop_reason)
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        self.runtime.close_connections(self.close_code, self.close_reason)
        await self._goodbye()
        await super().shutdown(sockets=[])
        abort_all(self)
        await self.runtime.stop(self.stop_reason, timeout=0 if self.force_exit else None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Remember which signal asked for the end; at the second one nothing is waited for any more."""
        self.stop_reason = signal.Signals(sig).name
        super().handle_exit(sig, frame)
        if self._captured_signals[1:]:
            self.force_exit = True

    async def _goodbye(self) -> None:
        """Let peers take their goodbye and answer it; drop those that do not."""
        rounds = int(GOODBYE_TIMEOUT / GOODBYE_POLL)
        while (self.runtime.connections or closing_peers(self)) and rounds and not self.force_exit:
            rounds -= 1
            await self.runtime.clock.sleep(GOODBYE_POLL)
        for peer in closing_peers(self):
            peer.abort()
