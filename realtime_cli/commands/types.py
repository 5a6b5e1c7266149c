"""`realtime types`: write type declarations from the annotations.

Spec: platform 8.7.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_cli.exitcodes import FAILED, USAGE, CommandFailed
from realtime_cli.flags import Invocation, command_app
from realtime_cli.problems import print_problems, problems_as_data

if TYPE_CHECKING:
    from realtime_cli.console import Console
    from realtime_cli.typegen import Change
    from runtime.live.registry import Registry

__all__ = ["app", "types"]

EDITOR_SETTINGS = ("jsconfig.json", "tsconfig.json")


def types(
    invocation: Invocation,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder to write to (default: types in the project)."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; end with 1 if something is out of date, and say what breaks clients.",
        ),
    ] = False,
    breaking: Annotated[
        bool,
        typer.Option(
            "--breaking", help="With --check: end with 1 only for what breaks clients of the stored types."
        ),
    ] = False,
) -> None:
    """Write type declarations for editors and type checkers from the annotations of live functions.

    Ends with 1 if a module does not import; the declarations of the others are written all the same.
    """
    from realtime_cli import typegen
    from realtime_cli.loadapp import load_code

    if breaking and not check:
        raise CommandFailed(
            "--breaking is about --check", hint="realtime types --check --breaking", code=USAGE
        )
    console = invocation.console
    project = invocation.project()
    folder = (out if out is not None else project / typegen.TYPES_FOLDER).absolute()
    code = load_code(project)
    breaks: list[typegen.Change] = []
    try:
        if check:
            breaks = _breaking_changes(project, code.registry, folder)
            changed = typegen.outdated(project, typegen.render(project, code.registry, folder), folder)
        else:
            changed = typegen.write_types(project, code.registry, out=folder)
    except OSError as problem:
        raise CommandFailed(
            f"cannot write to {str(folder)!r}: {problem.strerror}", hint="pass --out DIR", code=FAILED
        ) from problem
    is_old = check and not breaking and bool(changed)
    failed = bool(code.problems) or bool(breaks) or is_old
    if console.json:
        document = {
            "ok": not failed,
            "folder": str(folder),
            "outdated" if check else "written": [str(path) for path in changed],
            "problems": problems_as_data(code.problems),
        }
        if check:
            document["breaking"] = [
                {"path": one.path, "change": one.kind, "message": one.message} for one in breaks
            ]
        console.emit(document)
    else:
        for path in changed:
            console.data(str(path))
    print_problems(console, code.problems)
    _print_breaking(console, breaks)
    if is_old:
        console.error(f"{len(changed)} files are out of date", hint="realtime types")
    elif not changed:
        console.say("up to date")
    elif check:
        console.say(f"{len(changed)} files are out of date")
    elif out is None and not any((project / name).exists() for name in EDITOR_SETTINGS):
        console.say(
            'editors find them with "paths": { "$live/*": ["./types/live/*"] } in the compilerOptions of a '
            "jsconfig.json"
        )
    if failed:
        raise typer.Exit(FAILED)


def _breaking_changes(project: Path, registry: Registry, folder: Path) -> list[Change]:
    from realtime_cli import typegen

    try:
        return typegen.incompatible(project, registry, folder)
    except typegen.BadContract as problem:
        raise CommandFailed(
            f"{folder / 'live.json'}: cannot be compared with: {problem}",
            hint="write the types anew with: realtime types",
            code=FAILED,
        ) from problem


def _print_breaking(console: Console, breaks: list[Change]) -> None:
    if breaks:
        width = max(len(one.path) for one in breaks)
        console.error(
            f"{len(breaks)} {'change breaks' if len(breaks) == 1 else 'changes break'} programs of the stored types",
            detail="\n".join(f"  {one.path.ljust(width)}  {one.message}" for one in breaks),
            hint="keep the old path beside a new one; if no such program is left, accept it with: realtime types",
        )


app = command_app(types, name="types")
