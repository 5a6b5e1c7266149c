"""Following a stream or a topic and printing what it brings, to its end."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from realtime_cli.exitcodes import FAILED, CommandFailed
from realtime_cli.jsontext import one_line, plain_text, pretty
from realtime_cli.remote import Remote, connection_failed, opened
from realtime_cli.rpcfailure import answered_with

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from realtime_cli.console import Console
    from runtime.client import Realtime, RpcError, Stream, TopicEvent

__all__ = ["MAX_WAITING", "Limits", "Printer", "watch_stream", "watch_topic"]

MAX_WAITING = 10_000
"""Records that wait to be printed; with more the command ends, as its reader is too slow."""

SHOWN_ROWS = 20
CONNECTED = "connected"

READER_CHECK = 1.0
"""Seconds between two looks whether somebody still reads the output."""

Kind = Literal["value", "event", "status", "end"]


@dataclass(frozen=True, slots=True)
class Limits:
    """When to end by itself: after so many values and events, after so many seconds."""

    count: int | None = None
    seconds: float | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is one, so that an end before it is an interruption."""
        return self.count is not None or self.seconds is not None


@dataclass(frozen=True, slots=True)
class _Record:
    kind: Kind
    #: The name of an event, or the status.
    name: str = ""
    data: Any = None
    more: dict[str, Any] | None = None


class Printer:
    """Prints records: for people on a terminal, else one JSON object per line.

    Args:
        console: where to.
        limits: when it has printed enough.
        values_only: print the value after each change, bare, and no events.
    """

    def __init__(self, console: Console, limits: Limits, *, values_only: bool = False) -> None:
        self.console = console
        self.limits = limits
        self.values_only = values_only
        self._for_people = console.writes_to_terminal
        self._printed = 0

    @property
    def is_done(self) -> bool:
        """Whether the limit is reached."""
        return self.limits.count is not None and self._printed >= self.limits.count

    def print(self, record: _Record) -> None:
        """Print one record; a status is talk for people, and data for programs."""
        if record.kind == "status":
            self._status(record)
            return
        self._printed += 1
        if self.values_only:
            text = self._pretty(record.data, indented=True) if self._for_people else one_line(record.data)
            self.console.data(text)
        elif self._for_people:
            self._for_person(record)
        else:
            self._line({record.kind: record.name} if record.kind == "event" else {}, record)

    def _status(self, record: _Record) -> None:
        if self._for_people or self.values_only:
            self.console.say(
                f"{record.name}{': ' if record.data else ''}{plain_text(record.data or '')}", "dim"
            )
        else:
            reason = {"reason": record.data} if record.data else {}
            self._write({"type": "status", "at": _now().isoformat(), "status": record.name, **reason})

    def _line(self, name: dict[str, Any], record: _Record) -> None:
        key = "value" if record.kind == "value" else "data"
        head = {"type": record.kind, "at": _now().isoformat(), **name, **(record.more or {})}
        self._write({**head, key: record.data})

    def _write(self, document: dict[str, Any]) -> None:
        self.console.data(one_line(document))

    def _for_person(self, record: _Record) -> None:
        at = self.console.paint(_now().astimezone().strftime("%H:%M:%S"), "dim", out=True)
        name = self.console.paint(plain_text(record.name or record.kind), "bold", out=True)
        if record.kind == "value" and isinstance(record.data, list) and record.data:
            self.console.data(f"{at}  {name}  {len(record.data)} rows")
            for row in record.data[:SHOWN_ROWS]:
                self.console.data(f"          {self._pretty(row)}")
            if len(record.data) > SHOWN_ROWS:
                self.console.data(f"          and {len(record.data) - SHOWN_ROWS} more; --values prints all")
        else:
            self.console.data(f"{at}  {name}  {self._pretty(record.data)}")

    def _pretty(self, value: Any, *, indented: bool = False) -> str:
        return pretty(value, lambda text, style: self.console.paint(text, style, out=True), indented=indented)


class _Records:
    """What waits to be printed, put in by callbacks of the client."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[_Record] = asyncio.Queue(MAX_WAITING)
        self._is_lost = False
        self._is_ended = False
        self._error: Exception | None = None

    def put(self, record: _Record) -> None:
        try:
            self._queue.put_nowait(record)
        except asyncio.QueueFull:
            self._is_lost = True

    def end(self, error: Exception | None = None) -> None:
        """End behind what waits already, with `error` if there is one."""
        if not self._is_ended:
            self._is_ended = True
            self._error = error
            self.put(_Record("end"))

    async def next(self) -> _Record | None:
        """Wait for the next record; `None` at the end.

        Raises:
            CommandFailed: some were lost. Exception: what `end` was given.
        """
        if self._is_lost and self._queue.empty():
            raise CommandFailed(
                f"more than {MAX_WAITING} events waited to be printed, and some were lost",
                hint="let whatever reads the output read faster, or write to a file",
                code=FAILED,
            )
        record = await self._queue.get()
        if record.kind != "end":
            return record
        if self._error is not None:
            raise self._error
        return None


async def watch_stream(remote: Remote, path: str, args: Sequence[Any], printer: Printer) -> None:
    """Print the value of a stream and then each event. Ctrl-C ends it.

    Raises:
        CommandFailed: no connection (exit code 3), or it was printed too slowly.
        typer.Exit: with 1, when the server refuses the stream.
    """
    from runtime.client import RpcError

    def begin(client: Realtime, records: _Records) -> None:
        _follow_stream(client, client.stream(path, *args), records, values_only=printer.values_only)

    try:
        await _watch(remote, printer, begin, f"watching the stream {path}")
    except RpcError as error:
        raise answered_with(printer.console, error) from error


async def watch_topic(remote: Remote, topic: str, printer: Printer) -> None:
    """Print the events of a topic. Raises as `watch_stream`."""
    from runtime.client import RpcError

    def begin(client: Realtime, records: _Records) -> None:
        def on_event(event: TopicEvent) -> None:
            more = {"topic": event.topic} | ({} if event.seq is None else {"seq": event.seq})
            records.put(_Record("event", event.event, event.data, more))

        def on_denial(denial: dict[str, Any] | None) -> None:
            if denial is not None and denial["topic"] == topic:
                records.end(RpcError(denial["reason"] or "FORBIDDEN", f"no access to topic {topic!r}"))

        client.on(topic).subscribe(on_event)
        client.denials.subscribe(on_denial)

    try:
        await _watch(remote, printer, begin, f"watching the topic {topic}")
    except RpcError as error:
        raise answered_with(printer.console, error) from error


async def _watch(
    remote: Remote, printer: Printer, begin: Callable[[Realtime, _Records], None], title: str
) -> None:
    client = await opened(remote, printer.console)
    records = _Records()
    try:
        client.configure(max_attempts=None)
        if printer.console.talks_to_terminal:
            printer.console.say(f"{title}; Ctrl-C ends it", "dim")
        begin(client, records)
        _follow_connection(remote, client, records)
        _follow_reader(printer.console, records)
        async with asyncio.timeout(printer.limits.seconds):
            while not printer.is_done and (record := await records.next()) is not None:
                printer.print(record)
    except TimeoutError:
        return
    except asyncio.CancelledError:
        if printer.limits.are_set:
            raise
    finally:
        await client.close()


def _follow_stream(client: Realtime, stream: Stream, records: _Records, *, values_only: bool) -> None:
    """Put a record for each event, and for each value that did not come of an event."""
    loop = asyncio.get_running_loop()
    came_of_event = False

    def settled() -> None:
        nonlocal came_of_event
        came_of_event = False

    def on_event(event: Any) -> None:
        nonlocal came_of_event
        # While the stream asks anew, an event is followed by the whole value, which may hold more than the event.
        if stream.status == CONNECTED:
            came_of_event = True
            loop.call_soon(settled)
        if not values_only:
            records.put(_Record("event", event.event, event.data))

    def on_value(value: Any) -> None:
        if stream.is_loaded and (values_only or not came_of_event):
            records.put(_Record("value", data=value))

    def on_error(_: object) -> None:
        error: RpcError | None = stream.error
        if stream.status == "error" and error is not None and error.code not in _PASSING:
            records.end(error)

    stream.on_event(on_event)
    stream.subscribe(on_value)
    client.denials.subscribe(on_error)
    client.quiescent.subscribe(on_error)


# Errors of a stream that the client, or what follows the connection, deals with.
_PASSING = frozenset({"DISCONNECTED", "CONNECTION_CLOSED"})


def _follow_connection(remote: Remote, client: Realtime, records: _Records) -> None:
    """Tell of a lost connection and of its return; its end for good ends the command."""
    was_lost = False

    def on_status(status: str) -> None:
        nonlocal was_lost
        failure = client.failure.value
        if status == "failed":
            records.end(connection_failed(remote, failure, was_open=True))
        elif status == "disconnected" and not was_lost:
            was_lost = True
            why = "" if failure is None else f"{failure.get('code', '')} {failure.get('reason', '')}".strip()
            records.put(_Record("status", "disconnected", why))
        elif status == "open" and was_lost:
            was_lost = False
            records.put(_Record("status", CONNECTED))

    client.status.subscribe(on_status)


def _follow_reader(console: Console, records: _Records) -> None:
    """End when nobody reads the output any more, even if there is nothing to write."""
    if console.reader_left:
        records.end()
    else:
        asyncio.get_running_loop().call_later(READER_CHECK, _follow_reader, console, records)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
