"""Our app under uvicorn: start, stop and signals in the order of platform 1.9."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.requests import ClientDisconnect

from runtime.server.assembly import StartupError
from runtime.server.httpprotocol import HEAD_LIMIT, BoundedHttp, HttpBounds
from runtime.server.httpvariants import bounded_protocol
from runtime.server.pieces import in_pieces
from runtime.server.tls import Certificate
from runtime.server.uvicornlink import abort_all, closing_peers, websocket_protocol
from runtime.wire import closing

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from starlette.types import Message, Receive, Scope, Send

    from runtime.server.app import RealtimeApp

__all__ = ["RealtimeServer"]

logger = logging.getLogger("realtime.serving")

# How long peers have at the shutdown to answer the closing handshake before they are dropped.
GOODBYE_TIMEOUT = 0.5
GOODBYE_POLL = 0.01
REQUEST_POLL = 0.02  # seconds between two looks at the requests that are still being answered
CANCEL_TIMEOUT = 2.0  # seconds that cancelled requests have for their cleaning up
# uvicorn's own limit lies above ours: the endpoint answers 1009 itself, also for text whose bytes exceed its length.
PAYLOAD_MARGIN = 1024


class RealtimeServer(uvicorn.Server):
    """Serve one `RealtimeApp`. `await serve()` returns after a signal or after `should_exit` was set.

    `close_code` and `close_reason` are what open connections are told at the end: 1001, or 1012 for a dev worker that
    another one replaces. Without `tls` the certificate of the settings is not used.

    Raises:
        StartupRefused: the TLS certificate cannot be used.
    """

    def __init__(
        self,
        app: RealtimeApp,
        *,
        host: str | None = None,
        port: int | None = None,
        log_level: str = "warning",
        tls: bool = True,
    ) -> None:
        self.runtime = app.runtime
        self._realtime_app = app
        self.close_code = closing.GOING_AWAY
        self.close_reason = closing.SHUTDOWN_REASON
        self.stop_reason = "shutdown"
        self.ready = asyncio.Event()
        self._is_out_of_time = False
        #: The task that starts the app, as long as it does.
        self._starting: asyncio.Task[None] | None = None
        settings = app.runtime.settings
        server = settings.server
        self._certificate = Certificate.of(server, app.runtime.project or Path()) if tls else None
        idle = settings.websocket.idle_timeout
        ping = idle / 2 if settings.websocket.ping and idle else None
        http = bounded_protocol(
            HttpBounds(
                clock=app.runtime.clock,
                refused=self._refused,
                header_timeout=server.header_timeout,
                keepalive_timeout=server.keepalive_timeout,
                min_body_rate=server.min_body_rate,
                stream_write_timeout=server.stream_write_timeout,
            )
        )
        if http.problem is not None:
            logger.warning(
                "requests are served without limits of their time and size, since this uvicorn is not known: %s; "
                "install one that pyproject.toml of realtime-toolkit names, and see realtime doctor",
                http.problem,
            )
        write_path = websocket_protocol(app.runtime)
        if write_path.problem is not None and settings.websocket.fast_path != "off":
            logger.warning("there is no fast path, frames go over ASGI: %s", write_path.problem)
        super().__init__(
            uvicorn.Config(
                in_pieces(self._serve_app, app.runtime.clock),
                host=server.host if host is None else host,
                port=server.port if port is None else port,
                loop=server.loop,
                http=http.protocol,
                h11_max_incomplete_event_size=2 * HEAD_LIMIT,  # ours is asked first
                timeout_keep_alive=math.ceil(server.keepalive_timeout or 3600),
                ws=write_path.protocol,
                ws_max_size=settings.websocket.max_payload_length + PAYLOAD_MARGIN,
                ws_ping_interval=ping,
                ws_ping_timeout=ping,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                log_level=log_level,
                access_log=False,
                server_header=False,
                # Its default believes what anybody on this machine says of the peer's address and scheme.
                proxy_headers=False,
            )
        )
        self.config.load()
        if self._certificate is not None:
            self.config.ssl = self._certificate.context

    @property
    def has_certificate(self) -> bool:
        """Whether the server speaks TLS."""
        return self._certificate is not None

    def reload_certificate(self) -> bool:
        """Read the TLS files again for connections from now on; return whether there are any and they are fine."""
        return self._certificate is not None and self._certificate.reload()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then listen: no connection is accepted before the `init` hook has returned.

        A signal in the meantime ends the start: `init` is cancelled, and `started` stays false.

        Raises:
            StartupError: the app cannot start, or the address cannot be listened on; nothing is left running then.
        """
        self._starting = asyncio.current_task()
        try:
            await self._realtime_app.start()
            try:
                await self._listen(sockets)
            finally:
                if not self.started:
                    await self._realtime_app.stop(self.stop_reason)
        except asyncio.CancelledError:
            if self._starting is not None or not self.should_exit:
                raise  # somebody else cancelled us
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            logger.warning("%s ended the start before the app was ready", self.stop_reason)
            return
        finally:
            self._starting = None
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
        runtime = self.runtime
        await runtime.drain(self.stop_reason)
        over_at = runtime.clock.monotonic() + runtime.settings.server.shutdown_timeout
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        await runtime.farewell(self.close_code, self.close_reason)
        await self._goodbye()
        await self._finish_requests(max(0.0, over_at - runtime.clock.monotonic()))
        abort_all(self)
        await runtime.stop(self.stop_reason, timeout=0 if self.force_exit else None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Remember which signal asked for the end; at the second one nothing is waited for any more."""
        self.stop_reason = signal.Signals(sig).name
        super().handle_exit(sig, frame)
        if self._captured_signals[1:]:
            self.force_exit = True
        if self._starting is not None:
            self._starting.get_loop().call_soon_threadsafe(self._end_start)

    def _end_start(self) -> None:
        task, self._starting = self._starting, None
        if task is not None:  # else it was over by the time that this turn of the loop came
            task.cancel()

    async def _goodbye(self) -> None:
        """Let peers take their goodbye and answer it; drop those that do not."""
        rounds = int(GOODBYE_TIMEOUT / GOODBYE_POLL)
        while (self.runtime.connections or closing_peers(self)) and rounds and not self.force_exit:
            rounds -= 1
            await self.runtime.clock.sleep(GOODBYE_POLL)
        for peer in closing_peers(self):
            peer.terminate()

    async def _finish_requests(self, timeout: float) -> None:
        """Wait `timeout` seconds for the requests that are being answered, then end them. Spec: platform 1.9."""
        connections, tasks = self.server_state.connections, self.server_state.tasks
        for connection in list(connections):
            connection.shutdown()
        over = asyncio.Event()
        timer = self.runtime.clock.call_later(timeout, over.set)
        try:
            while (connections or tasks) and not over.is_set() and not self.force_exit:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REQUEST_POLL):
                        await over.wait()
        finally:
            timer.cancel()
        if tasks:
            logger.warning(
                "%d requests were still running at the shutdown timeout and were cancelled", len(tasks)
            )
            await self._cancel_requests()

    async def _cancel_requests(self) -> None:
        self._is_out_of_time = True
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedHttp):
                connection.cut_short()
        tasks = set(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT)

    async def _serve_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; one that the end of the shutdown cancels is answered with 503, if with nothing yet."""
        if scope["type"] != "http":
            await self._realtime_app(scope, receive, send)
            return
        is_begun = False

        async def noting(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._realtime_app(scope, receive, noting)
        except ClientDisconnect:
            pass  # the app was reading the body, and is told so when the client goes
        except asyncio.CancelledError:
            if not self._is_out_of_time:
                raise
            if not is_begun:
                body = b"Service Unavailable"
                headers = [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", b"%d" % len(body)),
                    (b"connection", b"close"),
                ]
                await send({"type": "http.response.start", "status": 503, "headers": headers})
                await send({"type": "http.response.body", "body": body})

    def _refused(self, rule: str, status: int | None, client: str) -> None:
        self.runtime.metrics.add("security_refusals_total", rule)
        if self._realtime_app.access_log is not None:
            self._realtime_app.access_log.refused(rule, status, client)
