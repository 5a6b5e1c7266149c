"""Which parameters the framework fills: the context of live functions, and what hooks get. Spec: upgrade 2.1, 3.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from realtime_cli.codemods.names import Names
    from realtime_cli.codemods.pythonfile import Function, PythonFile

__all__ = ["HOOKS", "Contexts", "positional"]

HOOKS: dict[str, tuple[str, ...]] = {
    "init": ("ctx",),
    "shutdown": ("ctx",),
    "upgrade": ("ctx",),
    "authenticate": ("ctx",),
    "open": ("ws", "ctx"),
    "message": ("ws", "ctx"),
    "subscribe": ("ws", "topic", "ctx"),
    "subscribe_batch": ("ws", "topics", "ctx"),
    "unsubscribe": ("ws", "topic", "ctx"),
    "resume": ("ws", "ctx"),
    "drain": ("ws", "ctx"),
    "close": ("ws", "ctx"),
}
"""What 0.4 handed to each hook, by position."""

_ANNOTATED = {
    **dict.fromkeys(
        ("LiveContext", "CronContext", "UploadContext", "Ctx", "CronCtx", "UploadCtx", "RoomCtx"), "@ctx"
    ),
    "Platform": "@platform",
    "Connection": "@ws",
}
_BY_NAME = {"ctx": "@ctx?", "platform": "@platform?", "ws": "@ws?"}
_WRAPPERS = ("Optional", "Annotated", "Union")


def positional(function: Function) -> list[cst.Param]:
    """Return the parameters that positions fill, in order."""
    return [*function.params.posonly_params, *function.params.params]


class Contexts:
    """What the parameters of one file's functions are filled with."""

    def __init__(self, file: PythonFile, names: Names) -> None:
        self.file = file
        self.names = names
        self._busy: set[cst.CSTNode] = set()

    def parameter(self, param: cst.Param) -> frozenset[str]:
        """Return the meaning of a parameter."""
        found = self._parameter(param)
        return frozenset({found or _BY_NAME.get(param.name.value, "?")})

    def is_live(self, function: Function) -> bool:
        """Say whether a function's first parameter is the context of a call, by what decorates it or takes it."""
        if function in self._busy:
            return False
        self._busy.add(function)
        try:
            return self._is_live(function)
        finally:
            self._busy.discard(function)

    def hook(self, function: Function) -> str | None:
        """Return the hook that a function is; None if it is none."""
        if not isinstance(function, cst.FunctionDef) or function.name.value not in HOOKS:
            return None
        if self.file.path != self.file.project.hooks_path:
            return None
        at_top = self.file.function_around(function) is None and not any(
            isinstance(above, cst.ClassDef) for above in self.file.around(function)
        )
        return function.name.value if at_top else None

    # Inside.

    def _parameter(self, param: cst.Param) -> str | None:
        marker = self._annotated(param)
        if marker:
            return marker
        function = next(
            (above for above in self.file.around(param) if isinstance(above, cst.FunctionDef | cst.Lambda)),
            None,
        )
        if function is None:
            return None
        taken = positional(function)
        if (hook := self.hook(function)) is not None:
            return self._of_hook(hook, param, taken)
        if param not in taken:
            return None
        index = taken.index(param)
        if index == 0 and self.is_live(function):
            return "@ctx"
        if isinstance(function, cst.FunctionDef) and self._only_with_context(function, index):
            return "@ctx"
        return None

    def _of_hook(self, hook: str, param: cst.Param, taken: list[cst.Param]) -> str | None:
        if param.name.value == "platform":
            return "@platform"
        if param.name.value == "ctx":
            return "@hookctx"
        handed = HOOKS[hook]
        if param in taken and len(taken) == len(handed):
            return {"ws": "@ws", "ctx": "@hookctx"}.get(handed[taken.index(param)])
        return "@ws" if param.name.value == "ws" else None

    def _annotated(self, param: cst.Param) -> str | None:
        if param.annotation is None:
            return None
        return self._type(param.annotation.annotation, param)

    def _type(self, node: cst.BaseExpression, at: cst.CSTNode) -> str | None:
        if isinstance(node, cst.Name | cst.Attribute):
            return self._meaning(self.names.of(node))
        if isinstance(node, cst.SimpleString):
            text = str(node.evaluated_value).partition("|")[0].strip()
            return (
                self._meaning(self.names.in_scope(at, text)) if text.replace(".", "").isidentifier() else None
            )
        if isinstance(node, cst.BinaryOperation):
            return self._type(node.left, at) or self._type(node.right, at)
        if isinstance(node, cst.Subscript) and isinstance(node.value, cst.Name | cst.Attribute):
            name = node.value.attr.value if isinstance(node.value, cst.Attribute) else node.value.value
            if name in _WRAPPERS and isinstance(node.slice[0].slice, cst.Index):
                return self._type(node.slice[0].slice.value, at)
            return self._meaning(self.names.of(node.value))
        return None

    def _meaning(self, found: frozenset[str]) -> str | None:
        if not found or not all(one.startswith("runtime.") for one in found):
            return None
        markers = {_ANNOTATED.get(one.rpartition(".")[2]) for one in found}
        return markers.pop() if len(markers) == 1 else None

    def _is_live(self, function: Function) -> bool:
        if isinstance(function, cst.Lambda):
            return self._goes_to_live(function)
        if any(self._declares(decorator.decorator) for decorator in function.decorators):
            return True
        return any(self._goes_to_live(use) for use in self._uses(function))

    def _declares(self, node: cst.BaseExpression) -> bool:
        found = self.names.of(node.func if isinstance(node, cst.Call) else node)
        return bool(found) and all(
            one in ("runtime.live", "runtime.guard") or one.startswith("runtime.live.") for one in found
        )

    def _uses(self, function: cst.FunctionDef) -> list[cst.CSTNode]:
        """Return the places of this file that read a function's name."""
        scope = self.file.scope(function)
        if scope is None or function.name.value not in scope:
            return []
        return [
            access.node
            for binding in scope[function.name.value]
            for access in binding.references
            if isinstance(access.node, cst.Name)
        ]

    def _goes_to_live(self, value: cst.CSTNode) -> bool:
        """Say whether a function is an argument (or inside a dictionary, list or tuple of one) of a declaration."""
        below = value
        for above in self.file.around(value):
            if isinstance(above, cst.Call):
                if below is above.func or not isinstance(below, cst.Arg):
                    return False
                if self._declares(above.func) or self.names.may_be(
                    above.func, "runtime.pipe.filter", "runtime.pipe"
                ):
                    return True
                if not self.names.is_ours(above.func):
                    return False
            elif not isinstance(
                above,
                cst.Arg | cst.Dict | cst.DictElement | cst.List | cst.Tuple | cst.Element | cst.Decorator,
            ):
                return False
            below = above
        return False

    def _only_with_context(self, function: cst.FunctionDef, index: int) -> bool:
        """Say whether a function of this file is only ever called, and always with a live context at a position."""
        if function in self._busy or self.file.function_around(function) is not None:
            return False
        self._busy.add(function)
        try:
            uses = self._uses(function)
            calls = []
            for use in uses:
                call = self.file.parents.get(use)
                if not isinstance(call, cst.Call) or call.func is not use:
                    return False
                calls.append(call)
            return bool(calls) and all(self._passes_context(call, function, index) for call in calls)
        finally:
            self._busy.discard(function)

    def _passes_context(self, call: cst.Call, function: cst.FunctionDef, index: int) -> bool:
        name = positional(function)[index].name.value
        for at, argument in enumerate(call.args):
            if argument.star:
                return False
            if (argument.keyword is None and at == index) or (
                argument.keyword is not None and argument.keyword.value == name
            ):
                return self.names.is_a(argument.value, "@ctx")
        return False
