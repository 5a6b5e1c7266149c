"""A mistake in the project as the terminal shows it: place, message, the lines around, the traceback, what to do."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from realtime_cli.devserver.channel import Problem

__all__ = ["render_problems"]

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
    place = problem["file"] if line is None else f"{problem['file']}:{line}"
    text = Text()
    text.append(f"\n  {place}", style="bold")
    text.append(f"  {problem['errorType']}: ", style="red")
    text.append(f"{problem['message']}\n")
    for number, source in problem.get("excerpt", ()):
        is_here = number == line
        text.append(f"  {'>' if is_here else ' '} {number:>4} | ", style="red" if is_here else "dim")
        text.append(f"{source}\n", style="bold" if is_here else "")
    for row in problem.get("traceback", "").rstrip("\n").splitlines():
        text.append(f"    {row}\n", style="dim")
    if problem.get("hint"):
        text.append("  next: ", style="bold")
        text.append(f"{problem['hint']}\n")
    return text
