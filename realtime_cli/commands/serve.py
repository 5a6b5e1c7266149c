"""`realtime serve`: production mode, one process.

Spec: platform 1.9 and 8.7.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from realtime_cli.exitcodes import COULD_NOT_START, USAGE, CommandFailed
from realtime_cli.flags import Invocation, command_app
from realtime_cli.ports import CannotBind, PortInUse, UnixSocket, bind, bind_unix
from realtime_cli.problems import print_problems

if TYPE_CHECKING:
    import socket

    from realtime_cli.console import Console
    from runtime.core.settings import ServerSettings, Settings
    from runtime.server.app import RealtimeApp

__all__ = ["app", "serve"]

WRITE_PATHS = {"auto": "auto", "fast": "on", "asgi": "off"}
"""What ``--ws`` may say, and the value of ``[websocket] fast_path`` that it stands for."""


def serve(
    invocation: Invocation,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on ([server] host).")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", help="Port to listen on ([server] port); 0 is any free one."),
    ] = None,
    uds: Annotated[
        Path | None,
        typer.Option("--uds", metavar="PATH", help="Unix socket to listen on instead ([server] uds)."),
    ] = None,
    workers: Annotated[
        str | None, typer.Option("--workers", metavar="N", help="Number of processes; only 1 for now.")
    ] = None,
    env: Annotated[
        str | None, typer.Option("--env", metavar="NAME", help="Name of the environment ([server] env).")
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            "--tls-cert",
            metavar="FILE",
            help="Certificate chain, PEM; SIGHUP reads it again ([server] tls_cert).",
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option("--tls-key", metavar="FILE", help="Its private key, PEM ([server] tls_key)."),
    ] = None,
    access_log: Annotated[
        str | None,
        typer.Option(
            "--access-log",
            metavar="off|text|json",
            help="A line per request on stdout ([server] access_log).",
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level",
            metavar="LEVEL",
            help="Least severe record on stderr: debug, info, warning, error or critical ([server] log_level).",
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            "--log-format", metavar="text|json", help="Form of these records ([server] log_format)."
        ),
    ] = None,
    precompress: Annotated[
        bool,
        typer.Option("--precompress", help="Write missing .gz and .br files beside the static files first."),
    ] = False,
    ws: Annotated[
        str | None,
        typer.Option(
            "--ws",
            metavar="auto|fast|asgi",
            help="How frames are written: past ASGI where that works, always, or never ([websocket] fast_path).",
        ),
    ] = None,
) -> None:
    """Serve the project in production mode: no reload, no overlay, no tracebacks to clients.

    SIGTERM, Ctrl-C or the end of the terminal (SIGHUP, unless nohup keeps it away) ends it gracefully, a second
    signal at once. With a TLS certificate SIGHUP reads that again.
    """
    started = time.perf_counter()
    console = invocation.console
    project = invocation.project()

    if uds is not None and (host is not None or port is not None):
        raise CommandFailed(
            "--uds stands instead of --host and --port", hint="leave one of them out", code=USAGE
        )

    from realtime_cli.loadapp import read_settings

    flags: dict[str, Any] = {
        "server.host": host,
        "server.port": port,
        "server.uds": _absolute(uds),
        "server.env": env,
        "server.workers": workers,
        "server.tls_cert": _absolute(tls_cert),
        "server.tls_key": _absolute(tls_key),
        "server.access_log": access_log,
        "server.log_level": log_level,
        "server.log_format": log_format,
        "websocket.fast_path": _write_path(ws),
    }
    settings = read_settings(project, flags=flags, env_default="production")
    server = settings.server
    _check_workers(server.workers)
    _check_cluster_mode(server.cluster_mode)
    _check_loop(server.loop)
    _check_backends(settings)
    is_unix = server.uds is not None and host is None and port is None
    opened = _listen_unix(project, server) if is_unix else _listen(server)
    listening = opened.listening if isinstance(opened, UnixSocket) else opened

    from realtime_cli.production import configure_logging, run_server
    from realtime_cli.startcheck import check_in_background
    from runtime.server.app import create_app
    from runtime.server.assembly import StartupError, StartupRefused

    configure_logging(server)

    def announce() -> None:
        elapsed = round((time.perf_counter() - started) * 1000)
        url = _url(listening, is_secure=server.tls_cert is not None)
        console.say(f"Listening on {url} (ready in {elapsed} ms)")
        if console.json:
            console.emit({"ok": True, "url": url, "ready_ms": elapsed})
        if settings.check.on_start:
            check_in_background(project, server.env)

    try:
        made = create_app(project, settings=settings, lifespan="manual")
        if precompress:
            _precompress(console, made)
        run_server(made, listening, on_ready=announce, on_end=opened.close)
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
        opened.close()


def _precompress(console: Console, app: RealtimeApp) -> None:
    from runtime.server.precompress import write_siblings

    if app.runtime.static is not None:
        files, saved = write_siblings(app.runtime.static)
        console.say(f"Compressed {files} static files, {saved / 1024:.0f} KiB smaller in all")


def _check_workers(workers: int | None) -> None:
    if workers is not None and workers > 1:
        raise CommandFailed(
            f"workers = {workers}: this version serves with one process",
            hint='leave --workers and [server] workers out, or say "auto"; several processes come with a later version',
            code=USAGE,
        )


def _check_cluster_mode(mode: str) -> None:
    from runtime.server.startup import cluster_mode_problem

    problem = cluster_mode_problem(mode, sys.platform)
    if problem is not None:
        raise CommandFailed(problem, hint='set [server] cluster_mode = "auto"', code=USAGE)


def _check_loop(loop: str) -> None:
    from importlib.util import find_spec

    if loop == "uvloop" and find_spec("uvloop") is None:
        raise CommandFailed(
            '[server] loop = "uvloop", and uvloop is not installed',
            hint='pip install uvloop, or set loop = "auto"',
            code=USAGE,
        )


def _check_backends(settings: Settings) -> None:
    """Look for the backends that have to be there, before anything else happens."""
    if settings.redis.url is None and settings.postgres.dsn is None:
        return
    import asyncio

    from realtime_cli.backends import BackendUnreachable, reach_required

    try:
        asyncio.run(reach_required(settings))
    except BackendUnreachable as problem:
        section = "redis" if str(problem).startswith("Redis") else "postgres"
        raise CommandFailed(
            f"could not start: {problem}",
            hint=f"start it, correct its address, or set [{section}] required = false",
            code=COULD_NOT_START,
        ) from None


def _write_path(ws: str | None) -> str | None:
    if ws is not None and ws not in WRITE_PATHS:
        raise CommandFailed(
            f"--ws {ws}: there is no such way to write frames",
            hint=f"choose one of {', '.join(WRITE_PATHS)}, or leave --ws out",
            code=USAGE,
        )
    return ws and WRITE_PATHS[ws]


def _absolute(path: Path | None) -> str | None:
    """Paths of flags begin at the working directory, those of settings at the project."""
    return None if path is None else str(path.absolute())


def _listen(server: ServerSettings) -> socket.socket:
    try:
        return bind(server.host, server.port)
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


def _listen_unix(project: Path, server: ServerSettings) -> UnixSocket:
    try:
        return bind_unix(project / (server.uds or ""), server.uds_mode)
    except CannotBind as problem:
        raise CommandFailed(
            str(problem), hint="change [server] uds, or pass --uds", code=COULD_NOT_START
        ) from None


def _url(listening: socket.socket, *, is_secure: bool) -> str:
    address = listening.getsockname()
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address[:2]
    scheme = "https" if is_secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


app = command_app(serve, name="serve")
