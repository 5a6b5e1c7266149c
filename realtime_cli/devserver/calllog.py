"""One line per call and per connection, at most some hundred a second, and the numbers of the status line."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from realtime_cli.console import shorten, terminal_width
from realtime_cli.devserver.terminal import TITLE_WIDTH
from realtime_cli.plaintext import plain_line
from runtime.core.errors import LiveError
from runtime.core.events import CallFinished, ConnectionClosedEvent, ConnectionOpened
from runtime.core.sensitive import is_sensitive_name, redact_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_cli.devserver.terminal import Terminal

__all__ = ["CallLog", "LineBudget", "Rate", "Skipped", "describe_error", "describe_user"]

MAX_LINES_PER_SECOND = 200
PATH_WIDTH, USER_WIDTH = 30, 16
WIDE = 110
"""Characters of a terminal from which on the columns of path and user have their full width."""
MIN_REASON = 8
"""Characters below which the reason of a refusal is left out rather than shortened."""
MAX_USER_LENGTH = 40
MAX_ERROR_LENGTH = 80
RATE_WINDOW = 5.0
"""Seconds over which calls per second are averaged."""

_USER_KEYS = ("name", "username", "user_name", "login", "email", "id", "user_id")


@dataclass(slots=True)
class Skipped:
    """What was not shown in one second."""

    lines: int = 0
    errors: int = 0
    paths: collections.Counter[str] = field(default_factory=collections.Counter)


class LineBudget:
    """Lets a bounded number of lines through per second and keeps count of the rest."""

    def __init__(self, limit: int = MAX_LINES_PER_SECOND) -> None:
        self._limit = limit
        self._second = -1
        self._used = 0
        self._skipped = Skipped()

    def allows(self, now: float) -> bool:
        """Whether a line may be printed at `now` (seconds); if so it is used up."""
        if int(now) != self._second:
            self._second, self._used = int(now), 0
        self._used += 1
        return self._used <= self._limit

    def skip(self, path: str, *, failed: bool) -> None:
        """Count a line that was not printed. The number of different paths that are kept is bounded."""
        self._skipped.lines += 1
        self._skipped.errors += failed
        if path in self._skipped.paths or len(self._skipped.paths) < 100:
            self._skipped.paths[path] += 1

    def take_skipped(self, now: float) -> Skipped | None:
        """Return what was skipped until `now`, once its second is over; `None` if that was nothing."""
        if not self._skipped.lines or int(now) == self._second:
            return None
        skipped, self._skipped = self._skipped, Skipped()
        return skipped


class Rate:
    """Events per second over the last `RATE_WINDOW` seconds, in slots of a second."""

    def __init__(self) -> None:
        self._slots: collections.deque[tuple[int, int]] = collections.deque()

    def add(self, now: float) -> None:
        """Count one event."""
        second = int(now)
        if self._slots and self._slots[-1][0] == second:
            self._slots[-1] = (second, self._slots[-1][1] + 1)
        else:
            self._slots.append((second, 1))
            self._forget(now)

    def per_second(self, now: float) -> float:
        """Return the average."""
        self._forget(now)
        return sum(count for _, count in self._slots) / RATE_WINDOW

    def _forget(self, now: float) -> None:
        while self._slots and self._slots[0][0] <= int(now) - RATE_WINDOW:
            self._slots.popleft()


def describe_user(user: Any) -> str:
    """Return a short name for what `upgrade` returned for a connection: its name or id, `-` for nobody."""
    if user is None or user == {}:
        return "-"
    name: Any = user
    if not isinstance(user, str | int):
        name = next((value for value in (_named(user, key) for key in _USER_KEYS) if value is not None), None)
    if name is None:
        return "-"
    text = plain_line(str(name))
    return text if len(text) <= MAX_USER_LENGTH else f"{text[: MAX_USER_LENGTH - 1]}…"


def _named(user: Any, key: str) -> str | int | None:
    if is_sensitive_name(key):
        return None
    value = user.get(key) if hasattr(user, "get") else getattr(user, key, None)
    return value if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def describe_error(error: BaseException | None) -> str:
    """Return in a few words why a call was refused: the first wrong field, or the error's own text.

    Empty where the code says it all, and for unexpected exceptions, whose traceback is printed anyway.
    """
    if not isinstance(error, LiveError):
        return ""
    if error.issues:
        first = error.issues[0]
        more = f" (+{len(error.issues) - 1})" if len(error.issues) > 1 else ""
        text = f"{'.'.join(first['path'])}: {first['message']}{more}"
    else:
        text = "" if error.message == error.code else error.message
    text = plain_line(redact_text(text))
    return text if len(text) <= MAX_ERROR_LENGTH else f"{text[: MAX_ERROR_LENGTH - 1]}…"


class CallLog:
    """Listens to the events of a runtime and prints them."""

    def __init__(self, terminal: Terminal, clock: Callable[[], float]) -> None:
        self._terminal = terminal
        self._clock = clock
        self._budget = LineBudget()
        self._calls = Rate()

    def receive(self, event: object) -> None:
        """Take in an event of `runtime.core.events`; others than calls and connections are left alone."""
        match event:
            case CallFinished():
                self._call(event)
            case ConnectionOpened():
                user = describe_user(event.user)
                text = f"{event.remote_address or 'a client'}{'' if user == '-' else f' as {user}'}"
                self._connection("open", text, id=event.connection_id, user=user, from_=event.remote_address)
            case ConnectionClosedEvent():
                user = describe_user(event.user)
                reason = f" {plain_line(event.reason)}" if event.reason else ""
                who = "" if user == "-" else f"{user} "
                text = f"{who}after {_seconds(event.duration)} with {event.code}{reason}"
                self._connection(
                    "close",
                    text,
                    id=event.connection_id,
                    user=user,
                    code=event.code,
                    reason=event.reason,
                    seconds=round(event.duration, 3),
                )
            case _:
                pass

    def request(self, method: str, path: str, status: int, duration: float) -> None:
        """Take in an HTTP request that is worth a line; `duration` in seconds."""
        terminal = self._terminal
        if not self._budget.allows(self._clock()):
            self._budget.skip(path, failed=status >= 400)
            return
        style = "red" if status >= 500 else "yellow" if status >= 400 else "dim"
        text = self._columns(path, method, duration, str(status), style)
        terminal.event("http", text, method=method, path=path, status=status, ms=_ms(duration))

    def flush(self) -> None:
        """Print what a summary is due for; called about once a second."""
        skipped = self._budget.take_skipped(self._clock())
        if skipped is None:
            return
        paths = ", ".join(f"{plain_line(path)} {count:,}" for path, count in skipped.paths.most_common(3))
        errors = f", {skipped.errors:,} with errors" if skipped.errors else ""
        text = f"{skipped.lines:,} more lines are not shown{errors}: {paths}"
        self._terminal.event(
            "skipped", text, lines=skipped.lines, errors=skipped.errors, paths=dict(skipped.paths)
        )

    def status(self, connections: int, topics: int) -> str:
        """Return the text of the status line."""
        calls = self._calls.per_second(self._clock())
        parts = (_count(connections, "connection"), _count(topics, "topic"), f"{calls:.1f} calls/s")
        return self._terminal.paint(f"  {' · '.join(parts)}", "dim")

    def _call(self, event: CallFinished) -> None:
        now = self._clock()
        self._calls.add(now)
        if not self._budget.allows(now):
            self._budget.skip(event.path, failed=event.code is not None)
            return
        user = describe_user(event.user)
        fields: dict[str, Any] = {
            "path": event.path,
            "kind": event.kind,
            "user": user,
            "ms": _ms(event.duration),
            "code": event.code,
            "connection": event.connection_id,
        }
        if why := describe_error(event.error):
            fields["error"] = why
        text = self._columns(event.path, user, event.duration, plain_line(event.code or ""), "red", why)
        self._terminal.event(event.kind, text, **fields)

    def _connection(self, event: str, text: str, **fields: Any) -> None:
        if self._budget.allows(self._clock()):
            self._terminal.event(event, text, **{name.rstrip("_"): value for name, value in fields.items()})
        else:
            self._budget.skip(f"({event})", failed=False)

    def _columns(self, path: str, who: str, duration: float, result: str, style: str, why: str = "") -> str:
        path = plain_line(path[:200])
        width = terminal_width(self._terminal.screen.stderr)
        path_width, user_width = (PATH_WIDTH, USER_WIDTH) if width is None or width >= WIDE else (18, 6)
        columns = f"{path:<{path_width}} {who:<{user_width}} {duration * 1000:>8.1f} ms  "
        if width is not None:
            before = len("00:00:00  ") + TITLE_WIDTH + 1
            room = width - before - len(columns) - len(result) - 2
            why = shorten(why, room) if room >= MIN_REASON else ""
        paint = self._terminal.paint
        return f"{columns}{paint(result, style)}  {paint(why, 'dim')}".rstrip()


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _seconds(duration: float) -> str:
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, seconds = divmod(int(duration), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
