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
_TEXTS = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'")
_COMMENT = re.compile(r"#\s*realtime:\s*ignore(?P<file>-file)?\s*\[(?P<rules>[^\]]*)\]", re.IGNORECASE)


@dataclass(eq=False)
class Suppression:
    """One rule in one comment; `used` once a finding was taken back by it.

    `whole` is the comment with the space in front of it, `listed` what stands between its brackets: what is to be
    removed, or written anew, when it takes nothing back.
    """

    path: str
    rule: str
    span: Span
    whole: Span
    listed: Span
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
    lines = text.split("\n")
    comments = _python_comments(text) if path.endswith(".py") else list(_other_comments(path, lines))
    found = []
    for number, column, comment in comments:
        match = _COMMENT.search(comment)
        if match is None or (match["file"] and number > FILE_LINES):
            continue
        start = column + match.start()
        after = comment.find("#", match.end())  # another comment behind it stays
        stop = column + (after if after >= 0 else len(comment.rstrip()))
        before = lines[number - 1][:start].rstrip()
        whole = Span(number, (len(before) if after < 0 else start) + 1, number, stop + 1)
        if not before and after < 0 and number < len(lines):  # a line of its own
            whole = Span(number, 1, number + 1, 1)
        listed = Span(number, column + match.start("rules") + 1, number, column + match.end("rules") + 1)
        for rule in dict.fromkeys(one.strip().upper() for one in match["rules"].split(",")):
            if rule:
                span = Span(number, start + 1, number, stop + 1)
                found.append(Suppression(path, rule, span, whole, listed, bool(match["file"])))
    return found


def _other_comments(path: str, lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Yield what follows the first `#` of a line: in TOML one that stands in no text."""
    for number, line in enumerate(lines, 1):
        plain = _TEXTS.sub(lambda found: "x" * len(found[0]), line) if path.endswith(".toml") else line
        if "#" in plain:
            yield number, plain.index("#"), line[plain.index("#") :]


def _python_comments(text: str) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    with contextlib.suppress(
        tokenize.TokenError, SyntaxError, ValueError
    ):  # what came before a mistake counts
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                found.append((*token.start, token.string))  # noqa: PERF401 - a mistake ends it in the middle
    return found
