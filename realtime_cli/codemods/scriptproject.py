"""The scripts of a project: its npm packages, how files find each other, the hooks. Spec: upgrade 5.1, 5.2."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from realtime_cli.codemods.encoded import Encoded, UnreadableSource
from realtime_cli.codemods.scriptparser import MissingParser

if TYPE_CHECKING:
    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["PACKAGES", "TABLES", "Member", "ScriptProject", "admits_05", "is_04"]

PACKAGES = ("svelte-realtime", "svelte-adapter-uws", "svelte-adapter-uws-extensions")
TABLES = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
_ENDS = ("", ".ts", ".js", ".mjs", ".tsx", ".jsx", ".svelte", "/index.ts", "/index.js")
_HOOKS = tuple(f"src/hooks.ws.{end}" for end in ("js", "ts", "mjs"))
_COMPARATOR = re.compile(r"(\^|~|>=|<=|>|<|=|)\s*v?(\d+|x|\*)(?:\.(\d+|x|\*))?(?:\.(\d+|x|\*))?(-[\w.]+)?")


def _allowed(version: tuple[int, int, int], text: str) -> bool:
    """Say whether one part of an npm range, comparators all of which hold, admits a version."""
    text = text.strip()
    hyphen = re.fullmatch(r"(\S+)\s+-\s+(\S+)", text)
    if hyphen:
        text = f">={hyphen[1]} <={hyphen[2]}"
    for found in _COMPARATOR.finditer(text):
        sign, *parts = found[1], found[2], found[3], found[4]
        given = [int(part) for part in parts if part is not None and part.isdigit()]
        low = tuple([*given, 0, 0, 0][:3])
        if sign in (">=", ">", "<", "<="):
            holds = {">=": version >= low, ">": version > low, "<": version < low, "<=": version <= low}[sign]
            if sign == "<=" and len(given) < 3:
                holds = version[: len(given)] <= tuple(given)
        elif sign == "^":
            fixed = 1 if given[:1] != [0] else 2 if given[1:2] != [0] or len(given) < 3 else 3
            holds = version >= low and version[: min(fixed, len(given))] == tuple(given[:fixed])
        elif sign == "~":
            holds = version >= low and version[: min(2, len(given))] == tuple(given[:2])
        else:
            holds = version[: len(given)] == tuple(given)
        if not holds:
            return False
    return True


def _admits(wanted: str, versions: tuple[tuple[int, int, int], ...]) -> bool:
    wanted = wanted.strip().removeprefix("workspace:").removeprefix("npm:")
    if wanted in ("", "*", "latest", "x"):
        return True
    if not _COMPARATOR.search(wanted) or ":" in wanted or "/" in wanted:
        return False
    return any(_allowed(version, part) for part in wanted.split("||") for version in versions)


def admits_05(wanted: str) -> bool:
    """Say whether an npm range admits a version of the 0.5 line (or, as ``*``, anything)."""
    return _admits(wanted, (*((0, 5, patch) for patch in range(30)), (0, 6, 0), (1, 0, 0)))


def is_04(wanted: str) -> bool:
    """Say whether an npm range admits 0.4, or a pre-release of 0.5, and not 0.5.0. Spec: upgrade 5.1."""
    if "0.5.0-" in wanted:
        return True
    old = tuple((0, minor, patch) for minor in range(5) for patch in range(40))
    return _admits(wanted, old) and not admits_05(wanted)


@dataclass(slots=True)
class Member:
    """One npm package of the project that depends on one of ours.

    Attributes:
        folder: below the project, with a ``/`` at its end; empty for the project itself.
        wanted: for each of our packages the table it stands in and the range.
        markers: what else shows the 0.4 layout.
        problem: why its ``package.json`` cannot be read; empty if it can.
    """

    folder: str
    wanted: dict[str, tuple[str, str]] = field(default_factory=dict)
    markers: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def is_04(self) -> bool:
        """Whether it still asks for 0.4 of any of our packages."""
        return any(is_04(wanted) for _, wanted in self.wanted.values())

    @property
    def is_05(self) -> bool:
        """Whether it asks for 0.5 of every one of our packages."""
        return bool(self.wanted) and not self.is_04


class ScriptProject:
    """What the JavaScript side of a project is made of; parsed files are kept until the project forgets them."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._parsed: dict[str, ScriptFile | None] = {}

    def file(self, path: str) -> ScriptFile | None:
        """Return a script parsed; None if it is not there or cannot be read."""
        from realtime_cli.codemods.scriptfile import ScriptFile

        if path not in self._parsed:
            try:
                self._parsed[path] = ScriptFile(
                    self.project, path, Encoded.utf8(self.project.tree.read(path))
                )
            except (OSError, UnreadableSource, MissingParser, RecursionError):
                self._parsed[path] = None
        return self._parsed[path]

    @cached_property
    def folders(self) -> list[str]:
        """The folders with a ``package.json``, the deepest first; each with a ``/`` at its end, the root is empty."""
        found = [path.removesuffix("package.json") for path in self.project.tree.files("package.json")]
        found = [one for one in found if not one or one.endswith("/")]
        return sorted(found, key=lambda one: (-one.count("/"), one))

    def folder_of(self, path: str) -> str:
        """Return the folder of the npm package that a file belongs to."""
        return next((one for one in self.folders if path.startswith(one)), "")

    @cached_property
    def members(self) -> list[Member]:
        """The npm packages that depend on ours, sorted by folder."""
        found = [self._member(folder) for folder in self.folders]
        return sorted((one for one in found if one is not None), key=lambda one: one.folder)

    def _member(self, folder: str) -> Member | None:
        path = f"{folder}package.json"
        try:
            content = json.loads(Encoded.utf8(self.project.tree.read(path)).data)
        except (OSError, UnreadableSource, ValueError, RecursionError) as problem:
            raw = self.project.tree.read(path)
            if any(f'"{name}"'.encode() in raw for name in PACKAGES):
                return Member(folder, problem=f"is no JSON: {problem}")
            return None
        if not isinstance(content, dict):
            return None
        member = Member(folder)
        for table in TABLES:
            entries = content.get(table)
            if not isinstance(entries, dict):
                continue
            for name in PACKAGES:
                if isinstance(entries.get(name), str) and name not in member.wanted:
                    member.wanted[name] = table, entries[name]
        if not member.wanted:
            return None
        tree = self.project.tree
        member.markers = [path for path in _HOOKS if f"{folder}{path}" in tree]
        if any(one.startswith(f"{folder}src/live/") for one in tree.files()):
            member.markers.append("src/live/")
        for name, word in (
            ("svelte.config", b"svelte-adapter-uws"),
            ("vite.config", b"svelte-realtime/vite"),
        ):
            for end in ("js", "ts", "mjs"):
                config = f"{folder}{name}.{end}"
                if config in tree and word in tree.read(config):
                    member.markers.append(f"{name}.{end}")
        return member

    def member_of(self, path: str) -> Member | None:
        """Return the npm package of ours that a file belongs to; None if it belongs to none."""
        folder = self.folder_of(path)
        return next((one for one in self.members if one.folder == folder), None)

    def is_hooks(self, path: str) -> bool:
        """Say whether a file is the hooks file of its npm package."""
        folder = self.folder_of(path)
        return path.removeprefix(folder) in _HOOKS and path.startswith(folder)

    # Finding files.

    def resolve(self, module: str, path: str) -> str | None:
        """Return the file of the project that an import in `path` names; None if it is none of them."""
        folder = self.folder_of(path)
        if module.startswith("."):
            bases = [posixpath.normpath(posixpath.join(posixpath.dirname(path), module))]
        elif module == "$lib" or module.startswith("$lib/"):
            bases = [f"{folder}src/lib{module[4:]}"]
        else:
            bases = self._aliased(folder, module)
        for base in bases:
            if base.startswith(".."):
                continue
            for end in _ENDS:
                if f"{base}{end}" in self.project.tree:
                    return f"{base}{end}"
            stem, dot, kind = base.rpartition(".")
            if dot and kind in ("js", "mjs", "jsx"):
                for other in ("ts", "tsx"):
                    if f"{stem}.{other}" in self.project.tree:
                        return f"{stem}.{other}"
        return None

    def _aliased(self, folder: str, module: str) -> list[str]:
        found = []
        for pattern, targets in self._paths(folder).items():
            star = pattern.find("*")
            for target in targets:
                if star < 0 and pattern == module:
                    found.append(posixpath.normpath(f"{folder}{target}"))
                elif star >= 0 and module.startswith(pattern[:star]) and module.endswith(pattern[star + 1 :]):
                    middle = module[star : len(module) - len(pattern[star + 1 :])]
                    found.append(posixpath.normpath(f"{folder}{target.replace('*', middle, 1)}"))
        return found

    def _paths(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._aliases:
            self._aliases[folder] = _paths_of(self.project, folder)
        return self._aliases[folder]

    @cached_property
    def _aliases(self) -> dict[str, dict[str, list[str]]]:
        return {}


def _paths_of(project: Project, folder: str) -> dict[str, list[str]]:
    for name in ("tsconfig.json", "jsconfig.json"):
        path = f"{folder}{name}"
        if path not in project.tree:
            continue
        try:
            content = json.loads(_without_comments(project.tree.read(path).decode()))
            options = content.get("compilerOptions", {})
            base = str(options.get("baseUrl", "."))
            return {
                str(pattern): [posixpath.join(base, str(one)) for one in targets]
                for pattern, targets in options.get("paths", {}).items()
            }
        except (OSError, ValueError, AttributeError, TypeError):
            continue
    return {}


def _without_comments(text: str) -> str:
    """Take comments and trailing commas out of a text of JSON, outside of its strings."""
    parts = re.findall(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|[^"/]+|/', text, re.DOTALL)
    kept = "".join(part for part in parts if not part.startswith(("//", "/*")))
    return re.sub(r",(\s*[}\]])", r"\1", kept)
