"""`onCronError` of scripts is `onError`. Spec: upgrade 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptfile import property_of
from realtime_cli.codemods.scriptnames import canonical_module
from realtime_cli.codemods.scriptscopes import string_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile
    from realtime_cli.codemods.splices import Splice

__all__ = ["ScriptOnError"]

_OLD, _NEW = "onCronError", "onError"
_MESSAGE = "onCronError is onError, which hears of effects and derived streams, too"


class ScriptOnError(ScriptCodemod):
    """The name changes; the handler takes path and error, as before."""

    id: ClassVar[str] = "UPJ02"
    title: ClassVar[str] = "onCronError is onError"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("R-04",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"onCronError",)

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield imports with their uses, reads through a namespace, and both registrations where there are two."""
        calls = file.names.calls(f"server#{_OLD}", f"server#{_NEW}")
        written = {file.text(call.child_by_field_name("function") or call) for call, _ in calls}
        if len(written) > 1:
            yield self.told(
                file,
                calls[-1][0],
                "R-04",
                "onError and onCronError are both registered",
                "there is one handler for everything in 0.5, and the last registration wins: make it one function",
            )
        for one in file.nodes("import_specifier", "export_specifier"):
            yield from self._specifier(file, one)
        for one in file.nodes("member_expression"):
            key = one.child_by_field_name("property")
            through = file.names.of(one.child_by_field_name("object"))
            if key is not None and property_of(one) == _OLD and through == "server#*":
                yield self.rewritten(file, one, "R-04", _MESSAGE, [file.replace(key, _NEW)])
        yield from self._patterns(file)

    def _specifier(self, file: ScriptFile, one: Node) -> Iterator[Finding]:
        name, alias = one.child_by_field_name("name"), one.child_by_field_name("alias")
        source = string_of(file.statement(one).child_by_field_name("source"))
        if name is None or text_of(name) != _OLD or canonical_module(source or "") != "server":
            return
        if alias is not None:
            splices = [file.replace(name, _NEW)]
        elif one.type == "export_specifier":
            splices = [file.replace(name, f"{_NEW} as {_OLD}")]
        else:
            splices = self._renamed(file, name)
        yield self.rewritten(file, one, "R-04", _MESSAGE, splices)

    def _renamed(self, file: ScriptFile, name: Node) -> list[Splice]:
        binding = file.scopes.lookup(_OLD, name)
        uses = file.scopes.references(binding) if binding is not None else []
        hidden = any(file.scopes.is_bound(_NEW, node) for node in (name, *uses))
        if binding is None or hidden or binding.reassigned:
            return [file.replace(name, f"{_NEW} as {_OLD}")]
        splices = [file.replace(name, _NEW)]
        for use in uses:
            above = file.parent(use)
            if use.type == "shorthand_property_identifier":
                splices.append(file.replace(use, f"{_OLD}: {_NEW}"))
            elif above is not None and above.type == "export_specifier":
                if above.child_by_field_name("alias") is None:
                    splices.append(file.replace(use, f"{_NEW} as {_OLD}"))
                else:
                    splices.append(file.replace(use, _NEW))
            else:
                splices.append(file.replace(use, _NEW))
        return splices

    def _patterns(self, file: ScriptFile) -> Iterator[Finding]:
        """``const { onCronError } = await import('svelte-realtime/server')`` and the like."""
        for pattern in file.nodes("object_pattern"):
            above = file.parent(pattern)
            if above is None or above.type != "variable_declarator":
                continue
            if file.names.of(above.child_by_field_name("value")) != "server#*":
                continue
            for part in pattern.named_children:
                if part.type == "shorthand_property_identifier_pattern" and text_of(part) == _OLD:
                    yield self.rewritten(
                        file, part, "R-04", _MESSAGE, [file.replace(part, f"{_NEW}: {_OLD}")]
                    )
                key = part.child_by_field_name("key")
                if part.type == "pair_pattern" and key is not None and text_of(key) == _OLD:
                    yield self.rewritten(file, part, "R-04", _MESSAGE, [file.replace(key, _NEW)])
