"""Requirements on the toolkit, wherever a project declares them. Spec: upgrade 2.1, 3.2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PACKAGE", "WANTED", "Declared", "admits", "declared"]

PACKAGE = "realtime-toolkit"
WANTED = ">=0.5,<0.6"
_NAME = re.compile(r"realtime[-_.]toolkit", re.IGNORECASE)
_POETRY = re.compile(r"""^\s*["']?realtime[-_.]toolkit["']?\s*=(?!=)\s*(.+)$""", re.IGNORECASE)
_VERSIONS_04 = tuple(f"0.4.{patch}" for patch in range(100))
_VERSIONS_05 = tuple(f"0.5.{patch}" for patch in range(100))


@dataclass(frozen=True, slots=True)
class Declared:
    """One requirement on the toolkit.

    Attributes:
        line: in its file, from 1.
        start: first character of the versions in the text; where they would go if there are none.
        end: first character behind them.
        versions: as written, ``~=0.4.20``; empty if any is fine.
        pinned: it has hashes, which belong to one version.
    """

    line: int
    start: int
    end: int
    versions: str
    pinned: bool = False


def _specifiers(versions: str) -> SpecifierSet | None:
    """Read versions, also in the forms of poetry (``^0.4``, ``~0.4.2``, ``0.4.*``)."""
    text = versions.strip()
    parts = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        if part == "*":
            continue
        if part.startswith("^") or (part.startswith("~") and not part.startswith("~=")):
            number = part[1:].strip()
            pieces = [int(one) for one in number.split(".") if one.isdigit()]
            if not pieces:
                return None
            keep = 1 if part[0] == "^" and pieces[0] else 2
            upper = [*pieces, 0, 0][:keep]
            upper[-1] += 1
            parts.append(f">={number},<{'.'.join(map(str, upper))}")
        elif part[0].isdigit():
            parts.append(f"=={part}")
        else:
            parts.append(part)
    try:
        return SpecifierSet(",".join(parts), prereleases=True)
    except InvalidSpecifier:
        return None


def admits(versions: str, line: str) -> bool:
    """Say whether versions admit some release of a line, ``"0.4"`` or ``"0.5"``; True if they cannot be read."""
    found = _specifiers(versions)
    if found is None:
        return True
    return any(found.contains(version) for version in (_VERSIONS_04 if line == "0.4" else _VERSIONS_05))


def declared(text: str) -> Iterator[Declared]:
    """Yield every requirement on the toolkit in a text: of requirement lines, strings of TOML, or poetry's tables."""
    at = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        found = _NAME.search(line)
        comment = line.find("#")
        if found and not (0 <= comment < found.start()):
            yield from _in_line(line, number, at, found.start(), text)
        at += len(line)


def _in_line(line: str, number: int, at: int, start: int, text: str) -> Iterator[Declared]:
    poetry = _POETRY.match(line)
    if poetry:
        value = re.search(r"""version\s*=\s*(["'])(.*?)\1""", line) or re.search(
            r"""=\s*(["'])(.*?)\1""", line
        )
        if value:
            yield Declared(number, at + value.start(2), at + value.end(2), value.group(2))
        return
    before = line[start - 1 : start]
    if before and (before.isalnum() or before in "-_./"):
        return
    quote = before if before in "\"'" else ""
    stop = line.find(quote, start) if quote else len(line.rstrip("\r\n"))
    body = line[start:stop]
    if not quote:
        body = re.split(r"\s+#|\s*\\\s*$|\s+--", body)[0].rstrip()
    try:
        requirement = Requirement(body)
    except InvalidRequirement:
        return
    if requirement.url or canonicalize_name(requirement.name) != PACKAGE:
        return
    head = re.match(r"[\w.-]+\s*(\[[^\]]*\])?", body)
    assert head is not None  # noqa: S101 - it begins with the name
    versions = str(body[head.end() :]).split(";")[0]
    written = versions.strip()
    first = at + start + head.end() + (len(versions) - len(versions.lstrip()) if written else 0)
    pinned = "--hash" in line or (
        line.rstrip().endswith("\\") and "--hash" in text[at : at + len(line) + 400]
    )
    yield Declared(number, first, first + len(written), written.strip("()"), pinned)
