"""The live layer is always in front of the hooks: its `message`, `close` and `unsubscribe` go. Spec: upgrade 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import libcst as cst
from libcst.metadata import ImportAssignment

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.imports import without_alias, without_import
from realtime_cli.codemods.names import dotted
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["ReExports"]

_NAMES = ("message", "close", "unsubscribe")


class ReExports(Codemod):
    """Kept in the hooks file they would dispatch every frame twice."""

    id: ClassVar[str] = "UPG104"
    title: ClassVar[str] = "re-exports of the live layer in the hooks"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("S-07", "S-08")
    tokens: ClassVar[tuple[bytes, ...]] = (b"message", b"close", b"unsubscribe", b"import *")

    def python(self, file: PythonFile) -> Iterator[Finding]:
        """Look at the hooks file only."""
        if file.path != file.project.hooks_path:
            return
        for statement in file.nodes(cst.ImportFrom):
            if file.names.import_base(statement) != "runtime":
                continue
            if isinstance(statement.names, cst.ImportStar):
                yield self.flag(
                    file,
                    statement,
                    "S-07",
                    "a star import brings message, close and unsubscribe into the hooks",
                    "import what you use by its name",
                    severity=Severity.ERROR,
                )
                continue
            yield from self._statement(file, statement, statement.names)
        yield from self._loops(file)

    def _statement(
        self, file: PythonFile, statement: cst.ImportFrom, aliases: Sequence[cst.ImportAlias]
    ) -> Iterator[Finding]:
        removable: list[tuple[cst.ImportAlias, list[Splice]]] = []
        for alias in aliases:
            if alias.evaluated_name not in _NAMES:
                continue
            reads = self._reads(file, alias)
            gone = [self._gone(file, read) for read in reads]
            if all(one is not None for one in gone):
                removable.append((alias, [one for one in gone if one is not None]))
            else:
                first = next(read for read, one in zip(reads, gone, strict=True) if one is None)
                yield self.flag(
                    file,
                    first,
                    "S-07",
                    f"{alias.evaluated_name} of the live layer is used for more than a call",
                    "the framework has called it already: remove it",
                    severity=Severity.ERROR,
                )
        if not removable:
            return
        names = ", ".join(alias.evaluated_name for alias, _ in removable)
        splices = [one for _, uses in removable for one in uses]
        splices += self._listed(
            file, {alias.evaluated_alias or alias.evaluated_name for alias, _ in removable}
        )
        if len(removable) == len(aliases):
            if not file.is_alone(statement):
                yield self.flag(file, statement, "S-07", f"{names} re-exported", "remove this import")
                return
            splices.append(without_import(file, statement))
            yield self.auto(
                file, statement, "S-07", f"the live layer is in front by itself: {names}", splices
            )
            return
        alias, uses = removable[0]  # the others in the next pass
        one = without_alias(file, statement, alias)
        if one is not None:
            splices = [*uses, *self._listed(file, {alias.evaluated_alias or alias.evaluated_name}), one]
            yield self.auto(
                file, alias, "S-07", f"the live layer is in front by itself: {alias.evaluated_name}", splices
            )

    def _reads(self, file: PythonFile, alias: cst.ImportAlias) -> list[cst.CSTNode]:
        scope = file.scope(alias)
        local = alias.evaluated_alias or alias.evaluated_name
        if scope is None or local not in scope:
            return []
        found = {
            id(access.node): access.node
            for one in scope[local]
            if isinstance(one, ImportAssignment)
            for access in one.references
            if not isinstance(file.parents.get(access.node), cst.ImportAlias)
        }
        return sorted(found.values(), key=lambda node: file.span(node)[0])

    def _gone(self, file: PythonFile, read: cst.CSTNode) -> Splice | None:
        """Return how a call statement in an own hook goes; None if it is more than that."""
        call = file.parents.get(read)
        if not isinstance(call, cst.Call) or call.func is not read:
            return None
        statement = file.parents.get(call)
        if isinstance(statement, cst.Await):
            statement = file.parents.get(statement)
        if not isinstance(statement, cst.Expr) or not file.is_alone(statement):
            return None
        function = file.function_around(read)
        line = file.parents[statement]
        body = file.parents.get(line)
        if function is None or not isinstance(body, cst.IndentedBlock):
            return None
        others = [one for one in body.body if one is not line and not _is_docstring(one)]
        return file.without(line) if others else file.replace(statement, "pass")

    def _listed(self, file: PythonFile, names: set[str]) -> list[Splice]:
        """Return the replacements that take names out of ``__all__``."""
        splices = []
        for assign in file.nodes(cst.Assign):
            if dotted(assign.targets[0].target) != "__all__" or not isinstance(
                assign.value, cst.List | cst.Tuple
            ):
                continue
            elements = list(assign.value.elements)
            for index, one in enumerate(elements):
                if not isinstance(one.value, cst.SimpleString) or one.value.evaluated_value not in names:
                    continue
                start, end = file.span(one)
                if index + 1 < len(elements):
                    splices.append(Splice(start, file.span(elements[index + 1])[0], b""))
                elif index and not any(
                    isinstance(left.value, cst.SimpleString) and left.value.evaluated_value in names
                    for left in elements[:index]
                ):
                    splices.append(
                        Splice(file.span(elements[index - 1].value)[1], file.span(one.value)[1], b"")
                    )
                else:
                    splices.append(Splice(start, end, b""))
        return splices

    def _loops(self, file: PythonFile) -> Iterator[Finding]:
        """S-08: a `close` that goes through all topics by itself."""
        for function in file.nodes(cst.FunctionDef):
            if file.names.contexts.hook(function) != "close":
                continue
            for loop in file.nodes(cst.For):
                if file.function_around(loop) is function and not _mentions_subscriptions(loop.iter):
                    yield self.flag(
                        file,
                        loop,
                        "S-08",
                        "close() loops over topics of its own",
                        "close gets subscriptions, the topics that were still active; on_unsubscribe runs for those",
                    )


def _mentions_subscriptions(node: cst.BaseExpression) -> bool:
    return "subscriptions" in cst.Module([]).code_for_node(node)


def _is_docstring(node: cst.CSTNode) -> bool:
    return (
        isinstance(node, cst.SimpleStatementLine)
        and isinstance(node.body[0], cst.Expr)
        and isinstance(node.body[0].value, cst.SimpleString)
    )
