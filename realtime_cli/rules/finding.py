"""What a rule reports: one thing in one place, with the way out of it. Spec: platform 8.1."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

__all__ = ["Edit", "Finding", "Severity", "Span"]


class Severity(enum.StrEnum):
    """How much a finding weighs: errors decide the exit code, warnings do under ``--strict``, infos never."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the heaviest."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of a file: lines and columns from 1, in characters; the end lies behind the last one."""

    line: int = 1
    col: int = 1
    end_line: int = 0
    end_col: int = 0

    def __post_init__(self) -> None:
        if not self.end_line:
            object.__setattr__(self, "end_line", self.line)
        if not self.end_col:
            object.__setattr__(self, "end_col", self.col)


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """A replacement in a file of the project: what stands in `span` becomes `text`; `secret`: it moves a secret."""

    path: str
    span: Span
    text: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        rule: id of the rule, such as ``SEC001``.
        severity: as the rule has it, or as ``[check.severity]`` says.
        path: file below the project, with ``/``; what concerns the environment has the name of the variable.
        span: where in the file.
        message: what is wrong, one line, without a value of a secret.
        fix: what to do, one line.
        edits: what ``--fix`` would change; empty where a person has to decide.
    """

    rule: str
    severity: Severity
    path: str
    span: Span
    message: str
    fix: str
    edits: tuple[Edit, ...] = field(default=(), compare=False)

    @property
    def fixable(self) -> bool:
        """Whether ``--fix`` can do it."""
        return bool(self.edits)

    @property
    def order(self) -> tuple[str, int, str, int, str]:
        """The place in every report: by path, line and rule."""
        return self.path, self.span.line, self.rule, self.span.col, self.message
