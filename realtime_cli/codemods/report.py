"""The report of an upgrade: a table on the terminal, Markdown for people, JSON for machines. Spec: upgrade 4.5."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from realtime_cli.codemods.catalog import all_codemods
from realtime_cli.codemods.chain import ENGINE
from realtime_cli.codemods.finding import Change, Finding, Severity, Status
from realtime_cli.codemods.portreport import port_report
from realtime_cli.codemods.project import Project, Tree, digest
from realtime_cli.codemods.rows import all_rows, tier_of
from realtime_cli.codemods.shown import as_code, as_prose, printable, utf8
from realtime_cli.codemods.verify import Verified
from runtime.core.sensitive import redact_text

__all__ = ["Report", "as_json", "as_markdown", "summary_rows", "top_flags"]

SCHEMA = 1
ENGINE_TITLE = "what the command could not do"
DEPLOY_NOTES = (
    "Redis 7.4 or newer has to be there before cluster presence of 0.5 starts (C-16).",
    "Counts of cluster presence are complete one time-to-live (90 s) after the last old instance has gone (C-16).",
    "Idempotency entries of 0.4 are not found by 0.5: calls in flight at the switch may run again (C-06). Deploy when"
    " there is little traffic.",
    "Postgres: the codemod pins the old table names; the SQL that renames them is another way (S-23).",
    "Browser tabs that were open before the deploy see an empty presence list until they are reloaded (D-06).",
)


@dataclass(slots=True)
class Report:
    """Everything that a run has to say.

    Attributes:
        kind: ``python``, ``javascript`` or ``both``.
        findings: in order.
        tree: with what was planned.
        skipped: path and reason of files that were left alone.
        notes: path and text about files that were edited.
        verification: what was looked at after writing.
        version: of the tool.
    """

    kind: str
    findings: Sequence[Finding]
    tree: Tree
    skipped: Sequence[tuple[str, str]] = ()
    notes: Sequence[tuple[str, str]] = ()
    verification: list[Verified] = field(default_factory=list)
    version: str = ""
    advice: str = ""

    def by_status(self, *statuses: Status) -> list[Finding]:
        """Return the findings of some statuses."""
        return [one for one in self.findings if one.status in statuses and one.change is not Change.BEHAVIOUR]

    @property
    def behaviour(self) -> list[Finding]:
        """What no line shows."""
        return [one for one in self.findings if one.change is Change.BEHAVIOUR]

    @property
    def left_alone(self) -> list[tuple[str, str]]:
        """Path and reason of the files that could not be looked at, sorted; not those that ask to be skipped."""
        unread = [(one.path, one.message) for one in self.by_status(Status.SKIPPED) if one.codemod == ENGINE]
        return sorted({*self.skipped, *unread})

    @property
    def needs_human(self) -> bool:
        """Whether something is left that only a person can do: the run ends with 1."""
        return (
            bool(self.by_status(Status.TODO, Status.OPEN))
            or any(one.severity is Severity.ERROR for one in self.by_status(Status.FLAGGED))
            or any(not one.ok for one in self.verification)
        )


def summary_rows(report: Report) -> list[tuple[str, str, str, str, str, str]]:
    """Return codemod, title, and how many files, edits, places to review and flags, for those that found something."""
    titles = {name: one.title for name, one in all_codemods().items()}
    rows = []
    for name in sorted({one.codemod for one in report.findings if one.change is not Change.BEHAVIOUR}):
        mine = [one for one in report.findings if one.codemod == name and one.change is not Change.BEHAVIOUR]
        count = Counter(one.status for one in mine)
        rows.append(
            (
                name,
                titles.get(name, ENGINE_TITLE),
                str(len({one.path for one in mine if one.status in (Status.EDITED, Status.TODO)})),
                str(count[Status.EDITED] + count[Status.TODO]),
                str(count[Status.TODO] + count[Status.OPEN]),
                str(count[Status.FLAGGED]),
            )
        )
    return rows


def top_flags(report: Report, most: int = 5) -> list[Finding]:
    """Return the most important flags: errors first, then critical rows."""
    tiers = "CSDRP"

    def weight(one: Finding) -> tuple[int, int, object]:
        tier = tiers.index(one.row[0]) if one.row[:1] in set(tiers) else len(tiers)
        return one.severity.rank, tier, one.order

    return sorted(report.by_status(Status.FLAGGED), key=weight)[:most]


def _masked(text: str) -> str:
    return redact_text(text)


def as_data(report: Report, *, timestamp: str = "") -> dict[str, Any]:
    """Return the report as plain data; two runs over the same project give the same."""
    every = [one for one in report.findings if one.change is not Change.BEHAVIOUR]
    count = Counter(one.status for one in every)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "tool": f"realtime-toolkit {report.version}",
        "from": "0.4",
        "to": "0.5",
        "kind": report.kind,
        "root": ".",
        "summary": {
            "files": len(_changed(report.tree)),
            **{str(status): count[status] for status in Status},
            "behaviour": len(report.behaviour),
            "errors": sum(one.severity is Severity.ERROR and one.status is Status.FLAGGED for one in every),
        },
        "findings": [_finding(one) for one in report.findings],
        "files": _changed(report.tree),
        "skipped": [{"path": path, "reason": why} for path, why in sorted(report.skipped)],
        "verification": [
            {
                "step": one.step,
                "ok": one.ok,
                "path": one.path,
                "line": one.line,
                "rule": one.rule,
                "message": _masked(one.message),
            }
            for one in report.verification
        ],
    }
    if timestamp:
        document["time"] = timestamp
    cleaned: dict[str, Any] = _utf8(document)
    return cleaned


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, list):
        return [_utf8(one) for one in value]
    return {key: _utf8(one) for key, one in value.items()} if isinstance(value, dict) else value


def _finding(one: Finding) -> dict[str, Any]:
    place = f"{one.row or one.codemod}:{one.path}:{one.line}:{one.col}"
    return {
        "id": place,
        "row": one.row,
        "codemod": one.codemod,
        "class": str(one.change),
        "severity": str(one.severity),
        "path": one.path,
        "line": one.line,
        "col": one.col,
        "end_line": one.end_line,
        "end_col": one.end_col,
        "message": _masked(one.message),
        "advice": _masked(one.advice),
        "status": str(one.status),
    }


def _changed(tree: Tree) -> list[dict[str, Any]]:
    gone_by_move = set(tree.moves.values())
    found = []
    for path, raw in sorted(tree.changed.items()):
        if raw is None and path in gone_by_move:
            continue
        origin = tree.moves.get(path)
        before = tree.originals.get(origin or path)
        status = (
            "removed" if raw is None else "moved" if origin else "created" if before is None else "edited"
        )
        found.append(
            {
                "path": path,
                "status": status,
                "sha256_before": before,
                "sha256_after": None if raw is None else digest(raw),
                "renamed_from": origin,
            }
        )
    return found


def as_json(report: Report, *, timestamp: str = "") -> str:
    """Return the report as a JSON document."""
    return json.dumps(as_data(report, timestamp=timestamp), indent=2, ensure_ascii=False) + "\n"


def as_markdown(report: Report) -> str:
    """Return the report for people."""
    lines = ["# Upgrade from 0.4 to 0.5", "", "## Summary", ""]
    rows = summary_rows(report)
    if rows:
        lines += [
            "| codemod | what | files | edits | to review | flagged |",
            "|---|---|---|---|---|---|",
            *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows),
        ]
    else:
        lines.append("Nothing to do.")
    if report.advice:
        lines += ["", report.advice]
    critical = [
        one for one in report.by_status(Status.FLAGGED, Status.TODO, Status.OPEN) if one.row[:1] == "C"
    ]
    lines += _section(
        "Critical findings",
        critical,
        "Each of these may deny requests after the deploy that 0.4 let through, or let through what you meant to deny.",
    )
    human = [one for one in report.by_status(Status.FLAGGED, Status.TODO, Status.OPEN) if one not in critical]
    lines += _section(
        "Needs a human", human, "Places that are marked with a TODO, and those that were left alone."
    )
    lines += ["", "## Changed files", ""]
    for one in _changed(report.tree):
        origin = f" (was {as_code(one['renamed_from'])})" if one["renamed_from"] else ""
        lines.append(f"* {as_code(one['path'])}: {one['status']}{origin}")
    edits = report.by_status(Status.EDITED)
    if edits:
        lines += ["", *(_line(one) for one in edits)]
    if report.behaviour:
        lines += ["", "## Behaviour changes that concern you", ""]
        lines += [f"* {one.row}: {_masked(one.message)}{_and(one.advice)}" for one in report.behaviour]
    if report.kind in ("javascript", "both"):
        lines += port_report(Project(report.tree, kind=report.kind))
    lines += ["", "## Deploy notes", "", *(f"* {note}" for note in DEPLOY_NOTES)]
    if report.verification:
        lines += ["", "## Verification", ""]
        lines += [_verified(one) for one in report.verification]
    left = [*report.skipped, *((one.path, one.message) for one in report.by_status(Status.SKIPPED))]
    if left or report.notes:
        lines += ["", "## Skipped and why", ""]
        lines += [f"* {as_code(path)}: {_prose(why)}" for path, why in sorted({*left, *report.notes})]
    return "\n".join(lines) + "\n"


def _section(title: str, findings: Iterable[Finding], about: str) -> list[str]:
    found = list(findings)
    if not found:
        return []
    return ["", f"## {title}", "", about, "", *(_line(one) for one in found)]


def _line(one: Finding) -> str:
    where = as_code(f"{one.path}:{one.line}:{one.col}" if one.line else one.path)
    head = f"* **{one.row or one.codemod}** {where} {_prose(one.message)}"
    if one.row in all_rows():
        head += f" ({tier_of(one.row).lower()}, {one.codemod})"
    if "\n" in one.advice:
        body = "\n".join(f"  {line}".rstrip() for line in _masked(one.advice).splitlines())
        return f"{head}\n\n  ```python\n{body}\n  ```\n"
    return head + _and(one.advice)


def _and(advice: str) -> str:
    if not advice or "\n" in advice:
        return ""
    first = advice.partition(" ")[0]
    return f". {_prose(advice[:1].upper() + advice[1:] if first.isalpha() else advice)}."


def _verified(one: Verified) -> str:
    where = f" {as_code(f'{one.path}:{one.line}')}" if one.path else ""
    return f"* {one.step}{where}: {'note: ' if one.ok else ''}{one.rule} {_prose(one.message)}".rstrip()


def _prose(text: str) -> str:
    return as_prose(_masked(text))


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")
