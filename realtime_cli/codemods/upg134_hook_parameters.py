"""The parameters of hooks are bound by their names in 0.5, no longer by position. Spec: upgrade 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.contexts import HOOKS, positional
from realtime_cli.codemods.definitions import body_nodes, users
from realtime_cli.codemods.finding import Change, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.pythonfile import PythonFile
    from realtime_cli.codemods.splices import Splice

__all__ = ["HookParameters"]


class HookParameters(Codemod):
    """`close(sock, c)` becomes `close(ws, ctx)`, with all that reads them."""

    id: ClassVar[str] = "UPG134"
    title: ClassVar[str] = "hook parameters by name"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("P-01", "P-02")
    tokens: ClassVar[tuple[bytes, ...]] = (
        *(f"def {name}".encode() for name in HOOKS),
        *(f"\n{name} =".encode() for name in HOOKS),
        b"hooks_ws",
    )

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Yield each hook with other names, each that is no plain function, and each name that nearly is a hook."""
        if file.path != file.project.hooks_path:
            return
        for function in file.nodes(cst.FunctionDef):
            hook = file.names.contexts.hook(function)
            if hook is not None:
                yield from self._hook(file, hook, function)
            elif _is_top(file, function):
                yield from self._near(file, function)
        yield from self._objects(file)

    def _hook(self, file: PythonFile, hook: str, function: cst.FunctionDef) -> Iterator[Finding]:
        expected = HOOKS[hook]
        taken = positional(function)
        known = {*_known(hook), "ctx"}
        strange = [param for param in taken if param.name.value not in known and param.default is None]
        if isinstance(function.params.star_arg, cst.Param):
            yield self.flag(
                file,
                function.params.star_arg,
                "P-01",
                f"{hook} takes *{function.params.star_arg.name.value}: parameters are bound by their names now",
                f"write them out: {hook}({', '.join(expected)})",
                severity=Severity.ERROR,
            )
            return
        if not strange:
            return
        if len(taken) != len(expected):
            yield self.flag(
                file,
                function.name,
                "P-01",
                f"{hook} has {len(taken)} parameters, and 0.4 handed it {len(expected)}",
                f"name them after what they get: {', '.join(expected)}",
                severity=Severity.ERROR,
            )
            return
        for param, new in zip(taken, expected, strict=True):
            if param not in strange:
                continue
            old = param.name.value
            message = f"the parameter {old} of {hook} is bound by its name: {new}"
            splices = _renamed(file, function, param, new)
            if splices is None:
                yield self.flag(
                    file,
                    param,
                    "P-01",
                    message,
                    f"rename it by hand: the name {new} means something else in this function",
                    severity=Severity.ERROR,
                )
            else:
                yield self.auto(file, param, "P-01", message, splices)

    def _near(self, file: PythonFile, function: cst.FunctionDef) -> Iterator[Finding]:
        from runtime.server.hooks import meant_hook

        name = function.name.value
        meant = None if name.startswith("_") or name in _all_hooks() else meant_hook(name, is_function=True)
        if meant is not None:
            yield self.flag(
                file,
                function.name,
                "P-02",
                f"{name} is no hook, and nearly has the name of {meant}",
                f"call it {meant} if it is meant as one, else give it a name that begins with _",
            )

    def _objects(self, file: PythonFile) -> Iterator[Finding]:
        """Yield hooks that are partial functions or objects of a class."""
        for assign in file.nodes(cst.Assign):
            target = assign.targets[0].target
            if not isinstance(target, cst.Name) or target.value not in HOOKS or not _is_top(file, assign):
                continue
            if not isinstance(assign.value, cst.Call):
                continue
            found = file.names.of(assign.value.func)
            is_partial = found == {"functools.partial"}
            is_object = all(one.startswith("~") and one.rpartition(".")[2][:1].isupper() for one in found)
            if is_partial or is_object:
                yield self.flag(
                    file,
                    assign,
                    "P-01",
                    f"the hook {target.value} is {'a partial function' if is_partial else 'an object'}",
                    f"make it a function {target.value}({', '.join(HOOKS[target.value])}) that calls it",
                )


def _known(hook: str) -> tuple[str, ...]:
    from runtime.server.hooks import HOOKS as CURRENT

    return CURRENT.get(hook, ())


def _all_hooks() -> frozenset[str]:
    from runtime.server.hooks import HOOKS as CURRENT

    return frozenset({*CURRENT, *HOOKS})


def _is_top(file: PythonFile, node: cst.CSTNode) -> bool:
    return not any(isinstance(above, cst.FunctionDef | cst.ClassDef) for above in file.around(node))


def _renamed(file: PythonFile, function: cst.FunctionDef, param: cst.Param, new: str) -> list[Splice] | None:
    """Return the replacements that rename a parameter and its uses; None if the new name is used for something else."""
    old = param.name.value
    inner = file.scope(param)
    if inner is None or not any(one.name == old for one in inner.assignments):
        return None
    for node in body_nodes(file, function, cst.Name):
        if not isinstance(node, cst.Name) or node.value != new:
            continue
        parent = file.parents[node]
        is_attribute = isinstance(parent, cst.Attribute) and parent.attr is node
        is_keyword = isinstance(parent, cst.Arg) and parent.keyword is node
        if not is_attribute and not is_keyword:
            return None
    for use in users(file, function):
        call = file.parents.get(use)
        if isinstance(call, cst.Call) and any(
            one.keyword is not None and one.keyword.value == old for one in call.args
        ):
            return None
    nodes: set[cst.CSTNode] = {param.name}
    for binding in inner[old]:
        written = getattr(binding, "node", None)
        if isinstance(written, cst.Name):
            nodes.add(written)
        elif written is not None and written is not param:
            return None
        nodes.update(access.node for access in binding.references)
    if not all(isinstance(one, cst.Name) for one in nodes):
        return None
    for node in body_nodes(file, function, cst.Nonlocal):
        if isinstance(node, cst.Nonlocal):
            nodes.update(one.name for one in node.names if one.name.value == old)
    return sorted(file.replace(one, new) for one in nodes)
