"""`realtime doctor`: versions, the event loop, and what of the server is active here.

Spec: platform 8.7 and 2.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from realtime_cli.exitcodes import FAILED
from realtime_cli.flags import Invocation, command_app

if TYPE_CHECKING:
    from realtime_cli.diagnosis import Diagnosis

__all__ = ["app", "doctor"]


def doctor(invocation: Invocation) -> None:
    """Show versions, the event loop, how frames are written and why, and what plain ASGI does in another way.

    Ends with 1 if something is found that costs the server an ability.
    """
    from realtime_cli.diagnosis import diagnose
    from realtime_cli.loadapp import read_settings
    from runtime.server.abilities import ASGI_DIFFERENCES

    console = invocation.console
    found = diagnose(read_settings(invocation.project(), env_default="production"))
    if console.json:
        console.emit(found.as_data())
    else:
        console.table(("WHAT", "HERE"), _facts(found))
        rows = [
            (row.feature, row.on_asgi, "yes" if row in found.abilities.differences else "no")
            for row in ASGI_DIFFERENCES
        ]
        console.data("")
        console.table(("FEATURE", "IN PLAIN ASGI", "HERE"), rows)
    if found.problems:
        for problem in found.problems:
            console.error(problem.message, hint=problem.hint)
        raise typer.Exit(FAILED)


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
