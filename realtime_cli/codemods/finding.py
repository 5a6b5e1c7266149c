"""What the upgrade says of one place: edited, to review, or left for a person. Spec: upgrade 0, 4.5."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from realtime_cli.codemods.splices import Splice
from realtime_cli.rules.finding import Severity

__all__ = ["Change", "Finding", "Severity", "Status"]


class Change(enum.StrEnum):
    """How much of a change the command does by itself."""

    AUTO = "AUTO"
    """Rewritten; the meaning is unchanged, or changed exactly as the guide asks."""
    ASSISTED = "ASSISTED"
    """Rewritten or marked, with a TODO above the statement."""
    FLAG = "FLAG"
    """Not touched; told with its place."""
    BEHAVIOUR = "BEHAVIOUR"
    """Nothing in the source shows it; told once per project."""


class Status(enum.StrEnum):
    """What became of a finding in this run."""

    EDITED = "edited"
    TODO = "todo"
    FLAGGED = "flagged"
    OPEN = "open"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of a codemod.

    Attributes:
        codemod: such as ``UPG106``.
        row: of the table of changes, such as ``R-01``; empty for the engine's own.
        change: how much was done.
        path: file below the project with ``/``; empty for what concerns the project.
        start: first byte of the place, in the file's content at that time; the engine moves it along with later edits.
        end: first byte behind it.
        message: what is there, one line, without the value of a secret.
        advice: what to do, one line or the text of a skeleton.
        severity: errors decide the exit code.
        todo: text of the comment above the statement (only `Change.ASSISTED`).
        splices: the replacements in this file.
        imports: names to have, as ``("runtime", "settings")``; added once at the end.
        anchor: where the line of the statement begins, above which the TODO goes.
        margin: the blanks in front of that statement.
        status: what became of it; a codemod's own finding starts as flagged, skipped or open.
        line, col, end_line, end_col: from 1, columns in characters, in the file as it is after the run.
    """

    codemod: str
    row: str
    change: Change
    path: str
    start: int
    end: int
    message: str
    advice: str = ""
    severity: Severity = Severity.WARNING
    todo: str = ""
    splices: tuple[Splice, ...] = field(default=(), compare=False)
    imports: tuple[tuple[str, str], ...] = ()
    anchor: int = 0
    margin: bytes = b""
    status: Status = Status.FLAGGED
    line: int = 0
    col: int = 0
    end_line: int = 0
    end_col: int = 0

    @property
    def order(self) -> tuple[str, int, str, int, str, str]:
        """The place in every report: by path, line and codemod."""
        return self.path, self.line, self.codemod, self.col, self.row, self.message
