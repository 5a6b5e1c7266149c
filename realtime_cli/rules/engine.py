"""Runs the rules over a project and gathers what they find. Spec: platform 8.1."""

from __future__ import annotations

import contextlib
import gc
import json
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.finding import Edit, Finding, Severity
from realtime_cli.rules.suppressions import Suppressions, suppressions_in
from runtime.server.settings_file import SETTINGS_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from realtime_cli.rules.imported import Imported
    from realtime_cli.rules.online import Backends
    from realtime_cli.rules.project import Project
    from realtime_cli.rules.rule import Rule

__all__ = ["UNUSED", "Baseline", "Report", "Selection", "run_rules"]

BROKEN = "CFG003"  # the rule of a settings file that cannot be read
UNUSED = "CFG020"  # the rule of suppressions that take nothing back
#: Hooks that ask for what there is not: where the text of the hooks tells of it, the import need not do so again.
HOOK_PARAMETER, NO_IMPORT, HOOK_ERROR = "CFG017", "LIV028", "unknown parameter"


@dataclass(frozen=True)
class Selection:
    """Which rules run: all, or those that `select` names, without those of `ignore`; an id or its letters (`SEC`)."""

    select: Collection[str] = ()
    ignore: Collection[str] = ()

    def takes(self, rule: str) -> bool:
        """Return whether a rule runs."""
        chosen = not self.select or rule.startswith(tuple(self.select))
        return chosen and not (self.ignore and rule.startswith(tuple(self.ignore)))


@dataclass(frozen=True)
class Baseline:
    """Findings that were known before and are left out: by rule, path and message, so that lines may move."""

    known: frozenset[tuple[str, str, str]] = frozenset()

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a file that `write` made.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no baseline.
        """
        data = json.loads(path.read_text(encoding="utf-8"))
        try:
            return cls(frozenset((one["rule"], one["path"], one["message"]) for one in data["findings"]))
        except (KeyError, TypeError):
            raise ValueError("no list of findings, each with rule, path and message") from None

    @staticmethod
    def text(findings: Iterable[Finding]) -> str:
        """Return the content of a baseline file for findings."""
        known = sorted({(one.rule, one.path, one.message) for one in findings})
        entries = [{"rule": rule, "path": path, "message": message} for rule, path, message in known]
        return json.dumps({"version": 1, "findings": entries}, indent=2, ensure_ascii=False) + "\n"

    def knows(self, finding: Finding) -> bool:
        """Return whether a finding was known."""
        return (finding.rule, finding.path, finding.message) in self.known


@dataclass(frozen=True)
class Report:
    """What was found, sorted by path, line and rule.

    Attributes:
        findings: what is to be told.
        hidden: how many findings the baseline left out.
        skipped: files that were not looked at, with the reason.
        failed: rules that raised, with the traceback: a fault of the checker, not of the project.
    """

    findings: tuple[Finding, ...]
    hidden: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def count(self, severity: Severity) -> int:
        """Return how many findings weigh so much."""
        return sum(one.severity is severity for one in self.findings)

    @property
    def fixable(self) -> int:
        """How many of them ``--fix`` can mend."""
        return sum(one.fixable for one in self.findings)

    def fails(self, *, strict: bool) -> bool:
        """Return whether the exit code is 1: an error, or under ``--strict`` a warning."""
        heavy = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
        return any(one.severity in heavy for one in self.findings)


def run_rules(
    project: Project,
    *,
    selection: Selection | None = None,
    baseline: Baseline | None = None,
    imported: Imported | None = None,
    backends: Backends | None = None,
    blocking_only: bool = False,
) -> Report:
    """Run the rules and return what they find, without what comments, settings or the baseline take back.

    `imported` and `backends` are what the other passes gave; their rules run when they are there. `blocking_only`
    leaves all rules but those that keep `realtime serve` from starting.
    """
    with _without_collecting():
        return _run(
            project, selection or Selection(), baseline or Baseline(), imported, backends, blocking_only
        )


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Let no garbage be collected meanwhile: trees make millions of objects, of which none is garbage."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _run(
    project: Project,
    selection: Selection,
    baseline: Baseline,
    imported: Imported | None,
    backends: Backends | None,
    blocking_only: bool,
) -> Report:
    check = project.settings.settings.check
    rules = [
        rule
        for rule in all_rules().values()
        if selection.takes(rule.id) and (rule.blocking or not blocking_only)
    ]
    failed: dict[str, str] = {}
    raw = [finding for rule in rules for finding in _found(rule, project, imported, backends, failed)]
    raw = [replace(one, edits=()) if one.path in project.unwritable else one for one in raw]
    if any(one.rule == HOOK_PARAMETER for one in raw):
        raw = [one for one in raw if one.rule != NO_IMPORT or HOOK_ERROR not in one.message]
    if any(problem.problem == "syntax" for problem in project.settings.found.problems):
        # What the file says is not known, so nothing is said of it but that.
        raw = [one for one in raw if one.path != SETTINGS_FILE or one.rule == BROKEN]
    comments = Suppressions({path: suppressions_in(path, text) for path, text in project.texts.items()})
    ran = {rule.id for rule in rules}
    kept = [
        _weighed(finding, check.severity)
        for finding in dict.fromkeys(raw)
        if not comments.takes_back(finding) and finding.rule not in check.ignore
    ]
    kept += _unused(project, comments, check.ignore, ran, complete=imported is not None)
    told = sorted((one for one in kept if not baseline.knows(one)), key=lambda one: one.order)
    skipped = dict(sorted(project.skipped.items()))
    return Report(tuple(told), hidden=len(kept) - len(told), skipped=skipped, failed=failed)


def _found(
    rule: Rule,
    project: Project,
    imported: Imported | None,
    backends: Backends | None,
    failed: dict[str, str],
) -> Iterable[Finding]:
    try:
        if rule.when == "static":
            yield from rule.check(project)
        elif rule.when == "import" and imported is not None:
            yield from rule.check_imported(project, imported)
        elif rule.when == "online" and backends is not None:
            yield from rule.check_online(project, backends)
    except Exception:  # one rule that fails keeps no other from telling
        failed[rule.id] = traceback.format_exc()


def _weighed(finding: Finding, severities: Mapping[str, str]) -> Finding:
    wanted = severities.get(finding.rule)
    return replace(finding, severity=Severity(wanted)) if wanted else finding


def _unused(
    project: Project, comments: Suppressions, ignored: Collection[str], ran: set[str], *, complete: bool
) -> Iterable[Finding]:
    """Yield the suppressions that took nothing back, of rules that ran and so would have found something."""
    rules = all_rules()
    if UNUSED not in ran or UNUSED in ignored:
        return
    rule = rules[UNUSED]
    idle = [one for one in comments.unused if one.rule != UNUSED and _counts(one.rule, ran, complete)]
    for one in idle:
        what = "takes nothing back" if one.rule in rules else "names no rule"
        others = [other for other in comments.by_path[one.path] if other.listed == one.listed]
        kept = ", ".join(other.rule for other in others if other not in idle)
        edit = Edit(one.path, one.listed, kept) if kept else Edit(one.path, one.whole, "")
        edits = (edit,) if one.path.endswith((".py", ".toml")) else ()
        found = rule.on(one.path, one.span, f"the suppression of {one.rule} {what}", edits=edits)
        if not comments.takes_back(found):
            yield _weighed(found, project.settings.settings.check.severity)


def _counts(rule_id: str, ran: set[str], complete: bool) -> bool:
    """Return whether a suppression would have been used, had there been something: its rule ran, or does not exist."""
    known = all_rules().get(rule_id)
    return known is None or (
        rule_id in ran and (known.when == "static" or (known.when == "import" and complete))
    )
