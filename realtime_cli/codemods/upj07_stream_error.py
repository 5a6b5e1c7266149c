"""The error of a stream is a store of its own, not a field of its value. Spec: upgrade 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptfile import property_of
from realtime_cli.codemods.scriptscopes import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile
    from realtime_cli.codemods.scriptscopes import Binding

__all__ = ["StreamError"]

_MESSAGE = "the value of a stream has no .error any more"


class StreamError(ScriptCodemod):
    """Reads in the markup of a stream that is imported are rewritten; all others are told."""

    id: ClassVar[str] = "UPJ07"
    title: ClassVar[str] = "$stream.error in components"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("D-05",)
    tokens: ClassVar[tuple[bytes, ...]] = (b".error",)

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield each read of `.error` on the value of a stream."""
        for node in file.nodes("member_expression"):
            if property_of(node) != "error":
                continue
            owner = node.child_by_field_name("object")
            meaning = file.names.of(owner)
            if owner is None or not (meaning.startswith("$live/") and meaning.endswith("$")):
                continue
            yield self._read(file, node, owner)

    def _read(self, file: ScriptFile, node: Node, owner: Node) -> Finding:
        name = text_of(owner)
        plain = owner.type == "identifier" and name.startswith("$")
        binding = file.scopes.lookup(name[1:], owner) if plain else None
        if binding is not None and binding.kind == "import" and file.in_markup(node) is not None:
            found = self._rewritten(file, node, binding)
            if found is not None:
                return found
        store = name[1:] if plain else "the stream"
        return self.told(
            file,
            node,
            "D-05",
            _MESSAGE,
            f"name its store once (const {name[1:] if plain else 'stream'}Error = {store}.error), and read its value",
        )

    def _rewritten(self, file: ScriptFile, node: Node, binding: Binding) -> Finding | None:
        name = f"{binding.name}Error"
        put = file.replace(node, f"${name}")
        declared = [one for top in file.scopes.tops for one in top.names.get(name, [])]
        if declared:
            known = file.names.binding(declared[0]) == f"{file.names.binding(binding)}.error"
            return self.marked(file, node, "D-05", _MESSAGE, "", [put]) if known else None
        above = file.statement(binding.node)
        program = file.parent(above)
        imports = [
            one for one in (program.named_children if program else []) if one.type == "import_statement"
        ]
        last = imports[-1] if imports else above
        lines = [
            f"// TODO(realtime-upgrade {self.id}): the error of {binding.name} is this store; its value stays data",
            f"const {name} = {binding.name}.error{file.end_before(last, file.line_end(last.end_byte))}",
        ]
        return self.marked(file, node, "D-05", _MESSAGE, "", [file.lines_below(last, lines), put])
