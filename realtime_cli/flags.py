"""The flags that every command has, declared once.

Spec: platform 8.7.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from realtime_cli.console import Console, parsing
from realtime_cli.exitcodes import INTERRUPTED, CommandFailed
from realtime_cli.project import find_project

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Invocation", "command_app", "shared_flags"]


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a command is handed first: where to print, and the shared flags."""

    console: Console
    project_flag: Path | None

    def project(self) -> Path:
        """Give back the project root; raises `CommandFailed` (exit code 2) if there is none."""
        return find_project(self.project_flag)


def _declare_flags(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors and data.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print more.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours (also: NO_COLOR=1).")] = False,
    project: Annotated[
        Path | None,
        typer.Option("--project", metavar="PATH", help="The project folder (default: found upwards)."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Answer every question with yes.")] = False,
) -> Invocation:
    console = Console(json=json, quiet=quiet, verbose=verbose, no_color=no_color, yes=yes)
    return Invocation(console=console, project_flag=project)


def shared_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Add the shared flags to a command whose first parameter is the `Invocation`.

    The command ends normally (exit code 0), raises `CommandFailed` (message, hint and code are printed here,
    as JSON too under ``--json``), or raises ``typer.Exit``.
    """
    own = list(inspect.signature(command).parameters.values())[1:]
    shared = list(inspect.signature(_declare_flags).parameters.values())
    unresolved = SimpleNamespace(__annotations__={p.name: p.annotation for p in own})
    hints = get_type_hints(unresolved, globalns=command.__globals__, include_extras=True)
    hints |= get_type_hints(_declare_flags, include_extras=True)

    def run(**values: Any) -> None:
        invocation = _declare_flags(**{flag.name: values.pop(flag.name) for flag in shared})
        try:
            command(invocation, **values)
        except CommandFailed as failure:
            console = invocation.console
            console.error(failure.message, hint=failure.hint, detail=failure.detail)
            if console.json:
                error = {"message": failure.message, "hint": failure.hint, "exit": failure.code}
                console.emit({"ok": False, "error": error})
            raise typer.Exit(failure.code) from None
        except typer.Abort:  # Ctrl-C or end of input at a question
            raise typer.Exit(INTERRUPTED) from None

    parameters = [
        p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *shared)
    ]
    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect.signature reads it
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


class _Command(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with parsing():
            return super().parse_args(ctx, args)


def command_app(command: Callable[..., None], *, name: str) -> typer.Typer:
    """Make the one-command typer app that a module of ``realtime_cli.commands`` exports as ``app``."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, cls=_Command)(shared_flags(command))
    return app
