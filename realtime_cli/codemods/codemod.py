"""What a codemod is: which names it looks for, and what it says of each place. Spec: upgrade 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding, Severity, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import libcst as cst

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.pythonfile import PythonFile
    from realtime_cli.codemods.scriptfile import ScriptFile
    from realtime_cli.codemods.splices import Splice

__all__ = ["Codemod"]


class Codemod:
    """One codemod; subclasses say what they look for and yield findings with the replacements they ask for.

    Attributes:
        id: such as ``UPG106``.
        title: what it does, a few words.
        change: the class of most of its findings, for the list.
        rows: the rows of the table of changes that it finds.
        tokens: bytes of which a file has at least one if this codemod can find anything in it. Distinctive ones: a file
            that has none of any codemod is never parsed.
        alone: those tokens that are enough by themselves, in files that have nothing else to do with the toolkit.
        layout: whether it runs before all others, on the project as a whole (moves, settings, requirements).
    """

    id: ClassVar[str]
    title: ClassVar[str]
    change: ClassVar[Change]
    rows: ClassVar[tuple[str, ...]]
    tokens: ClassVar[tuple[bytes, ...]] = ()
    alone: ClassVar[tuple[bytes, ...]] = ()
    layout: ClassVar[bool] = False

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield what is found in one Python file. Called again on its own output until it edits nothing more."""
        del file
        yield from ()

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield what is found in one script or component. Called again on its own output, as `python` is."""
        del file
        yield from ()

    def project(self, project: Project) -> Iterator[Finding]:
        """Yield what is found in the project as a whole; may change `project.tree` (moves, files of other kinds)."""
        del project
        yield from ()

    # Making findings.

    def auto(
        self,
        file: PythonFile,
        node: cst.CSTNode,
        row: str,
        message: str,
        splices: Iterable[Splice],
        *,
        imports: tuple[tuple[str, str], ...] = (),
    ) -> Finding:
        """Return a finding whose replacements keep the meaning."""
        return self._at(file, node, row, Change.AUTO, message, splices=tuple(splices), imports=imports)

    def assisted(
        self,
        file: PythonFile,
        node: cst.CSTNode,
        row: str,
        message: str,
        todo: str,
        splices: Iterable[Splice] = (),
        *,
        advice: str = "",
        imports: tuple[tuple[str, str], ...] = (),
    ) -> Finding:
        """Return a finding whose statement gets a TODO, and maybe replacements that a person has to look at."""
        return self._at(
            file,
            node,
            row,
            Change.ASSISTED,
            message,
            advice=advice or todo,
            todo=todo,
            splices=tuple(splices),
            imports=imports,
        )

    def flag(
        self,
        file: PythonFile,
        node: cst.CSTNode,
        row: str,
        message: str,
        advice: str,
        *,
        severity: Severity = Severity.WARNING,
    ) -> Finding:
        """Return a finding that changes nothing; an error where the app does not work until a person acts."""
        return self._at(file, node, row, Change.FLAG, message, advice=advice, severity=severity)

    def behaviour(self, row: str, message: str, advice: str = "") -> Finding:
        """Return a finding about the project that no line shows; told once, whichever file asks for it."""
        return Finding(self.id, row, Change.BEHAVIOUR, "", 0, 0, message, advice, Severity.INFO)

    def in_text(
        self,
        path: str,
        row: str,
        change: Change,
        message: str,
        advice: str = "",
        *,
        start: int = 0,
        end: int = 0,
        severity: Severity = Severity.WARNING,
        raw: bytes = b"",
    ) -> Finding:
        """Return a finding about a file of another kind, which `project` has changed itself.

        Give `raw`, its new content, for line and column of the place.
        """
        status = {Change.AUTO: Status.EDITED, Change.ASSISTED: Status.TODO}.get(change, Status.FLAGGED)
        line, col = _place(raw, start) if raw else (0, 0)
        end_line, end_col = _place(raw, end) if raw else (0, 0)
        return Finding(
            self.id,
            row,
            change,
            path,
            start,
            end,
            message,
            advice,
            severity,
            status=status,
            line=line,
            col=col,
            end_line=end_line,
            end_col=end_col,
        )

    def _at(
        self,
        file: PythonFile,
        node: cst.CSTNode,
        row: str,
        change: Change,
        message: str,
        *,
        advice: str = "",
        todo: str = "",
        splices: tuple[Splice, ...] = (),
        imports: tuple[tuple[str, str], ...] = (),
        severity: Severity = Severity.WARNING,
    ) -> Finding:
        start, end = file.span(node)
        statement = file.statement(node)
        status = Status.FLAGGED
        if file.has_todo(statement, self.id):
            status = Status.OPEN
        elif file.is_suppressed(statement, node, self.id):
            status = Status.SKIPPED
        return Finding(
            self.id,
            row,
            change,
            file.path,
            start,
            end,
            message,
            advice,
            severity,
            todo,
            splices,
            imports,
            anchor=file.line_start(file.first_byte(statement)),
            margin=file.indent(statement),
            status=status,
        )


def _place(raw: bytes, offset: int) -> tuple[int, int]:
    """Return line and column of a byte, from 1, the column in characters."""
    before = raw[:offset]
    return before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
