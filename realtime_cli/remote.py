"""Talking to a running server from the command line: its address, who asks, and what went wrong.

What `realtime call` and `realtime watch` share. They are programs like any other of `runtime.client`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import re
import signal
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from realtime_cli.exitcodes import COULD_NOT_START, INTERRUPTED, USAGE, CommandFailed
from realtime_cli.jsontext import plain_text

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from realtime_cli.console import Console
    from realtime_cli.flags import Invocation
    from runtime.client import Realtime

__all__ = [
    "AuthFlag",
    "AuthPathFlag",
    "CookieFlag",
    "HeaderFlag",
    "Remote",
    "TimeoutFlag",
    "UrlFlag",
    "connection_failed",
    "opened",
    "remote_of",
    "run_to_end",
    "value_of",
]

T = TypeVar("T")

URL_VARIABLE = "REALTIME_URL"
DEFAULT_PATH = "/ws"
DEFAULT_TIMEOUT = 30.0

UrlFlag = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        envvar=URL_VARIABLE,
        help="The server: ws://HOST/ws, http://HOST or HOST:PORT (default: where the project's settings say).",
    ),
]
HeaderFlag = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="A request header; may be repeated."),
]
CookieFlag = Annotated[
    list[str] | None,
    typer.Option("--cookie", "-b", metavar="NAME=VALUE", help="A cookie; may be repeated."),
]
AuthFlag = Annotated[
    bool, typer.Option("--auth", help="Ask the server's auth path for cookies before connecting.")
]
AuthPathFlag = Annotated[
    str | None, typer.Option("--auth-path", metavar="PATH", help="The auth path; implies --auth.")
]
TimeoutFlag = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", help="How long to wait for the connection, and for each answer."
    ),
]

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what a server listens on
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FIELD = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_COOKIE_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e]*")
_WHO = "say who you are with --cookie NAME=VALUE, --header 'NAME: VALUE' or --auth"
_HTTP_HINTS = {
    401: _WHO,
    403: "give the right path in --url; where [websocket] allowed_origins is set, also --header 'Origin: URL'",
    404: "give the path of the WebSocket in --url, as in ws://HOST/ws",
    429: "wait a little: too many connects of this address in a short time",
    503: "the server takes no more connections now; try again later",
}
_START = "start the server with `realtime dev`, or say where it is with --url"
_NO_AUTH = "leave out --auth if the app has no `authenticate` hook, or give the path with --auth-path"
# Close codes after which no client comes back by itself.
_CLOSED_FOR_GOOD = (1008, 4401, 4403)
_OTHER_HINTS = {
    "CERTIFICATE_VERIFY_FAILED": "name the certificate of its authority in the environment: SSL_CERT_FILE=ca.pem",
    "WRONG_VERSION_NUMBER": "if it speaks no TLS, write ws:// or http:// in --url",
    "valid HTTP response": "if it speaks TLS only, write wss:// or https:// in --url",
    "no connection within": "--timeout SECONDS waits longer; is it the right address?",
}


@dataclass(frozen=True, slots=True)
class Remote:
    """A server, and how to ask it. `options` are those of `runtime.client.connect`."""

    url: str
    options: dict[str, Any]
    timeout: float


def remote_of(
    invocation: Invocation,
    *,
    url: str | None,
    headers: list[str] | None,
    cookies: list[str] | None,
    auth: bool,
    auth_path: str | None,
    timeout: float,
) -> Remote:
    """Make sense of the flags.

    Raises:
        CommandFailed: with exit code 2, if one cannot be used; no value of a header or cookie is in the message.
    """
    if not 0 < timeout < float("inf"):
        raise CommandFailed(
            f"--timeout: must be a number of seconds above 0, not {timeout:g}",
            hint="--timeout 30",
            code=USAGE,
        )
    settings = None
    if url is None or (auth and auth_path is None):
        settings = _settings(invocation, needed=url is None)
    address = _address(url, settings)
    given = dict(_header(text) for text in headers or ())
    if cookies:
        name = next((name for name in given if name.lower() == "cookie"), "Cookie")
        given[name] = "; ".join([*([given[name]] if name in given else []), *map(_cookie, cookies)])
    path: bool | str = auth_path or (auth and (settings.websocket.auth_path if settings else True))
    if isinstance(path, str) and not path.startswith("/"):
        raise CommandFailed(
            f"--auth-path: must begin with '/', not {path!r}", hint="--auth-path /__ws/auth", code=USAGE
        )
    options = {"headers": given, "auth": path, "timeout": timeout, "open_timeout": timeout, "max_attempts": 0}
    return Remote(address, options, timeout)


def value_of(text: str) -> Any:
    """Read one argument of the command line: JSON if it is some, else the text itself."""
    from runtime.wire.jsoncodec import DecodeError, decode

    try:
        return decode(text.encode())
    except (DecodeError, UnicodeEncodeError):
        return text


async def opened(remote: Remote, console: Console) -> Realtime:
    """Connect once; the client then makes no attempt to come back until it is configured so.

    Raises:
        CommandFailed: with exit code 3 and what to do, if there is no connection.
    """
    from runtime.client import ClientOptions, Realtime, RpcError
    from runtime.client.transport import shown_url

    logging.getLogger("realtime.client").addHandler(logging.NullHandler())  # what is wrong is in `failure`
    client = Realtime(remote.url, ClientOptions.of(remote.options))
    client.start()
    try:
        await client.ready()
    except RpcError as error:
        failure = client.failure.value
        await client.close()
        raise connection_failed(remote, failure, error.message) from error
    except BaseException:
        await client.close()
        raise
    console.detail(f"connected to {shown_url(remote.url)}")
    return client


def connection_failed(
    remote: Remote, failure: dict[str, Any] | None, otherwise: str = "", *, was_open: bool = False
) -> CommandFailed:
    """Say that there is no connection, why, and what to do next.

    Args:
        remote: where to.
        failure: what the client says of it.
        otherwise: why, where the client says nothing.
        was_open: there was a connection before, which ended for good.
    """
    from runtime.client.transport import shown_url

    reason, hint = _reason_of(failure or {}, otherwise)
    url = shown_url(remote.url)
    head = f"the connection to {url} is over" if was_open else f"cannot connect to {url}"
    return CommandFailed(f"{head}: {plain_text(reason)}", hint=hint, code=COULD_NOT_START)


def _reason_of(failure: dict[str, Any], otherwise: str) -> tuple[str, str]:
    """Give back why there is no connection, and what to do next."""
    reason, status = str(failure.get("reason") or otherwise), failure.get("status")
    if failure.get("kind") == "auth-preflight":
        if status in (404, 405):
            return f"the auth path answered HTTP {status} {reason}", _NO_AUTH
        if status:
            return f"the auth path answered HTTP {status} {reason}", _HTTP_HINTS.get(status, _START)
        return f"the auth path: {reason}", _START
    if failure.get("code") in _CLOSED_FOR_GOOD:
        return f"the server closed the connection ({failure['code']} {reason})", _WHO
    if f"[Errno {errno.ECONNREFUSED}]" in reason:
        return "nothing listens there", _START
    answered = re.search(r"answered HTTP (\d+)", reason)
    if answered:
        return reason, _HTTP_HINTS.get(int(answered[1]), _START)
    return reason, next((hint for part, hint in _OTHER_HINTS.items() if part in reason), _START)


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a loop; Ctrl-C and SIGTERM cancel it.

    Raises:
        typer.Exit: with exit code 130, if it was cancelled so and let that through.
    """
    try:
        return asyncio.run(_stoppable(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(INTERRUPTED) from None


async def _stoppable(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    if task is not None:  # Ctrl-C cancels it anyway
        with contextlib.suppress(NotImplementedError):  # there are no signals on Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _settings(invocation: Invocation, *, needed: bool) -> Any:
    """Read the project's settings; `None` where there is no project and none is needed."""
    from realtime_cli.loadapp import read_settings

    try:
        project = invocation.project()
    except CommandFailed as missing:
        if not needed:
            return None
        raise CommandFailed(
            f"which server? {missing.message}",
            hint=f"name it with --url ws://HOST:PORT/ws (also: {URL_VARIABLE}=...), or change into a project",
            code=USAGE,
        ) from missing
    return read_settings(project, env_default="dev")


def _address(url: str | None, settings: Any) -> str:
    if url is not None:
        return _normal(url, settings)
    server = settings.server
    if server.uds is not None or server.port == 0:
        what = "a Unix socket" if server.uds is not None else "any free port"
        raise CommandFailed(
            f"the project's server listens on {what}, which has no address to connect to",
            hint="name an address with --url, for example that of the proxy in front",
            code=USAGE,
        )
    host = _EVERYWHERE.get(server.host, f"[{server.host}]" if ":" in server.host else server.host)
    scheme = "wss" if server.tls_cert else "ws"
    return f"{scheme}://{host}:{server.port}{settings.websocket.path}"


def _normal(url: str, settings: Any) -> str:
    """Complete an address: a missing scheme is ``ws``, a missing path that of the project, or ``/ws``."""
    parts = _split(url if "://" in url else f"ws://{url}")
    scheme = None if parts is None else _SCHEMES.get(parts.scheme)
    if parts is None or scheme is None or not parts.hostname:
        raise CommandFailed(
            "--url: not the address of a server",
            hint="write it as in --url ws://localhost:3000/ws",
            code=USAGE,
        )
    path = parts.path
    if path in ("", "/"):
        path = settings.websocket.path if settings else DEFAULT_PATH
    return urllib.parse.urlunsplit((scheme, parts.netloc, path, parts.query, ""))


def _split(url: str) -> urllib.parse.SplitResult | None:
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port  # raises as well
    except ValueError:
        return None
    else:
        return parts


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not _TOKEN.fullmatch(name) or not _FIELD.fullmatch(value):
        raise CommandFailed(
            "--header: needs a name, a colon and a value of plain characters",
            hint="--header 'Authorization: Bearer ...'",
            code=USAGE,
        )
    return name, value


def _cookie(text: str) -> str:
    name, equals, value = text.partition("=")
    if not equals or not _TOKEN.fullmatch(name) or not _COOKIE_VALUE.fullmatch(value):
        raise CommandFailed(
            "--cookie: needs NAME=VALUE without spaces and semicolons",
            hint="--cookie session=...",
            code=USAGE,
        )
    return f"{name}={value}"
