"""`realtime config`: the settings that apply, where each comes from, and the schema of `realtime.toml`.

Spec: platform 4 and 8.7.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from realtime_cli.exitcodes import USAGE, CommandFailed
from realtime_cli.flags import Invocation, shared_flags

if TYPE_CHECKING:
    from runtime.server.settings_source import ExaminedSettings

__all__ = ["app", "schema", "show"]


def show(
    invocation: Invocation,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    section: Annotated[
        str, typer.Option("--section", metavar="NAME", help="Only one section, such as websocket.")
    ] = "",
    env: Annotated[
        str | None, typer.Option("--env", metavar="NAME", help="Of this environment ([server] env).")
    ] = None,
) -> None:
    """Print the settings that apply, as `realtime serve` would read them. Secrets are shown as ***.

    Ends with 2 if a setting cannot be used; the others are printed all the same.
    """
    from realtime_cli.settingstable import rows_of
    from runtime.core.settings import SECTIONS
    from runtime.server.settings_source import examine_settings

    known = [*SECTIONS, "capacity"]
    if section and section not in known:
        raise CommandFailed(
            f"--section: there is no section {section!r}", hint=f"one of {', '.join(known)}", code=USAGE
        )
    console = invocation.console
    found = examine_settings(invocation.project(), flags={"server.env": env}, env_default="production")
    rows = [row for row in rows_of(found) if not section or row.section == section]
    if console.json:
        console.emit(
            {
                "settings": {row.name: {"value": row.value, "origin": row.origin} for row in rows},
                "problems": [str(problem) for problem in found.problems],
            }
        )
    else:
        above = None
        for row in rows:
            if row.section != above:
                console.data(
                    ("" if above is None else "\n") + console.paint(f"[{row.section}]", "bold", out=True)
                )
                above = row.section
            line = f"{row.key} = {row.text}"
            if origin:
                line = f"{line:<48} {console.paint(f'# {row.origin}', 'dim', out=True)}"
            elif row.origin == "default":
                line = console.paint(line, "dim", out=True)
            console.data(line)
    _report(invocation, found)


def _report(invocation: Invocation, found: ExaminedSettings) -> None:
    for problem in found.problems:
        invocation.console.error(str(problem))
    if found.problems:
        raise typer.Exit(USAGE)


def schema(invocation: Invocation) -> None:
    """Print the JSON Schema of realtime.toml, for editors.

    With `#:schema ./realtime.schema.json` as its first line, editors complete and check the file.
    """
    from realtime_cli.settingsschema import settings_schema

    document: dict[str, Any] = settings_schema()
    invocation.console.data(json.dumps(document, indent=2, ensure_ascii=False))


app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True
)
app.command("show")(shared_flags(show))
app.command("schema")(shared_flags(schema))


@app.callback()
def _group() -> None:
    """Show the settings that apply, or the schema of realtime.toml."""
