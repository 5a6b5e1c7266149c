"""`platform.subscribe` and `platform.checkSubscribe` of scripts return promises. Spec: upgrade 3.4, 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptfile import property_of
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["ScriptAwaits"]

_CALLS = ("@platform.subscribe", "@platform.checkSubscribe")
_WAITS = frozenset({"then", "catch", "finally"})


class ScriptAwaits(ScriptCodemod):
    """A promise that nobody waits for is always true: a denial is taken for a permission."""

    id: ClassVar[str] = "UPJ14"
    title: ClassVar[str] = "await platform.subscribe, platform.checkSubscribe"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-24", "S-25")
    tokens: ClassVar[tuple[bytes, ...]] = (b"ubscribe",)

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield the calls that nothing waits for, and subscriptions that go past the gate."""
        for call, meaning in file.names.calls(*_CALLS):
            if not self._is_awaited(file, call):
                yield self._call(file, call, meaning.rpartition(".")[2])
        for call, _ in file.names.calls("@ws.subscribe"):
            yield self.told(
                file,
                call,
                "S-25",
                "ws.subscribe(topic) goes past the subscribe gate",
                "await platform.subscribe(ws, topic) instead; anything but null is a denial",
            )

    def _is_awaited(self, file: ScriptFile, call: Node) -> bool:
        above = file.parent(call)
        while above is not None and above.type == "parenthesized_expression":
            above = file.parent(above)
        if above is None or above.type == "await_expression":
            return above is not None
        if above.type == "member_expression" and property_of(above) in _WAITS:
            return True
        if above.type == "unary_expression" and file.text(above).startswith("void"):
            return True
        return above.type in ("arguments", "array")

    def _call(self, file: ScriptFile, call: Node, name: str) -> Finding:
        message = f"platform.{name}() returns a promise"
        if not file.is_async(call):
            return self.told(
                file, call, "S-24", message, "make the function async and await it", severity=Severity.ERROR
            )
        above = file.parent(call)
        start, end = file.span(call)
        if above is not None and above.type in (
            "member_expression",
            "subscript_expression",
            "call_expression",
        ):
            if not file.may_open_with_parenthesis(call):
                return self.told(file, call, "S-24", message, "await it", severity=Severity.ERROR)
            splices = [Splice(start, start, b"(await "), Splice(end, end, b")")]
        else:
            splices = [file.before(call, "await ")]
        return self.rewritten(file, call, "S-24", message, splices)
