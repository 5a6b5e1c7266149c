"""Options that have other names, options that never did anything, and what is only told. Spec: upgrade 5.3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptflags import flags
from realtime_cli.codemods.scriptnames import arguments
from realtime_cli.codemods.scriptobjects import entry, without_entry
from realtime_cli.codemods.scriptscopes import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["ScriptOptions"]

_STORE = re.compile(r"ext(/postgres)?#create\w*Idempotency\w*\(\)\.(acquire|purge)")


class ScriptOptions(ScriptCodemod):
    """The two rewrites leave a TODO; the rest of the table of changes is told where it is found."""

    id: ClassVar[str] = "UPJ18"
    title: ClassVar[str] = "acquire({ key }), pipe.filter({ transformEvent }), and what is only told"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = (
        *(
            "S-30",
            "R-08",
            "C-01",
            "C-02",
            "C-03",
            "C-04",
            "C-05",
            "C-07",
            "C-08",
            "C-10",
            "C-20",
            "S-18",
            "S-31",
        ),
        *("D-06", "D-18", "D-19", "D-26", "R-05", "R-07", "R-12", "P-07"),
    )
    tokens: ClassVar[tuple[bytes, ...]] = (
        *(
            b"acquire",
            b"purge",
            b"transformEvent",
            b"access",
            b"filter",
            b"gate",
            b"ubscribe",
            b"sendTo",
            b"publish",
        ),
        *(
            b"__presence:",
            b"Presence",
            b"Cursor",
            b".clear",
            b"timed out",
            b"binary",
            b"onUnhandled",
            b"configurePush",
        ),
        *(b"idempotencyKey", b"__subscriptions", b"on(", b"createMessage", b"__coalesced", b"live."),
    )

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield the renamed options, the dead ones, and what is only told."""
        for call in file.nodes("call_expression"):
            meaning = file.names.of(call.child_by_field_name("function"))
            if _STORE.fullmatch(meaning):
                yield from self._key(file, call)
            elif meaning == "server#pipe.filter":
                yield from self._dead(file, call)
        for one in flags(file):
            yield self.told(file, one.node, one.row, one.message, one.advice, severity=one.severity)

    def _key(self, file: ScriptFile, call: Node) -> Iterator[Finding]:
        for options in arguments(call):
            old = entry(options, "key")
            if old is None:
                continue
            message = "the key of an idempotency store is idempotencyKey"
            todo = "was key; see that wrappers of this store take idempotencyKey, too"
            if old.type == "shorthand_property_identifier":
                splices = [file.replace(old, f"idempotencyKey: {text_of(old)}")]
            elif old.type == "pair":
                splices = [file.replace(old.child_by_field_name("key") or old, "idempotencyKey")]
            else:
                continue
            yield self.marked(file, call, "S-30", message, todo, splices)

    def _dead(self, file: ScriptFile, call: Node) -> Iterator[Finding]:
        for options in arguments(call):
            old = entry(options, "transformEvent")
            if old is not None:
                message = "transformEvent of pipe.filter never did anything"
                todo = "pipe.filter had transformEvent, which never did anything; live.stream takes transform"
                yield self.marked(file, call, "R-08", message, todo, [without_entry(file, old)])
