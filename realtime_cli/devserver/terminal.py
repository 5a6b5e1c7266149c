"""What `realtime dev` prints: one line per thing that happens, for people or (``--json-log``) for programs.

Lines for people go to stderr, JSON lines to stdout, one object per line with `time` and `event` first.
"""

from __future__ import annotations

import datetime
import sys
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from realtime_cli.console import wants_color
from realtime_cli.devserver.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from realtime_cli.devserver.channel import Problem

__all__ = ["MAX_HELD", "Terminal", "TerminalOptions"]

_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}
_EVENT_STYLES = {
    "error": "red",
    "warning": "yellow",
    "reload": "green",
    "ready": "green",
    "restart": "cyan",
    "check": "yellow",
}
TITLE_WIDTH = 8

MAX_HELD = 200
"""Lines that are kept while a debugger has the terminal; of more only the number is said."""


class TerminalOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to print: the flags of the command line."""

    quiet: bool = False
    verbose: bool = False
    json_log: bool = False
    no_color: bool = False


class Terminal:
    """Prints the lines of one process of the dev server, from any thread."""

    def __init__(self, options: TerminalOptions) -> None:
        self.options = options
        self.color = wants_color(sys.stderr, forbidden=options.no_color)
        wanted = self.color and not options.quiet and not options.json_log
        self.screen = Screen(sys.stdout, sys.stderr, status=wanted)
        self._lock = threading.Lock()
        self._is_held = False
        self._held: list[str] = []
        self._dropped = 0

    def hold(self, active: bool) -> None:
        """Keep lines for people and the status line away while a debugger has the terminal; then show them.

        At most `MAX_HELD` lines are kept.
        """
        with self._lock:
            if active == self._is_held:
                return
            self._is_held = active
            lines, self._held = self._held, []
            dropped, self._dropped = self._dropped, 0
            if active:
                self.screen.pause()
                return
            self.screen.resume()
            for text in lines:
                self._write(text)
            if dropped:
                self._write(f"  {dropped:,} more lines came while the debugger had the terminal")

    def paint(self, text: str, *styles: str) -> str:
        """Wrap `text` in ANSI codes if colours are wanted."""
        if not self.color or not styles or not text:
            return text
        return f"\x1b[{';'.join(_STYLES[style] for style in styles)}m{text}\x1b[0m"

    def event(self, event: str, text: str, /, **fields: Any) -> None:
        """Tell what happened: a line that ``--quiet`` hides, or a JSON object with `event` and `fields`."""
        if self.options.json_log:
            self._json({"event": event, **fields})
        elif not self.options.quiet:
            self._line(self._stamped(event, text))

    def important(self, event: str, text: str, /, **fields: Any) -> None:
        """Tell what went wrong; ``--quiet`` does not hide it."""
        if self.options.json_log:
            self._json({"event": event, "message": text, **fields})
        else:
            self._line(self._stamped(event, text))

    def talk(self, text: str = "") -> None:
        """Print a line for people that is no event, such as the greeting."""
        if not self.options.json_log and not self.options.quiet:
            self._line(text)

    def problems(self, title: str, problems: Sequence[Problem]) -> None:
        """Show mistakes in the project, each with its place, the lines around it and what to do."""
        if self.options.json_log:
            self._json({"event": "problems", "message": title, "problems": list(problems)})
            return
        from realtime_cli.devserver.problemview import render_problems

        self._line(self._stamped("error", title) + "\n" + render_problems(problems, color=self.color))

    def _stamped(self, event: str, text: str) -> str:
        stamp = self.paint(f"{datetime.datetime.now().astimezone():%H:%M:%S}", "dim")
        style = _EVENT_STYLES.get(event)
        title = self.paint(event.ljust(TITLE_WIDTH), style) if style else event.ljust(TITLE_WIDTH)
        return f"{stamp}  {title} {text}"

    def _json(self, fields: dict[str, Any]) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data = msgspec.json.encode({"time": now, **fields}, enc_hook=repr)
        self.screen.stdout.write(data.decode() + "\n")
        self.screen.stdout.flush()

    def _line(self, text: str) -> None:
        with self._lock:
            if not self._is_held:
                self._write(text)
            elif len(self._held) < MAX_HELD:
                self._held.append(text)
            else:
                self._dropped += 1

    def _write(self, text: str) -> None:
        stream = self.screen.stderr
        try:
            stream.write(text + "\n")
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        stream.flush()
