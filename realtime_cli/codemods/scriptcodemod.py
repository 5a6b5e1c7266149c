"""What the codemods of scripts have in common: how they say what they found. Spec: upgrade 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding, Severity, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile
    from realtime_cli.codemods.splices import Splice

__all__ = ["ScriptCodemod"]


class ScriptCodemod(Codemod):
    """A codemod that looks at JavaScript, TypeScript and components, in its method `script`."""

    def rewritten(
        self, file: ScriptFile, node: Node, row: str, message: str, splices: Iterable[Splice]
    ) -> Finding:
        """Return a finding whose replacements keep the meaning."""
        return self._found(file, node, row, Change.AUTO, message, splices=splices)

    def marked(
        self,
        file: ScriptFile,
        node: Node,
        row: str,
        message: str,
        todo: str,
        splices: Iterable[Splice] = (),
        *,
        at: Node | None = None,
    ) -> Finding:
        """Return a finding that leaves a TODO above its statement (or that of `at`), and maybe replacements.

        Without a text for it, the replacements bring the TODO themselves.
        """
        return self._found(file, node, row, Change.ASSISTED, message, todo=todo, splices=splices, at=at)

    def told(
        self,
        file: ScriptFile,
        node: Node,
        row: str,
        message: str,
        advice: str,
        *,
        severity: Severity = Severity.WARNING,
    ) -> Finding:
        """Return a finding that changes nothing."""
        return self._found(file, node, row, Change.FLAG, message, advice=advice, severity=severity)

    def _found(
        self,
        file: ScriptFile,
        node: Node,
        row: str,
        change: Change,
        message: str,
        *,
        advice: str = "",
        todo: str = "",
        splices: Iterable[Splice] = (),
        severity: Severity = Severity.WARNING,
        at: Node | None = None,
    ) -> Finding:
        start, end = file.span(node)
        place = at if at is not None else node
        anchor = file.anchor(place) if todo else file.line_start(start)
        status = Status.FLAGGED
        if file.has_todo(place, self.id):
            status = Status.OPEN
        elif file.is_suppressed(node, self.id):
            status = Status.SKIPPED
        made = tuple(splices)
        if change is not Change.FLAG and status is Status.FLAGGED:
            if file.is_broken(node) or file.is_broken(place):
                change, made, advice = (
                    Change.FLAG,
                    (),
                    f"{todo or message}: the parser cannot read this statement",
                )
            elif anchor is None:
                change, made, advice = Change.FLAG, (), todo or advice
        line = ""
        if change is Change.ASSISTED and todo and anchor is not None:
            line = file.comment(place, f"TODO(realtime-upgrade {self.id}): {todo}").decode()
        return Finding(
            self.id,
            row,
            change,
            file.path,
            start,
            end,
            message,
            advice or todo,
            severity,
            line,
            made,
            anchor=anchor or 0,
            margin=file.margin(anchor or 0),
            status=status,
        )
