"""Comments that take a finding back: `# realtime: ignore[LIV003] reason`. Spec: platform 8.1."""

from __future__ import annotations

import contextlib
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from realtime_cli.rules.finding import Finding, Span

__all__ = ["FILE_LINES", "Suppression", "Suppressions", "suppressions_in"]

FILE_LINES = 10  # a comment for the whole file stands in one of the first lines
_COMMENT = re.compile(r"#\s*realtime:\s*ignore(?P<file>-file)?\s*\[(?P<rules>[^\]]*)\]", re.IGNORECASE)


@dataclass(eq=False)
class Suppression:
    """One rule in one comment; `used` once a finding was taken back by it.

    `whole` is the comment with the space in front of it: what is to be removed with it.
    """

    path: str
    rule: str
    span: Span
    whole: Span
    whole_file: bool
    used: bool = False


@dataclass
class Suppressions:
    """Every suppression of a project."""

    by_path: Mapping[str, list[Suppression]] = field(default_factory=dict)

    def takes_back(self, finding: Finding) -> bool:
        """Return whether a comment on its line, or one for its file, names the rule of a finding."""
        found = False
        for one in self.by_path.get(finding.path, ()):
            lines = range(finding.span.line, finding.span.end_line + 1)
            if one.rule == finding.rule and (one.whole_file or one.span.line in lines):
                one.used = found = True
        return found

    @property
    def unused(self) -> Iterator[Suppression]:
        """Those that took nothing back."""
        return (one for found in self.by_path.values() for one in found if not one.used)


def suppressions_in(path: str, text: str) -> list[Suppression]:
    """Return the suppressions of a file: those in comments, not what stands in strings."""
    if "realtime:" not in text:
        return []
    if path.endswith(".py"):
        comments = _python_comments(text)
    else:
        comments = [
            (number, line.index("#"), line[line.index("#") :])
            for number, line in enumerate(text.split("\n"), 1)
            if "#" in line
        ]
    found = []
    lines = text.split("\n")
    for number, column, comment in comments:
        match = _COMMENT.search(comment)
        if match is None or (match["file"] and number > FILE_LINES):
            continue
        for rule in match["rules"].split(","):
            if rule.strip():
                start = column + match.start() + 1
                span = Span(number, start, number, column + len(comment.rstrip()) + 1)
                before = lines[number - 1][:column].rstrip()
                end = Span(number, len(before) + 1, span.end_line, span.end_col)
                if not before and number < len(lines):  # a line of its own
                    end = Span(number, 1, number + 1, 1)
                found.append(Suppression(path, rule.strip().upper(), span, end, bool(match["file"])))
    return found


def _python_comments(text: str) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    with contextlib.suppress(
        tokenize.TokenError, SyntaxError, ValueError
    ):  # what came before a mistake counts
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                found.append((*token.start, token.string))  # noqa: PERF401 - a mistake ends it in the middle
    return found
