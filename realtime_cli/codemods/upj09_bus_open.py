"""The bus takes part in `open` by its own hook. Spec: upgrade 3.3, 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptfile import property_of
from realtime_cli.codemods.scripthooks import Hook, called_in, hook_named, made_async
from realtime_cli.codemods.scriptnames import parameter_patterns
from realtime_cli.codemods.scriptparts import is_bus, object_of, option_of
from realtime_cli.codemods.scriptscopes import text_of
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["BusOpen"]

_MESSAGE = "the bus activates itself, and tells clients of its state, in bus.hooks.open"


class BusOpen(ScriptCodemod):
    """`bus.activate(platform)` in `open` becomes the hook of the bus."""

    id: ClassVar[str] = "UPJ09"
    title: ClassVar[str] = "bus.activate in open"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("S-12", "S-20")
    tokens: ClassVar[tuple[bytes, ...]] = (b".activate",)

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield the activation in `open`."""
        if not file.project.scripts.is_hooks(file.path):
            return
        hook = hook_named(file, "open")
        if hook is None:
            return
        calls = []
        for call in file.nodes("call_expression"):
            callee = call.child_by_field_name("function")
            owner = object_of(callee) if callee is not None else None
            inside = hook.body.start_byte < call.start_byte < hook.body.end_byte
            if owner is None or callee is None or not inside or property_of(callee) != "activate":
                continue
            if is_bus(file.names.of(owner)) and option_of(file, owner, "systemChannel") not in (
                "null",
                "false",
            ):
                calls.append((call, owner))
        if len({file.text(owner) for _, owner in calls}) > 1:
            for call, _ in calls:
                yield self.told(
                    file, call, "S-20", "more than one bus in open", "call the hooks.open of each bus"
                )
            return
        for call, owner in calls[:1]:
            yield self._finding(file, hook, call, owner)

    def _finding(self, file: ScriptFile, hook: Hook, call: Node, owner: Node) -> Finding:
        statement = file.statement(call)
        above = file.parent(statement)
        given = parameter_patterns(hook.function)
        advice = f"call await {file.text(owner)}.hooks.open(ws, ctx) in open instead"
        if self._has_hook(file, owner):
            return self.told(
                file, call, "S-20", "bus.activate beside bus.hooks.open", "take bus.activate away"
            )
        if called_in(file, statement) is None or above is None or above.id != hook.body.id or len(given) != 2:
            return self.told(file, call, "S-20", _MESSAGE, advice)
        if owner.type != "identifier" or given[0].type != "identifier":
            return self.told(file, call, "S-20", _MESSAGE, advice)
        end = file.semicolon(statement)
        inside = [one for one in hook.body.named_children if one.id != statement.id]
        if not inside and file.scopes.lookup("open", hook.statement) is not None:
            end = file.end_before(statement, hook.statement.end_byte)
            word = "export const" if hook.is_exported else "const"
            text = f"{word} {{ open }} = {file.text(owner)}.hooks{end}"
            return self.rewritten(file, call, "S-20", _MESSAGE, [file.replace(hook.statement, text)])
        if given[1].type == "identifier":
            context = text_of(given[1])
        elif file.text(given[1]).replace(" ", "") == "{platform}":
            context = "{ platform }"
        else:
            return self.told(file, call, "S-20", _MESSAGE, advice)
        text = f"await {file.text(owner)}.hooks.open({text_of(given[0])}, {context}){end}"
        splices = [file.replace(statement, text)]
        splices += [Splice(at, at, more.encode()) for at, more in made_async(file, hook.function)]
        todo = "this was bus.activate(platform); open is async now, and needs no other call to the bus"
        return self.marked(file, call, "S-20", _MESSAGE, todo, splices)

    def _has_hook(self, file: ScriptFile, owner: Node) -> bool:
        wanted = f"{file.names.of(owner)}.hooks.open"
        return any(file.names.of(one) == wanted for one in file.nodes("member_expression", "identifier"))
