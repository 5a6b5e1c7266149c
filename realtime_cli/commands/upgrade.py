"""`realtime upgrade`: from the 0.4 to the 0.5 layout. Spec: upgrade 4."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_cli.exitcodes import BUSY, FAILED, INTERRUPTED, NOTHING_CHANGED, USAGE, CommandFailed
from realtime_cli.flags import Invocation, command_app

if TYPE_CHECKING:
    from realtime_cli.codemods.session import Session

__all__ = ["app", "upgrade"]


def upgrade(
    invocation: Invocation,
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="The project folder.", show_default=False)
    ] = None,
    to: Annotated[str, typer.Option("--to", help="The version to come to.")] = "0.5",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, print the summary.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing, print a patch.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing, end with 1 if there is something to do.")
    ] = False,
    only: Annotated[str, typer.Option("--only", metavar="UPGnnn,..", help="Only these codemods.")] = "",
    skip: Annotated[str, typer.Option("--skip", metavar="UPGnnn,..", help="Without these.")] = "",
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask for each codemod and file.")
    ] = False,
    report: Annotated[
        list[Path] | None, typer.Option("--report", metavar="FILE", help="Write a report: .md or .json.")
    ] = None,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="Go on although git does not have everything.")
    ] = False,
    pin_defaults: Annotated[
        bool, typer.Option("--pin-defaults", help="Write the 0.4 value of changed defaults.")
    ] = False,
    postgres: Annotated[
        str, typer.Option("--postgres", metavar="pin|rename", help="Keep the old tables, or write SQL.")
    ] = "pin",
    include: Annotated[
        list[str] | None, typer.Option("--include", metavar="GLOB", help="Files that would be left out.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="GLOB", help="Files to leave out.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes.", show_default="all")] = (
        os.cpu_count() or 1
    ),
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Look at the result: import it, check it.")
    ] = True,
    python: Annotated[
        Path | None, typer.Option("--python", metavar="FILE", help="The project's Python, for that.")
    ] = None,
    list_codemods: Annotated[bool, typer.Option("--list", help="List the codemods.")] = False,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="ID", help="Tell of a codemod or a change.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Put back what the last run changed.")] = False,
) -> None:
    """Rewrite what changed between 0.4 and 0.5, and say what is left for you.

    Start with: realtime upgrade --diff

    Ends with 0 when all is done, 1 if something needs you, 2 on wrong usage, 3 if the work tree is not clean, 4 if
    nothing was changed because writing failed, 5 if another run is at work or was killed (see --undo).
    """
    from realtime_cli.codemods import catalogview

    if list_codemods:
        catalogview.show_list(invocation.console)
        return
    if explain is not None:
        catalogview.explain(invocation.console, explain)
        return
    if to != "0.5":
        raise CommandFailed(f"--to: there is no way to {to!r}", hint="known: 0.5", code=USAGE)
    if postgres not in ("pin", "rename"):
        raise CommandFailed(f"--postgres: there is no {postgres!r}", hint="pin or rename", code=USAGE)
    if sum((dry_run, diff, check)) > 1:
        raise CommandFailed(
            "--dry-run, --diff and --check: one of them", hint="--diff shows most", code=USAGE
        )
    if interactive and invocation.console.quiet:
        raise CommandFailed("--interactive shows what it asks for", hint="leave --quiet out", code=USAGE)
    if interactive and not invocation.console.interactive:
        raise CommandFailed("--interactive needs a terminal", hint="leave it out, or use --only", code=USAGE)
    from realtime_cli.codemods.session import Session, root_of

    root = root_of(path if path is not None else invocation.project_flag)
    if undo:
        _undo(invocation, root, allow_dirty=allow_dirty)
        return
    session = Session(
        console=invocation.console,
        root=root,
        selected=catalogview.selection(only, skip),
        pin_defaults=pin_defaults,
        postgres=postgres,
        interactive=interactive,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        jobs=jobs,
        reports=tuple(report or ()),
        python=python,
    )
    if diff or check or dry_run:
        _look(session, diff=diff, check=check)
    else:
        _write(session, allow_dirty=allow_dirty, verify=verify)


def _look(session: Session, *, diff: bool, check: bool) -> None:
    from realtime_cli.codemods.asking import Quit

    try:
        planned = session.plan()
    except Quit:
        session.console.say("Nothing was written.")
        return
    if planned is None:
        return
    if diff:
        session.show_patch()
    if check:
        session.show_findings()
    else:
        session.show_summary(written=False)
    session.write_reports()
    if (check and planned.edits) or session.report.needs_human:
        raise typer.Exit(FAILED)


def _write(session: Session, *, allow_dirty: bool, verify: bool) -> None:
    from realtime_cli.codemods.asking import Quit
    from realtime_cli.codemods.files import WriteFailed
    from realtime_cli.codemods.guard import Busy, held_lock
    from realtime_cli.codemods.signals import Terminated, terminating

    try:
        with held_lock(session.root), terminating():
            session.refuse_dirty(allow_dirty=allow_dirty)
            planned = session.plan()
            if planned is None:
                return
            session.refuse_dirty(allow_dirty=allow_dirty, writes=planned.tree.changed)
            with session.put_back_if_interrupted():
                session.write(verify=verify)
                session.show_summary(written=True)
                session.write_reports()
    except Busy as problem:
        raise CommandFailed(str(problem), hint="wait until it ends", code=BUSY) from None
    except Quit:
        session.console.say("Nothing was written.")
        return
    except OSError as problem:
        raise CommandFailed(
            f"the project cannot be written: {problem.strerror or problem}",
            hint="nothing was changed; see to it and run the command again",
            code=NOTHING_CHANGED,
        ) from None
    except WriteFailed as problem:
        raise CommandFailed(str(problem), hint=session.way_back(problem), code=NOTHING_CHANGED) from None
    except Terminated:
        raise CommandFailed(
            "stopped by a signal; everything was put back",
            hint="run the command again",
            code=NOTHING_CHANGED,
        ) from None
    except KeyboardInterrupt:
        raise CommandFailed(
            "interrupted; everything was put back", hint="run the command again", code=INTERRUPTED
        ) from None
    if session.report.needs_human:
        raise typer.Exit(FAILED)


def _undo(invocation: Invocation, root: Path, *, allow_dirty: bool) -> None:
    from realtime_cli.codemods.files import WriteFailed, undo
    from realtime_cli.codemods.guard import Busy, held_lock
    from realtime_cli.codemods.shown import printable

    console = invocation.console
    try:
        with held_lock(root):
            undone = undo(root, over_edits=allow_dirty)
    except Busy as problem:
        raise CommandFailed(str(problem), hint="wait until it ends", code=BUSY) from None
    except WriteFailed as problem:
        raise CommandFailed(
            str(problem), hint="the originals are in .realtime-upgrade/backup", code=NOTHING_CHANGED
        ) from None
    if undone is None:
        raise CommandFailed("there is no run to undo", hint="git checkout gets back older states", code=USAGE)
    for name in undone.restored:
        console.say(f"put back: {printable(name)}")
    if undone.left:
        raise CommandFailed(
            f"edited since the run, and left: {printable(', '.join(undone.left))}",
            hint="realtime upgrade --undo --allow-dirty puts them back, too, and keeps what you wrote",
            code=NOTHING_CHANGED,
        )
    if console.json:
        console.emit({"ok": True, "restored": undone.restored})


app = command_app(upgrade, name="upgrade")
