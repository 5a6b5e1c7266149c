"""The client's status has no `'closed'` any more, and a hidden tab is `'suspended'`. Spec: upgrade 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptscopes import string_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["ClientStatus"]

_VALUE = "client#status$"
_EQUAL, _UNEQUAL = ("===", "=="), ("!==", "!=")
_ENDED = ("disconnected", "failed")


class ClientStatus(ScriptCodemod):
    """Comparisons with `'closed'` are rewritten; those with `'open'` get a TODO, since a tab may be hidden."""

    id: ClassVar[str] = "UPJ06"
    title: ClassVar[str] = "status === 'closed', status === 'open'"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("D-02", "D-03", "D-04")
    tokens: ClassVar[tuple[bytes, ...]] = (b"status",)

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield comparisons, switches and look-ups by the status of the client."""
        for node in file.nodes("binary_expression"):
            yield from self._comparison(file, node)
        for node in file.nodes("switch_statement"):
            yield from self._switch(file, node)
        for node in file.nodes("subscript_expression"):
            if file.names.of(node.child_by_field_name("index")) == _VALUE:
                yield self._arms(file, node, "a table by the status of the client")
        for node in file.nodes("call_expression"):
            yield from self._listed(file, node)

    def _comparison(self, file: ScriptFile, node: Node) -> Iterator[Finding]:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        sign = node.child_by_field_name("operator")
        if left is None or right is None or sign is None or sign.type not in (*_EQUAL, *_UNEQUAL):
            return
        literal, other = (left, right) if left.type == "string" else (right, left)
        word = string_of(literal) if literal.type == "string" else None
        if word not in ("closed", "open") or file.names.of(other) != _VALUE:
            return
        if word == "closed":
            quote = file.text(literal)[0]
            between = " || " if sign.type in _EQUAL else " && "
            sides = []
            for state in _ENDED:
                pair = (f"{quote}{state}{quote}", file.text(other))
                first, second = pair if literal is left else pair[::-1]
                sides.append(f"{first} {sign.type} {second}")
            message = "status 'closed' is 'disconnected' or 'failed'"
            if not file.may_open_with_parenthesis(node):
                yield self.told(file, node, "D-02", message, "compare with both")
                return
            yield self.rewritten(
                file, node, "D-02", message, [file.replace(node, f"({between.join(sides)})")]
            )
            return
        yield self.marked(
            file,
            node,
            "D-03",
            "status 'open' is not that of a hidden tab any more",
            "a hidden tab is 'suspended' in 0.5, and still connected; compare with it too if that counts as open",
        )

    def _switch(self, file: ScriptFile, node: Node) -> Iterator[Finding]:
        value = node.child_by_field_name("value")
        if file.names.of(value) == _VALUE:
            yield self._arms(file, node, "a switch over the status of the client")

    def _listed(self, file: ScriptFile, node: Node) -> Iterator[Finding]:
        callee = node.child_by_field_name("function")
        given = node.child_by_field_name("arguments")
        if callee is None or given is None or callee.type != "member_expression":
            return
        owner, key = callee.child_by_field_name("object"), callee.child_by_field_name("property")
        if owner is None or key is None or owner.type != "array" or file.text(key) != "includes":
            return
        asked = given.named_children
        words = [string_of(one) for one in owner.named_children]
        if asked and file.names.of(asked[0]) == _VALUE and ("closed" in words or "open" in words):
            yield self._arms(file, node, "a list of states of the client")

    def _arms(self, file: ScriptFile, node: Node, what: str) -> Finding:
        return self.told(
            file,
            node,
            "D-04",
            what,
            "the states are connecting, open, suspended, disconnected and failed; 'closed' does not come any more",
        )
