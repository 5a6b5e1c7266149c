"""The plan of an upgrade: every edit in memory, complete before the first write. Spec: upgrade 3.1, 4.1."""

from __future__ import annotations

import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import TYPE_CHECKING

from realtime_cli.codemods.asking import Quit
from realtime_cli.codemods.behaviours import behaviours
from realtime_cli.codemods.catalog import run_order
from realtime_cli.codemods.chain import ENGINE, FileOutcome, left_alone, upgrade_file
from realtime_cli.codemods.finding import Change, Finding, Severity, Status
from realtime_cli.codemods.prefilter import candidates
from realtime_cli.codemods.project import Project, Tree
from realtime_cli.codemods.scriptfilter import script_paths
from realtime_cli.codemods.scriptparser import has_parser
from realtime_cli.codemods.scripts import SUFFIXES, missing_parser, upgrade_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from realtime_cli.codemods.chain import Chooser
    from realtime_cli.codemods.codemod import Codemod

__all__ = ["MIN_FILES_PER_WORKER", "Plan", "make_plan"]

MIN_FILES_PER_WORKER = 12
"""Fewer files than this are not worth a process of their own, which takes half a second to start."""


@dataclass(slots=True)
class Plan:
    """What the run would write and say.

    Attributes:
        tree: the files with what would change.
        findings: all of them, in the order of reports.
        broken: the paths of files that do not parse.
        unproved: an edit could not be proved: nothing may be written.
        parsed: how many files were parsed.
    """

    tree: Tree
    findings: list[Finding] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    unproved: bool = False
    parsed: int = 0

    @property
    def edits(self) -> int:
        """How many places would be rewritten or marked."""
        return sum(one.status in (Status.EDITED, Status.TODO) for one in self.findings)


def make_plan(
    project: Project,
    *,
    selected: frozenset[str] | None = None,
    jobs: int = 1,
    choose: Chooser | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    prefilter: bool = True,
) -> Plan:
    """Run the codemods over the project, in memory.

    The layout codemods come first, on the whole project; then every file that mentions anything goes through the others
    by itself (in `jobs` processes if there are many); then what the others do with the project as a whole.

    Args:
        project: its tree is changed.
        selected: ids of the codemods to run; all if absent.
        jobs: processes at most; the result is the same for any number.
        choose: asked for each codemod and file which edits to make; then `jobs` is 1.
        progress: told the number of files done, of all files to parse, and of edits so far.
        prefilter: whether files without a token of any codemod are left unparsed (tests turn it off).
    """
    order = run_order(selected)
    plan = Plan(project.tree)
    for codemod in order:
        if codemod.layout:
            _lay_out(plan, project, codemod, choose)
    per_file = [one for one in order if not one.layout and type(one).python is not _base().python]
    scripts = script_paths(project, order, prefilter=prefilter)
    if scripts and not has_parser():
        plan.findings += [missing_parser()] if script_paths(project, order) else []
        scripts = []
    paths = [*_candidates(project, per_file, prefilter=prefilter), *scripts]
    plan.parsed = len(paths)
    outcomes = []
    after_layout = [one for one in order if not one.layout]
    for outcome in _run(project, paths, after_layout, jobs=jobs, choose=choose):
        outcomes.append(outcome)
        if progress is not None:
            edits = sum(
                one.status in (Status.EDITED, Status.TODO) for done in outcomes for one in done.findings
            )
            progress(len(outcomes), len(paths), edits)
    for outcome in outcomes:
        plan.findings += outcome.findings
        plan.unproved |= outcome.unproved
        if outcome.broken:
            plan.broken.append(outcome.path)
        if outcome.new is not None:
            project.tree.write(outcome.path, outcome.new)
    project.forget()
    for codemod in order:
        if not codemod.layout:
            plan.findings += _of_the_whole(project, codemod, choose)[0]
    if selected is None or selected >= {one.id for one in run_order() if one.layout}:
        plan.findings += behaviours(project)
    plan.findings += [left_alone(path, why) for path, why in project.unread.items()]
    plan.findings = _in_order(plan.findings)
    return plan


def _lay_out(plan: Plan, project: Project, codemod: Codemod, choose: Chooser | None) -> None:
    """Run a layout codemod: first on the project, then on the files that mention its tokens, one after the other."""
    found, is_wanted = _of_the_whole(project, codemod, choose)
    plan.findings += found
    project.forget()
    if type(codemod).python is _base().python or not is_wanted:
        return
    for path in project.mentions(*codemod.tokens):
        outcome = _safely(project, path, [codemod], choose)
        plan.findings += [one for one in outcome.findings if one.codemod == codemod.id or outcome.unproved]
        plan.unproved |= outcome.unproved
        if outcome.new is not None:
            project.tree.write(path, outcome.new)
    project.forget()


def _of_the_whole(project: Project, codemod: Codemod, choose: Chooser | None) -> tuple[list[Finding], bool]:
    """Run what a codemod does with the project as a whole; the answer is False if a person does not want it."""
    if choose is None:
        return list(codemod.project(project)), True
    earlier = project.tree.copy()
    found = list(codemod.project(project))
    changes = project.tree.since(earlier)
    if not changes or choose.whole(codemod, changes):
        return found, True
    project.tree.go_back(earlier)
    project.shared.pop(codemod.id, None)
    made = (Status.EDITED, Status.TODO)
    return [replace(one, status=Status.SKIPPED) if one.status in made else one for one in found], False


def _base() -> type[Codemod]:
    from realtime_cli.codemods.codemod import Codemod

    return Codemod


def _candidates(project: Project, codemods: Sequence[Codemod], *, prefilter: bool) -> list[str]:
    if not prefilter:
        return project.tree.files(".py", ".pyi")
    tokens = [token for one in codemods for token in one.tokens]
    return candidates(project, tokens, [token for one in codemods for token in one.alone])


def _in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sort, and tell what concerns the project once."""
    kept: dict[object, Finding] = {}
    for one in findings:
        key: object = (one.codemod, one.row) if one.change is Change.BEHAVIOUR else (len(kept), one)
        kept.setdefault(key, one)
    return sorted(kept.values(), key=lambda one: one.order)


# Processes. A worker has the project as it was after the layout codemods; so no file waits for another.

_shared: tuple[Project, tuple[Codemod, ...]] | None = None


def _start_worker(project: Project, ids: frozenset[str]) -> None:
    global _shared
    codemods = tuple(run_order(ids))
    _shared = project, codemods


def _work(path: str) -> FileOutcome:
    assert _shared is not None  # noqa: S101 - set by the initializer
    project, codemods = _shared
    return _safely(project, path, codemods, None)


def _run(
    project: Project,
    paths: Sequence[str],
    codemods: Sequence[Codemod],
    *,
    jobs: int,
    choose: Chooser | None,
) -> Iterator[FileOutcome]:
    workers = min(jobs, len(paths) // MIN_FILES_PER_WORKER)
    if choose is not None or workers < 2:
        for path in paths:
            yield _safely(project, path, codemods, choose)
        return
    ids = frozenset(one.id for one in codemods)
    bare = Project(project.tree, project.options, project.kind)
    done = 0
    try:
        with ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(bare, ids)
        ) as pool:
            for outcome in pool.map(_work, paths, chunksize=8):
                done += 1
                yield outcome
    except (BrokenProcessPool, OSError):
        # A process was killed (for its memory, say), or none can be started here: this one does what is left.
        for path in paths[done:]:
            yield _safely(project, path, codemods, choose)


def _safely(project: Project, path: str, codemods: Sequence[Codemod], choose: Chooser | None) -> FileOutcome:
    """Upgrade one file; a codemod that fails on it costs this file, not the run."""
    with warnings.catch_warnings():
        # Of escapes that are none, say, in strings that are evaluated: about code of others, not of this command.
        warnings.simplefilter("ignore")
        return _upgraded(project, path, codemods, choose)


def _upgraded(
    project: Project, path: str, codemods: Sequence[Codemod], choose: Chooser | None
) -> FileOutcome:
    try:
        if path.endswith(SUFFIXES):
            return upgrade_script(project, path, codemods, choose=choose)
        per_file = [one for one in codemods if type(one).python is not _base().python]
        return upgrade_file(project, path, per_file, choose=choose)
    except Quit:
        raise
    except Exception as problem:  # a border: one file must not stop the others
        failed = Finding(
            ENGINE,
            "",
            Change.FLAG,
            path,
            0,
            0,
            f"internal: {type(problem).__name__} while looking at this file",
            "it was left alone; look at it by hand, and please tell us",
            Severity.ERROR,
            line=1,
            col=1,
            end_line=1,
            end_col=1,
        )
        return FileOutcome(path, findings=[failed])
