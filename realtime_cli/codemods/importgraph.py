"""Which files of a project import which, and from which of them the toolkit can be reached. Spec: upgrade 4.1, 4.7.

Found without parsing. Regular expressions choose here what is parsed, they never change anything: an import too many
costs a little time, so what looks like one counts.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from realtime_cli.codemods.following import import_base

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from realtime_cli.codemods.project import Project

__all__ = ["OURS", "ImportGraph"]

_START = rb"(?:^|[;:\r]|\xef\xbb\xbf)[ \t\f]*"
OURS = re.compile(
    _START + rb"(?:from[ \t]+runtime(?:\.[\w.]+)?[ \t\\\r\n]+import\b"
    rb"|import[ \t]+(?:[\w.]+(?:[ \t]+as[ \t]+\w+)?[ \t]*,[ \t]*)*runtime\b)",
    re.MULTILINE,
)
"""An import of the toolkit."""
_IMPORT = re.compile(
    _START + rb"(?:from[ \t]+([.\w]+)[ \t\\\r\n]+import\b[ \t\\\r\n]*(?:\(([^)]*)|([\w, \t\\\r\n]*))"
    rb"|import[ \t]+([\w.][\w., \t]*))",
    re.MULTILINE,
)
_COMMENT = re.compile(rb"#[^\r\n]*")
_FIRST_WORD = re.compile(rb"[ \t\\\r\n]*([\w.]+)")


class ImportGraph:
    """The imports of a project's Python files; computed when first asked for, and only as far as needed.

    Args:
        project: the files.
    """

    def __init__(self, project: Project) -> None:
        self._project = project

    @cached_property
    def seeds(self) -> frozenset[str]:
        """The files that import the toolkit themselves, and the hooks, which the framework calls."""
        tree = self._project.tree
        hooks = self._project.hooks_path
        found = {hooks} if hooks is not None else set()
        for path in tree.files(".py", ".pyi"):
            try:
                raw = tree.read(path)
            except OSError:
                continue
            if b"runtime" in raw and OURS.search(raw) is not None:
                found.add(path)
        return frozenset(found)

    @cached_property
    def reaching(self) -> frozenset[str]:
        """The files in which a name can mean something of ours: those that import a seed, in any number of steps."""
        if not self.seeds:
            return frozenset()
        importers: dict[str, set[str]] = {}
        for path, others in self._imports.items():
            for other in others:
                importers.setdefault(other, set()).add(path)
        return _closed(self.seeds, importers)

    @cached_property
    def concerned(self) -> frozenset[str]:
        """Those, and what they import: a function there may be handed to us, or get something of ours."""
        return _closed(self.reaching, self._imports) if self.reaching else frozenset()

    def reaching_with(self, *tokens: bytes) -> list[str]:
        """Return the paths of those files in which a name can mean something of ours that hold one of `tokens`."""
        return [path for path in self._project.mentions(*tokens) if path in self.reaching]

    @cached_property
    def _imports(self) -> Mapping[str, set[str]]:
        return {path: self._imported(path) for path in self._project.tree.files(".py", ".pyi")}

    def _imported(self, path: str) -> set[str]:
        project = self._project
        try:
            raw = project.tree.read(path)
        except OSError:
            return set()
        found: set[str] = set()
        module = project.module_of(path)
        for one in _IMPORT.finditer(raw):
            for name in _named(one, path, module):
                other = project.path_of(name) if name else None
                if other is not None and other != path:
                    found.add(other)
        return found


def _named(found: re.Match[bytes], path: str, module: str) -> Iterable[str]:
    """Yield the modules that an import may name."""
    base, listed, plain, whole = found.groups()
    if whole is not None:
        for name in _words(whole):
            parts = name.split(".")
            # ``import a.b`` gives `a`, and with it what its own file has.
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        return
    text = base.decode(errors="replace")
    named = text.lstrip(".")
    full = import_base(path, module, len(text) - len(named), named)
    yield full
    for name in _words(_COMMENT.sub(b"", listed if listed is not None else plain or b"")):
        yield f"{full}.{name}".lstrip(".")


def _words(listed: bytes) -> list[str]:
    """Return the names of a list with commas, each without its ``as``."""
    return [
        word[1].decode(errors="replace") for part in listed.split(b",") if (word := _FIRST_WORD.match(part))
    ]


def _closed(start: Iterable[str], following: Mapping[str, Iterable[str]]) -> frozenset[str]:
    found = set(start)
    waiting = list(found)
    while waiting:
        for other in following.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return frozenset(found)
