"""`onLeave` of a room is told which topic. Spec: upgrade 3.4, 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptnames import arguments
from realtime_cli.codemods.scriptobjects import entry, value_of
from realtime_cli.codemods.scriptscopes import parameters, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile
    from realtime_cli.codemods.splices import Splice

__all__ = ["OnLeave"]

_MESSAGE = "onLeave gets the topic as its second argument"


class OnLeave(ScriptCodemod):
    """The function gets a parameter for it; one that is used elsewhere, too, stays: it ignores the argument."""

    id: ClassVar[str] = "UPJ13"
    title: ClassVar[str] = "live.room: onLeave(ctx, topic)"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-15",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"onLeave",)

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield the `onLeave` of each room."""
        for call, _ in file.names.calls("server#live.room"):
            given = arguments(call)
            item = entry(given[0], "onLeave") if given else None
            value = value_of(item)
            if item is None or value is None:
                continue
            found = file.names.function_of(value) if item.type != "method_definition" else (file, item)
            if found is None:
                yield self.told(file, item, "S-15", _MESSAGE, "give it the parameter if it needs the topic")
                continue
            other, function = found
            if other is not file or (function.id != value.id and not self._only_here(file, value)):
                continue
            if len(parameters(function)) == 1:
                yield from self._added(file, item, function)

    def _only_here(self, file: ScriptFile, value: Node) -> bool:
        binding = file.scopes.lookup(text_of(value), value)
        uses = file.scopes.references(binding) if binding is not None else []
        return [one.id for one in uses] == [value.id]

    def _added(self, file: ScriptFile, item: Node, function: Node) -> Iterator[Finding]:
        only = parameters(function)[0]
        inner = only.child_by_field_name("pattern") or only
        if (
            inner.type in ("rest_pattern", "assignment_pattern")
            or only.child_by_field_name("value") is not None
        ):
            yield self.told(file, item, "S-15", _MESSAGE, "give it the parameter if it needs the topic")
            return
        body = function.child_by_field_name("body")
        reads = [
            one
            for one in file.nodes("identifier", "shorthand_property_identifier")
            if body is not None
            and body.start_byte <= one.start_byte < body.end_byte
            and text_of(one) == "topic"
        ]
        name = "_topic" if reads else "topic"
        splices: list[Splice]
        if function.child_by_field_name("parameter") is not None:
            splices = [file.replace(only, f"({file.text(only)}, {name})")]
        else:
            kind = ": string" if only.child_by_field_name("type") is not None else ""
            splices = [file.after(only, f", {name}{kind}")]
        yield self.rewritten(file, item, "S-15", _MESSAGE, splices)
