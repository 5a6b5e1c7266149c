"""Presence has an `unsubscribe` hook; the hook slot of cursors does nothing any more. Spec: upgrade 3.3, 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptfile import property_of
from realtime_cli.codemods.scriptobjects import added_specifier, entries
from realtime_cli.codemods.scriptparts import is_cursor, is_presence, object_of
from realtime_cli.codemods.scriptscopes import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["PresenceHooks"]

_MESSAGE = "presence has an unsubscribe hook, which removes who leaves a topic"


class PresenceHooks(ScriptCodemod):
    """Where hooks are taken out of `presence.hooks`, `unsubscribe` is taken, too."""

    id: ClassVar[str] = "UPJ10"
    title: ClassVar[str] = "{ subscribe, close } = presence.hooks"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-21", "S-22")
    tokens: ClassVar[tuple[bytes, ...]] = (b".hooks", b"presence", b"cursor")

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield patterns and single names taken out of the hooks of presence, and the idle ones of cursors."""
        for node in file.nodes("variable_declarator"):
            yield from self._pattern(file, node)
            yield from self._single(file, node)
        for node in file.nodes("call_expression"):
            yield from self._cursor(file, node)

    def _pattern(self, file: ScriptFile, node: Node) -> Iterator[Finding]:
        pattern, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if pattern is None or value is None or pattern.type != "object_pattern" or not _is_hooks(file, value):
            return
        taken = {
            text_of(one.child_by_field_name("key") or one): text_of(one.child_by_field_name("value") or one)
            for one in entries(pattern)
        }
        if "unsubscribe" in taken or not {"subscribe", "close"} & taken.keys():
            return
        exported = file.statement(node).type == "export_statement"
        if not exported:
            yield self.told(
                file, node, "S-22", _MESSAGE, "take unsubscribe too, and call it in the hook of that name"
            )
            return
        if file.scopes.is_bound("unsubscribe", node) or "unsubscribe" in file.names.exports():
            yield from self._own(file, node, value)
            return
        yield self.rewritten(file, node, "S-22", _MESSAGE, added_specifier(file, pattern, "unsubscribe"))

    def _single(self, file: ScriptFile, node: Node) -> Iterator[Finding]:
        """``export const close = presence.hooks.close``: a line for `unsubscribe` goes below."""
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None or value is None or text_of(name) != "close" or property_of(value) != "close":
            return
        hooks = object_of(value)
        statement = file.statement(node)
        if hooks is None or not _is_hooks(file, hooks) or statement.type != "export_statement":
            return
        if file.scopes.is_bound("unsubscribe", node) or "unsubscribe" in file.names.exports():
            yield from self._own(file, node, hooks)
            return
        end = file.end_before(node, file.line_end(statement.end_byte))
        line = f"export const unsubscribe = {file.text(hooks)}.unsubscribe{end}"
        yield self.rewritten(file, node, "S-22", _MESSAGE, [file.lines_below(statement, [line])])

    def _own(self, file: ScriptFile, node: Node, hooks: Node) -> Iterator[Finding]:
        owner = object_of(hooks)
        wanted = f"{file.names.of(owner)}.hooks.unsubscribe"
        if not any(file.names.of(one) == wanted for one in file.nodes("member_expression", "identifier")):
            yield self.told(
                file,
                node,
                "S-22",
                _MESSAGE,
                f"call {file.text(hooks)}.unsubscribe(ws, topic, ctx) in unsubscribe",
            )

    def _cursor(self, file: ScriptFile, node: Node) -> Iterator[Finding]:
        callee = node.child_by_field_name("function")
        if callee is None or callee.type != "member_expression":
            return
        tracker = object_of(callee, 2)
        if tracker is not None and is_cursor(file.names.of(tracker)):
            if property_of(callee) == "subscribe" and property_of(object_of(callee) or callee) == "hooks":
                yield self.told(
                    file,
                    node,
                    "S-21",
                    "cursor.hooks.subscribe does nothing in 0.5",
                    "call await cursor.attach(ws, topic, platform) beside presence.join",
                )
            return
        owner = object_of(callee)
        function = file.function_around(node)
        if (
            owner is None
            or property_of(callee) not in ("join", "leave")
            or not is_presence(file.names.of(owner))
        ):
            return
        if function is None or not file.names.is_live(function) or not _has_cursors(file):
            return
        new = "attach" if property_of(callee) == "join" else "detach"
        start, end = file.span(function)
        if f".{new}(".encode() not in file.data[start:end]:
            yield self.told(
                file,
                node,
                "S-21",
                f"presence.{property_of(callee)} without cursor.{new}",
                f"call cursor.{new}(ws, topic, platform) beside it, or the cursors of the topic are not delivered",
            )


def _is_hooks(file: ScriptFile, node: Node) -> bool:
    owner = object_of(node)
    return owner is not None and property_of(node) == "hooks" and is_presence(file.names.of(owner))


def _has_cursors(file: ScriptFile) -> bool:
    return any(is_cursor(file.names.of(one)) for one in file.nodes("identifier"))
