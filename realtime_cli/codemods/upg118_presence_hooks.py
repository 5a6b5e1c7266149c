"""The hooks of presence are three now: `unsubscribe`, too. Spec: upgrade 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.definitions import body_nodes
from realtime_cli.codemods.finding import Change, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["PresenceHooks"]

_MAKERS = ("runtime.cluster.Presence()", "runtime.plugins.Presence()")


class PresenceHooks(Codemod):
    """Without it, users who leave a topic stay in its list until they close the page."""

    id: ClassVar[str] = "UPG118"
    title: ClassVar[str] = "presence.hooks.unsubscribe"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-22",)
    tokens: ClassVar[tuple[bytes, ...]] = (b".hooks.subscribe", b".hooks.unsubscribe")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield where subscribe and close are taken, and unsubscribe is not."""
        taken: dict[str, dict[str, tuple[str, cst.Assign, str]]] = {}
        for name, hook, node, statement in _bindings(file):
            taken.setdefault(file.text(node.value), {})[hook] = (name, statement, file.text(node))
        for holder, hooks in taken.items():
            own = self._own(file)
            if "subscribe" not in hooks or "close" not in hooks:
                continue
            if own is not None and not _calls(file, own, holder, hooks):
                yield self.flag(
                    file,
                    own.name,
                    "S-22",
                    f"unsubscribe does not call {holder}.unsubscribe",
                    f"await {holder}.unsubscribe(ws, topic, ctx) in it",
                )
            if "unsubscribe" in hooks or any(
                file.text(node.value) == holder for node in file.attributes("unsubscribe")
            ):
                continue
            name, statement, written = hooks["subscribe"]
            new = name.replace("subscribe", "unsubscribe") if "subscribe" in name else "unsubscribe"
            last = max((one[1] for one in hooks.values()), key=lambda one: file.span(one)[0])
            if file.names.is_bound(statement, new) or not file.is_alone(last):
                if own is None:
                    yield self.flag(
                        file,
                        statement,
                        "S-22",
                        f"{holder} has the hook unsubscribe, too, and the name {new} is taken",
                        f"call {holder}.unsubscribe(ws, topic, ctx) in the hook unsubscribe",
                    )
                continue
            value = f"{written.rpartition('.')[0]}.unsubscribe"
            yield self.auto(
                file,
                statement,
                "S-22",
                f"{holder} has the hook unsubscribe, too",
                [file.lines_below(file.parents[last], [f"{new} = {value}"])],
            )

    def _own(self, file: PythonFile) -> cst.FunctionDef | None:
        return next(
            (one for one in file.nodes(cst.FunctionDef) if file.names.contexts.hook(one) == "unsubscribe"),
            None,
        )


def _bindings(file: PythonFile) -> Iterator[tuple[str, str, cst.Attribute, cst.Assign]]:
    """Yield name, hook, value and statement of each hook of presence that is given a name at module level."""
    for statement in file.nodes(cst.Assign):
        if len(statement.targets) != 1 or file.function_around(statement) is not None:
            continue
        target, value = statement.targets[0].target, statement.value
        pairs: list[tuple[cst.BaseExpression, cst.BaseExpression]] = [(target, value)]
        if isinstance(target, cst.Tuple | cst.List) and isinstance(value, cst.Tuple | cst.List):
            if len(target.elements) != len(value.elements):
                continue
            pairs = [(a.value, b.value) for a, b in zip(target.elements, value.elements, strict=True)]
        for name, one in pairs:
            if isinstance(name, cst.Name) and isinstance(one, cst.Attribute):
                hook = one.attr.value
                if file.names.is_a(one, *(f"{maker}.hooks.{hook}" for maker in _MAKERS)):
                    yield name.value, hook, one, statement


def _calls(
    file: PythonFile, own: cst.FunctionDef, holder: str, hooks: dict[str, tuple[str, cst.Assign, str]]
) -> bool:
    bound = hooks["unsubscribe"][0] if "unsubscribe" in hooks else None
    for node in body_nodes(file, own, cst.Call):
        if isinstance(node, cst.Call):
            text = file.text(node.func)
            if text in (f"{holder}.unsubscribe", bound):
                return True
    return False
