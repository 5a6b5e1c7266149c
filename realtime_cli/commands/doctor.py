"""`realtime doctor`: versions, the event loop, and what of the server is active here.

Spec: platform 8.7 and 2.9.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_cli.exitcodes import FAILED
from realtime_cli.flags import Invocation, command_app

if TYPE_CHECKING:
    from realtime_cli.diagnosis import Diagnosis
    from realtime_cli.rules.online import Backends
    from realtime_cli.serverprobe import ServerAnswers

__all__ = ["app", "doctor"]


def doctor(
    invocation: Invocation,
    url: Annotated[
        str | None, typer.Option("--url", metavar="ADDRESS", help="Ask a running server, too.")
    ] = None,
) -> None:
    """Show versions, the event loop, how frames are written and why, and what plain ASGI does in another way.

    Also the settings that somebody wrote, with where they come from, what the Redis and Postgres of the settings
    answer, and files that hide a package of ours. Ends with 1 if something is found that costs the server an ability,
    or that is wrong with the one that is asked.
    """
    from realtime_cli.diagnosis import Problem, diagnose
    from realtime_cli.loadapp import read_settings
    from realtime_cli.rules.online import ask_backends
    from realtime_cli.serverprobe import ask_server
    from realtime_cli.settingstable import rows_of
    from runtime.server.abilities import ASGI_DIFFERENCES
    from runtime.server.settings_source import examine_settings

    console = invocation.console
    project = invocation.project()
    settings = read_settings(project, env_default="production")
    answers = ask_server(url, settings) if url is not None else None
    found = diagnose(settings, project)
    if answers is not None:
        found = replace(found, problems=(*found.problems, *(Problem(*one) for one in answers.problems)))
    backends = ask_backends(settings)
    problems = [
        Problem(answers["error"], f"start it, or correct [{name}]")
        for name, answers in backends.named.items()
        if "error" in answers
    ]
    found = replace(found, problems=(*found.problems, *problems))
    rows = list(rows_of(examine_settings(project, env_default="production")))
    if console.json:
        data = found.as_data()
        data["settings"] = {row.name: {"value": row.value, "origin": row.origin} for row in rows}
        data["backends"] = backends.named
        data["server"] = None if answers is None else answers.as_data()
        console.emit(data)
    else:
        console.table(("WHAT", "HERE"), _facts(found))
        differences = [
            (row.feature, row.on_asgi, "yes" if row in found.abilities.differences else "no")
            for row in ASGI_DIFFERENCES
        ]
        console.data("")
        console.table(("FEATURE", "IN PLAIN ASGI", "HERE"), differences)
        written = [(row.name, row.text, row.origin) for row in rows if row.origin != "default"]
        if written:
            console.data("")
            console.table(("SETTING", "VALUE", "FROM"), written)
        if backends.named:
            console.data("")
            console.table(("BACKEND", "ANSWERS"), _backends(backends))
        if answers is not None:
            console.data("")
            console.table(("SERVER", "ANSWERS"), _answers(answers))
    if found.problems:
        for problem in found.problems:
            console.error(problem.message, hint=problem.hint)
        raise typer.Exit(FAILED)


def _backends(backends: Backends) -> list[tuple[str, str]]:
    rows = []
    for name, answers in backends.named.items():
        known = [".".join(map(str, answers["version"]))] if "version" in answers else []
        known += [f"{answers['latency'] * 1000:.1f} ms"] if "latency" in answers else []
        known += (
            [f"evicts by {answers['policy']}"] if answers.get("policy", "noeviction") != "noeviction" else []
        )
        known += [f"may not be asked {' and '.join(answers['refused'])}"] if "refused" in answers else []
        rows.append((name, answers["error"] if "error" in answers else ", ".join(known)))
    return rows


def _answers(answers: ServerAnswers) -> list[tuple[str, str]]:
    rows = [
        (name, answer.line)
        for name, answer in (("health", answers.health), ("ready", answers.ready))
        if answer is not None
    ]
    rows.append(("auth path", f"{answers.auth.line}: {answers.auth_means}"))
    if answers.assertions is None:
        rows.append(("assertions", "not to be had: [metrics] is off, or on a listener of its own"))
    else:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(answers.assertions.items()))
        rows.append(("assertions", counts or "none broken"))
    return rows


def _facts(found: Diagnosis) -> list[tuple[str, str]]:
    able = found.abilities
    return [
        ("python", found.python),
        *((name, version or "not installed") for name, version in found.packages.items()),
        ("event loop", found.loop),
        ("write path", f"{'fast' if able.is_fast else 'asgi'}: {able.write_path}"),
        ("unmasking", found.unmasking),
        ("requests", f"bounded, on {able.parser}" if able.parser else "without limits of time and size"),
    ]


app = command_app(doctor, name="doctor")
