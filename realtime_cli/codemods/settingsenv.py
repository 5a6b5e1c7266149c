"""Variables of 0.4 (`REALTIME_PORT`) in env files, compose files, Dockerfiles and CI. Spec: upgrade 1.5 P-04, 3.2."""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from realtime_cli.codemods.finding import Change, Finding, Severity, Status
from realtime_cli.codemods.settingsmap import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.codemod import Codemod
    from realtime_cli.codemods.project import Project

__all__ = ["environment_files", "new_variable"]

_NAMES = (".env*", "*.env", "Dockerfile*", "*.dockerfile", "Containerfile*", "*.yml", "*.yaml")
_FLAT = re.compile(rb"\bREALTIME_([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)\b(?=\s*[=:])")
_LIMIT = re.compile(
    rb"^\s*(?:-\s*|ENV\s+|export\s+)?(?:REALTIME_)?BODY_SIZE_LIMIT\s*[=:]\s*[\"']?(-\d|Infinity|inf)"
)
_TODO = b"# TODO(realtime-upgrade UPG102): "


def new_variable(flat: str) -> str | None:
    """Return the variable of 0.5 for the part behind ``REALTIME_`` of one of 0.4; None if it is none."""
    known = KEYS.get(flat.lower())
    return f"REALTIME_{known[0].upper()}__{known[1].upper()}" if known is not None else None


def environment_files(codemod: Codemod, project: Project) -> Iterator[Finding]:
    """Rename variables in the lines of such files, each line with a TODO above it."""
    tree = project.tree
    for path in tree.files():
        name = path.rpartition("/")[2]
        if not any(fnmatch(name, pattern) for pattern in _NAMES):
            continue
        raw = tree.read(path)
        if b"REALTIME_" not in raw and b"BODY_SIZE_LIMIT" not in raw:
            continue
        lines = raw.splitlines(keepends=True)
        out: list[bytes] = []
        for line in lines:
            before = out[-1] if out else b""
            yield from _limit(codemod, path, line, len(out) + 1)
            changed = _FLAT.sub(_renamed, line)
            if changed == line or line.lstrip().startswith(b"#"):
                out.append(line)
                continue
            old = _first_old(line)
            margin = line[: len(line) - len(line.lstrip(b" \t"))]
            end = b"\r\n" if line.endswith(b"\r\n") else b"\n"
            if not (before.rstrip().endswith(b"\\")):  # a comment would end a continued line
                out.append(
                    margin
                    + _TODO
                    + b"was "
                    + old
                    + b"; see that whatever sets it does so by the new name"
                    + end
                )
            out.append(changed)
            one = codemod.in_text(
                path,
                "P-04",
                Change.ASSISTED,
                f"{old.decode()} has a new name",
                "see that whatever sets it does so by the new name",
            )
            yield replace(
                one, status=Status.TODO, line=len(out), col=1, end_line=len(out), end_col=len(changed)
            )
        if b"".join(out) != raw:
            tree.write(path, b"".join(out))


def _renamed(found: re.Match[bytes]) -> bytes:
    new = new_variable(found.group(1).decode())
    return new.encode() if new is not None else found.group()


def _first_old(line: bytes) -> bytes:
    for found in _FLAT.finditer(line):
        if new_variable(found.group(1).decode()) is not None:
            return found.group()
    return b""


def _limit(codemod: Codemod, path: str, line: bytes, number: int) -> Iterator[Finding]:
    if _LIMIT.match(line):
        one = codemod.in_text(
            path,
            "C-22",
            Change.FLAG,
            "a body limit below zero, or infinite, is an error in 0.5",
            "0 means unlimited; better is a number",
            severity=Severity.ERROR,
        )
        yield replace(one, line=number, col=1, end_line=number, end_col=1)
