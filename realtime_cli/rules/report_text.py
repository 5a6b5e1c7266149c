"""Findings for a person at a terminal, and for a log. Spec: platform 8.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_cli.plaintext import plain_line
from realtime_cli.rules.finding import Finding, Severity
from runtime.server.settings_file import SETTINGS_FILE, public_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from realtime_cli.console import Style
    from realtime_cli.rules.engine import Report

__all__ = ["render_text", "summary"]

_STYLES: Mapping[Severity, Style] = {
    Severity.ERROR: "red",
    Severity.WARNING: "yellow",
    Severity.INFO: "blue",
}
Paint = "Callable[[str, Style], str]"


def render_text(
    report: Report, texts: Mapping[str, str], *, paint: Callable[[str, Style], str], excerpts: bool
) -> Iterator[str]:
    """Yield the lines of a report: per finding its place, severity, rule and message, then the fix.

    `texts` are the files by path; with `excerpts` the line of the file stands between message and fix.
    """
    above = None
    for finding in report.findings:
        if excerpts and above is not None and finding.path != above:
            yield ""
        above = finding.path
        yield from _finding(finding, texts, paint, excerpts=excerpts)
    if report.findings and excerpts:
        yield ""
    for path, reason in report.skipped.items():
        yield f"{plain_line(path)}: not looked at: {reason}"
    yield summary(report)


def summary(report: Report) -> str:
    """Return the last line: how many of each, and how many ``--fix`` can mend."""
    parts = [_count(report.count(severity), severity) for severity in Severity]
    more = [f"{report.fixable} fixable"] if report.fixable else []
    more += [f"{report.hidden} in the baseline"] if report.hidden else []
    return ", ".join(parts) + (f" ({', '.join(more)})" if more else "")


def _count(number: int, severity: Severity) -> str:
    return f"{number} {severity}{'' if number == 1 else 's'}"


def _finding(
    finding: Finding, texts: Mapping[str, str], paint: Callable[[str, Style], str], *, excerpts: bool
) -> Iterator[str]:
    span = finding.span
    place = paint(f"{plain_line(finding.path)}:{span.line}:{span.col}", "bold")
    severity = paint(str(finding.severity), _STYLES[finding.severity])
    yield f"{place}: {severity} {finding.rule} {plain_line(finding.message)}"
    lines = texts.get(finding.path, "").split("\n") if excerpts else []
    if span.line <= len(lines) and lines[span.line - 1].strip():
        number = str(span.line)
        written = lines[span.line - 1].rstrip()
        is_settings = finding.path.rpartition("/")[2] == SETTINGS_FILE
        line = plain_line((public_line(written) if is_settings else written).replace("\t", " "))
        end = span.end_col if span.end_line == span.line else len(line) + 1
        marked = max(1, min(end, len(line) + 1) - span.col)
        yield paint(f"  {number} | ", "dim") + line
        if (span.col > 1 or end > 1) and len(line) == len(written):
            gap = " " * (len(number) + 2 + 3 + span.col - 1)
            yield gap + paint("^" * marked, _STYLES[finding.severity])
    fixed = " (realtime check --fix)" if finding.fixable else ""
    yield f"  {paint('fix:', 'green')} {plain_line(finding.fix)}{fixed}"
