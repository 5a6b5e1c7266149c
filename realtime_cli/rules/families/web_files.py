"""What the web folder has and lacks. Spec: platform 8.3."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity, Span
from realtime_cli.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project

__all__ = ["NoFrontPage", "StaleSibling"]

INDEXES = ("index.html", "index.html.j2")
ENCODED = (".gz", ".br", ".zst")
SLACK = 2.0  # seconds by which file systems and archives round the time of a file


class NoFrontPage(Rule):
    """CFG018."""

    id = "CFG018"
    severity = Severity.WARNING
    title = "nothing answers at /"
    why = "People who type the address see 404."
    how = "add web/index.html, or a route for / in hooks.py"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for a page, and for a route in the code."""
        web = project.settings.text_of("server.web")
        folder = project.root / web
        if not folder.is_dir() or any((folder / name).is_file() for name in INDEXES) or _has_route(project):
            return
        yield self.on(web, Span(), f"{web}/index.html is missing, and no route answers at /")


def _has_route(project: Project) -> bool:
    """Return whether some code registers `/`, or something that may answer anywhere."""
    for source in project.code:
        for call in source.nodes(ast.Call):
            named = source.segment(call.func).rpartition(".")[2]
            if named in {"Mount", "mount"}:
                return True
            first = call.args[0] if call.args else None
            is_route = named in {"Route", "route", "get", "add_route", "api_route"}
            if is_route and isinstance(first, ast.Constant) and first.value in {"/", "/{path:path}", ""}:
                return True
    return False


class StaleSibling(Rule):
    """CFG019."""

    id = "CFG019"
    severity = Severity.WARNING
    title = "a compressed file that is older or larger than what it stands for"
    why = "Browsers get the old content, or more bytes than without it."
    how = "write it again: realtime serve --precompress; or remove it"

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare each compressed file with the one beside it."""
        folder = project.root / project.settings.text_of("server.web")
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            original = path.with_suffix("")
            if path.suffix not in ENCODED or not path.is_file() or not original.is_file():
                continue
            ours, theirs = path.stat(), original.stat()
            if ours.st_mtime < theirs.st_mtime - SLACK:
                wrong = f"older than {original.name}: browsers get what it was before"
            elif ours.st_size > theirs.st_size:
                wrong = f"larger than {original.name}"
            else:
                continue
            name = path.relative_to(project.root).as_posix()
            yield self.on(name, Span(), f"{path.name} is {wrong}")
