"""All printing of the command line.

Data goes to stdout, talk to stderr. Colours appear only on a terminal, and never with ``--no-color`` or when
the environment variable ``NO_COLOR`` is set.

A reader that goes away (``realtime routes | head``) does not end the command or change its exit code: the rest of the
output goes nowhere. Output that cannot be written for another reason (a full disk) fails the command.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from realtime_cli import jsontext
from realtime_cli.exitcodes import FAILED, OK, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Console", "Style", "parsing", "shorten", "terminal_width", "wants_color"]

Style = str
"""``bold``, ``dim``, ``underline``, ``red``, ``green``, ``yellow``, ``blue``, ``magenta`` or ``cyan``."""

_SGR = {
    "bold": "1",
    "dim": "2",
    "underline": "4",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}

MIN_COLUMN = 12
"""Characters that a column of a table keeps when it is shortened for a narrow terminal."""


def wants_color(stream: TextIO, *, forbidden: bool = False) -> bool:
    """Say whether ANSI colours may be written to `stream`.

    ``NO_COLOR`` (if not empty) and `forbidden` win, then ``FORCE_COLOR``, then whether it is a terminal.
    """
    if forbidden or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:  # a closed stream
        return False


def terminal_width(stream: TextIO) -> int | None:
    """Give back how many characters a line on `stream` may have; ``COLUMNS`` wins over what the terminal says.

    `None` if it is no terminal, or one that does not know.
    """
    try:
        if not stream.isatty():
            return None
        return int(os.environ.get("COLUMNS", "")) or None
    except ValueError:  # closed, or no number in COLUMNS
        pass
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def shorten(text: str, width: int) -> str:
    """Cut `text` to `width` characters, at least one, the last of them an ellipsis."""
    return text if len(text) <= width else f"{text[: max(width, 1) - 1].rstrip()}…"


@contextlib.contextmanager
def parsing() -> Iterator[None]:
    """Surround the parsing of a command line, which writes the help past any console: end with 1 if that fails."""
    try:
        yield
    except BrokenPipeError:
        _silence(sys.stdout)
        raise SystemExit(OK) from None
    except OSError as problem:
        _silence(sys.stdout)
        _fail(_cannot_write(problem))
    except CommandFailed as failure:
        _fail(failure)


def _fail(failure: CommandFailed) -> NoReturn:
    Console().error(failure.message, hint=failure.hint)
    raise SystemExit(failure.code) from None


class Console:
    """Where a command prints; made once per run from the shared flags.

    Args:
        json: one JSON document on stdout instead of text; informal talk is hidden. After `json_lines` is set, each
            document is one line.
        quiet: only errors, warnings and data.
        verbose: also what `detail` is given.
        no_color: never write ANSI colours.
        yes: answer every yes-or-no question with yes.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        no_color: bool = False,
        yes: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.json = json
        self.quiet = quiet
        self.verbose = verbose
        self.yes = yes
        # Python has no stream where the shell closed it (`>&-`); nobody reads that.
        self._stdout = stdout or sys.stdout or io.StringIO()
        self._stderr = stderr or sys.stderr or io.StringIO()
        self._no_color = no_color
        self._reader_left = False
        self.json_lines = False
        self.color_out = wants_color(self._stdout, forbidden=no_color)
        self.color_err = wants_color(self._stderr, forbidden=no_color)

    @property
    def interactive(self) -> bool:
        """True if a person can be asked: a terminal on both ends, not ``--json``, not ``--yes``."""
        if self.json or self.yes or sys.stdin is None:
            return False
        return sys.stdin.isatty() and self._stderr.isatty()

    @property
    def writes_to_terminal(self) -> bool:
        """True if data is read by a person: the standard output is a terminal, and not ``--json``."""
        return not self.json and _is_terminal(self._stdout)

    @property
    def talks_to_terminal(self) -> bool:
        """True if talk is read by a person."""
        return not self.json and not self.quiet and _is_terminal(self._stderr)

    @property
    def reader_left(self) -> bool:
        """True once the reader of the data went away, as `head` does when it has enough."""
        if not self._reader_left and hasattr(select, "poll"):  # not on Windows, where the next writing tells
            with contextlib.suppress(OSError, ValueError):  # no file, or a closed one
                poll = select.poll()
                poll.register(self._stdout.fileno(), 0)
                self._reader_left = any(what & select.POLLERR for _, what in poll.poll(0))
        return self._reader_left

    def paint(self, text: str, *styles: Style, out: bool = False) -> str:
        """Wrap `text` in ANSI codes if the stream (stderr, or stdout with `out`) takes colours."""
        if not styles or not (self.color_out if out else self.color_err):
            return text
        codes = ";".join(_SGR[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def say(self, text: str = "", *styles: Style) -> None:
        """Print a line of talk; hidden by ``--quiet`` and ``--json``."""
        if not self.quiet and not self.json:
            self._write(self._stderr, self.paint(text, *styles))

    def detail(self, text: str) -> None:
        """Print a line that only ``--verbose`` shows."""
        if self.verbose and not self.json:
            self._write(self._stderr, self.paint(text, "dim"))

    def warn(self, text: str) -> None:
        """Print a warning; nothing hides it."""
        self._write(self._stderr, f"{self.paint('warning:', 'bold', 'yellow')} {text}")

    def error(self, text: str, *, hint: str = "", detail: str = "") -> None:
        """Print an error, the lines that explain it, and what to do next; nothing hides it."""
        self._write(self._stderr, f"{self.paint('error:', 'bold', 'red')} {text}")
        if detail:
            self._write(self._stderr, detail.rstrip("\n"))
        if hint:
            self._write(self._stderr, f"  {self.paint('next:', 'bold')} {hint}")

    def data(self, text: str) -> None:
        """Print a line of the command's result on stdout."""
        self._write(self._stdout, text)

    def bytes(self, raw: bytes) -> None:
        """Print bytes of the command's result on stdout as they are, whatever its encoding."""
        buffer = getattr(self._stdout, "buffer", None)
        try:
            if buffer is None:
                self._stdout.write(raw.decode(errors="replace"))
            else:
                self._stdout.flush()
                buffer.write(raw)
            self._stdout.flush()
        except OSError as problem:
            _silence(self._stdout)
            self._reader_left = True
            if not isinstance(problem, BrokenPipeError):
                raise _cannot_write(problem) from problem

    def progress(self, text: str) -> None:
        """Show one line of talk in the place of the last one; only on a terminal. An empty text takes it away."""
        if self.talks_to_terminal and os.environ.get("TERM") != "dumb":
            width = terminal_width(self._stderr) or 80
            try:
                self._stderr.write(f"\r\x1b[K{shorten(text, width - 1)}" if text else "\r\x1b[K")
                self._stderr.flush()
            except OSError:
                _silence(self._stderr)

    def emit(self, document: Any) -> None:
        """Print one JSON document on stdout, indented unless `json_lines`, with the keys in the given order."""
        self._write(self._stdout, jsontext.document(document, indented=not self.json_lines))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print aligned columns on stdout, the header dimmed; cells must be single lines.

        On a terminal the longest column is shortened so that lines fit; elsewhere cells are always whole.
        """
        first, *lines = _align([header, *rows], terminal_width(self._stdout))
        self._write(self._stdout, self.paint(first, "dim", out=True))
        for line in lines:
            self._write(self._stdout, line)

    def choices(self, rows: Sequence[Sequence[str]]) -> None:
        """Print aligned, indented columns as talk; on a terminal the longest is shortened so that lines fit."""
        width = terminal_width(self._stderr)
        for line in _align(rows, width and width - 2):
            self.say(f"  {line}")

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            try:
                stream.write(text + "\n")
            except UnicodeEncodeError:
                encoding = getattr(stream, "encoding", None) or "ascii"
                stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
            stream.flush()
        except OSError as problem:
            _silence(stream)
            self._reader_left = self._reader_left or stream is self._stdout
            if stream is self._stdout and not isinstance(problem, BrokenPipeError):
                raise _cannot_write(problem) from problem


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # a closed stream
        return False


def _align(rows: Sequence[Sequence[str]], room: int | None) -> list[str]:
    """Write rows in columns; if a line were longer than `room`, the longest columns are shortened, one by one."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for i in sorted(range(len(widths)), key=widths.__getitem__, reverse=True):
        excess = 0 if room is None else sum(widths) + 2 * (len(widths) - 1) - room
        if excess > 0:
            widths[i] = min(widths[i], max(widths[i] - excess, MIN_COLUMN))
    return [
        "  ".join(shorten(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _silence(stream: TextIO) -> None:
    """Send what `stream` still holds, and what is yet to come, nowhere; else the interpreter reports it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def _cannot_write(problem: OSError) -> CommandFailed:
    return CommandFailed(
        f"cannot write to the standard output: {problem.strerror}",
        hint="make room there, or send the output somewhere else",
        code=FAILED,
    )
