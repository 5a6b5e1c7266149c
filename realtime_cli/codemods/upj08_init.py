"""What `open` of the hooks set up for the whole process is set up in `init`. Spec: upgrade 3.3, 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scripthooks import Hook, called_in, hook_named, made_async, names_used, top_level
from realtime_cli.codemods.scriptnames import parameter_patterns
from realtime_cli.codemods.scriptscopes import text_of
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["Init"]

_MOVED = {
    "server#setCronPlatform": ("S-09", "setCronPlatform"),
    "server#live.configurePush": ("S-10", "live.configurePush"),
    "server#_activateDerived": ("S-11", "_activateDerived"),
    "server#activateDerived": ("S-11", "activateDerived"),
}


class Init(ScriptCodemod):
    """`open` runs once for each connection, `init` once for each process."""

    id: ClassVar[str] = "UPJ08"
    title: ClassVar[str] = "setCronPlatform and others in open"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-09", "S-10", "S-11", "S-13")
    tokens: ClassVar[tuple[bytes, ...]] = (b"setCronPlatform", b"configurePush", b"ctivateDerived")

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield the calls in `open`; those that can move all at once."""
        if not file.project.scripts.is_hooks(file.path):
            return
        hook = hook_named(file, "open")
        if hook is None:
            return
        movable: list[tuple[Node, Node]] = []
        for call, meaning in file.names.calls(*_MOVED):
            if not hook.body.start_byte < call.start_byte < hook.body.end_byte:
                continue
            statement = file.statement(call)
            problem = self._problem(file, hook, call, statement)
            row, name = _MOVED[meaning]
            if problem == "guard":
                todo = f"{name}() belongs into init({{ platform }}), which runs once"
                yield self.marked(file, call, row, f"{name}() behind a guard in open", todo)
            elif problem:
                yield self.told(
                    file, call, row, f"{name}() in open {problem}", "call it in init({ platform })"
                )
            else:
                movable.append((statement, call))
        if movable:
            yield from self._moved(file, hook, movable)

    def _problem(self, file: ScriptFile, hook: Hook, call: Node, statement: Node) -> str:
        above = file.parent(statement)
        function = file.function_around(call)
        if function is None or function.id != hook.function.id:
            return "is in a function of its own"
        if called_in(file, statement) is None:
            return "is used for its value"
        if above is None or above.id != hook.body.id:
            return "guard"
        if not file.is_own_line(statement):
            return "shares its line with other code"
        before = statement.prev_named_sibling
        if (
            before is not None
            and file.goes_on(statement.end_byte)
            and not file.text(before).endswith((";", "}"))
        ):
            return "keeps apart the lines around it"
        for name in names_used(file, statement):
            if file.names.of(name) in ("@platform", "@hookctx") or top_level(file, name):
                continue
            binding = file.scopes.lookup(text_of(name), name)
            inside = (
                binding is not None and statement.start_byte <= binding.node.start_byte < statement.end_byte
            )
            if not inside:
                return "uses the connection" if file.names.of(name) == "@ws" else f"uses {text_of(name)}"
        for name in names_used(file, statement):
            if file.names.of(name) == "@hookctx":
                member = file.parent(name)
                if member is None or file.names.of(member) != "@platform":
                    return "uses the context"
        return ""

    def _moved(self, file: ScriptFile, hook: Hook, movable: list[tuple[Node, Node]]) -> Iterator[Finding]:
        init = hook_named(file, "init")
        if init is None and file.scopes.is_bound("init", hook.statement):
            for _, call in movable:
                yield self.told(
                    file, call, "S-09", "belongs into init, which is written in a way that cannot be edited",
                    "move it there by hand",
                )  # fmt: skip
            return
        platform = "platform"
        splices: list[Splice] = []
        if init is not None:
            platform, more = self._platform_of(file, init)
            if not platform:
                for _, call in movable:
                    yield self.told(
                        file,
                        call,
                        "S-09",
                        "belongs into init, which takes no platform",
                        "move it there by hand",
                    )
                return
            splices += more
        lines = [line for statement, _ in movable for line in self._lines(file, statement, platform)]
        awaited = any(b"await " in file.data[one.start_byte : one.end_byte] for one, _ in movable)
        splices += [
            Splice(self._start(file, hook, statement), file.line_end(statement.end_byte), b"")
            for statement, _ in movable
        ]
        statements = file.body_of(hook.function)
        comments = [one for one in hook.body.named_children if one.type == "comment"]
        emptied = (
            hook.is_exported
            and len(statements) == len(movable)
            and all(not self._kept(file, hook, note, movable) for note in comments)
        )
        if init is not None:
            splices += self._into(file, init, lines)
            if awaited:
                splices += [Splice(at, at, text.encode()) for at, text in made_async(file, init.function)]
            if emptied:
                splices = [
                    one
                    for one in splices
                    if not hook.statement.start_byte <= one.start < hook.statement.end_byte
                ]
                splices.append(file.without(hook.statement))
        else:
            end = file.newline(hook.statement.start_byte)
            step = file.one_indent
            head = b"export async function init({ platform }) {" + end
            text = head + b"".join((step + line if line else b"") + end for line in lines) + b"}"
            if emptied:
                splices = [Splice(hook.statement.start_byte, hook.statement.end_byte, text)]
            else:
                at = file.comments_above(hook.statement)
                splices.append(Splice(at, at, text + end + end))
        for _, call in movable:
            row, name = _MOVED[file.names.of(call.child_by_field_name("function"))]
            yield self.rewritten(file, call, row, f"{name}() in open moves to init, which runs once", splices)

    def _start(self, file: ScriptFile, hook: Hook, statement: Node) -> int:
        return max(file.comments_above(statement), file.line_end(hook.body.start_byte))

    def _kept(self, file: ScriptFile, hook: Hook, note: Node, movable: list[tuple[Node, Node]]) -> bool:
        """Say whether a comment of the body stays when the statements go."""
        return not any(
            self._start(file, hook, one) <= note.start_byte < file.line_end(one.end_byte)
            for one, _ in movable
        )

    def _lines(self, file: ScriptFile, statement: Node, platform: str) -> list[bytes]:
        """Return the lines of a statement with its comments, without its indentation."""
        hook = hook_named(file, "open")
        start = (
            self._start(file, hook, statement) if hook is not None else file.line_start(statement.start_byte)
        )
        edits = [
            Splice(one.start_byte, one.end_byte, platform.encode())
            for one in file.nodes("member_expression", "identifier", "shorthand_property_identifier")
            if statement.start_byte <= one.start_byte < statement.end_byte
            and file.names.of(one) == "@platform"
        ]
        outer = [
            one
            for one in edits
            if not any(
                other is not one and other.start <= one.start and one.end <= other.end for other in edits
            )
        ]
        data = file.data[start : file.line_end(statement.end_byte)]
        for one in sorted(outer, reverse=True):
            data = data[: one.start - start] + one.text + data[one.end - start :]
        margin = file.margin(statement.start_byte)
        return [line.rstrip(b"\r\n").removeprefix(margin) for line in data.splitlines()]

    def _platform_of(self, file: ScriptFile, init: Hook) -> tuple[str, list[Splice]]:
        """Return how an existing `init` reads the platform; empty if it does not and cannot."""
        given = parameter_patterns(init.function)
        if not given:
            formal = init.function.child_by_field_name("parameters")
            if formal is None or file.text(formal).replace(" ", "") != "()":
                return "", []
            return "platform", [file.replace(formal, "({ platform })")]
        if given[0].type == "identifier":
            return f"{text_of(given[0])}.platform", []
        if given[0].type == "object_pattern" and any(
            one.type == "shorthand_property_identifier_pattern" and text_of(one) == "platform"
            for one in given[0].named_children
        ):
            return "platform", []
        return "", []

    def _into(self, file: ScriptFile, init: Hook, lines: list[bytes]) -> list[Splice]:
        end = file.newline(init.body.start_byte)
        margin = file.margin(init.statement.start_byte) + file.one_indent
        text = b"".join((margin + line if line else b"") + end for line in lines)
        close = init.body.end_byte - 1
        start = file.line_start(close)
        if not file.data[start:close].strip():
            return [Splice(start, start, text)]
        return [Splice(start + len(file.data[start:close].rstrip()), close, end + text)]
