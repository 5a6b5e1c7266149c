"""What `realtime serve` runs: one server process with its log, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING

from runtime.server.serving import RealtimeServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from runtime.server.app import RealtimeApp

__all__ = ["configure_logging", "run_server"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging(level: str) -> None:
    """Write the log records of the app and of ours to stderr, from `level` up (``[server] log_level``)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class _AnnouncedServer(RealtimeServer):
    """A server that says when it has begun to accept connections."""

    def __init__(self, app: RealtimeApp, on_ready: Callable[[], None]) -> None:
        super().__init__(app)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call `on_ready`."""
        await super().startup(sockets=sockets)
        self._on_ready()


def run_server(app: RealtimeApp, listening: socket.socket, on_ready: Callable[[], None]) -> bool:
    """Serve `app` on `listening` until SIGTERM or SIGINT; call `on_ready` once connections are accepted.

    Gives back whether the end was graceful; a second signal makes it not so.

    Raises:
        StartupError: the app cannot start.
    """
    server = _AnnouncedServer(app, on_ready)
    # uvicorn raises the signal again when it has stopped as it should; by then it has nothing more to say.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _already_stopped)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listening]))
    return not server.force_exit


def _already_stopped(number: int, frame: object) -> None:
    """Ignore a signal."""
