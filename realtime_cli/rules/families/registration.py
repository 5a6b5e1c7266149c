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
    ("LIV011", re.compile(r"is no option of|^TypeError: Live\.\w+\(\) got an unexpected keyword argument")),
    ("LIV012", re.compile(r"^(Type|Value)Error: (\w+: )?cron\b|^ValueError: tz: ")),
    ("LIV025", re.compile(r"needs combine=")),
    ("UPG003", re.compile(r"cannot import name '(close|message|unsubscribe)' from 'runtime")),
    ("UPG012", re.compile(r"cannot import name 'on_cron_error'")),
    ("CAP008", re.compile(r"^ValueError: .*\bbuckets\b")),
)


def rule_of(problem: Mapping[str, Any]) -> str:
    """Return the id of the one rule that tells of a problem of the import pass."""
    if _has_dot(problem):
        return "LIV006"
    text = f"{problem['kind']}: {problem['message']}"
    return next((rule for rule, pattern in PATTERNS if pattern.search(text)), "LIV028")


def _has_dot(problem: Mapping[str, Any]) -> bool:
    """Return whether a file name has a dot, which a path of clients cannot."""
    return "." in str(problem["file"]).rpartition("/")[2].removesuffix(".py")


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
            yield self.on(
                problem["file"],
                _span(source, line, problem.get("column")),
                self.text(problem),
                self.hint(problem),
            )

    def hint(self, problem: Mapping[str, Any]) -> str:
        """Return what to do, the empty text for what the rule says."""
        return str(problem["hint"])

    def text(self, problem: Mapping[str, Any]) -> str:
        """Return what is wrong, in one line."""
        return str(problem["message"]).partition("\n")[0]


def _span(source: Source | None, line: int, column: int | None = None) -> Span:
    """Return the place of what stands in a line, without the space around it; with `column`, just that place."""
    if column:
        return Span(line, column)
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

    def hint(self, problem: Mapping[str, Any]) -> str:
        """Say nothing of how modules are found, where it is the name that is wrong."""
        return "" if _has_dot(problem) else super().hint(problem)

    def text(self, problem: Mapping[str, Any]) -> str:
        """Name the file, where its name is what is wrong."""
        name = str(problem["file"]).rpartition("/")[2]
        return f"the file name {name} makes no path" if _has_dot(problem) else super().text(problem)


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
                if _says_nothing(project, handler.source, argument.annotation):
                    message = f"{argument.arg} of {handler.node.name} may be anything"
                    yield self.at(handler.source, argument, message)


_ANYTHING = frozenset(
    {
        "typing.Any",
        "typing_extensions.Any",
        "builtins.dict",
        "builtins.list",
        "builtins.object",
        "builtins.tuple",
        "builtins.set",
        "typing.Dict",
        "typing.List",
        "typing.Mapping",
        "typing.Sequence",
        "collections.abc.Mapping",
        "collections.abc.MutableMapping",
        "collections.abc.Sequence",
    }
)
_UNIONS = frozenset({"typing.Union", "typing.Optional", "typing_extensions.Union"})
_ANNOTATED = frozenset({"typing.Annotated", "typing_extensions.Annotated", "typing.Final", "typing.ClassVar"})
MAX_STEPS = 8  # types within each other


def _says_nothing(
    project: Project, source: Source, annotation: ast.expr | None, steps: int = MAX_STEPS
) -> bool:
    """Return whether an annotation lets anything in, at the top or in the items of a container."""
    if annotation is None:
        return True
    if steps <= 0:
        return False
    match annotation:
        case ast.Constant(value=str() as text):
            try:
                written = ast.parse(text, mode="eval").body
            except (SyntaxError, ValueError):
                return False
            return _says_nothing(project, source, written, steps - 1)
        case ast.Subscript(value=value, slice=inner):
            name = _name(source, value)
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            if name in _ANNOTATED:
                return _says_nothing(project, source, parts[0], steps - 1)
            if name in _UNIONS:
                return any(_says_nothing(project, source, one, steps - 1) for one in parts)
            return name in _ANYTHING and _says_nothing(project, source, parts[-1], steps - 1)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return any(_says_nothing(project, source, one, steps - 1) for one in (left, right))
        case ast.Name() | ast.Attribute():
            if _name(source, annotation) in _ANYTHING:
                return True
            if annotation not in source.bound.parents:
                return False
            where, value = project.value(source, annotation)  # of an alias: Payload = dict[str, Any]
            return value is not annotation and _says_nothing(project, where, value, steps - 1)
        case _:
            return False


def _name(source: Source, node: ast.expr) -> str | None:
    """Return the full name of a type, also in an annotation that is written as text."""
    if node in source.bound.parents:
        return source.name(node)
    if isinstance(node, ast.Name) and source.tree is not None:
        return source.look_up(node.id, source.bound.scopes[source.tree])
    if isinstance(node, ast.Attribute):
        above = _name(source, node.value)
        return f"{above}.{node.attr}" if above is not None else None
    return None
