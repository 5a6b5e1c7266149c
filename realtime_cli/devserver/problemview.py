"""A mistake in the project as the terminal shows it: place, message, the lines around, the traceback, what to do."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from realtime_cli.plaintext import plain_line, plain_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from realtime_cli.devserver.channel import Problem

__all__ = ["render_problems"]

TAB_SIZE = 4

MAX_SHOWN = 5
"""Mistakes that are shown in full; of more only the number is said."""


def render_problems(problems: Sequence[Problem], *, color: bool) -> str:
    """Return the text for the terminal, without a line end behind it."""
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        highlight=False,
        soft_wrap=True,
        legacy_windows=False,
    )
    for problem in problems[:MAX_SHOWN]:
        console.print(_render(problem))
    if len(problems) > MAX_SHOWN:
        console.print(Text(f"  and {len(problems) - MAX_SHOWN} more", style="dim"))
    return out.getvalue().rstrip("\n")


def _render(problem: Problem) -> Text:
    line = problem.get("line")
    place = plain_line(problem["file"] if line is None else f"{problem['file']}:{line}")
    text = Text()
    text.append(f"\n  {place}", style="bold")
    text.append(f"  {plain_line(problem['errorType'])}: ", style="red")
    text.append(f"{plain_lines(problem['message'])}\n")
    for number, source in problem.get("excerpt", ()):
        is_here = number == line
        text.append(f"  {'>' if is_here else ' '} {number:>4} | ", style="red" if is_here else "dim")
        text.append(f"{plain_line(source.expandtabs(TAB_SIZE))}\n", style="bold" if is_here else "")
        column = problem.get("column")
        if is_here and column:
            before = " " * len(source[: column - 1].expandtabs(TAB_SIZE))
            text.append(f"         | {before}^\n", style="red")
    for row in _frames(problem):
        text.append(f"    {row}\n", style="dim")
    if problem.get("hint"):
        text.append("  next: ", style="bold")
        text.append(f"{plain_lines(problem['hint'])}\n")
    return text


def _frames(problem: Problem) -> list[str]:
    """Return the traceback, unless it says no more than the excerpt: the place of a syntax error."""
    trace = plain_lines(problem.get("traceback", "").rstrip("\n"))
    is_said = bool(problem.get("excerpt")) and not trace.startswith("Traceback")
    return [] if is_said else trace.split("\n")
