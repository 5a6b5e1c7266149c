"""One script through all codemods, each on the output of the one before, every step proved. Spec: upgrade 5.2, 5.3."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from realtime_cli.codemods.chain import ENGINE, MAX_PASSES, FileOutcome
from realtime_cli.codemods.encoded import Encoded, UnreadableSource
from realtime_cli.codemods.finding import Change, Finding, Severity, Status
from realtime_cli.codemods.proof import UnprovedEdit
from realtime_cli.codemods.scriptfile import SUFFIXES, ScriptFile
from realtime_cli.codemods.scriptparser import INSTALL, MissingParser
from realtime_cli.codemods.scriptproof import prove_script
from realtime_cli.codemods.splices import Splice, apply_splices, is_free, moved_offset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from realtime_cli.codemods.chain import Chooser
    from realtime_cli.codemods.codemod import Codemod
    from realtime_cli.codemods.project import Project

__all__ = ["SUFFIXES", "missing_parser", "upgrade_script"]


def missing_parser() -> Finding:
    """Return the one finding of a project with scripts when the extra ``[js]`` is not installed. Spec: upgrade 3.1."""
    return Finding(
        ENGINE,
        "",
        Change.FLAG,
        "",
        0,
        0,
        f"there is JavaScript that was not looked at: {INSTALL}",
        "pip install 'realtime-toolkit[js]', then run the command again; nothing of it was changed",
        Severity.ERROR,
    )


class _Chain:
    def __init__(self, project: Project, path: str, choose: Chooser | None) -> None:
        self.project, self.path, self.choose = project, path, choose
        self.kept: list[Finding] = []

    def run(self, codemod: Codemod, file: ScriptFile) -> ScriptFile:
        """Run one codemod until it edits nothing more."""
        refused: set[tuple[str, int]] = set()
        unproved: set[tuple[str, int]] = set()
        for turn in range(MAX_PASSES):
            found = list(codemod.script(file))
            if turn == 0:
                self.kept += [one for one in found if one.status in (Status.OPEN, Status.SKIPPED)]
            edits, splices = self._edits(codemod, file, found, refused | unproved)
            if not splices:
                self._keep_rest(found, refused)
                return file
            try:
                after = self._proved(file, splices)
            except UnprovedEdit:
                more = self._unprovable(codemod, file, edits)
                if not more:
                    raise
                unproved |= more
                continue
            self._move(splices)
            self.kept += [self._moved(one, splices) for one in edits]
            file = after
        raise UnprovedEdit(f"{codemod.id} does not come to an end")

    def _proved(self, file: ScriptFile, splices: Sequence[Splice]) -> ScriptFile:
        """Make replacements and prove them."""
        data = apply_splices(file.data, splices)
        after = ScriptFile(self.project, self.path, Encoded(data, file.source.encoding, file.source.bom))
        prove_script(file, after, splices)
        return after

    def _unprovable(
        self, codemod: Codemod, file: ScriptFile, edits: Sequence[Finding]
    ) -> set[tuple[str, int]]:
        """Return which edits cannot be proved even alone: they are told, not made."""
        found = set()
        for one in edits:
            _, splices = self._edits(codemod, file, [replace(one, status=Status.FLAGGED)], set(), ask=False)
            try:
                self._proved(file, splices)
            except UnprovedEdit:
                found.add((one.row, one.start))
        return found

    def _move(self, splices: Sequence[Splice]) -> None:
        self.kept = [self._moved(one, splices) for one in self.kept]

    def _moved(self, one: Finding, splices: Sequence[Splice]) -> Finding:
        start = moved_offset(one.start, splices)
        return replace(one, start=start, end=max(start, moved_offset(one.end, splices, end=True)))

    def _edits(
        self,
        codemod: Codemod,
        file: ScriptFile,
        found: Iterable[Finding],
        refused: set[tuple[str, int]],
        *,
        ask: bool = True,
    ) -> tuple[list[Finding], list[Splice]]:
        wanted = [
            one
            for one in found
            if one.change in (Change.AUTO, Change.ASSISTED)
            and one.status is Status.FLAGGED
            and (one.row, one.start) not in refused
            and (one.splices or one.todo)
        ]
        if ask and self.choose is not None and wanted:
            chosen = list(self.choose(codemod, file, wanted))
            refused.update((one.row, one.start) for one in wanted if one not in chosen)
            wanted = chosen
        taken: list[Splice] = []
        marked: set[int] = set()
        edits: list[Finding] = []
        for one in sorted(wanted, key=lambda one: (one.start, one.end)):
            splices = [splice for splice in dict.fromkeys(one.splices) if splice not in taken]
            if one.todo and one.anchor not in marked:
                line = one.margin + one.todo.encode() + file.newline(one.anchor)
                splices.insert(0, Splice(one.anchor, one.anchor, line))
            if not is_free(splices, taken):
                continue  # the next pass sees it in the new text
            if one.todo:
                marked.add(one.anchor)
            taken += splices
            is_auto = one.change is Change.AUTO
            edits.append(replace(one, status=Status.EDITED if is_auto else Status.TODO))
        return edits, taken

    def _keep_rest(self, found: Iterable[Finding], refused: set[tuple[str, int]]) -> None:
        for one in found:
            if one.status in (Status.OPEN, Status.SKIPPED):
                continue
            if one.change in (Change.AUTO, Change.ASSISTED):
                if (one.row, one.start) in refused:
                    self.kept.append(replace(one, status=Status.SKIPPED))
                else:
                    self.kept.append(replace(one, change=Change.FLAG, status=Status.FLAGGED))
            else:
                self.kept.append(one)


def _left_alone(path: str, why: str, severity: Severity = Severity.WARNING) -> Finding:
    return Finding(
        ENGINE,
        "",
        Change.FLAG,
        path,
        0,
        0,
        why,
        "look at this file by hand; it was left alone",
        severity,
        status=Status.SKIPPED if severity is Severity.WARNING else Status.FLAGGED,
        line=1,
        col=1,
        end_line=1,
        end_col=1,
    )


def upgrade_script(
    project: Project, path: str, codemods: Sequence[Codemod], *, choose: Chooser | None = None
) -> FileOutcome:
    """Run codemods over one script or component. Nothing is written, not even into `project.tree`."""
    outcome = FileOutcome(path)
    try:
        source = Encoded.utf8(project.tree.read(path))
        if b"\0" in source.data:
            raise UnreadableSource("holds NUL bytes")
        original = file = ScriptFile(project, path, source)
        chain = _Chain(project, path, choose)
        for codemod in codemods:
            if not codemod.tokens or any(token in file.data for token in codemod.tokens):
                file = chain.run(codemod, file)
        if file is not original:
            outcome.new = source.raw(file.data)
        outcome.findings = [_placed(one, file) for one in chain.kept]
    except MissingParser:
        outcome.findings = [missing_parser()]
    except UnreadableSource as problem:
        outcome.findings = [_left_alone(path, str(problem))]
    except UnprovedEdit as problem:
        outcome.findings = [_left_alone(path, f"internal: unproved edit: {problem}", Severity.ERROR)]
        outcome.unproved = True
    except RecursionError:
        outcome.findings = [_left_alone(path, "too deep")]
    return outcome


def _placed(one: Finding, file: ScriptFile) -> Finding:
    if one.change is Change.BEHAVIOUR or one.line:
        return one
    line, col = file.place(one.start)
    end_line, end_col = file.place(one.end)
    return replace(one, line=line, col=col, end_line=end_line, end_col=end_col)
