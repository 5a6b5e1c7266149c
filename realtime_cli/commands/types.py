"""`realtime types`: write type declarations from the annotations.

Spec: platform 8.7.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realtime_cli.exitcodes import FAILED, CommandFailed
from realtime_cli.flags import Invocation, command_app
from realtime_cli.problems import print_problems, problems_as_data

__all__ = ["app", "types"]

EDITOR_SETTINGS = ("jsconfig.json", "tsconfig.json")


def types(
    invocation: Invocation,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder to write to (default: types in the project)."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; end with 1 if something is out of date.")
    ] = False,
) -> None:
    """Write type declarations for editors and type checkers from the annotations of live functions.

    Ends with 1 if a module does not import; the declarations of the others are written all the same.
    """
    from realtime_cli import typegen
    from realtime_cli.loadapp import load_code

    console = invocation.console
    project = invocation.project()
    folder = (out if out is not None else project / typegen.TYPES_FOLDER).absolute()
    code = load_code(project)
    try:
        if check:
            changed = typegen.outdated(project, typegen.render(project, code.registry), folder)
        else:
            changed = typegen.write_types(project, code.registry, out=folder)
    except OSError as problem:
        raise CommandFailed(
            f"cannot write to {str(folder)!r}: {problem.strerror}", hint="pass --out DIR", code=FAILED
        ) from problem
    failed = bool(code.problems) or (check and bool(changed))
    if console.json:
        console.emit(
            {
                "ok": not failed,
                "folder": str(folder),
                "outdated" if check else "written": [str(path) for path in changed],
                "problems": problems_as_data(code.problems),
            }
        )
    else:
        for path in changed:
            console.data(str(path))
    print_problems(console, code.problems)
    if check and changed:
        console.error(f"{len(changed)} files are out of date", hint="realtime types")
    elif not changed:
        console.say("up to date")
    elif out is None and not any((project / name).exists() for name in EDITOR_SETTINGS):
        console.say(
            'editors find them with "paths": { "$live/*": ["./types/live/*"] } in the compilerOptions of a '
            "jsconfig.json"
        )
    if failed:
        raise typer.Exit(FAILED)


app = command_app(types, name="types")
