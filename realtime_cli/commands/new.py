"""`realtime new`: make a project from a packaged template.

Spec: platform 8.7.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_cli.exitcodes import FAILED, USAGE, CommandFailed
from realtime_cli.flags import Invocation, command_app
from realtime_cli.templates import DEFAULT_TEMPLATE, list_templates

if TYPE_CHECKING:
    from realtime_cli.console import Console
    from realtime_cli.makeproject import GitState, MadeProject
    from realtime_cli.templates import Template

__all__ = ["app", "new"]

DEFAULT_NAME = "myapp"


def new(
    invocation: Invocation,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Name of the project and of its folder; '.' means this folder.",
            show_default=False,
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template", "-t", metavar="NAME", help=f"Template to use (default: {DEFAULT_TEMPLATE})."
        ),
    ] = None,
    defaults: Annotated[bool, typer.Option("--defaults", help="Ask nothing, take the defaults.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the templates and end.")] = False,
) -> None:
    """Make a project from a template, offline.

    Asks for the name and the template if no name is given. --project PATH makes the project in that folder.
    """
    console = invocation.console
    if list_:
        _print_templates(console)
        return
    asks = name is None and invocation.project_flag is None and not defaults and console.interactive
    if asks:
        name = _ask_name(console)
    chosen = _find_template(_ask_template(console) if asks and template is None else template)
    project_name, target = _place(name, invocation.project_flag, defaults=defaults or console.yes)
    _check_target(target, force=force)

    from realtime_cli.makeproject import make_project, start_history

    try:
        made = make_project(chosen, project_name, target)
    except KeyboardInterrupt:
        raise
    except Exception as problem:
        raise CommandFailed(
            f"could not make the project in {str(target)!r}: {problem or type(problem).__name__}",
            hint="nothing was left behind; correct the cause and run the same command again",
            code=FAILED,
        ) from problem
    git = start_history(target, f"Start {project_name} from the {chosen.name} template")
    _report(console, project_name, chosen, made, git)


def _print_templates(console: Console) -> None:
    templates = list_templates()
    if console.json:
        listed = [
            {"name": t.name, "summary": t.summary, "default": t.name == DEFAULT_TEMPLATE} for t in templates
        ]
        console.emit({"ok": True, "templates": listed})
        return
    rows = [(t.name + (" (default)" if t.name == DEFAULT_TEMPLATE else ""), t.summary) for t in templates]
    console.table(("TEMPLATE", "MAKES"), rows)


def _ask_name(console: Console) -> str:
    from realtime_cli.projectname import name_problem

    while True:
        answer = str(typer.prompt("Name of the project", default=DEFAULT_NAME, err=True)).strip()
        problem = name_problem(answer)
        if problem is None and _is_free(Path(answer)):
            return answer
        console.warn(problem or f"the folder {answer!r} is not empty; choose another name")


def _ask_template(console: Console) -> str:
    templates = list_templates()
    console.say("Templates")
    console.choices([(str(number), one.name, one.summary) for number, one in enumerate(templates, 1)])
    while True:
        answer = str(typer.prompt("Template", default=DEFAULT_TEMPLATE, err=True)).strip()
        for number, template in enumerate(templates, 1):
            if answer in (str(number), template.name):
                return template.name
        console.warn(f"{answer!r} is neither a number nor a name of the list")


def _find_template(name: str | None) -> Template:
    wanted = name or DEFAULT_TEMPLATE
    templates = {template.name: template for template in list_templates()}
    if wanted not in templates:
        raise CommandFailed(
            f"there is no template {wanted!r}; there are: {', '.join(templates)}",
            hint="realtime new --list",
            code=USAGE,
        )
    return templates[wanted]


def _place(name: str | None, folder: Path | None, *, defaults: bool) -> tuple[str, Path]:
    """Decide the project's name and folder from NAME and ``--project``."""
    from realtime_cli.projectname import name_problem

    if name is None and folder is None:
        if not defaults:
            raise CommandFailed(
                "the name of the project is missing", hint=f"realtime new {DEFAULT_NAME}", code=USAGE
            )
        name = DEFAULT_NAME
    if name == ".":
        folder, name = folder or Path.cwd(), None
    target = (folder if folder is not None else Path(name or "")).absolute()
    project_name = name if name is not None else target.resolve().name
    problem = name_problem(project_name)
    if problem is not None:
        raise CommandFailed(
            f"{project_name!r} cannot be the name of a project: {problem}",
            hint=f"choose another one, such as: realtime new {DEFAULT_NAME}",
            code=USAGE,
        )
    return project_name, target


def _is_free(target: Path) -> bool:
    return not target.exists() or (target.is_dir() and not any(target.iterdir()))


def _check_target(target: Path, *, force: bool) -> None:
    if target.exists() and not target.is_dir():
        raise CommandFailed(f"{str(target)!r} is a file", hint="choose another name", code=USAGE)
    if not force and not _is_free(target):
        raise CommandFailed(
            f"the folder {str(target)!r} is not empty",
            hint="choose another name, or add --force (it overwrites files of the same names)",
            code=USAGE,
        )


def _report(console: Console, name: str, template: Template, made: MadeProject, git: GitState) -> None:
    commands = _next_commands(made.folder)
    if console.json:
        console.emit(
            {
                "ok": True,
                "name": name,
                "path": str(made.folder),
                "template": template.name,
                "files": list(made.files),
                "git": git,
                "next": commands,
            }
        )
        return
    console.say(
        f"{console.paint('Made', 'green', 'bold')} {console.paint(name, 'bold')} from the {template.name} template"
    )
    console.detail(f"{made.folder}: {len(made.files)} files, git: {git}")
    console.say()
    for command in commands:
        console.say(f"  {command}")


def _next_commands(folder: Path) -> list[str]:
    """Give back the three commands that belong after ``realtime new``, as this machine can run them."""
    try:
        shown = str(folder.relative_to(Path.cwd()))
    except ValueError:
        shown = str(folder)
    runner = "uv run " if _started_by_uvx() else ""
    return [f"cd {shlex.quote(shown)}", f"{runner}{_program()} dev", f"{runner}{_tests()}"]


def _started_by_uvx() -> bool:
    return "uv" in Path(sys.prefix).parts and "archive-v0" in Path(sys.prefix).parts


def _program() -> str:
    if _started_by_uvx() or _is_on_path():
        return "realtime"
    started = Path(sys.argv[0])
    if started.is_file() and started.stem in ("realtime", "realtime-toolkit"):
        return shlex.quote(str(started.absolute()))
    return f"{shlex.quote(sys.executable)} -m realtime_cli"


def _tests() -> str:
    if _started_by_uvx():
        return "pytest"
    return f"{'python' if _is_on_path() else shlex.quote(sys.executable)} -m pytest"


def _is_on_path() -> bool:
    found = shutil.which("realtime")
    return found is not None and Path(found).absolute().parent == Path(sys.executable).absolute().parent


app = command_app(new, name="new")
