"""Which Python files can hold anything of ours, found without parsing them. Spec: upgrade 4.1, 4.7.

A file is parsed if it has a token of a codemod, and if the toolkit can be reached from it, import by import, or from a
file that imports it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from realtime_cli.codemods.project import Project

__all__ = ["candidates"]


def candidates(project: Project, tokens: Iterable[bytes], alone: Iterable[bytes] = ()) -> list[str]:
    """Return the paths of the files to parse, sorted.

    Args:
        project: the files.
        tokens: of the codemods that run; a file that has none of them is left out.
        alone: those of the tokens that are enough, whatever else the file holds.
    """
    pattern = re.compile(b"|".join(re.escape(token) for token in sorted(set(tokens), key=len, reverse=True)))
    marked: list[str] = []
    enough = tuple(alone)
    lonely: set[str] = set()
    for path in project.tree.files(".py", ".pyi"):
        try:
            raw = project.tree.read(path)
        except OSError:
            continue
        if pattern.search(raw) is not None:
            marked.append(path)
            if any(token in raw for token in enough):
                lonely.add(path)
    graph = project.imports
    if not marked or not graph.seeds:
        return [path for path in marked if path in lonely]
    if graph.seeds.issuperset(marked):
        return marked
    return [path for path in marked if path in graph.concerned or path in lonely or _is_test(path)]


def _is_test(path: str) -> bool:
    """Tests get what they look at from fixtures, and may import nothing of the project."""
    name = path.rpartition("/")[2]
    return path.startswith("tests/") or "/tests/" in path or name.startswith("test_") or name == "conftest.py"
