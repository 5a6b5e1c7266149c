"""What does not import, or cannot be registered. Spec: platform 8.3, 8.4.

The import pass gives one problem per module, the one at which its import ends; each belongs to one rule.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from realtime_cli.rules.finding import Finding, Severity, Span
from realtime_cli.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from realtime_cli.rules.imported import Imported
    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

__all__ = [
    "AsyncTopic",
    "BrokenImport",
    "DoublePath",
    "ExclusiveOptions",
    "NoCombiner",
    "ReservedTopic",
    "TooManyBuckets",
    "UnknownOption",
    "Untyped",
    "UnusableName",
    "WrongCron",
]

#: Which rule tells of a problem, by its kind and the beginning or a part of its text.
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("LIV004", re.compile(r"reserved prefix '__'")),
    ("LIV005", re.compile(r"^Duplicate(Path|Topic): ")),
    ("LIV006", re.compile(r"^ReservedName: |is no path segment|cannot be called by clients|begins with '_'")),
    ("LIV008", re.compile(r"topic: must be a plain function, not async|topic function.*\basync\b")),
    ("LIV010", re.compile(r"cannot be combined with")),
    ("LIV011", re.compile(r"is no option of|unexpected keyword argument")),
    ("LIV012", re.compile(r"\bcron\b")),
    ("LIV025", re.compile(r"needs combine=")),
    ("UPG003", re.compile(r"cannot import name '(close|message|unsubscribe)' from 'runtime")),
    ("UPG012", re.compile(r"cannot import name 'on_cron_error'")),
    ("CAP008", re.compile(r"\bbuckets\b")),
)


def rule_of(problem: Mapping[str, Any]) -> str:
    """Return the id of the one rule that tells of a problem of the import pass."""
    name = str(problem["file"]).rpartition("/")[2].removesuffix(".py")
    if "." in name:
        return "LIV006"
    text = f"{problem['kind']}: {problem['message']}"
    return next((rule for rule, pattern in PATTERNS if pattern.search(text)), "LIV028")


class _Registration(Rule):
    """A rule that tells of problems of the import pass."""

    when = "import"

    def check_imported(self, project: Project, imported: Imported) -> Iterator[Finding]:
        """Yield the problems of this rule."""
        known = project.sources
        for problem in imported.problems:
            if rule_of(problem) != self.id:
                continue
            source = known.get(problem["file"])
            line = problem["line"] or 1
            yield self.on(problem["file"], _span(source, line), self.text(problem), problem["hint"])

    def text(self, problem: Mapping[str, Any]) -> str:
        """Return what is wrong, in one line."""
        return str(problem["message"]).partition("\n")[0]


def _span(source: Source | None, line: int) -> Span:
    """Return the place of what stands in a line, without the space around it."""
    lines = source.lines if source is not None else []
    text = lines[line - 1] if line <= len(lines) else ""
    start = len(text) - len(text.lstrip()) + 1
    return Span(line, start, line, max(len(text.rstrip()) + 1, start))


class ReservedTopic(_Registration):
    """LIV004."""

    id = "LIV004"
    severity = Severity.ERROR
    title = "a stream or channel on a topic of the framework"
    why = "Topics that begin with two underscores are the framework's, so the module is not loaded."
    how = "rename the topic"


class DoublePath(_Registration):
    """LIV005."""

    id = "LIV005"
    severity = Severity.ERROR
    title = "two functions with one path, or two streams with one topic"
    why = "Only one of them could answer, so neither module is loaded."
    how = "rename one of them"


class UnusableName(_Registration):
    """LIV006."""

    id = "LIV006"
    severity = Severity.ERROR
    title = "a name that clients cannot call"
    why = "Paths have letters, digits, '_' and '-', and what begins with '_' is the module's own."
    how = "rename the file or the function"

    def check_imported(self, project: Project, imported: Imported) -> Iterator[Finding]:
        """Yield the problems of the import, and decorated functions that begin with an underscore."""
        yield from super().check_imported(project, imported)
        for handler in project.handlers:
            if handler.node.name.startswith("_") and handler.is_reachable:
                message = f"{handler.node.name} is decorated and begins with '_'"
                yield self.at(handler.source, handler.node, message, "rename the function")

    def text(self, problem: Mapping[str, Any]) -> str:
        """Name the file, where its name is what is wrong."""
        name = str(problem["file"]).rpartition("/")[2]
        is_name = "." in name.removesuffix(".py")
        return f"the file name {name} makes no path" if is_name else super().text(problem)


class AsyncTopic(_Registration):
    """LIV008."""

    id = "LIV008"
    severity = Severity.ERROR
    title = "a topic function that is async"
    why = (
        "The topic is asked for in the middle of a subscribe, which cannot wait, so the module is not loaded."
    )
    how = 'make it from the arguments: topic=lambda ctx, org: f"org:{org}"'


class ExclusiveOptions(_Registration):
    """LIV010."""

    id = "LIV010"
    severity = Severity.ERROR
    title = "options that exclude each other"
    why = "Events without a number cannot be replayed or joined, so the module is not loaded."
    how = "pick one of them"


class UnknownOption(_Registration):
    """LIV011."""

    id = "LIV011"
    severity = Severity.ERROR
    title = "an option that a decorator does not have"
    why = "What it should do is not done, so the module is not loaded."
    how = "write the option that is meant"


class WrongCron(_Registration):
    """LIV012."""

    id = "LIV012"
    severity = Severity.ERROR
    title = "a schedule that cannot be read"
    why = "The job would never run, so the module is not loaded."
    how = 'write five fields, or six with seconds: "*/5 * * * *"'


class NoCombiner(_Registration):
    """LIV025."""

    id = "LIV025"
    severity = Severity.ERROR
    title = "a sliding window over a field that cannot be combined"
    why = "Its value is put together from slices, so the module is not loaded."
    how = "give the field combine=combine_sum, or another combiner"


class TooManyBuckets(_Registration):
    """CAP008."""

    id = "CAP008"
    severity = Severity.ERROR
    title = "a sliding window of too many slices"
    why = "Each slice holds a state of its own, so the module is not loaded."
    how = "choose a larger slide, or a shorter duration"


class BrokenImport(_Registration):
    """LIV028."""

    id = "LIV028"
    severity = Severity.ERROR
    title = "a module that does not import"
    why = "None of its functions can be called, and in production the server does not start."
    how = "correct the line"

    def check_imported(self, project: Project, imported: Imported) -> Iterator[Finding]:
        """Yield the problems that no other rule tells, and why the import did not end."""
        yield from super().check_imported(project, imported)
        if imported.failure is not None:
            path = imported.last or project.settings.text_of("server.live")
            fix = "do at import only what ends at once: start servers and connections in the init hook"
            yield self.on(path, Span(), imported.failure, fix)

    def text(self, problem: Mapping[str, Any]) -> str:
        """Name the exception too."""
        return f"{problem['kind']}: {super().text(problem)}"


class Untyped(Rule):
    """LIV013."""

    id = "LIV013"
    severity = Severity.WARNING
    title = "an argument that nothing validates"
    why = (
        "Whatever a client sends reaches the function: a list where a text is meant, or a text of a megabyte."
    )
    how = "annotate it with a type, such as title: str, or a dataclass"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the annotations of arguments, unless a schema stands over the function."""
        for handler in project.handlers:
            if (
                not handler.is_reachable
                or handler.decorator("validated") is not None
                or handler.option("args")
            ):
                continue
            for argument in handler.arguments:
                if _says_nothing(handler.source, argument.annotation):
                    message = f"{argument.arg} of {handler.node.name} may be anything"
                    yield self.at(handler.source, argument, message)


_ANYTHING = frozenset(
    {
        "typing.Any",
        "builtins.dict",
        "builtins.list",
        "builtins.object",
        "typing.Dict",
        "typing.Mapping",
        "collections.abc.Mapping",
    }
)


def _says_nothing(source: Source, annotation: ast.expr | None) -> bool:
    if annotation is None:
        return True
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value in {"Any", "dict", "object", "list"}
    if isinstance(annotation, ast.Subscript):
        name = source.name(annotation.value)
        values = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return name in _ANYTHING and _says_nothing(source, values[-1])
    return source.name(annotation) in _ANYTHING
