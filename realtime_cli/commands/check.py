"""`realtime check`: what in a project is unsafe, unbounded or wrong, before production finds it.

Spec: platform 8.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_cli.exitcodes import COULD_NOT_START, FAILED, USAGE, CommandFailed
from realtime_cli.flags import Invocation, command_app

if TYPE_CHECKING:
    from realtime_cli.rules.calculator import Capacity
    from realtime_cli.rules.engine import Baseline, Report, Selection
    from realtime_cli.rules.project import Project
    from realtime_cli.rules.rule import Rule

__all__ = ["app", "check"]

MANY = 10**9  # of anything that the calculator multiplies
CALCULATED = "CAP001,CAP002,CAP007,CAP011"  # the rules that --capacity runs unless others are chosen
FORMATS = ("text", "json", "sarif", "github")


def check(
    invocation: Invocation,
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="The project folder.", show_default=False)
    ] = None,
    env: Annotated[str, typer.Option("--env", help="Environment whose settings are checked.")] = "production",
    report_format: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.", metavar="FORMAT")
    ] = "text",
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what needs no decision.")] = False,
    select: Annotated[str, typer.Option("--select", help="Only these rules: SEC, LIV003,...")] = "",
    ignore: Annotated[str, typer.Option("--ignore", help="Without these rules.")] = "",
    no_import: Annotated[bool, typer.Option("--no-import", help="Import no code.")] = False,
    online: Annotated[bool, typer.Option("--online", help="Look at Redis and Postgres too.")] = False,
    explain: Annotated[str | None, typer.Option("--explain", metavar="RULE", help="Tell of a rule.")] = None,
    list_rules: Annotated[bool, typer.Option("--list", help="List the rules.")] = False,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="FILE", help="Leave out what is in FILE.")
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option("--write-baseline", metavar="FILE", help="Write what is found to FILE.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the report to FILE.")
    ] = None,
    capacity: Annotated[
        bool, typer.Option("--capacity", help="Say what a load takes, and what falls over first.")
    ] = False,
    connections: Annotated[
        int | None,
        typer.Option("--connections", min=1, max=MANY, metavar="N", help="Connections, for --capacity."),
    ] = None,
    topics_per_connection: Annotated[
        int, typer.Option("--topics-per-connection", min=0, max=MANY, metavar="T", help="Topics of each.")
    ] = 5,
    publish_rate: Annotated[
        int, typer.Option("--publish-rate", min=0, max=MANY, metavar="R", help="Events published a second.")
    ] = 100,
    payload: Annotated[
        int, typer.Option("--payload", min=0, max=MANY, metavar="B", help="Bytes of the data of an event.")
    ] = 200,
    fanout: Annotated[
        int, typer.Option("--fanout", min=1, max=MANY, metavar="F", help="Subscribers that get an event.")
    ] = 10,
) -> None:
    """Look at settings, hooks, live modules and web files, and say what is unsafe, unbounded or wrong.

    Ends with 1 if there are errors (with --strict: warnings too), and 2 if the settings cannot be read.
    """
    console = invocation.console
    if explain is not None:
        _explain(invocation, explain)
        return
    if list_rules:
        _list(invocation)
        return
    if console.json:
        report_format = "json"
    if report_format not in FORMATS:
        raise CommandFailed(
            f"--format: there is no format {report_format!r}", hint=f"one of {', '.join(FORMATS)}", code=USAGE
        )
    import gc

    from realtime_cli.project import find_project
    from realtime_cli.rules.calculator import Load

    gc.disable()  # trees of a thousand files, all of them in use until the process ends
    root = find_project(path) if path is not None else invocation.project()
    selection = _selection(select or (CALCULATED if capacity else ""), ignore)
    known = _baseline(baseline)
    load = Load(connections, topics_per_connection, publish_rate, payload, fanout)
    project = _read(root, env)
    project.load = load
    found = _run(project, selection, known, no_import=no_import, online=online)
    if fix and _fix(invocation, project, found):
        project = _read(root, env)
        project.load = load
        found = _run(project, selection, known, no_import=no_import, online=online)
    if write_baseline is not None:
        from realtime_cli.rules.engine import Baseline

        _write(write_baseline, Baseline.text(found.findings), "--write-baseline")
        console.say(f"{len(found.findings)} findings written to {write_baseline}")
        return
    answer = None
    if capacity:
        from realtime_cli.rules.families.capacity_estimate import estimate

        answer = estimate(project)
    _tell(invocation, project, found, report_format, output, answer)
    if found.failed:
        for rule, trace in found.failed.items():
            console.error(
                f"the rule {rule} failed; the others are told above",
                hint=f"please report it; until then: realtime check --ignore {rule}",
                detail=trace if console.verbose else trace.strip().rpartition("\n")[2],
            )
        raise typer.Exit(COULD_NOT_START)
    if any(problem.problem == "syntax" for problem in project.settings.found.problems):
        raise typer.Exit(USAGE)
    if found.fails(strict=strict):
        raise typer.Exit(FAILED)


def _read(root: Path, env: str) -> Project:
    from realtime_cli.rules.project import Project
    from runtime.core.settings import SettingsError

    try:
        return Project.read(root, env=env)
    except SettingsError as problem:  # all others are findings
        raise CommandFailed(f"--{problem}", hint="such as: --env production", code=USAGE) from None


def _run(
    project: Project, selection: Selection, baseline: Baseline, *, no_import: bool, online: bool
) -> Report:
    from realtime_cli.rules.engine import run_rules

    imported = backends = None
    if not no_import:
        from realtime_cli.rules.imported import import_project

        imported = import_project(project.root, env=project.settings.env, environ=project.environ)
    if online:
        from realtime_cli.rules.online import ask_backends

        backends = ask_backends(project.settings.settings)
    return run_rules(project, selection=selection, baseline=baseline, imported=imported, backends=backends)


def _selection(select: str, ignore: str) -> Selection:
    from realtime_cli.rules.catalog import all_rules, nearest
    from realtime_cli.rules.engine import Selection

    chosen: list[tuple[str, ...]] = []
    for flag, text in (("--select", select), ("--ignore", ignore)):
        names = tuple(name.strip().upper() for name in text.split(",") if name.strip())
        for name in names:
            if not any(rule.startswith(name) for rule in all_rules()):
                near = nearest(name)
                hint = f"did you mean {near}?" if near else "realtime check --list"
                raise CommandFailed(f"{flag}: there is no rule {name!r}", hint=hint, code=USAGE)
        chosen.append(names)
    return Selection(*chosen)


def _baseline(path: Path | None) -> Baseline:
    from realtime_cli.rules.engine import Baseline

    if path is None:
        return Baseline()
    try:
        return Baseline.read(path)
    except (OSError, ValueError, RecursionError) as problem:
        raise CommandFailed(
            f"--baseline: {path} cannot be read: {problem}",
            hint="write one with: realtime check --write-baseline FILE",
            code=USAGE,
        ) from None


def _fix(invocation: Invocation, project: Project, report: Report) -> bool:
    from realtime_cli.rules.fixing import diff_of, fixed_texts, hidden_in, write_texts

    texts = {**project.texts, **project.dotenv}
    changed = fixed_texts(report.findings, texts)
    hidden = hidden_in(report.findings, texts)
    for name, text in sorted(changed.items()):
        if name not in project.dotenv:  # holds nothing but secrets
            invocation.console.say(diff_of(name, texts[name], text, hidden).rstrip("\n"))
    try:
        write_texts(project.root, changed)
    except OSError as problem:
        raise CommandFailed(f"--fix: {problem}", hint="see that the project's files can be written") from None
    return bool(changed)


def _tell(
    invocation: Invocation,
    project: Project,
    report: Report,
    report_format: str,
    output: Path | None,
    answer: Capacity | None,
) -> None:
    from realtime_cli.rules import report_machine
    from realtime_cli.rules.report_text import render_text

    console = invocation.console
    if report_format == "text":

        def paint(text: str, style: str) -> str:
            return console.paint(text, style, out=True) if output is None else text

        excerpts = output is None and console.writes_to_terminal
        lines = []
        if answer is not None:
            from realtime_cli.rules.report_capacity import render_capacity

            lines = [*render_capacity(answer), *([""] if report.findings else [])]
        if answer is None or report.findings:
            lines += render_text(report, project.texts, paint=paint, excerpts=excerpts)
    elif report_format == "json":
        lines = [report_machine.as_json(report, answer.as_dict if answer is not None else None)]
    elif report_format == "sarif":
        from importlib.metadata import version

        lines = [report_machine.as_sarif(report, version("realtime-toolkit"))]
    else:
        lines = list(report_machine.as_github(report))
    if output is not None:
        _write(output, "".join(f"{line}\n" for line in lines), "--output")
        return
    for line in lines:
        console.data(line)


def _write(path: Path, text: str, flag: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise CommandFailed(
            f"{flag}: {path} cannot be written: {problem.strerror}",
            hint="name a file in a folder that exists",
            code=USAGE,
        ) from None


def _explain(invocation: Invocation, name: str) -> None:
    from realtime_cli.rules.catalog import nearest, rule_of
    from realtime_cli.rules.examples import examples_of

    rule = rule_of(name)
    if rule is None:
        near = nearest(name)
        raise CommandFailed(
            f"there is no rule {name!r}",
            hint=f"did you mean {near}?" if near else "realtime check --list",
            code=USAGE,
        )
    console = invocation.console
    if console.json:
        console.emit(_as_data(rule))
        return
    console.data(console.paint(f"{rule.id} ({_marks(rule)}): {rule.title}", "bold", out=True))
    console.data("")
    console.data(rule.why)
    console.data(f"{console.paint('fix:', 'green', out=True)} {rule.how}")
    for title, files in (("Found in", examples_of(rule.id, "bad")), ("Not in", examples_of(rule.id, "ok"))):
        for file, text in files.items():
            console.data("")
            console.data(console.paint(f"{title} {file}:", "bold", out=True))
            for line in text.rstrip("\n").split("\n"):
                console.data(f"    {line}".rstrip())
    console.data("")
    console.data(rule.url)


def _list(invocation: Invocation) -> None:
    from realtime_cli.rules.catalog import all_rules

    rules = all_rules().values()
    if invocation.console.json:
        invocation.console.emit([_as_data(rule) for rule in rules])
        return
    rows = [
        (rule.id, str(rule.severity), rule.when, "yes" if rule.fixes else "", rule.title) for rule in rules
    ]
    invocation.console.table(("RULE", "SEVERITY", "PASS", "FIX", "WHAT"), rows)


def _marks(rule: Rule) -> str:
    more = ["mended by --fix"] if rule.fixes else []
    more += ["keeps realtime serve from starting"] if rule.blocking else []
    return ", ".join([str(rule.severity), *more])


def _as_data(rule: Rule) -> dict[str, object]:
    return {
        "rule": rule.id,
        "severity": str(rule.severity),
        "pass": rule.when,
        "fixable": rule.fixes,
        "blocking": rule.blocking,
        "title": rule.title,
        "why": rule.why,
        "fix": rule.how,
        "url": rule.url,
    }


app = command_app(check, name="check")
