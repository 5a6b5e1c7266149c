"""One name of ours becomes another, wherever it is imported, re-exported, read or listed. Spec: upgrade 3.1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import Assignment, ImportAssignment

from realtime_cli.codemods.finding import Severity
from realtime_cli.codemods.following import MAX_HOPS
from realtime_cli.codemods.imports import without_alias
from realtime_cli.codemods.names import dotted
from realtime_cli.codemods.publicnames import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.codemod import Codemod
    from realtime_cli.codemods.finding import Finding
    from realtime_cli.codemods.pythonfile import PythonFile
    from realtime_cli.codemods.splices import Splice

__all__ = ["Rename", "renamed"]


@dataclass(frozen=True, slots=True)
class Rename:
    """An old public path and the new one.

    Attributes:
        old: dotted, as `publicnames.canonical` has it.
        module: where the new name is imported from.
        new: the new name.
        row: of the table of changes.
    """

    old: str
    module: str
    new: str
    row: str

    @property
    def name(self) -> str:
        """The old name without its module."""
        return self.old.rpartition(".")[2]


def renamed(codemod: Codemod, file: PythonFile, rename: Rename) -> Iterator[Finding]:
    """Yield the findings of one rename in a file: imports with all that reads them, attributes, strings."""
    if rename.name.encode() not in file.data:
        return
    for statement in file.nodes(cst.ImportFrom):
        if isinstance(statement.names, cst.ImportStar):
            continue
        for alias in statement.names:
            yield from _import(codemod, file, rename, statement, alias)
    yield from _attributes(codemod, file, rename)
    yield from _star_uses(codemod, file, rename)
    yield from _strings(codemod, file, rename)


@dataclass(frozen=True, slots=True)
class _Decision:
    """What becomes of one imported name in its file: its old and new local name, and why not, if it keeps it."""

    local: str
    new_local: str
    mixed: bool = False


def _imported_old(
    file: PythonFile, rename: Rename, statement: cst.ImportFrom, alias: cst.ImportAlias, hops: int = 0
) -> str | None:
    """Return the name that has to stand behind ``import`` now; None if this is not about the old name."""
    base = file.names.import_base(statement)
    name = alias.evaluated_name
    path = f"{base}.{name}"
    project = file.project
    if not project.owns(base.partition(".")[0]):
        return rename.new if canonical(path) == rename.old else None
    if name != rename.name:
        return None  # it has got another name on its way, which stays
    other = project.module(base)
    if other is None or hops > MAX_HOPS:
        return None
    decided = _exported(other, rename, name, hops + 1)
    return decided.new_local if decided is not None and decided.new_local != name else None


def _exported(file: PythonFile, rename: Rename, name: str, hops: int) -> _Decision | None:
    """Return what becomes of a name that another file imports from this one, if it is the old name re-exported."""
    for statement in file.nodes(cst.ImportFrom):
        if isinstance(statement.names, cst.ImportStar):
            continue
        for alias in statement.names:
            if (alias.evaluated_alias or alias.evaluated_name) != name:
                continue
            new = _imported_old(file, rename, statement, alias, hops)
            if new is not None:
                return _decide(file, alias, new)
    return None


def _decide(file: PythonFile, alias: cst.ImportAlias, new: str) -> _Decision:
    local = alias.evaluated_alias or alias.evaluated_name
    scope = file.scope(alias)
    mixed = scope is not None and len(scope[local]) > 1
    if alias.asname is not None or mixed:
        return _Decision(local, local, mixed)
    if scope is not None:
        seen = [scope, *(access.scope for one in scope[local] for access in one.references)]
        if any(new in one for one in seen):
            return _Decision(local, local)
    return _Decision(local, new)


def _import(
    codemod: Codemod, file: PythonFile, rename: Rename, statement: cst.ImportFrom, alias: cst.ImportAlias
) -> Iterator[Finding]:
    new = _imported_old(file, rename, statement, alias)
    if new is None:
        return
    decided = _decide(file, alias, new)
    written = new if decided.new_local == new or alias.asname is not None else f"{new} as {decided.local}"
    splices = _alias_splices(file, rename, statement, alias, written)
    if splices is None:
        yield codemod.flag(
            file,
            alias,
            rename.row,
            f"{rename.old} is now {rename.module}.{rename.new}",
            "change the import by hand",
        )
        return
    if decided.new_local != decided.local:
        splices += _reads(file, alias, decided)
    if not decided.mixed:
        yield codemod.auto(
            file, alias, rename.row, f"{rename.old} is now {rename.module}.{rename.new}", splices
        )
        return
    others = _other_meanings(file, alias, decided.local)
    if others:
        yield codemod.flag(
            file,
            alias,
            rename.row,
            f"{decided.local} is {rename.old} or something else ({', '.join(sorted(others))})",
            f"import {rename.new} from {rename.module} where it is ours",
        )
    else:
        yield codemod.assisted(
            file,
            alias,
            rename.row,
            f"{rename.old} is now {rename.module}.{rename.new}; the name is bound in another way, too",
            f"{rename.name} is {rename.new} in 0.5; the name was kept for the other way in which it is bound",
            splices,
        )


def _other_meanings(file: PythonFile, alias: cst.ImportAlias, local: str) -> set[str]:
    """Return the other libraries that a name may come from."""
    scope = file.scope(alias)
    found: set[str] = set()
    for one in scope[local] if scope is not None else ():
        if isinstance(one, ImportAssignment) and isinstance(one.node, cst.ImportFrom):
            base = file.names.import_base(one.node)
            if base.partition(".")[0] != "runtime" and not file.project.owns(base.partition(".")[0]):
                found.add(base)
        elif isinstance(one, ImportAssignment):
            found.add(local)
        elif isinstance(one, Assignment):
            continue
    return found


def _alias_splices(
    file: PythonFile, rename: Rename, statement: cst.ImportFrom, alias: cst.ImportAlias, written: str
) -> list[Splice] | None:
    base = file.names.import_base(statement)
    changes_module = not file.project.owns(base.partition(".")[0]) and base != rename.module
    if changes_module and canonical(f"{base}.{rename.new}") == canonical(f"{rename.module}.{rename.new}"):
        changes_module = False
    if not changes_module:
        return [file.replace(alias.name, written)]
    assert not isinstance(statement.names, cst.ImportStar)  # noqa: S101 - the caller left these out
    assert statement.module is not None  # noqa: S101 - ours are absolute
    if len(statement.names) == 1:
        return [file.replace(statement.module, rename.module), file.replace(alias.name, written)]
    gone = without_alias(file, statement, alias)
    if gone is None or not file.is_alone(statement):
        return None
    tail = f" as {alias.evaluated_alias}" if alias.asname is not None else ""
    line = file.parents[statement]
    return [gone, file.lines_below(line, [f"from {rename.module} import {written}{tail}"])]


def _reads(file: PythonFile, alias: cst.ImportAlias, decided: _Decision) -> list[Splice]:
    """Return the replacements of everything that reads a name: expressions and entries of ``__all__``."""
    scope = file.scope(alias)
    if scope is None:
        return []
    splices = {
        file.replace(access.node, decided.new_local)
        for one in scope[decided.local]
        for access in one.references
        if isinstance(access.node, cst.Name)
    }
    if scope is file.scope(file.tree):
        splices |= {
            file.replace(string, string.value.replace(decided.local, decided.new_local))
            for string in _listed(file)
            if string.evaluated_value == decided.local
        }
    return sorted(splices)


def _listed(file: PythonFile) -> list[cst.SimpleString]:
    """Return the strings of ``__all__``."""
    found = []
    for string in file.nodes(cst.SimpleString):
        for above in file.around(string):
            targets: list[cst.BaseExpression] = []
            if isinstance(above, cst.Assign):
                targets = [one.target for one in above.targets]
            elif isinstance(above, cst.AugAssign | cst.AnnAssign):
                targets = [above.target]
            if any(dotted(one) == "__all__" for one in targets):
                found.append(string)
                break
    return found


def _attributes(codemod: Codemod, file: PythonFile, rename: Rename) -> Iterator[Finding]:
    for node in file.attributes(rename.name):
        found = file.names.of(node)
        if found == {rename.old}:
            base = file.names.of(node.value)
            module = next(iter(base)) if len(base) == 1 else ""
            if module.startswith("~") and not _follows(file, rename, module[1:]):
                continue
            same = module.startswith("~") or module == rename.module
            if same:
                yield codemod.auto(
                    file,
                    node,
                    rename.row,
                    f"{rename.old} is now {rename.module}.{rename.new}",
                    [file.replace(node.attr, rename.new)],
                )
                continue
        if rename.old in found:
            yield codemod.flag(
                file,
                node,
                rename.row,
                f"{file.text(node)} may be {rename.old}",
                f"it is {rename.module}.{rename.new} now",
            )
        elif found & {"?hops", "?broken"}:
            yield codemod.flag(
                file,
                node,
                rename.row,
                f"where {file.text(node)} comes from cannot be followed",
                f"if it is {rename.old}, it is {rename.module}.{rename.new} now",
            )
        elif found == {"?"}:
            yield codemod.flag(
                file,
                node,
                rename.row,
                f"{file.text(node)} has the name of {rename.old}",
                f"if it is ours, it is {rename.module}.{rename.new} now",
                severity=Severity.INFO,
            )


def _follows(file: PythonFile, rename: Rename, module: str) -> bool:
    other = file.project.module(module)
    decided = other and _exported(other, rename, rename.name, 1)
    return bool(decided) and decided.new_local == rename.new  # type: ignore[union-attr]  # bool() looked


def _star_uses(codemod: Codemod, file: PythonFile, rename: Rename) -> Iterator[Finding]:
    if not file.names.has_star:
        return
    for node in file.nodes(cst.Name):
        if node.value == rename.name and file.names.is_star(node) and file.names.is_a(node, rename.old):
            yield codemod.assisted(
                file,
                node,
                rename.row,
                f"{rename.name} of a star import is now {rename.new}",
                f"{rename.name} came with a star import; import {rename.new} by its name",
                [file.replace(node, rename.new)],
            )


def _strings(codemod: Codemod, file: PythonFile, rename: Rename) -> Iterator[Finding]:
    for call in file.calls("getattr"):
        if len(call.args) >= 2 and isinstance(call.args[1].value, cst.SimpleString):
            module = rename.old.rpartition(".")[0]
            if call.args[1].value.evaluated_value == rename.name and file.names.is_a(
                call.args[0].value, module
            ):
                yield codemod.flag(
                    file,
                    call,
                    rename.row,
                    f"{file.text(call)}",
                    f"the name is {rename.new} in {rename.module} now",
                )
    for string in file.nodes(cst.SimpleString):
        if string.evaluated_value != rename.old:
            continue
        taker = next((above for above in file.around(string) if isinstance(above, cst.Call)), None)
        if taker is None or (dotted(taker.func) or "").rpartition(".")[2] not in ("patch", "setattr"):
            continue
        new = f"{rename.module}.{rename.new}"
        yield codemod.assisted(
            file,
            string,
            rename.row,
            f"{rename.old} is patched by its path",
            f"the path is {new} in 0.5",
            [file.replace(string, string.value.replace(rename.old, new))],
        )
