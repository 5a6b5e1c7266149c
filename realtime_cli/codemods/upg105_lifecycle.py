"""Set-up that 0.4 did when the first peer connected goes to `init`, which 0.5 has. Spec: upgrade 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.blanklines import (
    behind_comments,
    needs_blank_after,
    taken_out,
    without_own_comments,
)
from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["Lifecycle"]

_CALLS = {
    "runtime.set_cron_platform": "S-09",
    "runtime.live.configure_push": "S-10",
    "runtime.activate_derived": "S-11",
}
_BUSES = ("runtime.cluster.PubSubBus", "runtime.cluster.ShardedBus", "runtime.cluster.ShardedPubSubBus")
_FIRST = "first-connection set-up; move it to init(), which runs once per worker"
_WRAPS = ("wrap", "wrap_with_replay")


class Lifecycle(Codemod):
    """The four calls of `open` that set the process up move, in order and with their comments."""

    id: ClassVar[str] = "UPG105"
    title: ClassVar[str] = "set-up in init instead of open"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-09", "S-10", "S-11", "S-12", "S-13", "D-21")
    tokens: ClassVar[tuple[bytes, ...]] = (b"set_cron_platform", b"configure_push", b"activate", b"def open")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Look at the hooks file only."""
        if file.path != file.project.hooks_path:
            return
        hooks = {
            name: function
            for function in file.nodes(cst.FunctionDef)
            if (name := file.names.contexts.hook(function)) is not None
        }
        opening = hooks.get("open")
        if opening is None or not isinstance(opening.body, cst.IndentedBlock):
            return
        can_move = file.parents[opening] is file.tree and _takes_more(file, hooks.get("init"))
        moving: list[cst.SimpleStatementLine] = []
        rows: list[str] = []
        wrapped: list[cst.SimpleStatementLine] = []
        for call in file.nodes(cst.Call):
            row = self._row(file, call)
            if row is None or file.function_around(call) is not opening:
                continue
            line = self._movable(file, call, opening) if can_move else None
            if line is None:
                yield from self._stuck(file, call, row, opening)
            elif file.has_todo(line, self.id):
                continue
            else:
                moving.append(line)
                rows.append(row)
                if self._is_wrapped(file, call):
                    wrapped.append(line)
        if moving:
            yield self._move(file, hooks, opening, moving, rows, wrapped)
        yield from self._guards(file, opening)
        yield from self._at_exit(file)

    def _row(self, file: PythonFile, call: cst.Call) -> str | None:
        found = file.names.of(call.func)
        if len(found) != 1:
            return None
        name = next(iter(found))
        if name in _CALLS:
            return _CALLS[name]
        return "S-12" if name in {f"{bus}().activate" for bus in _BUSES} else None

    def _movable(
        self, file: PythonFile, call: cst.Call, opening: cst.FunctionDef
    ) -> cst.SimpleStatementLine | None:
        """Return the line of a call that can move: a statement of its own at the top level of the hook."""
        statement = file.parents[call]
        if isinstance(statement, cst.Await):
            statement = file.parents[statement]
        if not isinstance(statement, cst.Expr) or not file.is_alone(statement):
            return None
        line = file.parents[statement]
        if not isinstance(line, cst.SimpleStatementLine) or file.parents[line] is not opening.body:
            return None
        return line if all(self._is_known(file, name, opening) for name in self._names(file, call)) else None

    def _names(self, file: PythonFile, call: cst.Call) -> list[cst.Name]:
        start, end = file.span(call)
        found = []
        for name in file.nodes(cst.Name):
            first, last = file.span(name)
            above = file.parents[name]
            is_attribute = isinstance(above, cst.Attribute) and above.attr is name
            is_keyword = isinstance(above, cst.Arg) and above.keyword is name
            if start <= first and last <= end and not is_attribute and not is_keyword:
                found.append(name)
        return found

    def _is_known(self, file: PythonFile, name: cst.Name, opening: cst.FunctionDef) -> bool:
        """Say whether a name is one of the module, or `platform`, or the hook's context asked for its platform."""
        above = file.parents[name]
        meaning = file.names.of(name)
        if meaning == {"@platform"}:
            return name.value == "platform"
        if meaning == {"@hookctx"}:
            return isinstance(above, cst.Attribute) and above.attr.value == "platform"
        scope = file.scope(name)
        if scope is None:
            return False
        top = file.scope(file.tree)
        return name.value not in scope or all(
            one.scope is top or not hasattr(one, "node") for one in scope[name.value]
        )

    def _is_wrapped(self, file: PythonFile, call: cst.Call) -> bool:
        return any(
            isinstance(one.value, cst.Call) and file.text(one.value.func).rpartition(".")[2] in _WRAPS
            for one in call.args
        )

    def _stuck(
        self, file: PythonFile, call: cst.Call, row: str, opening: cst.FunctionDef
    ) -> Iterator[Finding]:
        if self._guard_around(file, call, opening) is not None:
            return  # the guard is marked
        uses_ws = any(file.names.of(name) == {"@ws"} for name in self._names(file, call))
        name = file.text(call.func)
        if uses_ws:
            yield self.flag(
                file,
                call,
                row,
                f"{name}() uses the connection",
                "make it work without one and call it in init()",
            )
        else:
            yield self.assisted(
                file,
                call,
                row,
                f"{name}() is set-up that cannot be moved by itself",
                f"call {name}() in init() instead",
            )

    def _move(
        self,
        file: PythonFile,
        hooks: dict[str, cst.FunctionDef],
        opening: cst.FunctionDef,
        moving: list[cst.SimpleStatementLine],
        rows: list[str],
        wrapped: list[cst.SimpleStatementLine],
    ) -> Finding:
        first = next(iter(sorted(hooks.values(), key=lambda one: file.span(one)[0])))
        existing = hooks.get("init")
        newline = file.newline(file.span(opening)[0])
        ctx = self._parameter(file, opening, moving)
        new_ctx = self._init_parameter(existing, ctx)
        margin = (
            file.indent(existing.body.body[0])
            if existing is not None and _has_block(existing)
            else (file.indent(opening) + file.one_indent)
        )
        text = b""
        awaited = False
        for line in moving:
            start = file.comment_lines_above(line)
            end = file.line_end(file.span(line)[1])
            block = file.data[start:end]
            if not block.endswith((b"\n", b"\r")):
                block += newline
            text += self._renamed(file, line, block, start, ctx, new_ctx, margin, newline, line in wrapped)
            awaited |= "await " in file.text(line)
        splices, goes = self._emptied(file, opening, moving)
        if existing is not None:
            splices.append(self._appended(file, existing, text, newline))
            if awaited and existing.asynchronous is None:
                splices.append(file.before(existing, "async "))
        else:
            text = b"async def init(" + new_ctx.encode() + b"):" + newline + text
            if goes and first is opening:  # it takes its place, below its comments
                start = file.line_start(file.first_byte(opening))
                splices = [Splice(start, file.line_end(file.span(opening)[1]), text)]
            else:
                at = file.comment_lines_above(first)
                splices.append(Splice(at, at, text + newline * 2))
        splices = self._without_blank_end(file, splices)
        message = "set-up of the process moves from open to init"
        row = min(rows)
        if wrapped:
            return self.assisted(
                file, moving[0], row, message, "", splices, advice="the wrap is not needed any more"
            )
        return self.auto(file, moving[0], row, message, splices)

    def _parameter(
        self, file: PythonFile, opening: cst.FunctionDef, moving: list[cst.SimpleStatementLine]
    ) -> str:
        """Return the name by which the moved statements reach the platform: the hook's context, or ``platform``."""
        for param in opening.params.params:
            meaning = file.names.contexts.parameter(param)
            used = any(
                f"{param.name.value}." in file.text(line) or f"({param.name.value}" in file.text(line)
                for line in moving
            )
            if used and meaning in ({"@hookctx"}, {"@platform"}):
                return param.name.value
        return "ctx"

    def _init_parameter(self, existing: cst.FunctionDef | None, ctx: str) -> str:
        if ctx == "platform":
            return "platform"
        if existing is not None:
            names = [param.name.value for param in existing.params.params]
            if "ctx" not in names:
                return "platform" if "platform" in names else names[0]
        return "ctx"

    def _renamed(
        self,
        file: PythonFile,
        line: cst.SimpleStatementLine,
        block: bytes,
        start: int,
        ctx: str,
        new_ctx: str,
        margin: bytes,
        newline: bytes,
        is_wrapped: bool,
    ) -> bytes:
        """Return the lines of a statement at their new place: with the parameter's name there, and indented so."""
        splices = []
        for name in file.nodes(cst.Name):
            first, last = file.span(name)
            if not (start <= first and last <= start + len(block)) or name.value != ctx:
                continue
            above = file.parents[name]
            if isinstance(above, cst.Attribute) and above.value is name and above.attr.value == "platform":
                if new_ctx == "platform" and ctx != "platform":
                    end = file.span(above)[1]
                    splices.append((first - start, end - start, b"platform"))
                elif ctx != new_ctx:
                    splices.append((first - start, last - start, new_ctx.encode()))
        for begin, end, text in sorted(splices, reverse=True):
            block = block[:begin] + text + block[end:]
        old = file.indent(line)
        lines = block.splitlines(keepends=True)
        moved = b"".join(margin + one[len(old) :] if one.startswith(old) else one for one in lines)
        if is_wrapped:
            todo = f"# TODO(realtime-upgrade {self.id}): the wrap is no longer needed for replay"
            moved = margin + todo.encode() + newline + moved
        return moved

    def _appended(self, file: PythonFile, init: cst.FunctionDef, text: bytes, newline: bytes) -> Splice:
        """Return the replacement that puts lines at the end of a hook; before the ``return`` that ends it."""
        body = init.body.body
        last = body[-1]
        if len(body) == 1 and file.text(last).strip() == "pass":
            return Splice(file.line_start(file.span(last)[0]), file.line_end(file.span(last)[1]), text)
        if _leaves(last):
            at = file.comment_lines_above(last)
            return Splice(at, at, text)
        at = behind_comments(file, init)
        lead = b"" if file.data[:at].endswith((b"\n", b"\r")) else newline
        return Splice(at, at, lead + (newline if needs_blank_after(last) else b"") + text)

    def _emptied(
        self, file: PythonFile, opening: cst.FunctionDef, moving: list[cst.SimpleStatementLine]
    ) -> tuple[list[Splice], bool]:
        """Return the replacements that take statements away, and whether the hook goes with them.

        A hook in which nothing is left goes, or gets ``pass`` if anything refers to it or a comment is left.
        """
        splices = taken_out(file, opening, moving)
        if any(one not in moving for one in opening.body.body):
            return splices, False
        scope = file.scope(opening)
        used = scope is not None and any(one.references for one in scope[opening.name.value])
        if used or not without_own_comments(file, opening, splices):
            line = moving[-1]
            start, end = file.comment_lines_above(line), file.line_end(file.span(line)[1])
            left = taken_out(file, opening, moving[:-1]) if len(moving) > 1 else []
            return [*left, Splice(start, end, file.indent(line) + b"pass" + file.newline(start))], False
        start = file.line_start(file.first_byte(opening))
        end = file.line_end(file.span(opening)[1])
        if file.comment_lines_above(opening) == start:
            while end < len(file.data) and not file.data[end : file.line_end(end)].strip():
                end = file.line_end(end)
        return [Splice(start, end, b"")], True

    def _without_blank_end(self, file: PythonFile, splices: list[Splice]) -> list[Splice]:
        """Take the blank lines before a function that was the last of its file away with it."""
        tail = next((one for one in splices if one.end == len(file.data) and not one.text), None)
        if tail is None or any(one.start == tail.start and one is not tail for one in splices):
            return splices
        start = file.line_end(len(file.data[: tail.start].rstrip()))
        return [Splice(min(start, tail.start), tail.end, b"") if one is tail else one for one in splices]

    def _guard_around(self, file: PythonFile, node: cst.CSTNode, opening: cst.FunctionDef) -> cst.If | None:
        found = None
        for above in file.around(node):
            if above is opening:
                return found
            if isinstance(above, cst.If) and self._is_guard(file, above, opening):
                found = above
        return None

    def _is_guard(self, file: PythonFile, node: cst.If, opening: cst.FunctionDef) -> bool:
        """Say whether an ``if`` looks at a global that the hook sets: the first connection of 0.4."""
        declared = {
            item.name.value
            for one in file.nodes(cst.Global)
            if file.function_around(one) is opening
            for item in one.names
        }
        test = node.test
        if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
            test = test.expression
        elif isinstance(test, cst.Comparison):
            test = test.left
        return isinstance(test, cst.Name) and test.value in declared

    def _guards(self, file: PythonFile, opening: cst.FunctionDef) -> Iterator[Finding]:
        for node in file.nodes(cst.If):
            if file.parents[node] is opening.body and self._is_guard(file, node, opening):
                yield self.assisted(
                    file, node.test, "S-13", "set-up behind a flag of the first connection", _FIRST
                )

    def _at_exit(self, file: PythonFile) -> Iterator[Finding]:
        for call in file.calls("register"):
            if file.names.is_a(call.func, "atexit.register") and "deactivate" in file.text(call):
                yield self.flag(
                    file,
                    call,
                    "S-13",
                    "teardown at the end of the interpreter",
                    "write a shutdown() hook: it runs while the platform still publishes",
                )


def _takes_more(file: PythonFile, init: cst.FunctionDef | None) -> bool:
    """Say whether statements at the end of a hook `init` would run, and have what they are given."""
    if init is None:
        return True
    if not _has_block(init) or not init.params.params:
        return False
    returns = [one for one in file.nodes(cst.Return) if file.function_around(one) is init]
    last = init.body.body[-1]
    return all(file.statement(one) is last for one in returns)


def _leaves(line: cst.CSTNode) -> bool:
    return isinstance(line, cst.SimpleStatementLine) and isinstance(line.body[-1], cst.Return | cst.Raise)


def _has_block(function: cst.FunctionDef) -> bool:
    return isinstance(function.body, cst.IndentedBlock)
