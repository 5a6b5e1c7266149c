"""Uses of `throttle` and `debounce` of a live context in scripts. Spec: upgrade 5.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime_cli.codemods.scriptfile import property_of
from realtime_cli.codemods.scriptnames import arguments
from realtime_cli.codemods.scriptscopes import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node  # noqa: TC004 - only in annotations

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["NEW_NAMES", "LimitedUse", "limited_uses"]

NEW_NAMES = {"throttle": ("publishThrottled", "R-01"), "debounce": ("publishDebounced", "R-02")}


@dataclass(frozen=True, slots=True)
class LimitedUse:
    """One read of `ctx.throttle` or `ctx.debounce`.

    Attributes:
        node: the member expression, or the name that a pattern took out of the context.
        name: ``throttle`` or ``debounce``.
        call: the call of it; None where it is only taken as a value.
        proven: whether the live layer hands the context in.
    """

    node: Node
    name: str
    call: Node | None
    proven: bool

    @property
    def count(self) -> int:
        """How many arguments are given; -1 if that cannot be counted."""
        given = arguments(self.call) if self.call is not None else []
        return -1 if any(one.type == "spread_element" for one in given) else len(given)


def limited_uses(file: ScriptFile) -> Iterator[LimitedUse]:
    """Yield the uses in source order; of a context that is not proven only calls on something named ``ctx``."""
    for node in file.nodes("member_expression", "identifier"):
        name = property_of(node) if node.type == "member_expression" else ""
        if node.type == "identifier":
            meaning = file.names.of(node)
            above = file.parent(node)
            if meaning not in ("@ctx.throttle", "@ctx.debounce") or above is None:
                continue
            if above.type != "call_expression":
                continue
            name = meaning.rpartition(".")[2]
        if name not in NEW_NAMES:
            continue
        above = file.parent(node)
        called = (
            above is not None
            and above.type == "call_expression"
            and ((above.child_by_field_name("function") or above).id == node.id)
        )
        proven = file.names.of(node) == f"@ctx.{name}"
        use = LimitedUse(node, name, above if called else None, proven)
        owner = node.child_by_field_name("object")
        if proven or (called and owner is not None and text_of(owner) == "ctx" and use.count == 4):
            yield use
