"""What `realtime upgrade` would write in the place of a finding, so that both mend in one way. Spec: upgrade 1.6."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Edit, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project

__all__ = ["differences", "upgraded_edits"]


def upgraded_edits(
    project: Project, path: str, codemods: tuple[str, ...], span: Span | None = None
) -> tuple[Edit, ...]:
    """Return the edits that codemods make in a file, or in the lines of `span`; none where they leave it to a person.

    The codemods run once for all findings of a rule, and only where there is one.
    """
    if codemods not in project.upgraded:
        project.upgraded[codemods] = _upgraded(project, codemods)
    new = project.upgraded[codemods].get(path)
    if new is None:
        return ()
    found = differences(path, project.texts[path], new)
    if span is None:
        return tuple(found)
    return tuple(one for one in found if span.line <= one.span.line <= span.end_line)


def _upgraded(project: Project, codemods: tuple[str, ...]) -> dict[str, str]:
    """Return the files that codemods change, as they would be."""
    from realtime_cli.codemods.engine import make_plan
    from realtime_cli.codemods.project import Project as Upgrade
    from realtime_cli.codemods.project import Tree

    tree = Tree(project.root, sorted({*project.sources, *project.web}))
    plan = make_plan(Upgrade(tree), selected=frozenset(codemods))
    if plan.unproved:
        return {}
    return {
        path: raw.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")  # as `Project.texts` has it
        for path, raw in tree.changed.items()
        if raw is not None and path in project.texts
    }


def differences(path: str, old: str, new: str) -> Iterator[Edit]:
    """Yield the edits that make one text the other, each as short as its line allows."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for kind, start, end, first, last in difflib.SequenceMatcher(None, before, after, False).get_opcodes():
        if kind == "equal":
            continue
        if kind == "replace" and end - start == last - first:
            for offset in range(end - start):
                yield _within(path, start + offset + 1, before[start + offset], after[first + offset])
        else:
            yield Edit(path, Span(start + 1, 1, end + 1, 1), "".join(after[first:last]))


def _within(path: str, number: int, old: str, new: str) -> Edit:
    """Return the edit of one line without what is the same at both ends."""
    shorter = min(len(old), len(new))
    head = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    tail = 0
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return Edit(path, Span(number, head + 1, number, len(old) - tail + 1), new[head : len(new) - tail])
