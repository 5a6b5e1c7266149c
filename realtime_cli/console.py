"""All printing of the command line.

Data goes to stdout, talk to stderr. Colours appear only on a terminal, and never with ``--no-color`` or when
the environment variable ``NO_COLOR`` is set. Nothing here imports rich until `Console.rich` is called.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console as RichConsole

__all__ = ["Console", "Style", "wants_color"]

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


class Console:
    """Where a command prints; made once per run from the shared flags.

    Args:
        json: one JSON document on stdout instead of text; informal talk is hidden.
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
        self._stdout = stdout if stdout is not None else sys.stdout
        self._stderr = stderr if stderr is not None else sys.stderr
        self._no_color = no_color
        self.color_out = wants_color(self._stdout, forbidden=no_color)
        self.color_err = wants_color(self._stderr, forbidden=no_color)

    @property
    def interactive(self) -> bool:
        """True if a person can be asked: a terminal on both ends, not ``--json``, not ``--yes``."""
        return not self.json and not self.yes and sys.stdin.isatty() and self._stderr.isatty()

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

    def emit(self, document: Any) -> None:
        """Print one JSON document on stdout, indented, with the keys in the given order."""
        import json

        self._write(self._stdout, json.dumps(document, indent=2, ensure_ascii=False))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print aligned columns on stdout, the header dimmed; cells must be single lines."""
        widths = [max([len(name), *(len(row[i]) for row in rows)]) for i, name in enumerate(header)]
        for number, row in enumerate([header, *rows]):
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            line = "  ".join(cells).rstrip()
            self._write(self._stdout, self.paint(line, "dim", out=True) if number == 0 else line)

    def rich(self) -> RichConsole:
        """Make a rich console on stderr that follows the same colour rules (imports rich)."""
        from rich.console import Console as RichConsole

        return RichConsole(
            file=self._stderr,
            no_color=not self.color_err,
            force_terminal=True if self.color_err else None,
            highlight=False,
            soft_wrap=True,
        )

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        try:
            stream.write(text + "\n")
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        stream.flush()
