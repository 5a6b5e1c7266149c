"""Which Python files can hold anything of ours, found without parsing them. Spec: upgrade 4.1, 4.7.

A file is parsed if it has a token of a codemod and is connected, by who imports whom, to one that imports the toolkit.
Regular expressions choose here, they never change anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from realtime_cli.codemods.project import Project

__all__ = ["OURS", "candidates"]

OURS = re.compile(
    rb"^[ \t]*(?:from[ \t]+runtime(?:\.[\w.]+)?[ \t]+import\b"
    rb"|import[ \t]+(?:[\w.]+(?:[ \t]+as[ \t]+\w+)?[ \t]*,[ \t]*)*runtime\b)",
    re.MULTILINE,
)
"""An import of the toolkit."""
_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import\b[ \t]*\(?([\w, \t]*)|import[ \t]+([\w.][\w., \t]*))",
    re.MULTILINE,
)


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
    seeds: set[str] = set()
    others: set[str] = set()
    hooks = project.hooks_path
    for path in project.tree.files(".py", ".pyi"):
        try:
            raw = project.tree.read(path)
        except OSError:
            continue
        has_token = pattern.search(raw) is not None
        if has_token:
            marked.append(path)
            if any(token in raw for token in enough):
                lonely.add(path)
        ours = b"runtime" in raw and OURS.search(raw) is not None
        if path == hooks or ours:
            seeds.add(path)
        elif has_token:
            others.add(path)
    if seeds and others:
        seeds |= _connected(project, seeds)
    return [path for path in marked if path in seeds or path in lonely or (seeds and _is_test(path))]


def _is_test(path: str) -> bool:
    """Tests get what they look at from fixtures, and may import nothing of the project."""
    name = path.rpartition("/")[2]
    return path.startswith("tests/") or "/tests/" in path or name.startswith("test_") or name == "conftest.py"


def _connected(project: Project, seeds: set[str]) -> set[str]:
    """Return the files that import a seed, or are imported by one, in any number of steps."""
    neighbours: dict[str, set[str]] = {}
    for path in project.tree.files(".py", ".pyi"):
        for other in _imports(project, path):
            neighbours.setdefault(path, set()).add(other)
            neighbours.setdefault(other, set()).add(path)
    found = set(seeds)
    waiting = list(seeds)
    while waiting:
        for other in neighbours.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _imports(project: Project, path: str) -> set[str]:
    try:
        raw = project.tree.read(path)
    except OSError:
        return set()
    found: set[str] = set()
    package = project.module_of(path).split(".")
    if not path.endswith("__init__.py"):
        package = package[:-1]
    for one in _IMPORT.finditer(raw):
        if one.group(3):
            names = [part.split()[0].decode() for part in one.group(3).split(b",") if part.split()]
        else:
            base = _absolute(one.group(1).decode(), package)
            listed = [part.split()[0].decode() for part in (one.group(2) or b"").split(b",") if part.split()]
            names = [base, *(f"{base}.{name}".lstrip(".") for name in listed)]
        for name in names:
            other = project.path_of(name) if name else None
            if other is not None and other != path:
                found.add(other)
    return found


def _absolute(base: str, package: list[str]) -> str:
    dots = len(base) - len(base.lstrip("."))
    if not dots:
        return base
    above = package[: len(package) - (dots - 1)] if dots > 1 else package
    return ".".join([*above, *([base[dots:]] if base[dots:] else [])])
