"""`ctx.throttle(key, ms)` of scripts gated nothing; `ctx.skip` does. Spec: upgrade 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptcontexts import LimitedUse, limited_uses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["ScriptGate"]

_MESSAGE = "ctx.throttle(key, ms) gated nothing in 0.4"


class ScriptGate(ScriptCodemod):
    """The call becomes the gate that it was meant to be, and a person looks at it."""

    id: ClassVar[str] = "UPJ04"
    title: ClassVar[str] = "ctx.throttle(key, ms) as a gate"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("R-03",)
    tokens: ClassVar[tuple[bytes, ...]] = (b"throttle",)

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield each call with two arguments on a live context."""
        for use in limited_uses(file):
            if use.name == "throttle" and use.count == 2 and use.proven:
                yield self._gate(file, use)

    def _gate(self, file: ScriptFile, use: LimitedUse) -> Finding:
        call, owner = use.call, use.node.child_by_field_name("object")
        if call is None or owner is None:
            return self.told(file, use.node, "R-03", _MESSAGE, "write: if (ctx.skip(key, ms)) return")
        statement = file.parent(call)
        body = file.parent(statement) if statement is not None else None
        alone = (
            statement is not None
            and statement.type == "expression_statement"
            and body is not None
            and body.type == "statement_block"
            and file.is_own_line(statement)
        )
        if not alone or statement is None:
            return self.told(file, call, "R-03", _MESSAGE, "write: if (ctx.skip(key, ms)) return")
        given = call.child_by_field_name("arguments")
        written = f"if ({file.text(owner)}.skip{file.text(given) if given is not None else '()'}) return"
        end = ";" if file.text(statement).endswith(";") else ""
        return self.marked(
            file,
            call,
            "R-03",
            _MESSAGE,
            "this call gated nothing in 0.4; skip() now does",
            [file.replace(statement, written + end)],
        )
