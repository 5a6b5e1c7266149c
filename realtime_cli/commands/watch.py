"""`realtime watch`: print what a stream or topic of a running server brings. Spec: platform 8.7, live-api 26."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_cli import remote as remotes
from realtime_cli.exitcodes import USAGE, CommandFailed
from realtime_cli.flags import Invocation, command_app
from realtime_cli.watching import Limits, Printer, watch_stream, watch_topic

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

__all__ = ["app", "watch"]

# What a path of a live function can look like; topics are mostly otherwise.
_PATH = re.compile(r"[\w-]+(?:/[\w-]+)+")


def watch(
    invocation: Invocation,
    target: Annotated[
        str,
        typer.Argument(metavar="STREAM|TOPIC", help="A stream, as in todos/list, or a topic, as in todos:1."),
    ],
    args: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARGS",
            help="The stream's arguments: JSON, or text where it is no JSON; put -- before -1.",
        ),
    ] = None,
    topic: Annotated[
        bool, typer.Option("--topic", help="It is a topic, although it looks like a stream.")
    ] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="It is a stream, although it looks like a topic.")
    ] = False,
    values: Annotated[
        bool, typer.Option("--values", help="Print the stream's value after each change, and nothing else.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, help="End after N values and events.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", help="End after a time.")
    ] = None,
    url: remotes.UrlFlag = None,
    header: remotes.HeaderFlag = None,
    cookie: remotes.CookieFlag = None,
    auth: remotes.AuthFlag = False,
    auth_path: remotes.AuthPathFlag = None,
    timeout: remotes.TimeoutFlag = remotes.DEFAULT_TIMEOUT,
) -> None:
    """Print the value of a stream and then each event, or the events of a topic, until Ctrl-C.

    On a terminal for people, else (and with --json) one JSON object per line. A lost connection is made again.
    Ends with 1 if the server refuses, with 3 if there is no connection.
    """
    invocation.console.json_lines = True
    if topic and stream:
        raise CommandFailed("--topic and --stream exclude each other", hint="give one of them", code=USAGE)
    if seconds is not None and not 0 < seconds < float("inf"):
        raise CommandFailed("--for: must be a number of seconds above 0", hint="--for 10", code=USAGE)
    is_stream = stream or (not topic and _PATH.fullmatch(target) is not None)
    if not is_stream and (args or values):
        given = "arguments" if args else "--values"
        raise CommandFailed(f"{target!r} is a topic and has no {given}", hint="--stream", code=USAGE)
    remote = remotes.remote_of(
        invocation,
        url=url,
        headers=header,
        cookies=cookie,
        auth=auth,
        auth_path=auth_path,
        timeout=timeout,
    )
    printer = Printer(invocation.console, Limits(count, seconds), values_only=values)
    work: Coroutine[Any, Any, None]
    if is_stream:
        work = watch_stream(remote, target, [remotes.value_of(text) for text in args or ()], printer)
    else:
        work = watch_topic(remote, target, printer)
    remotes.run_to_end(work)


app = command_app(watch, name="watch")
