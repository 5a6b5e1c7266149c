"""All connections of one runtime on the fast path: what they have in common, and one timer for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.server.fastpath.peer import FastPeer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import MutableSet

    from runtime.core.clock import Clock, TimerHandle
    from runtime.server.assembly import Runtime
    from runtime.server.inbound import Inbound

__all__ = ["PeerGroup"]

# How often within `idle_timeout` it is looked who has sent something; a ping goes out after half of these.
SWEEPS_PER_TIMEOUT = 8
READ_BUFFER = 256 * 1024


class PeerGroup:
    """Makes peers, asks silent ones for a sign of life and drops those that give none. Spec: wire 1.8."""

    __slots__ = (
        "_idle_timeout",
        "_pings",
        "_runtime",
        "_servers",
        "_timer",
        "clock",
        "max_backpressure",
        "max_size",
        "view",
    )

    def __init__(self, runtime: Runtime) -> None:
        websocket = runtime.settings.websocket
        self._runtime = runtime
        self.clock: Clock = runtime.clock
        self.max_size = websocket.max_payload_length
        self.max_backpressure = websocket.max_backpressure
        self._idle_timeout = websocket.idle_timeout or 0
        self._pings = websocket.ping
        #: Each peer with the set in which its server keeps it.
        self._servers: dict[FastPeer, MutableSet[object]] = {}
        self._timer: TimerHandle | None = None
        #: Where every peer's transport reads to. A fresh object per read would cost more than reading, for large ones.
        self.view = memoryview(bytearray(READ_BUFFER))

    def take(
        self,
        transport: asyncio.Transport,
        server: MutableSet[object],
        *,
        deflates: bool,
        answer: bytes = b"",
    ) -> FastPeer:
        """Make `transport` the one of a new peer; `server` is the set of open connections it is counted in.

        `answer` is the 101 if that has not been sent: it leaves with the first frame.
        """
        peer = FastPeer(transport, self, deflates=deflates, answer=answer)
        self._servers[peer] = server
        server.add(peer)
        if self._timer is None and self._idle_timeout:
            self._schedule()
        return peer

    def lost(self, peer: FastPeer) -> None:
        """Forget a peer whose transport is gone."""
        server = self._servers.pop(peer, None)
        if server is not None:
            server.discard(peer)
        if not self._servers and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def ended(self, inbound: Inbound, code: int, reason: str) -> None:
        """Run the end of a connection, which may call a hook."""
        inbound.connection.mark_closed(reason or "connection closed")
        tasks = self._runtime.tasks
        if not tasks.closed:
            tasks.start(inbound.closed(code, reason), name="close")

    def _schedule(self) -> None:
        self._timer = self.clock.call_later(self._idle_timeout / SWEEPS_PER_TIMEOUT, self._sweep)

    def _sweep(self) -> None:
        silent: list[FastPeer] = []
        for peer in self._servers:
            if peer.heard or peer.is_held:
                peer.heard = False
                peer.quiet_sweeps = 0
            else:
                peer.quiet_sweeps += 1
                if peer.quiet_sweeps >= SWEEPS_PER_TIMEOUT // 2:
                    silent.append(peer)
        for peer in silent:
            if peer.quiet_sweeps >= SWEEPS_PER_TIMEOUT:
                peer.terminate()
            elif peer.quiet_sweeps == SWEEPS_PER_TIMEOUT // 2 and self._pings:
                peer.ping(b"")
        self._schedule()
