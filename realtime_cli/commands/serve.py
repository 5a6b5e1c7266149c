"""`realtime serve`: production mode, one process.

Spec: platform 1.9 and 8.7.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_cli.exitcodes import COULD_NOT_START, USAGE, CommandFailed
from realtime_cli.flags import Invocation, command_app
from realtime_cli.ports import CannotBind, PortInUse, bind
from realtime_cli.problems import print_problems

if TYPE_CHECKING:
    import socket

    from runtime.core.settings import Settings

__all__ = ["app", "serve"]


def serve(
    invocation: Invocation,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on ([server] host).")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", help="Port to listen on ([server] port); 0 is any free one."),
    ] = None,
    workers: Annotated[
        str | None, typer.Option("--workers", metavar="N", help="Number of processes; only 1 for now.")
    ] = None,
    env: Annotated[
        str | None, typer.Option("--env", metavar="NAME", help="Name of the environment ([server] env).")
    ] = None,
) -> None:
    """Serve the project in production mode: no reload, no overlay, no tracebacks to clients.

    SIGTERM, Ctrl-C or the end of the terminal (SIGHUP, unless nohup keeps it away) ends it gracefully, a second
    signal at once.
    """
    started = time.perf_counter()
    console = invocation.console
    project = invocation.project()

    _check_workers(workers)

    from realtime_cli.loadapp import read_settings

    flags = {"server.host": host, "server.port": port, "server.env": env}
    settings = read_settings(project, flags=flags, env_default="production")
    listening = _listen(settings)

    from realtime_cli.production import configure_logging, run_server
    from runtime.server.app import create_app
    from runtime.server.startup import StartupError, StartupRefused

    configure_logging(settings.server.log_level)

    def announce() -> None:
        elapsed = round((time.perf_counter() - started) * 1000)
        url = _url(listening)
        console.say(f"Listening on {url} (ready in {elapsed} ms)")
        if console.json:
            console.emit({"ok": True, "url": url, "ready_ms": elapsed})

    try:
        run_server(create_app(project, settings=settings, lifespan="manual"), listening, announce)
    except StartupRefused as refused:
        raise CommandFailed(
            f"refused to start: {refused.reason}", hint=refused.remedy, code=USAGE
        ) from refused
    except StartupError as problem:
        print_problems(console, problem.problems)
        raise CommandFailed(
            "could not start: " + str(problem).partition("\n")[0],
            hint="correct it and start again; realtime dev shows such mistakes while you edit",
            code=COULD_NOT_START,
        ) from problem
    finally:
        listening.close()


def _check_workers(workers: str | None) -> None:
    if workers not in (None, "1"):
        raise CommandFailed(
            f"--workers {workers}: this version serves with one process",
            hint="leave --workers out; several processes come with a later version",
            code=USAGE,
        )


def _listen(settings: Settings) -> socket.socket:
    try:
        return bind(settings.server.host, settings.server.port)
    except PortInUse as taken:
        raise CommandFailed(
            str(taken),
            hint=f"stop it, or choose another port, such as: realtime serve --port {taken.next_free}",
            code=COULD_NOT_START,
        ) from None
    except CannotBind as problem:
        raise CommandFailed(
            str(problem), hint="change [server] host or port, or pass --host and --port", code=COULD_NOT_START
        ) from None


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


app = command_app(serve, name="serve")
