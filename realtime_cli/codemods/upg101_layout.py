"""The hooks file gets its new name, and `src/` is left. Spec: upgrade 3.2."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding, Severity, Status
from realtime_cli.codemods.names import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.pythonfile import PythonFile
    from realtime_cli.codemods.splices import Splice

__all__ = ["Layout"]

_PREFIXES = (("src.live", "live"), ("src.hooks_ws", "hooks"), ("hooks_ws", "hooks"))
_LEAVES = re.compile(rb"^[ \t]*from[ \t]+\.\.", re.MULTILINE)


class Layout(Codemod):
    """`hooks_ws.py` is `hooks.py`, `src/live` is `live`; those who import them follow."""

    id: ClassVar[str] = "UPG101"
    title: ClassVar[str] = "hooks.py, live/ at the root"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-01", "S-02", "P-05")
    tokens: ClassVar[tuple[bytes, ...]] = (b"hooks_ws", b"src.live", b"from src import")
    layout: ClassVar[bool] = True

    def project(self, project: Project) -> Iterator[Finding]:
        """Plan the moves."""
        yield from self._hooks(project)
        yield from self._live(project)

    def _hooks(self, project: Project) -> Iterator[Finding]:
        tree = project.tree
        for old, row in (("hooks_ws.py", "S-01"), ("src/hooks_ws.py", "S-02")):
            if (tree.root / old).is_symlink():
                yield self._refuse(old, row, "is a symbolic link", "move it by hand")
                continue
            if old not in tree:
                continue
            if "hooks.py" in tree:
                if tree.read("hooks.py") == tree.read(old):
                    tree.remove(old)
                    yield self._moved(old, row, f"{old} was a copy of hooks.py")
                    continue
                yield self._refuse(
                    old, row, "hooks.py is there already and differs", "make one file hooks.py of both"
                )
            elif row == "S-02" and _packs_src(project):
                yield self._refuse(old, row, "pyproject.toml packs the package src", "move it by hand")
            else:
                tree.move(old, "hooks.py")
                yield self._moved("hooks.py", row, f"{old} is hooks.py now")

    def _live(self, project: Project) -> Iterator[Finding]:
        tree = project.tree
        folder = tree.root / "src" / "live"
        if not folder.is_dir() or not any(folder.rglob("*.py")):
            return  # there is none, or it is that of a SvelteKit app
        if folder.is_symlink():
            yield self._refuse("src/live", "S-02", "is a symbolic link", "move it by hand")
            return
        if (tree.root / "live").exists():
            yield self._refuse(
                "src/live", "S-02", "live and src/live are both there", "make one folder of both"
            )
            return
        if _packs_src(project):
            yield self._refuse("src/live", "S-02", "pyproject.toml packs the package src", "move it by hand")
            return
        files = [
            path.relative_to(tree.root).as_posix()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        ]
        if any(path.endswith((".js", ".ts")) for path in files) and project.scripts.members:
            yield self._refuse(
                "src/live", "S-02", "holds modules in Python and in JavaScript", "part them by hand"
            )
            return
        for path in files:
            if (
                path.endswith(".py")
                and path.count("/") == 2
                and _LEAVES.search((tree.root / path).read_bytes())
            ):
                yield self._refuse(
                    path,
                    "S-02",
                    "a relative import leads out of src/live",
                    "write it from the root, then run again",
                )
                return
        for path in files:
            tree.adopt(path)
            tree.move(path, path.removeprefix("src/"))
            yield self._moved(path.removeprefix("src/"), "S-02", f"{path} is {path.removeprefix('src/')} now")

    def _moved(self, path: str, row: str, message: str) -> Finding:
        one = self.in_text(path, row, Change.AUTO, message)
        return replace(one, status=Status.EDITED)

    def _refuse(self, path: str, row: str, message: str, advice: str) -> Finding:
        return self.in_text(path, row, Change.FLAG, message, advice, severity=Severity.ERROR)

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Let imports follow."""
        prefixes = [
            (old, new) for old, new in _PREFIXES if not file.project.owns(old) and file.project.owns(new)
        ]
        for node in file.nodes(cst.ImportFrom):
            yield from self._from(file, node, prefixes)
        for statement in file.nodes(cst.Import):
            for alias in statement.names:
                yield from self._import(file, statement, alias, prefixes)
        yield from self._patches(file, prefixes)

    def _from(
        self, file: PythonFile, node: cst.ImportFrom, prefixes: list[tuple[str, str]]
    ) -> Iterator[Finding]:
        base = file.names.import_base(node)
        new = _renamed(base, prefixes)
        row = "P-05" if base.startswith("src") else "S-01"
        if new is not None and node.module is not None and not node.relative:
            yield self.auto(file, node, row, f"{base} is {new} now", [file.replace(node.module, new)])
            return
        if isinstance(node.names, cst.ImportStar):
            return
        for alias in node.names:
            full = f"{base}.{alias.evaluated_name}".lstrip(".")
            moved = _renamed(full, prefixes)
            if moved is None or full not in (old for old, _ in prefixes):
                continue
            if node.relative and "." not in moved:
                yield self.auto(file, alias, row, f"{full} is {moved} now", self._local(file, alias, moved))
            elif len(node.names) == 1:
                tail = f" as {alias.evaluated_alias}" if alias.asname is not None else ""
                local = alias.evaluated_alias or alias.evaluated_name
                if not tail and local != moved:
                    tail = f" as {local}"
                yield self.auto(
                    file, node, row, f"{full} is {moved} now", [file.replace(node, f"import {moved}{tail}")]
                )
            else:
                yield self.flag(
                    file,
                    alias,
                    row,
                    f"{full} is {moved} now",
                    f"import {moved} by itself",
                    severity=Severity.ERROR,
                )

    def _import(
        self, file: PythonFile, statement: cst.Import, alias: cst.ImportAlias, prefixes: list[tuple[str, str]]
    ) -> Iterator[Finding]:
        full = dotted(alias.name) or ""
        new = _renamed(full, prefixes)
        if new is None:
            return
        row = "P-05" if full.startswith("src") else "S-01"
        message = f"{full} is {new} now"
        if alias.asname is not None:
            yield self.auto(file, statement, row, message, [file.replace(alias.name, new)])
        elif "." not in full:
            yield self.auto(file, statement, row, message, self._local(file, alias, new))
        else:
            uses = [node for node in file.nodes(cst.Attribute) if dotted(node) == full and file.scope(node)]
            first = new.partition(".")[0]
            scope = file.scope(alias)
            if scope is not None and first in scope:
                yield self.flag(
                    file, statement, row, message, f"import {new} under another name", severity=Severity.ERROR
                )
                return
            splices = [file.replace(alias.name, new), *(file.replace(node, new) for node in uses)]
            yield self.auto(file, statement, row, message, splices)

    def _local(self, file: PythonFile, alias: cst.ImportAlias, new: str) -> list[Splice]:
        """Return the replacements of an imported module and of all that reads it."""
        local = alias.evaluated_alias or alias.evaluated_name
        if alias.asname is not None:
            return [file.replace(alias.name, new)]
        scope = file.scope(alias)
        if scope is None or new in scope:
            return [file.replace(alias.name, f"{new} as {local}")]
        reads = [
            access.node
            for one in scope[local]
            for access in one.references
            if any(new in seen for seen in (access.scope,))
        ]
        if reads:
            return [file.replace(alias.name, f"{new} as {local}")]
        splices = {file.replace(alias.name, new)}
        for one in scope[local]:
            for access in one.references:
                node: cst.CSTNode = access.node
                while isinstance(node, cst.Attribute):
                    node = node.value
                if isinstance(node, cst.Name):
                    splices.add(file.replace(node, new))
        return sorted(splices)

    def _patches(self, file: PythonFile, prefixes: list[tuple[str, str]]) -> Iterator[Finding]:
        for string in file.nodes(cst.SimpleString):
            text = str(string.evaluated_value)
            new = _renamed(text, prefixes)
            if new is None or "." not in text:
                continue
            call = next((above for above in file.around(string) if isinstance(above, cst.Call)), None)
            name = (dotted(call.func) or "").rpartition(".")[2] if call is not None else ""
            if name in ("patch", "setattr"):
                yield self.assisted(
                    file,
                    string,
                    "S-01",
                    f"{text} is patched by its path",
                    f"the path is {new} in 0.5",
                    [file.replace(string, string.value.replace(text, new))],
                )
            elif name == "import_module":
                yield self.flag(file, string, "S-01", f"{text} is imported by its name", f"it is {new} now")


def _renamed(path: str, prefixes: list[tuple[str, str]]) -> str | None:
    for old, new in prefixes:
        if path == old or path.startswith(f"{old}."):
            return new + path[len(old) :]
    return None


def _packs_src(project: Project) -> bool:
    """Say whether the build of the project takes `src` as a package."""
    if "pyproject.toml" not in project.tree:
        return False
    try:
        document = tomllib.loads(project.tree.read("pyproject.toml").decode())
    except ValueError:
        return False

    def names(value: object) -> bool:
        if isinstance(value, dict):
            return any((key == "packages" and _names_src(one)) or names(one) for key, one in value.items())
        return False

    return names(document.get("tool", {}))


def _names_src(value: object) -> bool:
    if isinstance(value, list):
        return any(_names_src(one) for one in value)
    if isinstance(value, dict):
        return any(_names_src(one) for one in value.values())
    return isinstance(value, str) and (value == "src" or value.startswith("src."))
