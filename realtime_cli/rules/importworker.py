"""What the import pass runs: `python -m realtime_cli.rules.importworker PROJECT ENV REPORT PROGRESS`.

Writes what the modules registered to the file REPORT, and to PROGRESS which file is being imported.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

__all__ = ["main"]

FORBIDDEN = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"})


def _refuse_sockets(event: str, arguments: tuple[Any, ...]) -> None:
    del arguments
    if event in FORBIDDEN:
        raise PermissionError(
            "no sockets while a project is checked: connect in the init hook, not at import"
        )


def main(root: Path, env: str, report: Path, progress: Path) -> None:
    """Import the project and write the report."""
    from runtime.server.assembly import StartupError, assemble
    from runtime.server.current import forget_platform, set_platform
    from runtime.server.settings_source import examine_settings

    logging.getLogger("realtime").addHandler(logging.NullHandler())
    settings = examine_settings(root, flags={"server.env": env}, env_default=env).settings
    app = assemble(root, settings)
    set_platform(app.platform, settings)

    def told(event: str, arguments: tuple[Any, ...]) -> None:
        _refuse_sockets(event, arguments)
        if event == "exec" and arguments and hasattr(arguments[0], "co_filename"):
            name = arguments[0].co_filename
            if name.startswith(f"{root}/") and arguments[0].co_name == "<module>":
                progress.write_text(Path(name).relative_to(root).as_posix(), encoding="utf-8")

    sys.addaudithook(told)
    problems: list[dict[str, Any]] = []
    try:
        app.load()
    except StartupError as problem:
        if not app.problems:
            problems.append(
                {
                    "file": settings.server.hooks,
                    "line": None,
                    "column": None,
                    "kind": "StartupError",
                    "message": str(problem),
                    "hint": "",
                }
            )
    finally:
        forget_platform(app.platform)
    for found in app.problems:
        plain = found.as_dict()
        shown = ("file", "line", "column", "kind", "message", "hint")
        problems.append({name: plain[name] for name in shown})
    endpoints = [
        {"path": one.path, "kind": one.kind, "file": one.file, "line": one.line, "public": one.public}
        for one in app.live.registry.endpoints.values()
    ]
    text = json.dumps({"problems": problems, "endpoints": endpoints, "facts": {}})
    temporary = report.with_suffix(".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(report)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    import os

    os._exit(0)  # threads that a module started do not keep the process
