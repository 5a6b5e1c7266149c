"""Requirements on the toolkit and on Python. Spec: upgrade 3.2."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from typing import TYPE_CHECKING, ClassVar

import tomlkit
from tomlkit.exceptions import TOMLKitError

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding, Severity, Status
from realtime_cli.codemods.requirements import PACKAGE, WANTED, admits, declared
from realtime_cli.codemods.splices import Splice, apply_splices, moved_offset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project

__all__ = ["Versions"]

_LOCKS = {
    "poetry.lock": "poetry lock",
    "pdm.lock": "pdm lock",
    "uv.lock": "uv lock",
    "Pipfile.lock": "pipenv lock",
    "pylock.toml": "the tool that wrote it",
}
_FLOOR = re.compile(r"(>=|~=|\^|==|>)\s*(\d+)(?:\.(\d+))?(?:\.(?:\d+|\*))*")


class Versions(Codemod):
    """Requirements that cannot admit 0.5 ask for it; a floor of Python below 3.11 is 3.11."""

    id: ClassVar[str] = "UPG103"
    title: ClassVar[str] = "requirements on the toolkit and on Python"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-05", "S-06")
    layout: ClassVar[bool] = True

    def project(self, project: Project) -> Iterator[Finding]:
        """Edit each file that declares one."""
        tree = project.tree
        for path in tree.files("pyproject.toml", ".txt", "setup.cfg"):
            name = path.rpartition("/")[2]
            if (
                name in ("pyproject.toml", "setup.cfg")
                or fnmatch(name, "requirements*.txt")
                or fnmatch(name, "constraints*.txt")
            ):
                yield from self._file(project, path)
        for path in tree.files("setup.py"):
            if PACKAGE.encode() in tree.read(path):
                yield self.in_text(
                    path,
                    "S-05",
                    Change.FLAG,
                    f"setup.py asks for {PACKAGE}",
                    f"ask for {PACKAGE}{WANTED} there; Python files that install are not edited",
                )

    def _file(self, project: Project, path: str) -> Iterator[Finding]:
        tree = project.tree
        text = project.text(path)
        if text is None:
            return
        raw = text.encode()
        splices: list[Splice] = []
        found: list[Finding] = []
        for one in declared(text):
            if admits(one.versions, "0.5"):
                continue
            start, end = (len(text[:at].encode()) for at in (one.start, one.end))
            if one.pinned:
                found.append(
                    self.in_text(
                        path,
                        "S-05",
                        Change.FLAG,
                        f"{PACKAGE}{one.versions} is pinned with hashes",
                        "make this file anew with the tool that wrote it",
                        start=start,
                        end=end,
                        severity=Severity.ERROR,
                    )
                )
                continue
            splices.append(Splice(start, end, WANTED.encode()))
            found.append(
                self._edit(path, "S-05", f"{PACKAGE}{one.versions} asks for {WANTED} now", start, end)
            )
        splices += self._python(path, text, found)
        if splices:
            after = apply_splices(raw, splices)
            if path.endswith(".toml") and not _same_but(text, after.decode()):
                return
            tree.write(path, after)
            yield from self._locks(project, path)
        for finding in found:
            yield _placed(finding, raw, splices)

    def _python(self, path: str, text: str, found: list[Finding]) -> Iterator[Splice]:
        for start, versions in _python_requirements(path, text):
            floor = _FLOOR.search(versions)
            if floor is None or (floor.group(1) in ("==",) and "*" not in floor.group(0)):
                continue
            major, minor = int(floor.group(2)), int(floor.group(3) or 0)
            if (major, minor) >= (3, 11) or (floor.group(1) == ">" and (major, minor) >= (3, 10)):
                continue
            operator = "^" if floor.group(1) == "^" else ">="
            first = len(text[: start + floor.start()].encode())
            last = len(text[: start + floor.end()].encode())
            found.append(
                self._edit(path, "S-06", f"Python {floor.group(0)} is {operator}3.11 now", first, last)
            )
            yield Splice(first, last, f"{operator}3.11".encode())

    def _edit(self, path: str, row: str, message: str, start: int, end: int) -> Finding:
        one = self.in_text(path, row, Change.AUTO, message, start=start, end=end)
        return Finding(one.codemod, one.row, one.change, one.path, start, end, message, status=Status.EDITED)

    def _locks(self, project: Project, path: str) -> Iterator[Finding]:
        folder = path.rpartition("/")[0]
        for name, command in _LOCKS.items():
            lock = f"{folder}/{name}" if folder else name
            if (project.tree.root / lock).is_file():
                yield self.in_text(
                    lock, "S-05", Change.FLAG, "the lock file names 0.4", f"make it anew: {command}"
                )


def _python_requirements(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield where the value of a requirement on Python begins, and the value."""
    name = path.rpartition("/")[2]
    if name == "setup.cfg":
        pattern = re.compile(r"^python_requires\s*=\s*(.*)$", re.MULTILINE)
    elif name == "pyproject.toml":
        pattern = re.compile(r"""^(?:requires-python|python)\s*=\s*["']([^"'\n]*)["']""", re.MULTILINE)
    else:
        return
    for one in pattern.finditer(text):
        yield one.start(1), one.group(1)


def _same_but(before: str, after: str) -> bool:
    """Say whether two TOML documents differ in strings only, key by key."""
    try:
        old, new = tomlkit.parse(before).unwrap(), tomlkit.parse(after).unwrap()
    except TOMLKitError:
        return False
    return _shape(old) == _shape(new)


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shape(one) for one in value]
    if isinstance(value, str) and (
        PACKAGE in value.lower().replace("_", "-") or re.match(r"[\^~<>=\d]", value)
    ):
        return str
    return value


def _placed(one: Finding, raw: bytes, splices: list[Splice]) -> Finding:
    from dataclasses import replace

    after = apply_splices(raw, splices)
    start = moved_offset(one.start, splices, end=True)
    line = after.count(b"\n", 0, start) + 1
    col = len(after[after.rfind(b"\n", 0, start) + 1 : start].decode(errors="replace")) + 1
    return replace(one, line=line, col=col, end_line=line, end_col=col)
