"""`realtime call`: call one function of a running server. Spec: platform 8.7, live-api 26."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from realtime_cli import remote as remotes
from realtime_cli.exitcodes import USAGE, CommandFailed
from realtime_cli.flags import Invocation, command_app
from realtime_cli.jsontext import one_line, pretty
from realtime_cli.rpcfailure import answered_with

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from realtime_cli.console import Console
    from runtime.client import Realtime, UploadProgress

__all__ = ["app", "call"]

STANDARD_INPUT = "-"
PROGRESS_SECONDS = 1.0

FileFlag = Path | None


def call(
    invocation: Invocation,
    path: Annotated[str, typer.Argument(help="The function, as in todos/add.")],
    args: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARGS", help="Its arguments: JSON, or text where it is no JSON; put -- before -1."
        ),
    ] = None,
    args_file: Annotated[
        FileFlag,
        typer.Option(
            "--args", metavar="FILE", help="Read further arguments, a JSON list, from FILE (-: stdin)."
        ),
    ] = None,
    binary: Annotated[
        FileFlag, typer.Option("--binary", metavar="FILE", help="Send FILE to a function that takes bytes.")
    ] = None,
    upload: Annotated[FileFlag, typer.Option("--upload", metavar="FILE", help="Upload FILE.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", metavar="KEY", help="Calls with one key run once.")
    ] = None,
    url: remotes.UrlFlag = None,
    header: remotes.HeaderFlag = None,
    cookie: remotes.CookieFlag = None,
    auth: remotes.AuthFlag = False,
    auth_path: remotes.AuthPathFlag = None,
    timeout: remotes.TimeoutFlag = remotes.DEFAULT_TIMEOUT,
) -> None:
    """Call a function of a running server and print its result as JSON.

    Ends with 1 if the server answers with an error, with 3 if there is no connection.
    """
    console = invocation.console
    if binary is not None and upload is not None:
        raise CommandFailed("--binary and --upload exclude each other", hint="give one of them", code=USAGE)
    if idempotency_key is not None and (binary or upload):
        raise CommandFailed("--idempotency-key: only plain calls have one", hint="leave it out", code=USAGE)
    remote = remotes.remote_of(
        invocation,
        url=url,
        headers=header,
        cookies=cookie,
        auth=auth,
        auth_path=auth_path,
        timeout=timeout,
    )
    values = [*map(remotes.value_of, args or ()), *_from_file(args_file)]

    def ask(client: Realtime) -> Awaitable[Any]:
        if binary is not None:
            return client.call_binary(path, payload, *values)
        if upload is not None:
            sent = client.upload(path, _source(upload), *values)
            sent.on_progress(_Progress(console))
            return sent
        return client.call(path, *values, idempotency_key=idempotency_key)

    payload = _bytes_of(binary) if binary is not None else b""
    _check_readable(upload)
    remotes.run_to_end(_ask(remote, console, ask))


async def _ask(remote: remotes.Remote, console: Console, ask: Callable[[Realtime], Awaitable[Any]]) -> None:
    from runtime.client import RpcError

    client = await remotes.opened(remote, console)
    try:
        started = time.perf_counter()
        try:
            result = await ask(client)
        except RpcError as error:
            raise answered_with(console, error) from error
        seconds = time.perf_counter() - started
    finally:
        await client.close()
    console.detail(f"answered in {seconds * 1000:.1f} ms")
    if console.json:
        console.emit({"ok": True, "result": result, "ms": round(seconds * 1000, 3)})
    elif console.writes_to_terminal:
        console.data(pretty(result, lambda text, style: console.paint(text, style, out=True)))
    else:
        console.data(one_line(result))


class _Progress:
    """Tells how far an upload is, at most once a second, and only to a person."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = time.monotonic() + PROGRESS_SECONDS

    def __call__(self, progress: UploadProgress) -> None:
        now = time.monotonic()
        if now >= self._next and self._console.talks_to_terminal:
            self._next = now + PROGRESS_SECONDS
            of = "" if progress.percent is None else f", {progress.percent:.0%}"
            rate = progress.bytes_per_sec / 1_048_576
            self._console.say(f"{progress.sent / 1_048_576:.1f} MiB sent{of}, {rate:.1f} MiB/s", "dim")


def _from_file(file: Path | None) -> list[Any]:
    from runtime.wire.jsoncodec import DecodeError, decode

    if file is None:
        return []
    try:
        values = decode(_bytes_of(file, flag="--args"))
    except DecodeError as problem:
        raise CommandFailed(
            f"--args: {file}: {problem}", hint='write a list, as in ["milk", 3]', code=USAGE
        ) from (problem)
    if not isinstance(values, list):
        raise CommandFailed(
            f"--args: {file}: not a JSON list", hint='write a list, as in ["milk", 3]', code=USAGE
        )
    return values


def _bytes_of(file: Path, *, flag: str = "--binary") -> bytes:
    if str(file) == STANDARD_INPUT:
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as problem:
        raise _unreadable(flag, file, problem) from problem


def _check_readable(file: Path | None) -> None:
    """Fail now rather than in the middle of an upload."""
    if file is not None and str(file) != STANDARD_INPUT:
        try:
            with file.open("rb") as opened:
                opened.read(1)
        except OSError as problem:
            raise _unreadable("--upload", file, problem) from problem


def _source(file: Path) -> Any:
    return sys.stdin.buffer if str(file) == STANDARD_INPUT else file


def _unreadable(flag: str, file: Path, problem: OSError) -> CommandFailed:
    return CommandFailed(
        f"{flag}: cannot read {str(file)!r}: {problem.strerror}",
        hint="name a file that can be read, or - for the standard input",
        code=USAGE,
    )


app = command_app(call, name="call")
