"""`realtime routes`: every path that clients can call.

Spec: platform 8.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from realtime_cli.exitcodes import FAILED
from realtime_cli.flags import Invocation, command_app
from realtime_cli.problems import print_problems, problems_as_data
from realtime_cli.signatures import guard_of, signature_text

if TYPE_CHECKING:
    from runtime.live.registry import Endpoint

__all__ = ["app", "routes"]


def routes(invocation: Invocation) -> None:
    """List every path that clients can call, with kind, signature, place and guard.

    Ends with 1 if a module does not import; the paths of the others are listed all the same.
    """
    from realtime_cli.loadapp import load_code

    console = invocation.console
    code = load_code(invocation.project())
    endpoints = sorted(code.registry.endpoints.values(), key=lambda endpoint: endpoint.path)
    if console.json:
        console.emit(
            {
                "ok": not code.problems,
                "routes": [_as_data(endpoint) for endpoint in endpoints],
                "problems": problems_as_data(code.problems),
            }
        )
    elif endpoints:
        rows = [(e.path, e.kind, signature_text(e), f"{e.file}:{e.line}", guard_of(e)) for e in endpoints]
        console.table(("PATH", "KIND", "SIGNATURE", "PLACE", "GUARD"), rows)
    elif not code.problems:
        console.say(f"no paths yet: put a function with @live over it into {code.settings.server.live}/")
    if code.problems:
        print_problems(console, code.problems)
        raise typer.Exit(FAILED)


def _as_data(endpoint: Endpoint) -> dict[str, Any]:
    options = endpoint.options
    data: dict[str, Any] = {
        "path": endpoint.path,
        "kind": endpoint.kind,
        "signature": signature_text(endpoint),
        "file": endpoint.file,
        "line": endpoint.line,
        "guard": endpoint.guarded,
        "public": endpoint.public,
        "doc": endpoint.doc,
    }
    if options is not None:
        data |= {"dynamic": endpoint.dynamic, "merge": options.merge}
        data["topic"] = options.topic if isinstance(options.topic, str) else None
    return data


app = command_app(routes, name="routes")
