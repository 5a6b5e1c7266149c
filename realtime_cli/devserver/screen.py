r"""The terminal's last line as a status line that never gets in the way of anything that is printed.

`Screen.take_over` puts `sys.stdout` and `sys.stderr` behind a thin layer. What goes to the terminal erases the status
line first, and the line comes back when nothing was printed for a moment and the cursor stands at the start of a line.
Several processes may share one terminal: the erasing (`\r`, erase line) does no harm when another process drew the
line, or none did. A reader that is gone, as behind `realtime dev | head`, fails no call that prints: what is written
goes nowhere then.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["ERASE_LINE", "Screen"]

ERASE_LINE = "\r\x1b[2K"

_HIDE_CURSOR_WRAP = "\x1b[?7l"
_SHOW_CURSOR_WRAP = "\x1b[?7h"


class Screen:
    """The terminal behind stderr (and stdout, if it is one too). Without a terminal it only passes text on."""

    def __init__(self, stdout: TextIO, stderr: TextIO, *, status: bool) -> None:
        self._stderr = stderr
        self._lock = threading.RLock()
        self._status = ""
        self._shown = False
        self._paused = 0
        self._at_line_start = True
        self.has_status = status and _is_terminal(stderr)
        self.stdout = self._wrap(stdout)
        self.stderr = self._wrap(stderr)

    def _wrap(self, stream: TextIO) -> TextIO:
        makes_room = self.has_status and _is_terminal(stream)
        return cast("TextIO", _GuardedStream(stream, self if makes_room else None))

    def take_over(self) -> None:
        """Put the wrapped streams in the place of `sys.stdout` and `sys.stderr`."""
        sys.stdout, sys.stderr = self.stdout, self.stderr

    def set_status(self, text: str) -> None:
        """Have `text` (one line, may hold colours) as status from the next `draw` on; empty text is none."""
        with self._lock:
            if text == self._status:
                return
            self._erase()
            self._status = text

    def draw(self) -> None:
        """Show the status line if it is wanted, not shown yet, and nothing is in its place."""
        with self._lock:
            if (
                self.has_status
                and self._status
                and not self._shown
                and not self._paused
                and self._at_line_start
            ):
                self._write(f"{_HIDE_CURSOR_WRAP}{self._status}{_SHOW_CURSOR_WRAP}")
                self._shown = True

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Keep the status line away, as while somebody types into a debugger."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def pause(self) -> None:
        """Keep the status line away until `resume` was called as often as this."""
        with self._lock:
            self._erase()
            self._paused += 1

    def resume(self) -> None:
        """Let the status line come back."""
        with self._lock:
            self._paused -= 1
            self._at_line_start = True  # what was typed ended with the enter key

    def close(self) -> None:
        """Erase the status line for good."""
        with self._lock:
            self._erase()
            self._status = ""

    def write_through(self, stream: TextIO, text: str) -> int:
        """Write `text` to one of the streams, with the status line out of its way."""
        with self._lock:
            if self._shown:
                self._erase()
            elif text and self._at_line_start and not self._paused:
                text = ERASE_LINE + text  # another process may have drawn its status here
            if text:
                self._at_line_start = text.endswith("\n")
            with _reader_may_be_gone(stream):
                stream.write(text)
            return len(text)

    def _erase(self) -> None:
        if self._shown:
            self._write(ERASE_LINE)
            self._shown = False

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that is gone must not stop the server
            self._stderr.write(text)
            self._stderr.flush()


class _GuardedStream:
    """A text stream that asks the screen to make room before each write, and outlives its reader.

    Everything else is the stream's own.
    """

    def __init__(self, stream: TextIO, screen: Screen | None) -> None:
        self._stream = stream
        self._screen = screen

    def write(self, text: str) -> int:
        if self._screen is not None:
            return self._screen.write_through(self._stream, text)
        with _reader_may_be_gone(self._stream):
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        with _reader_may_be_gone(self._stream):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def __enter__(self) -> _GuardedStream:
        return self

    def __exit__(self, *details: object) -> None:
        pass


@contextlib.contextmanager
def _reader_may_be_gone(stream: TextIO) -> Iterator[None]:
    """Let a write to a closed pipe pass, and all later ones go nowhere, those of the interpreter's end too."""
    try:
        yield
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
