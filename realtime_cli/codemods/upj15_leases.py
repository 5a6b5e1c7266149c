"""The scripts of the Redis lock are those of leases, in a module of their own. Spec: upgrade 1.2, 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptobjects import entries, without_entry
from realtime_cli.codemods.scriptscopes import string_of, text_of
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["Leases"]

_OLD = "svelte-adapter-uws-extensions/redis/lock"
_NEW = "svelte-adapter-uws-extensions/shared/lease-scripts.js"
_NAMES = {"HEARTBEAT_SCRIPT": "LEASE_RENEW_SCRIPT", "RELEASE_SCRIPT": "LEASE_RELEASE_SCRIPT"}
_MESSAGE = "the scripts of leases have a module of their own"


class Leases(ScriptCodemod):
    """The names in the file stay: what is imported gets `as`."""

    id: ClassVar[str] = "UPJ15"
    title: ClassVar[str] = "lease scripts of the Redis lock"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-29",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"HEARTBEAT_SCRIPT", b"RELEASE_SCRIPT")

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield each import or re-export of the old names."""
        for statement in file.nodes("import_statement", "export_statement"):
            source = statement.child_by_field_name("source")
            if source is None or (string_of(source) or "").removesuffix(".js") != _OLD:
                continue
            lists = [one for one in self._lists(statement) if self._old(one)]
            for one in lists:
                yield self._moved(file, statement, source, one)

    def _lists(self, statement: Node) -> list[Node]:
        found = [one for one in statement.named_children if one.type == "export_clause"]
        for clause in statement.named_children:
            if clause.type == "import_clause":
                found += [one for one in clause.named_children if one.type == "named_imports"]
        return found

    def _old(self, names: Node) -> list[Node]:
        return [one for one in entries(names) if text_of(one.child_by_field_name("name") or one) in _NAMES]

    def _moved(self, file: ScriptFile, statement: Node, source: Node, names: Node) -> Finding:
        old, everything = self._old(names), entries(names)
        whole = len(old) == len(everything) and len(names.parent.named_children if names.parent else []) == 1
        whole = whole or (len(old) == len(everything) and names.type == "export_clause")
        if whole:
            quote = file.text(source)[0]
            splices = [file.replace(source, f"{quote}{_NEW}{quote}")]
            for one in old:
                name = one.child_by_field_name("name") or one
                splices.append(file.replace(name, self._written(one)))
            return self.rewritten(file, names, "S-29", _MESSAGE, splices)
        if len(old) == len(everything):
            return self.told(
                file, names, "S-29", _MESSAGE, f"import {', '.join(_NAMES.values())} from '{_NEW}' by hand"
            )
        listed = ", ".join(self._line(one) for one in old)
        word = "export" if names.type == "export_clause" else "import"
        quote = file.text(source)[0]
        line = f"{word} {{ {listed} }} from {quote}{_NEW}{quote}{';' if file.text(statement).endswith(';') else ''}"
        splices = (
            [without_entry(file, one) for one in old]
            if len(old) == 1
            else self._without(file, everything, old)
        )
        return self.rewritten(file, names, "S-29", _MESSAGE, [*splices, file.lines_below(statement, [line])])

    def _without(self, file: ScriptFile, everything: list[Node], old: list[Node]) -> list[Splice]:
        gone = {one.id for one in old}
        kept = [file.text(one) for one in everything if one.id not in gone]
        return [Splice(everything[0].start_byte, everything[-1].end_byte, ", ".join(kept).encode())]

    def _written(self, one: Node) -> str:
        """Return the new name, with the old one behind ``as`` unless there is another already."""
        name = text_of(one.child_by_field_name("name") or one)
        return _NAMES[name] if one.child_by_field_name("alias") is not None else f"{_NAMES[name]} as {name}"

    def _line(self, one: Node) -> str:
        alias = one.child_by_field_name("alias")
        return self._written(one) + (f" as {text_of(alias)}" if alias is not None else "")
