"""`realtime dev`: serve the project with hot reload.

Spec: live-api 21, platform 8.7.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from realtime_cli.exitcodes import COULD_NOT_START, USAGE, CommandFailed
from realtime_cli.flags import Invocation, command_app
from realtime_cli.ports import CannotBind, PortInUse, bind

if TYPE_CHECKING:
    import socket

    from realtime_cli.console import Console
    from realtime_cli.devserver.terminal import Terminal
    from runtime.core.settings import Settings

__all__ = ["app", "dev"]

AUTO = "auto"


def dev(
    invocation: Invocation,
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen on ([server] host; if that is not set, only this machine: 127.0.0.1).",
        ),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            "--port",
            metavar="N|auto",
            help="Port to listen on ([server] port); auto takes the next free one if it is in use.",
        ),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser once the server is up.")
    ] = False,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Do not follow changes of files.")] = False,
    json_log: Annotated[
        bool, typer.Option("--json-log", help="Write one JSON object per line to stdout; --json is the same.")
    ] = False,
) -> None:
    """Serve the project with hot reload: saved code runs at once, and no connection is lost.

    Mistakes are shown here and in every open page, while the old code keeps serving. Ctrl-C ends.
    """
    console = invocation.console
    if sys.platform == "win32":
        raise CommandFailed(
            "realtime dev does not run on Windows: its workers share one socket",
            hint="run it in WSL, or serve without reload: realtime serve --env dev",
            code=COULD_NOT_START,
        )
    project = invocation.project().resolve()

    from realtime_cli.devserver.changes import Layout
    from realtime_cli.devserver.processes import DevServer
    from realtime_cli.devserver.terminal import Terminal, TerminalOptions

    options = TerminalOptions(
        quiet=console.quiet,
        verbose=console.verbose,
        json_log=json_log or console.json,
        no_color=not console.color_err,
    )
    terminal = Terminal(options)
    flags: dict[str, Any] = {"server.host": host, "server.port": _port_flag(port)}
    settings = _read_settings(project, flags, terminal)
    listening = _listen(settings, console, is_auto=port == AUTO)
    url = _url(listening)

    def greet(duration: float) -> None:
        _greet(terminal, project, settings, listening, duration)
        if open_page:
            _open(url, terminal)

    server = DevServer(
        project,
        Layout(settings.server.live, settings.server.web, settings.server.hooks),
        listening,
        terminal,
        address=f"{settings.server.host}:{settings.server.port}",
        flags={name: value for name, value in flags.items() if value is not None},
        reload=settings.dev.reload and not no_reload,
        on_ready=greet,
    )
    with listening:
        code = server.run()
    raise typer.Exit(code)


def _port_flag(port: str | None) -> int | None:
    if port is None or port == AUTO:
        return None
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise CommandFailed(
            f"--port {port}: expected a number from 0 to 65535, or auto",
            hint="leave it out, or pass --port auto",
            code=USAGE,
        )
    return int(port)


def _read_settings(project: Path, flags: dict[str, Any], terminal: Terminal) -> Settings:
    from realtime_cli.devserver.projectsettings import START_AGAIN, CannotStart, read_settings

    try:
        return read_settings(project, flags, dict(os.environ), remedy=START_AGAIN).settings
    except CannotStart as failure:
        terminal.problems("the settings cannot be read", failure.problems)
        raise typer.Exit(failure.exit_code) from None


def _listen(settings: Settings, console: Console, *, is_auto: bool) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    try:
        return bind(host, port)
    except PortInUse as taken:
        if not is_auto and not _wants_next(taken, console):
            raise CommandFailed(
                str(taken),
                hint="stop it, or take the next free port: realtime dev --port auto",
                code=COULD_NOT_START,
            ) from None
        if is_auto:
            console.say(f"{taken}; using port {taken.next_free}", "yellow")
        return _listen_on(host, taken.next_free)
    except CannotBind as problem:
        raise _cannot_bind(problem) from None


def _listen_on(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
    except PortInUse as taken:  # somebody was faster; the system knows a free one
        return bind(host, 0) if taken.port == port else _listen_on(host, taken.next_free)
    except CannotBind as problem:
        raise _cannot_bind(problem) from None


def _cannot_bind(problem: CannotBind) -> CommandFailed:
    return CommandFailed(
        str(problem), hint="change [server] host or port, or pass --host and --port", code=COULD_NOT_START
    )


def _wants_next(taken: PortInUse, console: Console) -> bool:
    """Ask whether to take the next free port; ``--yes`` answers, and without a terminal nobody does."""
    if console.yes:
        return True
    if not console.interactive:
        return False
    console.warn(str(taken))
    return typer.confirm(f"Use port {taken.next_free} instead?", default=True, err=True)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if host in ("127.0.0.1", "0.0.0.0", "::1", "::"):  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _greet(
    terminal: Terminal, project: Path, settings: Settings, listening: socket.socket, duration: float
) -> None:
    ms = duration * 1000
    host, port = listening.getsockname()[:2]
    url = _url(listening)
    if terminal.options.json_log:
        terminal.event("listening", "", url=url, host=host, port=port, project=str(project), ms=round(ms, 1))
        return
    server = settings.server
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    lines = (
        ("", f"{terminal.paint(project.name, 'bold')} is up after {ms:.0f} ms", ""),
        ("", "", ""),
        ("open", terminal.paint(url, "bold", "cyan"), "from other machines too" if everywhere else ""),
        ("edit", f"{server.live}/*.py", "new code runs at once, nobody is disconnected"),
        ("", f"{server.web}/", "styles swap in place, pages load again"),
        ("stop", "Ctrl-C", ""),
    )
    terminal.talk()
    for title, text, remark in lines:
        terminal.talk(f"  {title:<5} {text}  {terminal.paint(remark, 'dim')}".rstrip())
    terminal.talk()


def _open(url: str, terminal: Terminal) -> None:
    import webbrowser

    if not webbrowser.open(url):
        terminal.important("warning", f"no browser was found; open {url} yourself")


app = command_app(dev, name="dev")
