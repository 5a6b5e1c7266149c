"""Which scripts can hold anything of ours, found without parsing them. Spec: upgrade 4.1, 4.7.

A script is parsed if it has a token of a codemod and names a module of ours, or imports a file that does, in any number
of steps. Regular expressions choose here, they never change anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.scriptfile import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from realtime_cli.codemods.project import Project

__all__ = ["MAX_LINE", "script_paths"]

MAX_LINE = 20_000
"""A script with a longer line was written by a bundler: it is looked at only if it names a module of ours."""
_OURS = re.compile(
    rb"svelte-realtime|svelte-adapter-uws|/live/|\$live|__presence:|__subscriptions|__coalesced"
)
_IMPORT = re.compile(rb"""(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)["']([^"'\n]{1,300})["']""")


def script_paths(project: Project, codemods: Sequence[Codemod], *, prefilter: bool = True) -> list[str]:
    """Return the scripts to parse, sorted; without the filter all that there are."""
    wanted = [one for one in codemods if type(one).script is not Codemod.script]
    if not wanted:
        return []
    if not prefilter:
        return project.tree.files(*SUFFIXES)
    tokens = re.compile(b"|".join(sorted(re.escape(token) for one in wanted for token in one.tokens)))
    folders = tuple(one.folder for one in project.scripts.members)
    marked, ours = set(), set()
    imported_by: dict[str, list[str]] = {}
    for path in project.tree.files(*SUFFIXES):
        try:
            raw = project.tree.read(path)
        except OSError:
            continue
        if tokens.search(raw):
            marked.add(path)
        if _OURS.search(raw) or (project.scripts.is_hooks(path) and path.startswith(folders)):
            ours.add(path)
        elif path.startswith(folders) and not _is_packed(raw):
            for module in set(_IMPORT.findall(raw)):
                other = project.scripts.resolve(module.decode(errors="replace"), path)
                if other is not None:
                    imported_by.setdefault(other, []).append(path)
    waiting = list(ours)
    while waiting:
        for path in imported_by.get(waiting.pop(), ()):
            if path not in ours:
                ours.add(path)
                waiting.append(path)
    return sorted(marked & ours)


def _is_packed(raw: bytes) -> bool:
    return len(raw) > MAX_LINE and max(map(len, raw.split(b"\n"))) > MAX_LINE
