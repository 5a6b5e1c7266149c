"""The hooks of a SvelteKit app hand on `unsubscribe` beside `message` and `close`. Spec: upgrade 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptnames import canonical_module
from realtime_cli.codemods.scriptobjects import added_specifier, entries
from realtime_cli.codemods.scriptscopes import string_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["Unsubscribe"]

_HANDED_ON = ("close", "unsubscribe")
_MESSAGE = "the live layer has an unsubscribe hook"


class Unsubscribe(ScriptCodemod):
    """Without it `onUnsubscribe` of a stream fires only when the connection ends."""

    id: ClassVar[str] = "UPJ01"
    title: ClassVar[str] = "hooks.ws: unsubscribe of the live layer"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-07",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"close", b"unsubscribe")

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield the list that hands the hooks on, and own hooks that never call those of the live layer."""
        if not file.project.scripts.is_hooks(file.path):
            return
        exported = file.names.exports()
        clause = self._list(file)
        if clause is not None and "unsubscribe" not in exported:
            yield from self._added(file, clause)
        if self._is_live(file):
            for name in _HANDED_ON:
                yield from self._own(file, name, exported.get(name))

    def _list(self, file: ScriptFile) -> Node | None:
        """Return the list in which `close` of the live layer is exported under its own name."""
        for clause in file.nodes("export_clause"):
            source = string_of(file.statement(clause).child_by_field_name("source"))
            for one in entries(clause):
                name, alias = one.child_by_field_name("name"), one.child_by_field_name("alias")
                if (
                    name is None
                    or text_of(name) != "close"
                    or (alias is not None and text_of(alias) != "close")
                ):
                    continue
                if source is not None and canonical_module(source) == "server":
                    return clause
                if source is None and file.names.of(name) == "server#close":
                    return clause
        return None

    def _added(self, file: ScriptFile, clause: Node) -> Iterator[Finding]:
        splices = added_specifier(file, clause, "unsubscribe")
        if file.statement(clause).child_by_field_name("source") is None:
            if file.scopes.is_bound("unsubscribe", clause):
                yield self.told(
                    file,
                    clause,
                    "S-07",
                    _MESSAGE,
                    "export it, or call it in the function that is named unsubscribe",
                )
                return
            lists = [
                one
                for one in file.nodes("named_imports")
                if canonical_module(string_of(file.statement(one).child_by_field_name("source")) or "")
                == "server"
                and any(text_of(part.child_by_field_name("name") or part) == "close" for part in entries(one))
            ]
            if len(lists) != 1:
                return
            splices += added_specifier(file, lists[0], "unsubscribe")
        yield self.rewritten(file, clause, "S-07", f"{_MESSAGE}: exported too", splices)

    def _is_live(self, file: ScriptFile) -> bool:
        member = file.project.scripts.member_of(file.path)
        return member is not None and "svelte-realtime" in member.wanted

    def _own(self, file: ScriptFile, name: str, node: Node | None) -> Iterator[Finding]:
        """Tell of a hook of the app's own that never calls the one of the live layer."""
        if node is None:
            return
        statement = file.statement(node)
        clause = file.parent(node)
        if clause is not None and clause.type == "export_specifier":
            if statement.child_by_field_name("source") is not None:
                return
            inner = clause.child_by_field_name("name")
            if inner is None or file.names.of(inner).startswith("server#"):
                return
            found = file.names.function_of(inner)
            if found is None or found[0] is not file:
                return
            statement = found[1]
        wanted = {f"server#{name}", "server#close", "server#pushHooks.close"}
        start, end = file.span(statement)
        for one in file.nodes("identifier", "member_expression"):
            if start <= one.start_byte < end and file.names.of(one) in wanted:
                return
        yield self.told(
            file,
            node,
            "S-07",
            f"the hook {name} never calls the live layer's {name}",
            f"import {{ {name} as live{name.capitalize()} }} from 'svelte-realtime/server' and call it in the hook",
        )
