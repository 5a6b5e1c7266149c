"""Postgres tables keep their 0.4 names until somebody renames them. Spec: upgrade 3.4, 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptnames import arguments
from realtime_cli.codemods.scriptobjects import added_entry, entry, has_spread, value_of
from realtime_cli.codemods.scriptscopes import string_of
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["Tables"]

_TABLES = {
    "ext/postgres#createReplay": "ws_replay",
    "ext/postgres#createIdempotencyStore": "ws_idempotency",
    "ext/postgres#createIdempotency": "ws_idempotency",
    "ext/postgres#createJobs": "ws_jobs",
    "ext/postgres#createJobQueue": "ws_jobs",
    "ext/postgres#createTasks": "ws_tasks",
    "ext/postgres#createTaskRunner": "ws_tasks",
}
_RESERVED = ("pg_", "information_schema")


class Tables(ScriptCodemod):
    """0.5 would make new, empty tables; the old name is pinned. Not in a package that asks for 0.5 already."""

    id: ClassVar[str] = "UPJ11"
    title: ClassVar[str] = "Postgres tables keep their names"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-23", "C-26")
    tokens: ClassVar[tuple[bytes, ...]] = (b"createReplay", b"createIdempotency", b"createJob", b"createTask")

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield each call that makes something with a table."""
        member = file.project.scripts.member_of(file.path)
        for call, meaning in file.names.calls(*_TABLES):
            given = arguments(call)
            options = next((one for one in given if entry(one, "table") is not None), None)
            if options is not None:
                yield from self._reserved(file, value_of(entry(options, "table")))
            elif (member is None or not member.is_05) and file.project.options.postgres == "pin":
                yield self._pinned(file, call, given, _TABLES[meaning])

    def _reserved(self, file: ScriptFile, value: Node | None) -> Iterator[Finding]:
        name = string_of(value)
        if value is not None and name is not None and name.lower().startswith(_RESERVED):
            advice = "choose another name and rename the table"
            message = f"the table name {name} is reserved, and refused in 0.5"
            yield self.told(file, value, "C-26", message, advice, severity=Severity.ERROR)

    def _pinned(self, file: ScriptFile, call: Node, given: list[Node], table: str) -> Finding:
        pair = f"table: {file.literal(table)}"
        message = f"0.5 names the table {table.replace('ws_', 'svti_')}; the old name is kept"
        whole = call.child_by_field_name("arguments")
        takes_client = table in ("ws_replay", "ws_idempotency")
        if takes_client and len(given) == 1 and given[0].type not in ("object", "spread_element"):
            return self.rewritten(
                file,
                call,
                "S-23",
                message,
                [Splice(given[0].end_byte, given[0].end_byte, f", {{ {pair} }}".encode())],
            )
        options = given[-1] if given else None
        if options is not None and whole is not None and options.type == "object" and not has_spread(options):
            return self.rewritten(file, call, "S-23", message, added_entry(file, options, pair))
        return self.told(
            file,
            call,
            "S-23",
            f"0.5 names the table {table.replace('ws_', 'svti_')}, and the options cannot be seen here",
            f"if they have no table, add {pair}, or rename the table",
        )
