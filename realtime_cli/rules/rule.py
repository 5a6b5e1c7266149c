"""What a rule is. Spec: platform 8.1, 8.2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from realtime_cli.rules.finding import Edit, Finding, Severity, Span

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator

    from realtime_cli.rules.imported import Imported
    from realtime_cli.rules.online import Backends
    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

__all__ = ["DOCUMENTATION", "EXAMPLES", "Pass", "Rule"]

#: When a rule can look: at the files, after an import in a process of its own, or with the backends connected.
Pass = Literal["static", "import", "online"]
DOCUMENTATION = "https://realtime-toolkit.dev/reference/check/#"
EXAMPLES = Path(__file__).parent / "examples"


class Rule:
    """One rule; subclasses say what they look for and yield findings.

    Attributes:
        id: such as ``SEC001``; never used again for another rule.
        severity: how much a finding weighs unless the settings say otherwise.
        title: what is found, a few words.
        why: what goes wrong for people when it stays, a sentence or two.
        how: what to do about it.
        when: the pass in which it looks.
        blocking: whether `realtime serve` refuses to start on it (marked † in the documents).
        fixes: whether ``--fix`` can mend it.
    """

    id: ClassVar[str]
    severity: ClassVar[Severity]
    title: ClassVar[str]
    why: ClassVar[str]
    how: ClassVar[str]
    when: ClassVar[Pass] = "static"
    blocking: ClassVar[bool] = False
    fixes: ClassVar[bool] = False

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield what is found in the files and settings."""
        del project
        yield from ()

    def check_imported(self, project: Project, imported: Imported) -> Iterator[Finding]:
        """Yield what is found in what the modules registered."""
        del project, imported
        yield from ()

    def check_online(self, project: Project, backends: Backends) -> Iterator[Finding]:
        """Yield what is found in the backends that the settings name."""
        del project, backends
        yield from ()

    @property
    def url(self) -> str:
        """Where the documents tell of it."""
        return DOCUMENTATION + self.id.lower()

    # Making findings.

    def at(
        self, source: Source, node: ast.AST, message: str, fix: str = "", edits: tuple[Edit, ...] = ()
    ) -> Finding:
        """Return a finding about a node of a source file."""
        return self.on(source.path, source.span(node), message, fix, edits)

    def in_settings(
        self, project: Project, key: str, message: str, fix: str = "", edits: tuple[Edit, ...] = ()
    ) -> Finding:
        """Return a finding about a setting (`section.key`), where it was given or where it would stand."""
        path, line = project.settings.place(key)
        return self.on(path, Span(line), message, fix, edits)

    def on(self, path: str, span: Span, message: str, fix: str = "", edits: tuple[Edit, ...] = ()) -> Finding:
        """Return a finding about a place."""
        return Finding(self.id, self.severity, path, span, message, fix or self.how, edits)
