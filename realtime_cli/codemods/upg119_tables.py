"""The tables of Postgres have new names: the old ones are pinned, or renamed by a script. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import added_keyword, argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.literals import text_of
from realtime_cli.codemods.renamesql import RENAMES_PATH, rename_sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Tables"]

_TABLES = {
    "runtime.cluster.PgReplay": "ws_replay",
    "runtime.cluster.PgIdempotencyStore": "ws_idempotency",
    "runtime.cluster.JobQueue": "ws_jobs",
    "runtime.cluster.TaskRunner": "ws_tasks",
}
_CLASSES = tuple(one.rpartition(".")[2] for one in _TABLES)


class Tables(Codemod):
    """What keeps data in Postgres goes on with the tables it has."""

    id: ClassVar[str] = "UPG119"
    title: ClassVar[str] = "Postgres tables"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("C-26", "S-23")
    tokens: ClassVar[tuple[bytes, ...]] = tuple(name.encode() for name in _CLASSES)

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each object that would take a table with the new name, and names that Postgres keeps for itself."""
        for call in file.nodes(cst.Call):
            found = file.names.of(call.func)
            if len(found) != 1 or not found <= set(_TABLES):
                continue
            (meaning,) = found
            given = argument(call, "table")
            if given is not None:
                name = text_of(given.value) or ""
                if name.lower().startswith(("pg_", "information_schema")):
                    yield self.flag(
                        file,
                        given,
                        "C-26",
                        f"the table {name} has a name that Postgres keeps for itself: it is refused",
                        "rename the table, and give its new name here",
                        severity=Severity.ERROR,
                    )
            elif any(one.star == "**" for one in call.args):
                yield self.flag(
                    file,
                    call,
                    "S-23",
                    f"{meaning.rpartition('.')[2]} gets its options from a dictionary",
                    f'if that has no table, add table="{_TABLES[meaning]}", or rename the tables',
                )
            elif file.project.options.postgres == "pin":
                table = f"table={file.quote}{_TABLES[meaning]}{file.quote}"
                yield self.auto(
                    file,
                    call,
                    "S-23",
                    f"the table of {meaning.rpartition('.')[2]} is {_TABLES[meaning]}, not svti_*",
                    added_keyword(file, call, table),
                )

    def project(self, project: Project) -> Iterator[Finding]:
        """Write the script that renames the tables, if that was asked for."""
        if project.options.postgres != "rename" or project.tree.on_disk(RENAMES_PATH) is not None:
            return
        paths = project.imports.reaching_with(*self.tokens)
        used = any(
            file.names.is_a(call.func, *_TABLES)
            for path in paths
            if (file := project.file(path)) is not None
            for call in file.calls(*_CLASSES)
        )
        if used:
            project.tree.write(RENAMES_PATH, rename_sql().encode())
            yield self.in_text(
                RENAMES_PATH,
                "S-23",
                Change.AUTO,
                "a script that renames the tables of 0.4 was written",
                "run it with psql when 0.4 has stopped and before 0.5 starts",
            )
