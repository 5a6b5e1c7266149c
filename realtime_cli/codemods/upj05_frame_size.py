"""`upload.chunkSize` of the client's configuration is `frameSize`. Spec: upgrade 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptnames import arguments
from realtime_cli.codemods.scriptobjects import entry, value_of
from realtime_cli.codemods.scriptscopes import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["FrameSize"]

_MESSAGE = "upload.chunkSize is upload.frameSize, the same number"


class FrameSize(ScriptCodemod):
    """Only inside of `configure`: chunk sizes of anything else are the app's own."""

    id: ClassVar[str] = "UPJ05"
    title: ClassVar[str] = "configure({ upload: { chunkSize } })"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("R-06",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"chunkSize",)

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield the entry of each call."""
        for call, _ in file.names.calls("client#configure", "client#connect"):
            given = arguments(call)
            options = self._object(file, given[0]) if given else None
            upload = self._object(file, value_of(entry(options, "upload")))
            old = entry(upload, "chunkSize")
            if old is None or upload is None:
                continue
            if entry(upload, "frameSize") is not None:
                yield self.told(
                    file,
                    old,
                    "R-06",
                    "chunkSize beside frameSize",
                    "take chunkSize away: 0.5 knows frameSize only",
                )
            elif old.type == "shorthand_property_identifier":
                yield self.rewritten(
                    file, old, "R-06", _MESSAGE, [file.replace(old, f"frameSize: {text_of(old)}")]
                )
            elif old.type == "pair" and (key := old.child_by_field_name("key")) is not None:
                new = text_of(key).replace("chunkSize", "frameSize")
                yield self.rewritten(file, old, "R-06", _MESSAGE, [file.replace(key, new)])

    def _object(self, file: ScriptFile, node: Node | None) -> Node | None:
        """Return the object literal that an argument is, or that a constant used only there holds."""
        if node is None or node.type == "object":
            return node
        if node.type not in ("identifier", "shorthand_property_identifier"):
            return None
        binding = file.scopes.lookup(text_of(node), node)
        if binding is None or binding.reassigned or binding.kind != "variable" or binding.path != ():
            return None
        only_here = [one.id for one in file.scopes.references(binding)] == [node.id]
        value = binding.value
        return value if only_here and value is not None and value.type == "object" else None
