"""JSON that is no call has a hook of its own, which gets it parsed. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.arguments import argument
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.definitions import body_nodes, function_of
from realtime_cli.codemods.finding import Change, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["UnhandledJson"]

_PARSERS = ("json.loads", "orjson.loads", "ujson.loads", "msgspec.json.decode", "simplejson.loads")


class UnhandledJson(Codemod):
    """`on_unhandled` functions that parse the frame themselves."""

    id: ClassVar[str] = "UPG127"
    title: ClassVar[str] = "JSON in on_unhandled"
    change: ClassVar[Change] = Change.FLAG
    rows: ClassVar[tuple[str, ...]] = ("R-07",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"on_unhandled",)

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each such function once."""
        for call in file.calls("create_message"):
            given = argument(call, "on_unhandled")
            if given is None or not file.names.is_a(call.func, "runtime.create_message"):
                continue
            found = function_of(file, given.value)
            if found is None:
                continue
            where, function = found
            parsing = [
                one
                for one in body_nodes(where, function, cst.Call)
                if isinstance(one, cst.Call) and where.names.is_a(one.func, *_PARSERS)
            ]
            if parsing:
                yield self.flag(
                    file,
                    parsing[0] if where is file else given,
                    "R-07",
                    f"{file.text(given.value)} parses the JSON of frames itself, of any depth",
                    "give it as on_json_message(ws, msg, platform): msg is parsed, and at most 64 levels deep",
                )
