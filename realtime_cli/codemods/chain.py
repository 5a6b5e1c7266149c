"""One file through all codemods: each on the output of the one before, every step proved. Spec: upgrade 3.1, 3.5."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from realtime_cli.codemods.encoded import Encoded, UnreadableSource
from realtime_cli.codemods.finding import Change, Finding, Severity, Status
from realtime_cli.codemods.imports import added_imports, pruned_imports
from realtime_cli.codemods.proof import UnprovedEdit, prove
from realtime_cli.codemods.pythonfile import BrokenSource, PythonFile
from realtime_cli.codemods.splices import Splice, apply_splices, is_free, moved_offset
from realtime_cli.codemods.syntax import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    from realtime_cli.codemods.codemod import Codemod
    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.scriptfile import ScriptFile

    class Chooser(Protocol):
        """Says which edits shall be made."""

        def __call__(
            self, codemod: Codemod, file: PythonFile | ScriptFile, wanted: Sequence[Finding], /
        ) -> Sequence[Finding]:
            """Give back those of a codemod's edits in a file that shall be made."""
            ...

        def whole(
            self, codemod: Codemod, changes: Sequence[tuple[str, bytes | None, bytes | None]], /
        ) -> bool:
            """Say whether a codemod may change these files, for the project as a whole."""
            ...


__all__ = ["ENGINE", "MAX_PASSES", "FileOutcome", "left_alone", "syntax_problem", "upgrade_file"]

ENGINE = "UPG100"
MAX_PASSES = 12
"""How often one codemod may edit one file; more means that it does not come to an end."""


@dataclass(slots=True)
class FileOutcome:
    """What the codemods made of one file.

    Attributes:
        path: below the project.
        new: its new content; None if it stays as it is.
        findings: in the order in which they came; line and column are those of the new content.
        unproved: an edit could not be proved harmless: the whole run must write nothing.
        broken: the file does not parse.
    """

    path: str
    new: bytes | None = None
    findings: list[Finding] = field(default_factory=list)
    unproved: bool = False
    broken: bool = False


class _Chain:
    def __init__(self, project: Project, path: str, choose: Chooser | None) -> None:
        self.project, self.path, self.choose = project, path, choose
        self.kept: list[Finding] = []
        self.steps: set[tuple[str, str]] = set()

    def step(self, file: PythonFile, splices: Sequence[Splice]) -> PythonFile:
        """Make replacements and prove them; moves what was found before along."""
        after = apply_splices(file.data, splices)
        prove(file.data, after, splices)
        self.kept = [
            one
            if one.change is Change.BEHAVIOUR
            else replace(
                one,
                start=moved_offset(one.start, splices),
                end=max(moved_offset(one.start, splices), moved_offset(one.end, splices, end=True)),
            )
            for one in self.kept
        ]
        source = file.source
        return PythonFile(self.project, self.path, Encoded(after, source.encoding, source.bom))

    def run(self, codemod: Codemod, file: PythonFile) -> PythonFile:
        """Run one codemod until it edits nothing more."""
        refused: set[tuple[str, int]] = set()
        for turn in range(MAX_PASSES):
            found = list(codemod.python(file))
            if turn == 0:
                self.kept += [one for one in found if one.status in (Status.OPEN, Status.SKIPPED)]
            edits, splices = self._edits(codemod, file, found, refused)
            if not splices:
                self._keep_rest(file, found, refused)
                return file
            before = len(self.kept)
            self.kept += edits
            file = self.step(file, splices)
            del before
        raise UnprovedEdit(f"{codemod.id} does not come to an end")

    def _edits(
        self, codemod: Codemod, file: PythonFile, found: Iterable[Finding], refused: set[tuple[str, int]]
    ) -> tuple[list[Finding], list[Splice]]:
        wanted = [
            one
            for one in found
            if one.change in (Change.AUTO, Change.ASSISTED)
            and one.status is Status.FLAGGED
            and (one.row, one.start) not in refused
            and all(splice.end < file.locatable for splice in one.splices)
            and (one.splices or one.todo)
        ]
        if self.choose is not None and wanted:
            chosen = list(self.choose(codemod, file, wanted))
            refused.update((one.row, one.start) for one in wanted if one not in chosen)
            wanted = chosen
        taken: list[Splice] = []
        edits: list[Finding] = []
        for one in sorted(wanted, key=lambda one: (one.start, one.end)):
            splices = list(dict.fromkeys(one.splices))
            splices = [splice for splice in splices if splice not in taken]
            if one.todo:
                line = f"# TODO(realtime-upgrade {codemod.id}): {one.todo}".encode()
                todo = Splice(one.anchor, one.anchor, one.margin + line + file.newline(one.anchor))
                if not any(
                    other.start == todo.start == other.end and b"TODO(realtime-upgrade " in other.text
                    for other in taken
                ):
                    splices.insert(0, todo)
            if not is_free(splices, taken):
                continue  # the next pass sees it in the new text
            taken += splices
            is_open = (
                one.change is Change.ASSISTED
            )  # also where the codemod writes the TODO itself, in a new line
            edits.append(replace(one, status=Status.TODO if is_open else Status.EDITED))
        return edits, taken

    def _keep_rest(self, file: PythonFile, found: Iterable[Finding], refused: set[tuple[str, int]]) -> None:
        for one in found:
            if one.status in (Status.OPEN, Status.SKIPPED):
                continue
            if one.change in (Change.AUTO, Change.ASSISTED):
                if (one.row, one.start) in refused:
                    self.kept.append(replace(one, status=Status.SKIPPED))
                    continue
                self.kept.append(replace(one, change=Change.FLAG, status=Status.FLAGGED))
                if any(splice.end >= file.locatable for splice in one.splices):
                    self.kept.append(
                        replace(
                            one,
                            codemod=ENGINE,
                            change=Change.FLAG,
                            message="cannot locate safely: an unusual line end or form feed comes before this place",
                            advice="make the edit by hand, or take the character away and run the command again",
                            status=Status.FLAGGED,
                            splices=(),
                        )
                    )
            else:
                self.kept.append(one)


def syntax_problem(path: str, source: Encoded) -> Finding | None:
    """Return the finding about a Python file that does not parse; None if it does."""
    try:
        parsed(source.data, path)
    except SyntaxError as problem:
        message = f"syntax error: {problem.msg}"
        if "print" in (problem.msg or "") or "exec" in (problem.msg or ""):
            message += " (Python 2?)"
        return Finding(
            ENGINE,
            "",
            Change.FLAG,
            path,
            0,
            0,
            message,
            "mend it and run the command again; the file was left alone",
            Severity.ERROR,
            line=problem.lineno or 1,
            col=problem.offset or 1,
            end_line=problem.end_lineno or problem.lineno or 1,
            end_col=problem.end_offset or problem.offset or 1,
        )
    except (ValueError, RecursionError, MemoryError) as problem:
        return left_alone(path, f"cannot be parsed: {problem or 'too deep'}")
    return None


def left_alone(path: str, why: str) -> Finding:
    """Return the finding about a file that cannot be looked at."""
    return Finding(
        ENGINE,
        "",
        Change.FLAG,
        path,
        0,
        0,
        why,
        "look at this file by hand; it was left alone",
        Severity.WARNING,
        status=Status.SKIPPED,
        line=1,
        col=1,
        end_line=1,
        end_col=1,
    )


def upgrade_file(
    project: Project, path: str, codemods: Sequence[Codemod], *, choose: Chooser | None = None
) -> FileOutcome:
    """Run codemods over one file of the project. Nothing is written, not even into `project.tree`."""
    outcome = FileOutcome(path)
    raw = project.tree.read(path)
    try:
        source = Encoded.python(raw)
    except UnreadableSource as problem:
        outcome.findings = [left_alone(path, str(problem))]
        return outcome
    broken = syntax_problem(path, source)
    if broken is not None:
        outcome.findings, outcome.broken = [broken], True
        return outcome
    chain = _Chain(project, path, choose)
    try:
        original = file = PythonFile(project, path, source)
        for codemod in codemods:
            if not codemod.tokens or any(token in file.data for token in codemod.tokens):
                file = chain.run(codemod, file)
        if file is not original:
            file = _with_imports(chain, original, file)
            outcome.new = source.raw(file.data)
        outcome.findings = [_placed(one, file) for one in chain.kept]
    except BrokenSource as problem:
        outcome.findings = [left_alone(path, str(problem))]
    except UnreadableSource as problem:
        outcome.findings = [left_alone(path, str(problem))]
    except UnprovedEdit as problem:
        failed = replace(left_alone(path, f"internal: unproved edit: {problem}"), severity=Severity.ERROR)
        outcome.findings, outcome.unproved = [replace(failed, status=Status.FLAGGED)], True
    except RecursionError:
        outcome.findings = [left_alone(path, "too deep")]
    return outcome


def _with_imports(chain: _Chain, original: PythonFile, file: PythonFile) -> PythonFile:
    wanted = sorted(
        {name for one in chain.kept if one.status in (Status.EDITED, Status.TODO) for name in one.imports}
    )
    for step in (added_imports(file, wanted) if wanted else []), pruned_imports(original, file):
        if step:
            file = chain.step(file, step)
    return file


def _placed(one: Finding, file: PythonFile) -> Finding:
    if one.change is Change.BEHAVIOUR or one.line:
        return one
    line, col = file.place(one.start)
    end_line, end_col = file.place(one.end)
    return replace(one, line=line, col=col, end_line=end_line, end_col=end_col)
