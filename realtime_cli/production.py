"""What `realtime serve` runs: one server process with its log, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from realtime_cli.allocator import keep_freed_memory
from realtime_cli.collector import collect_seldom
from realtime_cli.exitcodes import INTERRUPTED, OK
from runtime.core.tasks import TaskOwner
from runtime.server.serving import RealtimeServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from types import FrameType

    from runtime.core.settings import ServerSettings
    from runtime.server.app import RealtimeApp

__all__ = ["configure_logging", "run_server"]

logger = logging.getLogger("realtime")

REST_TIMEOUT = 1.0  # seconds that tasks and threads of the app have when everything else has ended
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging(settings: ServerSettings) -> None:
    """Write the log records of the app and of ours to stderr, and the access log, if it is on, to stdout."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if settings.log_format == "json" else logging.Formatter(_FORMAT))
    handler.setLevel(settings.log_level.upper())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    if settings.access_log != "off":
        lines = logging.StreamHandler(sys.stdout)
        lines.setFormatter(logging.Formatter("%(message)s"))
        access = logging.getLogger("realtime.access")
        access.addHandler(lines)
        access.setLevel(logging.INFO)
        access.propagate = False


class _JsonFormatter(logging.Formatter):
    """One JSON object per record; what went wrong stands in `error` as a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        elif record.exc_text:
            fields["error"] = record.exc_text
        if record.stack_info:
            fields["stack"] = record.stack_info
        return json.dumps(fields, ensure_ascii=False)


class _ProductionServer(RealtimeServer):
    """A server that says when it accepts connections, and ends the process at the second signal."""

    def __init__(self, app: RealtimeApp, on_ready: Callable[[], None]) -> None:
        super().__init__(app)
        self._on_ready = on_ready
        self._had_terminal = _has_terminal()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call `on_ready`, unless a signal came first."""
        await super().startup(sockets=sockets)
        if self.started:
            collect_seldom()
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGHUP too, unless it is ignored (``nohup``) and there is no certificate to read again."""
        with super().capture_signals():
            ends = _listens_to_hangup()
            if not hasattr(signal, "SIGHUP") or not (ends or self.has_certificate):
                yield
                return
            loop = asyncio.get_running_loop()

            def hang_up(_: int, frame: FrameType | None) -> None:
                if self.has_certificate and not (ends and self._had_terminal and not _has_terminal()):
                    loop.call_soon_threadsafe(self.reload_certificate)
                else:
                    self.handle_exit(signal.SIGTERM, frame)

            before = signal.signal(signal.SIGHUP, hang_up)
            try:
                yield
            finally:
                signal.signal(signal.SIGHUP, before)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown, or end the process at once with 130 when it has begun."""
        super().handle_exit(sig, frame)
        if self.force_exit:
            _leave(INTERRUPTED)


def run_server(
    app: RealtimeApp,
    listening: socket.socket,
    *,
    on_ready: Callable[[], None],
    on_end: Callable[[], None],
) -> None:
    """Serve `app` on `listening` until SIGTERM, SIGINT or SIGHUP; call `on_ready` once connections are accepted.

    With a TLS certificate SIGHUP reads that again instead, unless it tells that the terminal is gone. `on_end` is
    called when the server has stopped or could not start.

    A second signal ends the process at once with 130. So does the end of the shutdown, with 0 and a warning, where
    tasks or threads of the app go on in spite of it: the interpreter would wait for them for ever.

    Raises:
        StartupError: the app cannot start.
        StartupRefused: the settings do not allow it to start.
    """
    try:
        server = _ProductionServer(app, on_ready)
    except BaseException:
        on_end()
        raise
    keep_freed_memory()
    # uvicorn raises the signal again when it has stopped as it should; by then it has nothing more to say.
    _on_signals(lambda *_: None)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        try:
            runner.run(server.serve(sockets=[listening]))
        finally:
            on_end()
        _on_signals(lambda *_: _leave(INTERRUPTED))
        threads = _foreground_threads()
        left = runner.run(_end_tasks())
        deadline = time.monotonic() + REST_TIMEOUT
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        left += [f"thread {thread.name}" for thread in threads if thread.is_alive()]
        if left:
            logger.warning("%d things of the app do not end and are left: %s", len(left), ", ".join(left))
            _leave(OK)


async def _end_tasks() -> list[str]:
    """Cancel the tasks that nobody owns and let the loop's threads go; return the names of tasks that stay."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=REST_TIMEOUT)
    ending = TaskOwner("end").start(asyncio.get_running_loop().shutdown_default_executor(), name="executor")
    await asyncio.wait([ending], timeout=REST_TIMEOUT)
    return [f"task {task.get_name()}" for task in tasks if not task.done()]


def _foreground_threads() -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.daemon
    ]


def _on_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if _listens_to_hangup() else ())):
        signal.signal(number, handler)


def _listens_to_hangup() -> bool:
    """Whether the end of the terminal is news to us: not on Windows, which has none, and not under ``nohup``."""
    return hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def _has_terminal() -> bool:
    """Whether the process has a controlling terminal: the end of one takes it away before SIGHUP is sent."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY))
    except OSError:
        return False
    return True


def _leave(code: int) -> NoReturn:
    """End the process with `code`, without waiting for tasks and threads."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # closed, or in the middle of a write
            stream.flush()
    os._exit(code)
