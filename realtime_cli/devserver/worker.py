"""A worker process of `realtime dev`: serves the project on the socket that the parent owns.

Run as `python -m realtime_cli.devserver.worker FD`, where FD is its end of the channel. Everything it has to know
comes over the channel. It ends when it is told to, when it cannot start, and when the parent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from realtime_cli.devserver.calllog import CallLog
from realtime_cli.devserver.channel import (
    Alive,
    Assets,
    Connection,
    Debugging,
    Hold,
    Imported,
    Load,
    LoadFailed,
    Probe,
    Ready,
    Released,
    Reload,
    Reloaded,
    RestartFailed,
    Retire,
    Stop,
    Stopping,
    ToWorker,
    WhichImported,
)
from realtime_cli.devserver.debugger import install_breakpoint_hook, is_in_debugger
from realtime_cli.devserver.keyboard import silence_signals
from realtime_cli.devserver.logsetup import adopt_server_logs, set_up_logging
from realtime_cli.devserver.overlay import DevChannel
from realtime_cli.devserver.projectsettings import CannotStart, read_settings
from realtime_cli.devserver.reloading import Reloading
from realtime_cli.devserver.requestlog import RequestLog, Traffic
from realtime_cli.devserver.startup import start_app
from realtime_cli.devserver.terminal import Terminal, TerminalOptions
from realtime_cli.exitcodes import OK
from runtime.core.tasks import TaskOwner
from runtime.server.serving import RealtimeServer
from runtime.wire.closing import RESTART_REASON, SERVICE_RESTART

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.devserver.channel import Message
    from runtime.core.settings import Settings
    from runtime.server.app import RealtimeApp

__all__ = ["main"]

ORPHAN_GRACE = 2.0
"""Seconds in which a worker whose parent is gone ends in order; then it ends anyhow."""

SETTLE_LIMIT = 0.5
"""Seconds that a retiring worker waits for the requests of connections it accepted last."""

SETTLE_STEP = 0.01
STATUS_STEP = 0.25
"""Seconds between two looks at the status line."""


class _DevServing(RealtimeServer):
    """The server without signal handlers: the parent says when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class Worker:
    """One worker: the app, its server, and the answers to the parent."""

    def __init__(self, channel: Connection, load: Load, terminal: Terminal, settings: Settings) -> None:
        self._channel = channel
        self._load = load
        self._terminal = terminal
        self._settings = settings
        self._project = Path(load.project)
        self._traffic = Traffic()
        self._log = CallLog(terminal, time.monotonic)
        self._pages = DevChannel(uuid.uuid4().hex, settings)
        self._app: RealtimeApp | None = None
        self._server: _DevServing | None = None
        self._reloading: Reloading | None = None
        self._main: asyncio.Task[Any] | None = None
        self._tasks = TaskOwner("dev worker")
        self._ending = False

    async def run(self) -> None:
        """Serve until told to stop.

        Raises:
            CannotStart: the project does not come up.
        """
        loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        threading.Thread(target=self._listen, args=(loop,), name="parent", daemon=True).start()
        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(self._stop))
        try:
            up = await start_app(
                self._project,
                self._settings,
                self._pages,
                may_degrade=self._load.may_degrade,
                excused=self._load.excused,
                prepare=self._prepare,
            )
            self._app = up.app
            await self._serve(up.app, degraded=up.degraded)
        except asyncio.CancelledError:
            if not self._ending or self._server is not None:
                raise
        finally:
            self._terminal.screen.close()
            await self._tasks.close()
            if self._app is not None:
                await self._app.stop()

    def _prepare(self, app: RealtimeApp) -> None:
        app.runtime.events.subscribe(self._log.receive)
        app.add_middleware(
            RequestLog,
            log=self._log,
            traffic=self._traffic,
            clock=time.monotonic,
            verbose=self._terminal.options.verbose,
        )

    async def _serve(self, app: RealtimeApp, *, degraded: bool) -> None:
        listening = socket.socket(fileno=self._load.listen_fd)
        listening.setblocking(False)
        listening.set_inheritable(False)
        self._server = server = _DevServing(app, tls=False)
        adopt_server_logs()
        settings = self._settings
        self._reloading = reloading = Reloading(
            app, self._project, self._pages, self._terminal, self._tasks, types=settings.dev.types
        )
        await reloading.start()
        address = f"{settings.server.host}:{settings.server.port}"
        if address != self._load.address:
            text = f"[server] asks for {address} now; it counts when realtime dev is started again"
            self._terminal.important("warning", text)

        async def announce() -> None:
            await server.ready.wait()
            self._channel.send(
                Ready(
                    live=settings.server.live,
                    web=settings.server.web,
                    hooks=settings.server.hooks,
                    degraded=degraded,
                    failing=reloading.failing,
                )
            )
            await self._keep_status()

        self._tasks.start(announce(), name="announce")
        await server.serve(sockets=[listening])

    # ------------------------------------------------------------ the parent

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read the channel in a thread of its own, so that a blocked loop does not keep an orphan alive."""
        while True:
            try:
                message = self._channel.receive()
            except msgspec.DecodeError:  # a parent of another version: as good as none
                message = None
            if isinstance(message, WhichImported):
                self._channel.send(Imported(paths=self._imported(message.paths)))
                continue
            if isinstance(message, Hold):
                self._terminal.hold(message.active)
                continue
            if (
                isinstance(message, Reload | Retire) and is_in_debugger()
            ):  # opened by other means than breakpoint()
                self._channel.send(Debugging(active=True))
            with contextlib.suppress(RuntimeError):  # the loop is closed: we end anyway
                loop.call_soon_threadsafe(self._receive, message)
            if message is None:
                break
        time.sleep(ORPHAN_GRACE)
        os._exit(1)

    def _receive(self, message: Message | None) -> None:
        match message:
            case None:
                self._stop()
            case Stop():
                self._channel.send(Stopping())
                self._stop()
            case Probe():
                self._channel.send(Alive())
            case Retire():
                self._tasks.start(self._retire(page=message.page), name="retire")
            case Reload() if self._reloading is not None:
                self._tasks.start(self._reload(self._reloading, message.paths), name="reload")
            case Assets() if self._reloading is not None:
                self._tasks.start(self._reloading.assets(message.css, page=message.page), name="assets")
            case RestartFailed() if self._reloading is not None:
                self._reloading.restart_failed(message.paths, message.problems)
            case _:  # not up yet: the parent asks only a worker that is ready
                pass

    def _imported(self, paths: list[str]) -> list[str]:
        loader = self._app.runtime.live.loader if self._app is not None else None
        if loader is None:
            return paths
        known = {file.relative_to(self._project.resolve()).as_posix() for file in loader.source_files()}
        return [path for path in paths if path in known]

    async def _reload(self, reloading: Reloading, paths: list[str]) -> None:
        is_ok = False
        try:
            is_ok = await reloading.live(paths)
        finally:
            self._channel.send(Reloaded(ok=is_ok, failing=reloading.failing))

    # ------------------------------------------------------------ the end

    def _stop(self) -> None:
        if self._ending:
            return
        self._ending = True
        self._terminal.screen.close()
        if self._server is not None:
            self._pages.close(1001, "Server shutting down")
            self._server.should_exit = True
        elif self._main is not None:
            self._main.cancel()

    async def _retire(self, *, page: bool) -> None:
        server = self._server
        if server is None or self._ending:
            return
        self._ending = True
        self._terminal.screen.close()
        for listener in server.servers:
            listener.close()
        self._channel.send(Released())
        await self._settle(server)
        if page:
            self._pages.page_changed()
        self._pages.close(SERVICE_RESTART, RESTART_REASON)
        server.close_code, server.close_reason = SERVICE_RESTART, RESTART_REASON
        server.stop_reason = "restart"
        server.should_exit = True

    async def _settle(self, server: RealtimeServer) -> None:
        """Let connections that were accepted last send their request and get their answer."""
        deadline = time.monotonic() + SETTLE_LIMIT
        fresh = {c for c in server.server_state.connections if getattr(c, "cycle", self) is None}
        while time.monotonic() < deadline:
            fresh = {c for c in fresh & server.server_state.connections if getattr(c, "cycle", self) is None}
            if not fresh and not self._traffic.upgrades:
                return
            await asyncio.sleep(SETTLE_STEP)

    # ------------------------------------------------------------ the status line

    async def _keep_status(self) -> None:
        screen = self._terminal.screen
        app = self._app
        while app is not None and not self._ending:
            self._log.flush()
            if screen.has_status:
                runtime = app.runtime
                connections = len(runtime.connections)
                own = 1 if connections else 0  # every connection has the topic __realtime
                screen.set_status(self._log.status(connections, runtime.subscriptions.topics - own))
                screen.draw()
            await asyncio.sleep(STATUS_STEP)


def main() -> int:
    """Run one worker; return its exit code."""
    silence_signals()
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)
    channel = Connection(end, ToWorker)
    load = channel.receive()
    if not isinstance(load, Load):  # the parent is gone, or stops before it told us anything
        return OK
    options = msgspec.convert(load.terminal, TerminalOptions)
    with contextlib.suppress(AttributeError):  # not a text file of the usual kind
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # see above
    terminal = Terminal(options)
    terminal.screen.take_over()
    install_breakpoint_hook(terminal.screen, lambda active: channel.send(Debugging(active=active)))
    try:
        settings = read_settings(Path(load.project), load.flags, os.environ).settings
        set_up_logging(terminal, settings.server.log_level, Path(load.project))
        with asyncio.Runner(loop_factory=_loop_factory(settings)) as runner:
            runner.run(Worker(channel, load, terminal, settings).run())
    except CannotStart as failure:
        channel.send(LoadFailed(problems=failure.problems, exit_code=failure.exit_code))
        return failure.exit_code
    finally:
        terminal.hold(False)
        terminal.screen.close()
    return OK


def _loop_factory(settings: Settings) -> Any:
    import uvicorn

    return uvicorn.Config("", loop=settings.server.loop).get_loop_factory()


if __name__ == "__main__":
    sys.exit(main())
