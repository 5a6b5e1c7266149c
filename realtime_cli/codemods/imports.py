"""Imports that edits need or leave without a use: added and pruned once, at the end. Spec: upgrade 3.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import ImportAssignment

from realtime_cli.codemods.names import dotted
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = ["added_imports", "pruned_imports", "without_alias", "without_import"]


def _top_imports(file: PythonFile) -> list[cst.Import | cst.ImportFrom]:
    """Return the import statements at the top level of a module, alone on their lines."""
    found: list[cst.Import | cst.ImportFrom] = []
    for line in file.tree.body:
        if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1:
            statement = line.body[0]
            if isinstance(statement, cst.Import | cst.ImportFrom):
                found.append(statement)
    return found


def added_imports(file: PythonFile, wanted: Sequence[tuple[str, str]]) -> list[Splice]:
    """Return the replacements that import each `(module, name)` that is not imported at the top yet.

    A name joins the last ``from module import ...`` there is; else a line of its own goes below the first block of
    imports (below the docstring if there is none).
    """
    splices: list[Splice] = []
    imports = _top_imports(file)
    lines: list[str] = []
    for module in dict.fromkeys(module for module, _ in wanted):
        names = [name for wanted_module, name in wanted if wanted_module == module]
        froms = [
            one
            for one in imports
            if isinstance(one, cst.ImportFrom)
            and not one.relative
            and one.module is not None
            and dotted(one.module) == module
            and not isinstance(one.names, cst.ImportStar)
        ]
        present = {alias.evaluated_name for one in froms for alias in one.names if alias.asname is None}  # type: ignore[union-attr]  # no star
        missing = [name for name in names if name not in present]
        if not missing:
            continue
        if froms:
            aliases = froms[-1].names
            assert not isinstance(aliases, cst.ImportStar)  # noqa: S101 - left out above
            _, end = file.span(aliases[-1].asname or aliases[-1].name)
            splices.append(Splice(end, end, "".join(f", {name}" for name in missing).encode()))
        else:
            lines.append(f"from {module} import {', '.join(missing)}")
    if lines:
        splices.append(_new_lines(file, imports, lines))
    return splices


def _new_lines(file: PythonFile, imports: list[cst.Import | cst.ImportFrom], lines: list[str]) -> Splice:
    block: cst.CSTNode | None = None
    for line in file.tree.body:
        if isinstance(line, cst.SimpleStatementLine) and any(part in imports for part in line.body):
            block = line
        elif block is not None:
            break
    if block is not None:
        return file.lines_below(block, lines, indent=b"")
    body = file.tree.body
    if body and file.tree.get_docstring() is not None:
        return file.lines_below(body[0], ["", *lines], indent=b"")
    if body:
        return file.lines_above(body[0], lines, indent=b"")
    end = len(file.data)
    return Splice(end, end, "".join(f"{line}\n" for line in lines).encode())


def without_import(file: PythonFile, statement: cst.Import | cst.ImportFrom) -> Splice:
    """Return the replacement that takes an import alone on its lines away; a block that it fills gets ``pass``."""
    line = file.parents[statement]
    block = file.parents[line]
    if isinstance(block, cst.IndentedBlock) and len(block.body) == 1:
        return file.replace(statement, "pass")
    return file.without(line)


def without_alias(
    file: PythonFile, statement: cst.Import | cst.ImportFrom, alias: cst.ImportAlias
) -> Splice | None:
    """Return the replacement that takes one name out of an import; the whole line when it is the only one.

    None if the statement shares its line with another, and would have to go.
    """
    assert not isinstance(statement, cst.Import) or statement.names  # noqa: S101
    names = statement.names
    if isinstance(names, cst.ImportStar):
        return None
    aliases = list(names)
    if len(aliases) == 1:
        if not file.is_alone(statement):
            return None
        return without_import(file, statement)
    index = aliases.index(alias)
    start, end = file.span(alias)
    if index + 1 < len(aliases):
        following = file.span(aliases[index + 1])[0]
        between = file.data[end:following]
        if b"#" in between:  # a comment belongs to the line of the name before it
            comma = end + between.index(b",") + 1 if b"," in between else end
            line_end = file.line_end(comma)
            return (
                Splice(file.line_start(start), line_end, b"")
                if not file.data[file.line_start(start) : start].strip()
                else Splice(start, comma, b"")
            )
        return Splice(start, following, b"")
    before = file.span(aliases[index - 1].asname or aliases[index - 1].name)[1]
    return Splice(before, file.span(alias.asname or alias.name)[1], b"")


def _unused(file: PythonFile, statement: cst.Import | cst.ImportFrom, alias: cst.ImportAlias) -> bool | None:
    """Say whether nothing in the file reads an imported name; None if that is not known."""
    scope = file.scope(file.tree)
    full = dotted(alias.name) or ""
    local = alias.evaluated_alias or (
        full if isinstance(statement, cst.ImportFrom) else full.partition(".")[0]
    )
    if scope is None or local not in scope:
        return None
    bindings = [one for one in scope[local] if isinstance(one, ImportAssignment)]
    if len(bindings) != len(scope[local]):
        return None
    return not any(one.references for one in bindings)


def pruned_imports(original: PythonFile, file: PythonFile) -> list[Splice]:
    """Return the replacements that take away the names that were read before the edits and are not any more."""
    used: set[tuple[str, str, str]] = set()
    for statement in _top_imports(original):
        if isinstance(statement.names, cst.ImportStar):
            return []
        for alias in statement.names:
            if _unused(original, statement, alias) is False:
                used.add(_key(original, statement, alias))
    splices: list[Splice] = []
    exported = _listed(file)
    for statement in _top_imports(file):
        if isinstance(statement.names, cst.ImportStar):
            return []
        for alias in statement.names:
            key = _key(file, statement, alias)
            if key not in used or _unused(file, statement, alias) is not True or key[2] in exported:
                continue
            if _is_taken_elsewhere(file, key[2]):
                continue
            gone = without_alias(file, statement, alias)
            if gone is not None and not any(one.start < gone.end and gone.start < one.end for one in splices):
                splices.append(gone)
    return splices


def _key(
    file: PythonFile, statement: cst.Import | cst.ImportFrom, alias: cst.ImportAlias
) -> tuple[str, str, str]:
    base = file.names.import_base(statement) if isinstance(statement, cst.ImportFrom) else ""
    full = dotted(alias.name) or ""
    return base, full, alias.evaluated_alias or full.partition(".")[0]


def _listed(file: PythonFile) -> set[str]:
    """Return the names in ``__all__``."""
    found: set[str] = set()
    for node in file.tree.body:
        if isinstance(node, cst.SimpleStatementLine) and "__all__" in file.text(node):
            found |= {
                str(string.evaluated_value)
                for string in file.nodes(cst.SimpleString)
                if file.statement(string) is node
            }
    return found


def _is_taken_elsewhere(file: PythonFile, name: str) -> bool:
    """Say whether another file of the project may import a name from this one."""
    project = file.project
    module = file.module.rpartition(".")[2].encode()
    for path in project.mentions(name.encode()):
        if path != file.path:
            raw = project.tree.read(path)
            if b"import" in raw and module in raw:
                return True
    return False
