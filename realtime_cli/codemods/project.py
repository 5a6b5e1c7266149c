"""The project that is upgraded: its files as they will be, and how they import each other. Spec: upgrade 3.1, 4.1."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from realtime_cli.codemods.encoded import Encoded, UnreadableSource
from realtime_cli.codemods.importgraph import ImportGraph
from realtime_cli.codemods.outline import Outline
from realtime_cli.codemods.pythonfile import BrokenSource, PythonFile
from realtime_cli.codemods.scriptproject import ScriptProject

__all__ = ["Options", "Project", "Tree", "digest"]


def digest(raw: bytes) -> str:
    """Return the SHA-256 of a content, in hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose about codemods that have a choice."""

    pin_defaults: bool = False
    postgres: str = "pin"
    interactive: bool = False


@dataclass(slots=True)
class Tree:
    """The files below the project, as on disk and with what the plan changes.

    Attributes:
        root: the project folder.
        paths: the files that may be looked at, below `root`, with ``/``, sorted.
        changed: new content by path; `None` for a file that goes.
        moves: old path by new path.
        originals: the hash of what was on disk when a file was first changed; None if it was not there.
    """

    root: Path
    paths: list[str]
    changed: dict[str, bytes | None] = field(default_factory=dict)
    moves: dict[str, str] = field(default_factory=dict)
    originals: dict[str, str | None] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._known = set(self.paths)

    def __contains__(self, path: str) -> bool:
        if path in self.changed:
            return self.changed[path] is not None
        return path in self._known

    def read(self, path: str) -> bytes:
        """Return the content of a file as it will be; raises `OSError` if there is none."""
        if path in self.changed:
            raw = self.changed[path]
            if raw is None:
                raise FileNotFoundError(path)
            return raw
        return (self.root / path).read_bytes()

    def on_disk(self, path: str) -> bytes | None:
        """Return the content that the file has now; None if there is none."""
        old = self.root / path
        return old.read_bytes() if old.is_file() else None

    def write(self, path: str, raw: bytes) -> None:
        """Plan new content for a file, which may be a new one."""
        self._remember(path)
        if path in self._known and raw == (self.root / path).read_bytes() and path not in self.moves:
            self.changed.pop(path, None)
        else:
            self.changed[path] = raw

    def remove(self, path: str) -> None:
        """Plan that a file goes."""
        self.moves.pop(path, None)
        self._remember(path)
        if path in self._known:
            self.changed[path] = None
        else:
            self.changed.pop(path, None)

    def move(self, old: str, new: str) -> None:
        """Plan that a file gets another name; later edits concern the new one."""
        raw = self.read(old)
        origin = self.moves.get(old, old)
        self.remove(old)
        self._remember(new)
        self.changed[new] = raw
        if origin in self._known:
            self.moves[new] = origin

    def _remember(self, path: str) -> None:
        if path not in self.originals:
            raw = self.on_disk(path)
            self.originals[path] = None if raw is None else digest(raw)

    def adopt(self, path: str) -> None:
        """Count a file as one of the project, which the scan left out for its name."""
        if path not in self._known:
            self._known.add(path)
            self.paths = sorted([*self.paths, path])

    def copy(self) -> Tree:
        """Return what is planned now, apart from what is planned later."""
        return replace(
            self,
            paths=list(self.paths),
            changed=dict(self.changed),
            moves=dict(self.moves),
            originals=dict(self.originals),
        )

    def go_back(self, earlier: Tree) -> None:
        """Plan what was planned when `earlier` was copied, and nothing else."""
        self.paths, self._known = list(earlier.paths), set(earlier.paths)
        self.changed, self.moves = dict(earlier.changed), dict(earlier.moves)
        self.originals = dict(earlier.originals)

    def since(self, earlier: Tree) -> list[tuple[str, bytes | None, bytes | None]]:
        """Return path, content before and content now of what was planned since `earlier` was copied."""
        paths = sorted(self.changed.keys() | earlier.changed.keys())
        both = [
            (path, earlier.read(path) if path in earlier else None, self.read(path) if path in self else None)
            for path in paths
        ]
        return [one for one in both if one[1] != one[2]]

    def files(self, *suffixes: str) -> list[str]:
        """Return the paths of the files that will be there, sorted; with `suffixes` only those that end so."""
        every = {path for path in (*self.paths, *self.changed) if path in self}
        return sorted(path for path in every if not suffixes or path.endswith(suffixes))


@dataclass(eq=False)
class Project:
    """What codemods see beyond one file.

    Attributes:
        tree: the files. Codemods of one file read it (other files as they are after the layout codemods);
            only `Codemod.project` changes it.
        options: what the user chose.
        kind: ``python``, ``javascript`` or ``both``.
        shared: what a layout codemod found out on the whole project, for its own look at each file; by its id.
        unread: why a file that is neither Python nor a script could not be looked at, by its path.
        following: whether a name is just being followed from one outline to the next.
    """

    tree: Tree
    options: Options = field(default_factory=Options)
    kind: str = "python"
    shared: dict[str, object] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    following: bool = field(default=False, init=False)
    _parsed: dict[str, PythonFile | None] = field(default_factory=dict)
    _outlines: dict[str, Outline | None] = field(default_factory=dict)

    @property
    def hooks_path(self) -> str | None:
        """The file of the hooks, before or after its move; None if there is none."""
        for path in ("hooks.py", "hooks_ws.py", "src/hooks_ws.py"):
            if path in self.tree:
                return path
        return None

    @cached_property
    def _roots(self) -> tuple[str, ...]:
        """Folders from which modules are imported; the project itself last."""
        has_src = (
            any(path.startswith("src/") for path in self.tree.paths) and "src/__init__.py" not in self.tree
        )
        return ("src/", "") if has_src else ("",)

    def module_of(self, path: str) -> str:
        """Return the dotted name of a Python file, as the project imports it."""
        for root in self._roots:
            if path.startswith(root):
                path = path.removeprefix(root)
                break
        parts = list(PurePosixPath(path).with_suffix("").parts)
        if parts and parts[-1] == "__init__":
            parts.pop()
        return ".".join(parts)

    def path_of(self, module: str) -> str | None:
        """Return the file of a module of the project; None if it is none of its."""
        base = module.replace(".", "/")
        for root in dict.fromkeys((*self._roots, "")):
            for path in (f"{root}{base}.py", f"{root}{base}/__init__.py"):
                if path in self.tree:
                    return path
        return None

    def owns(self, module: str) -> bool:
        """Say whether a dotted name is a module or package of the project itself."""
        if self.path_of(module) is not None:
            return True
        return module in self._packages

    @cached_property
    def _packages(self) -> set[str]:
        found = set()
        for path in self.tree.files(".py"):
            name = self.module_of(path)
            while "." in name:
                name = name.rpartition(".")[0]
                found.add(name)
        return found

    def file(self, path: str) -> PythonFile | None:
        """Return a Python file parsed; None if it is not there or does not parse. Kept until `forget`."""
        if path not in self._parsed:
            try:
                parsed = PythonFile(self, path, Encoded.python(self.tree.read(path)))
                parsed.prepare()
                self._parsed[path] = parsed
            except (OSError, UnreadableSource, BrokenSource):
                self._parsed[path] = None
        return self._parsed[path]

    def text(self, path: str) -> str | None:
        """Return the text of a file of another kind; None if it is not there or no UTF-8, which is noted."""
        try:
            return self.tree.read(path).decode()
        except UnicodeDecodeError:
            self.unread[path] = "is not utf-8"
        except OSError:
            pass
        return None

    def outline(self, path: str) -> Outline | None:
        """Return what others get from a Python file; None if it is not there or does not parse. Kept until `forget`."""
        if path not in self._outlines:
            try:
                data = Encoded.python(self.tree.read(path)).data
                self._outlines[path] = Outline(self, path, data)
            except (OSError, UnreadableSource, SyntaxError, ValueError, RecursionError, MemoryError):
                self._outlines[path] = None
        return self._outlines[path]

    def module(self, name: str) -> PythonFile | None:
        """Return the parsed file of a module of the project."""
        path = self.path_of(name)
        return self.file(path) if path is not None else None

    @cached_property
    def imports(self) -> ImportGraph:
        """Which Python files import which. Kept until `forget`."""
        return ImportGraph(self)

    @cached_property
    def scripts(self) -> ScriptProject:
        """The JavaScript side of the project. Kept until `forget`."""
        return ScriptProject(self)

    def forget(self) -> None:
        """Parse again what is asked for next: the tree has changed."""
        self._parsed.clear()
        self._outlines.clear()
        for cached in ("_packages", "_roots", "imports", "scripts"):
            self.__dict__.pop(cached, None)

    def mentions(self, *tokens: bytes, suffixes: tuple[str, ...] = (".py",)) -> list[str]:
        """Return the paths of the files whose bytes hold one of `tokens`."""
        found = []
        for path in self.tree.files(*suffixes):
            try:
                raw = self.tree.read(path)
            except OSError:
                continue
            if any(token in raw for token in tokens):
                found.append(path)
        return found
