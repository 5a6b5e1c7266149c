"""The ranges of `package.json` admit 0.5, and Node 22. Spec: upgrade 5.3."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.encoded import Encoded, UnreadableSource
from realtime_cli.codemods.finding import Change, Finding, Status
from realtime_cli.codemods.jsonplaces import places
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptparser import has_parser
from realtime_cli.codemods.scriptproject import PACKAGES, TABLES, is_04
from realtime_cli.codemods.splices import Splice, apply_splices, moved_offset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.scriptproject import Member

__all__ = ["Package"]

_RANGE = "^0.5.0"
_NODE = ">=22.0.0"
_SOCKETS = "uWebSockets.js"
_FLOOR = re.compile(r"^\s*(?:>=|\^|~|=)?\s*v?(\d+)")


class Package(ScriptCodemod):
    """Only what asks for 0.4 is edited; lock files are the package manager's."""

    id: ClassVar[str] = "UPJ16"
    title: ClassVar[str] = "package.json: ranges and engines.node"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-05", "S-06")

    def project(self, project: Project) -> Iterator[Finding]:
        """Yield the ranges of each npm package that depends on ours."""
        if not has_parser():
            return
        for member in project.scripts.members:
            yield from self._member(project, member)

    def _member(self, project: Project, member: Member) -> Iterator[Finding]:
        path = f"{member.folder}package.json"
        if member.problem:
            yield self.in_text(
                path, "S-05", Change.FLAG, f"package.json {member.problem}", "mend it, and run again"
            )
            return
        try:
            source = Encoded.utf8(project.tree.read(path))
        except (OSError, UnreadableSource):
            return
        found = list(self._ranges(path, source.data, member))
        splices = [splice for one in found for splice in one.splices]
        data = apply_splices(source.data, splices)
        if splices:
            project.tree.write(path, source.raw(data))
        for one in found:
            yield _placed(one, data, splices)

    def _ranges(self, path: str, data: bytes, member: Member) -> Iterator[Finding]:
        for keys, start, end in places(data):
            value = json.loads(data[start:end])
            if len(keys) != 2:
                if (
                    len(keys) > 2
                    and keys[0] in ("overrides", "pnpm")
                    and keys[-1] in PACKAGES
                    and is_04(value)
                ):
                    yield self._told(path, start, end, f"{keys[-1]} is pinned to {value} here", "admit 0.5")
                continue
            table, name = keys
            if table in TABLES and name in PACKAGES and is_04(value):
                yield self._edit(path, start, end, "S-05", f"{name} {value} is {_RANGE}", _RANGE)
            elif table in ("overrides", "resolutions") and name in PACKAGES and is_04(value):
                yield self._told(
                    path, start, end, f"{name} is pinned to {value} here", "admit 0.5, or take it away"
                )
            elif table in TABLES and name == _SOCKETS and member.is_04:
                yield self._told(
                    path, start, end, f"{_SOCKETS} is pinned to {value}", "0.5 is made for v20.67.0"
                )
            elif keys == ("engines", "node") and _below_22(value):
                yield self._edit(path, start, end, "S-06", f"Node {value} is {_NODE}", _NODE)

    def _edit(self, path: str, start: int, end: int, row: str, message: str, value: str) -> Finding:
        splice = Splice(start, end, json.dumps(value).encode())
        return Finding(
            self.id, row, Change.AUTO, path, start, end, message, splices=(splice,), status=Status.EDITED
        )

    def _told(self, path: str, start: int, end: int, message: str, advice: str) -> Finding:
        return self.in_text(path, "S-05", Change.FLAG, message, advice, start=start, end=end)


def _below_22(wanted: str) -> bool:
    floors = [_FLOOR.match(part) for part in wanted.split("||")]
    numbers = [int(one[1]) for one in floors if one is not None]
    return bool(numbers) and min(numbers) < 22


def _placed(one: Finding, data: bytes, splices: list[Splice]) -> Finding:
    """Give a finding the line and column that its place has in the new text."""
    from dataclasses import replace

    start = moved_offset(one.start, splices)
    line = data.count(b"\n", 0, start) + 1
    col = len(data[data.rfind(b"\n", 0, start) + 1 : start].decode(errors="replace")) + 1
    return replace(one, start=start, end=start, line=line, col=col, end_line=line, end_col=col)
