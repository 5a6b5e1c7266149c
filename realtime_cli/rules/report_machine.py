"""Findings for programs: JSON, SARIF 2.1.0 and GitHub's workflow commands. Spec: platform 8.1."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.finding import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from realtime_cli.rules.engine import Report
    from realtime_cli.rules.rule import Rule

__all__ = ["as_github", "as_json", "as_sarif"]

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def as_json(report: Report, capacity: Mapping[str, Any] | None = None) -> str:
    """Return the report as one JSON document; `capacity` is that of the calculator."""
    document: dict[str, Any] = {
        "version": 1,
        "findings": [_plain(finding) for finding in report.findings],
        "summary": {
            "errors": report.count(Severity.ERROR),
            "warnings": report.count(Severity.WARNING),
            "infos": report.count(Severity.INFO),
            "fixable": report.fixable,
            "baseline": report.hidden,
        },
        "skipped": report.skipped,
    }
    if capacity is not None:
        document["capacity"] = dict(capacity)
    return json.dumps(document, ensure_ascii=False, indent=2)


def _plain(finding: Finding) -> dict[str, Any]:
    span = finding.span
    return {
        "rule": finding.rule,
        "severity": str(finding.severity),
        "path": finding.path,
        "line": span.line,
        "col": span.col,
        "end_line": span.end_line,
        "end_col": span.end_col,
        "message": finding.message,
        "fix": finding.fix,
        "url": all_rules()[finding.rule].url,
        "fixable": finding.fixable,
    }


def as_sarif(report: Report, version: str) -> str:
    """Return the report as a SARIF log with one run; `version` is that of the toolkit."""
    rules = all_rules()
    positions = {rule: index for index, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "realtime check",
                "version": version,
                "rules": [_described(rule) for rule in rules.values()],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, positions[finding.rule]) for finding in report.findings],
    }
    return json.dumps(
        {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=2
    )


def _described(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": type(rule).__name__,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.how},
        "helpUri": rule.url,
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, index: int) -> dict[str, Any]:
    span = finding.span
    region = {"startLine": span.line, "startColumn": span.col}
    if (span.end_line, span.end_col) > (span.line, span.col):
        region |= {"endLine": span.end_line, "endColumn": span.end_col}
    place = {"artifactLocation": {"uri": quote(finding.path)}, "region": region}
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}. Fix: {finding.fix}"},
        "locations": [{"physicalLocation": place}],
    }


def as_github(report: Report) -> Iterator[str]:
    """Yield a workflow command per finding, which GitHub shows beside the line."""
    for finding in report.findings:
        span = finding.span
        properties = {
            "file": finding.path,
            "line": str(span.line),
            "col": str(span.col),
            "title": finding.rule,
        }
        written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
        yield f"::{_COMMANDS[finding.severity]} {written}::{_data(f'{finding.message} ({finding.fix})')}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
