"""What is wrong with `realtime.toml` and the variables themselves. Spec: platform 8.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Finding, Severity, Span
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.settingsview import place_of
from runtime.server.settings_file import SETTINGS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from runtime.core.settings import SettingsError

__all__ = ["BrokenFile", "UnknownKey", "UnusedSuppression", "WrongValue"]


def _message(problem: SettingsError) -> str:
    """Return what a problem says, in one line and without its place."""
    first = str(problem).split("\n", 1)[0]
    return first.removesuffix(f" ({problem.origin})").removeprefix(f"{problem.origin}: ")


class _Problems(Rule):
    """A rule that tells the problems of one kind."""

    kinds: tuple[str, ...] = ()

    def check(self, project: Project) -> Iterator[Finding]:
        for problem in project.settings.found.problems:
            if problem.problem in self.kinds and not (problem.key or "").startswith("capacity."):
                path, line = place_of(problem.origin or SETTINGS_FILE)
                yield self.on(
                    path, Span(line), _message(problem), edits=self.edits(project, problem, path, line)
                )

    def edits(self, project: Project, problem: SettingsError, path: str, line: int) -> tuple[Edit, ...]:
        """Return how a problem is mended without a person, which is not at all."""
        del project, problem, path, line
        return ()


class UnknownKey(_Problems):
    """CFG001."""

    id = "CFG001"
    severity = Severity.ERROR
    title = "unknown section or key in realtime.toml"
    why = "A setting that nobody reads leaves the default in force, whatever its author meant."
    how = "write the key that is meant, or remove the line"
    blocking = True
    fixes = True
    kinds = ("unknown",)

    def edits(self, project: Project, problem: SettingsError, path: str, line: int) -> tuple[Edit, ...]:
        """Write the nearest key, where one letter was wrong."""
        wrong = (problem.key or "").rpartition(".")[2]
        if path != SETTINGS_FILE or problem.nearest is None or not _is_near(wrong, problem.nearest):
            return ()
        text = project.settings.text.split("\n")[line - 1]
        column = text.find(wrong)
        if column < 0:
            return ()
        span = Span(line, column + 1, line, column + 1 + len(wrong))
        return (Edit(path, span, problem.nearest.rpartition(".")[2]),)


def _is_near(one: str, other: str) -> bool:
    """Return whether one letter more, less or another makes the one the other."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    short, long = sorted((one, other), key=len)
    at = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return short[at + (len(short) == len(long)) :] == long[at + 1 :]


class WrongValue(_Problems):
    """CFG002."""

    id = "CFG002"
    severity = Severity.ERROR
    title = "a setting has the wrong type or is out of range"
    why = "The server does not start with it."
    how = "write a value that fits"
    blocking = True
    kinds = ("value",)


class BrokenFile(_Problems):
    """CFG003."""

    id = "CFG003"
    severity = Severity.ERROR
    title = "realtime.toml is no TOML"
    why = "Nothing in the file can be read, so the server does not start."
    how = "correct the line"
    blocking = True
    kinds = ("syntax",)


class UnusedSuppression(Rule):
    """CFG020."""

    id = "CFG020"
    severity = Severity.INFO
    title = "a suppression takes nothing back"
    why = "It would hide the next finding on its line, which may be another one."
    how = "remove the comment"
    fixes = True
