"""The `realtime` program: finds the command and hands over.

A command module is imported when its command runs, never for ``realtime --help``, which so takes little more
than the import of typer. Spec: platform 8.7.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command as build_command

from realtime_cli.console import Console, parsing

__all__ = ["COMMANDS", "app", "run"]

COMMANDS: dict[str, str] = {
    "new": "Make a project from a template.",
    "dev": "Serve the project with hot reload.",
    "check": "Find what is unsafe, unbounded or wrong before production does.",
    "serve": "Serve the project in production mode.",
    "routes": "List every path that clients can call.",
    "types": "Write type declarations for editors.",
    "call": "Call a function of a running server.",
    "watch": "Print what a stream or topic of a running server brings.",
    "config": "Show the settings that apply, or the schema of realtime.toml.",
    "upgrade": "Bring a project of 0.4 to 0.5.",
    "doctor": "Show versions, and what the server can do here.",
}
"""Command name (also the module name in ``realtime_cli.commands``) and its line in the help."""


class CommandGroup(TyperGroup):
    """A typer group that imports a command's module only when that command is asked for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options in front of the command; ``--help`` and ``--version`` print and end here."""
        with parsing():
            return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """Give back the command names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and build one command, or ``None`` if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"realtime_cli.commands.{cmd_name}")
        command = build_command(module.app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of `args`; an unknown one ends with the nearest name (exit code 2)."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
            known = f"Did you mean '{near[0]}'?" if near else f"Commands: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command '{name}'. {known}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the section of commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    import platform
    from importlib.metadata import version

    Console().data(f"realtime-toolkit {version('realtime-toolkit')} (Python {platform.python_version()})")
    raise typer.Exit


app = typer.Typer(
    cls=CommandGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)


@app.callback()
def _group_options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Realtime web apps from plain Python functions.

    Start with: realtime new myapp
    """


def run() -> None:
    """Run the program on ``sys.argv`` and end the process with a code of `realtime_cli.exitcodes`."""
    app()
