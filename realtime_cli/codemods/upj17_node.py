"""Images and continuous integration run Node 22. Spec: upgrade 5.3."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.encoded import Encoded, UnreadableSource
from realtime_cli.codemods.finding import Change, Finding, Status
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptparser import has_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project

__all__ = ["Node22"]

_FROM = re.compile(
    rb"(?i)^(\s*FROM\s+(?:--platform=\S+\s+)?(?:\S+/)?node:)(\d+)((?:\.\d+)*)((?:-[\w.]+)?\s*(?:\s+AS\s+\S+\s*)?)$"
)
_VERSION = re.compile(rb"""^(\s*-?\s*node-version\s*:\s*["']?)(\d+)((?:\.[\dx]+)*)(["']?\s*(?:#.*)?)$""")
_LIST = re.compile(rb"^(\s*-?\s*node(?:-version)?\s*:\s*\[)([^\]]*)(\].*)$")
_IMAGE = re.compile(
    rb"""^(\s*image\s*:\s*["']?(?:\S+/)?node:)(\d+)((?:\.\d+)*)((?:-[\w.]+)?["']?\s*(?:#.*)?)$"""
)


class Node22(ScriptCodemod):
    """Lines are edited, files never written anew; a person looks at what else the image brings."""

    id: ClassVar[str] = "UPJ17"
    title: ClassVar[str] = "Dockerfile and CI: Node 22"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("S-06",)

    def project(self, project: Project) -> Iterator[Finding]:
        """Yield the lines that ask for an older Node, if the project has an npm package of ours."""
        if not has_parser() or not project.scripts.members:
            return
        for path in project.tree.files():
            name = path.rpartition("/")[2]
            is_image = any(fnmatch(name, one) for one in ("Dockerfile*", "*.dockerfile", "Containerfile*"))
            if is_image or name.endswith((".yml", ".yaml")):
                yield from self._file(project, path, is_image=is_image)

    def _file(self, project: Project, path: str, *, is_image: bool) -> Iterator[Finding]:
        try:
            source = Encoded.utf8(project.tree.read(path))
        except (OSError, UnreadableSource):
            return
        lines = source.data.splitlines(keepends=True)
        written: list[bytes] = []
        found: list[Finding] = []
        for line in lines:
            bare = line.rstrip(b"\r\n")
            new, old = _newer(bare, is_image=is_image)
            if new != bare:
                margin = bare[: len(bare) - len(bare.lstrip())]
                end = line[len(bare) :] or b"\n"
                todo = f"# TODO(realtime-upgrade {self.id}): 0.5 needs Node 22 or newer; was {old}"
                written += [margin + todo.encode() + end, new + line[len(bare) :]]
                found.append(self._line(path, len(written), f"Node {old} is 22", Status.TODO))
                continue
            if f"TODO(realtime-upgrade {self.id})".encode() in bare:
                found.append(self._line(path, len(written) + 2, "Node 22, to look at", Status.OPEN))
            written.append(line)
        if any(one.status is Status.TODO for one in found):
            project.tree.write(path, source.raw(b"".join(written)))
        yield from found

    def _line(self, path: str, line: int, message: str, status: Status) -> Finding:
        return Finding(
            self.id,
            "S-06",
            Change.ASSISTED,
            path,
            0,
            0,
            message,
            "see that the image and the steps work with Node 22",
            status=status,
            line=line,
            col=1,
            end_line=line,
            end_col=1,
        )


def _newer(line: bytes, *, is_image: bool) -> tuple[bytes, str]:
    """Return a line with Node 22 in it, and what it had; the same line if it asks for nothing older."""
    for pattern in (_FROM,) if is_image else (_VERSION, _IMAGE):
        found = pattern.match(line)
        if found and int(found[2]) < 22:
            return found[1] + b"22" + found[4], (found[2] + found[3]).decode()
    listed = None if is_image else _LIST.match(line)
    if listed:
        parts = re.split(rb"(\s*,\s*)", listed[2])
        new = [_entry(one) if index % 2 == 0 else one for index, one in enumerate(parts)]
        kept: list[bytes] = []
        for index in range(0, len(new), 2):
            if new[index].strip() not in [one.strip() for one in kept]:
                kept.append(new[index])
        if new != parts:
            return listed[1] + b", ".join(one.strip() for one in kept) + listed[3], listed[2].decode(
                errors="replace"
            )
    return line, ""


def _entry(text: bytes) -> bytes:
    found = re.fullmatch(rb"""(\s*["']?)(\d+)((?:\.[\dx]+)*)(["']?\s*)""", text)
    if found and int(found[2]) < 22:
        return found[1] + (b"22.x" if found[3] == b".x" else b"22") + found[4]
    return text
