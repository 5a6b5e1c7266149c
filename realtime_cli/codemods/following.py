"""What a dotted path leads to: through the files of the project, from import to import. Spec: upgrade 3.1 rule 5.

Shared by the names of a file that is looked at (`names`) and by those that other files get from it (`outline`).
"""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from realtime_cli.codemods.publicnames import STAR_NAMES, canonical

if TYPE_CHECKING:
    from collections.abc import Iterable

    from realtime_cli.codemods.project import Project

__all__ = ["MAX_HOPS", "UNKNOWN", "Follower", "import_base"]

MAX_HOPS = 8
"""Re-exports inside the project that are followed. Spec: upgrade 3.1 rule 5."""
UNKNOWN = frozenset({"?"})


def import_base(path: str, module: str, dots: int, named: str) -> str:
    """Return the full name of the module that a ``from`` statement names.

    Args:
        path: of the file in which the statement stands.
        module: the dotted name of that file.
        dots: how many stand in front of the name.
        named: what stands behind ``from`` without them.
    """
    if not dots:
        return named
    package = module.split(".")
    if not path.endswith("__init__.py"):
        package = package[:-1]
    package = package[: len(package) - (dots - 1)] if dots > 1 else package
    return ".".join([*package, *([named] if named else [])])


class Follower(ABC):
    """A module of the project, from which paths are followed into others.

    Args:
        project: its files.
        path: of the file below the project.
    """

    def __init__(self, project: Project, path: str) -> None:
        self.project = project
        self.path = path
        self._busy: set[object] = set()

    @abstractmethod
    def exported(self, name: str, hops: int = 0) -> frozenset[str]:
        """Return what another file gets that imports `name` from this one."""

    def attribute(self, bases: Iterable[str], name: str, hops: int) -> frozenset[str]:
        """Return what an attribute of these meanings means."""
        found: set[str] = set()
        for base in bases:
            if base.startswith("?"):
                found.add(base)
            elif base.startswith("~") and self.project.owns(base[1:]):
                found |= self.absolute(f"{base[1:]}.{name}", hops)
            else:
                found |= self.absolute(f"{base}.{name}", hops)
        return frozenset(found)

    def absolute(self, path: str, hops: int) -> frozenset[str]:
        """Return what a full dotted path means: in the project's own files it is looked up there."""
        if path.startswith(("@", "~")) or "(" in path:
            return frozenset({canonical(path)})
        project = self.project
        parts = path.split(".")
        for length in range(len(parts), 0, -1):
            module = ".".join(parts[:length])
            where = project.path_of(module)
            if where is None:
                if project.owns(module):
                    return frozenset({f"~{path}"})
                continue
            rest = parts[length:]
            if not rest:
                return frozenset({f"~{path}"})
            other = self if where == self.path else project.outline(where)
            if other is None:
                return frozenset({"?broken"})
            key = (where, rest[0])
            if key in self._busy:
                return frozenset({"?hops"})
            self._busy.add(key)
            try:
                found = other.exported(rest[0], hops + 1)
            finally:
                self._busy.discard(key)
            for part in rest[1:]:
                found = self.attribute(found, part, hops + 1)
            return found
        return frozenset({canonical(path)})

    def unbound(self, name: str, stars: Iterable[str], hops: int) -> frozenset[str]:
        """Return what a name means that a module does not bind: it comes with a star import, or is a builtin one."""
        for source in stars:
            if source == "runtime":
                if name in STAR_NAMES:
                    return frozenset({canonical(f"runtime.{name}")})
            elif self.project.path_of(source) is not None:
                found = self.absolute(f"{source}.{name}", hops)
                if found - {f"~{source}.{name}", "?"}:
                    return found
        return frozenset({f"builtins.{name}"}) if hasattr(builtins, name) else UNKNOWN
