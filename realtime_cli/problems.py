"""Showing what is wrong with a project's code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from realtime_cli.console import Console
    from runtime.live.problems import LoadProblem

__all__ = ["print_problems", "problems_as_data"]


def print_problems(console: Console, problems: Iterable[LoadProblem]) -> None:
    """Print each problem: place and message, the lines around it, and with ``--verbose`` the traceback."""
    for problem in problems:
        place = problem.file if problem.line is None else f"{problem.file}:{problem.line}"
        lines = [_source_line(console, number, text, problem.line) for number, text in problem.excerpt]
        if console.verbose and problem.traceback:
            lines += ["", problem.traceback.rstrip("\n")]
        console.error(
            f"{console.paint(place, 'bold')}: {problem.kind}: {problem.message}",
            hint=problem.hint,
            detail="\n".join(lines),
        )


def problems_as_data(problems: Iterable[LoadProblem]) -> list[dict[str, Any]]:
    """Give back the problems for ``--json``."""
    return [
        {"file": p.file, "line": p.line, "kind": p.kind, "message": p.message, "hint": p.hint}
        for p in problems
    ]


def _source_line(console: Console, number: int, text: str, wrong: int | None) -> str:
    line = f"  {'>' if number == wrong else ' '} {number:>4} | {text}".rstrip()
    return console.paint(line, "red") if number == wrong else console.paint(line, "dim")
