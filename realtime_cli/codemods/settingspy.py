"""`realtime_config.py` of 0.4: what it sets, who reads it, and how keys leave it. Spec: upgrade 2.1, 3.2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from realtime_cli.codemods.names import dotted
from realtime_cli.codemods.splices import Splice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.pythonfile import PythonFile

__all__ = [
    "MODULE",
    "PATH",
    "ConfigEntry",
    "Readers",
    "config_entries",
    "entry_removal",
    "is_read",
    "names_once",
    "read_keys",
]

PATH = "realtime_config.py"
MODULE = "realtime_config"
VARIABLE = "config"


@dataclass(slots=True)
class ConfigEntry:
    """A key of the dictionary, or an upper-case constant.

    Attributes:
        name: ``port``, ``websocket.path``; of a constant its name in lower case.
        value: the expression.
        node: the entry of the dictionary, or the statement.
        container: the dictionary; None for a constant.
    """

    name: str
    value: cst.BaseExpression
    node: cst.CSTNode
    container: cst.Dict | None


def config_entries(file: PythonFile, nested: str) -> tuple[list[ConfigEntry], str]:
    """Return what the module sets, in order, and why that cannot be told from reading it; empty if it can.

    Upper-case constants are settings only where there is no `config`: beside it they are the values that it is made of.
    """
    entries: list[ConfigEntry] = []
    scope = file.scope(file.tree)
    has_config = scope is not None and VARIABLE in scope
    for line in file.tree.body:
        if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
            continue
        target, value = _assignment(line.body[0])
        if target is None or value is None:
            continue
        if target == VARIABLE and isinstance(value, cst.Dict):
            entries += _of_dict(value, "", nested)
        elif target.isupper() and not has_config:
            name = target.lower()
            if name == nested and isinstance(value, cst.Dict):
                entries += _of_dict(value, f"{name}.", nested)
            else:
                entries.append(ConfigEntry(name, value, line, None))
    if has_config and not any(_is_config(line) for line in file.tree.body):
        return [], "config is made by code"
    if _is_touched(file):
        return entries, "config is changed after it is made"
    if any(_is_open(one) for line in file.tree.body if _is_config(line) for one in _dicts(line)):
        return entries, "config has keys that only running it tells"
    return entries, ""


def _is_config(line: cst.CSTNode) -> bool:
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return False
    target, value = _assignment(line.body[0])
    return target == VARIABLE and isinstance(value, cst.Dict)


def _dicts(line: cst.CSTNode) -> Iterator[cst.Dict]:
    """The dictionary of the settings, and those that are values in it."""
    assert isinstance(line, cst.SimpleStatementLine)  # noqa: S101 - `_is_config` said so
    _, value = _assignment(line.body[0])
    if isinstance(value, cst.Dict):
        yield value
        yield from (one.value for one in value.elements if isinstance(one.value, cst.Dict))


def _is_open(node: cst.Dict) -> bool:
    return any(
        not isinstance(one, cst.DictElement) or not isinstance(one.key, cst.SimpleString)
        for one in node.elements
    )


def is_read(file: PythonFile, entry: ConfigEntry) -> bool:
    """Say whether the module itself reads a constant, so that it has to stay."""
    scope = file.scope(file.tree)
    name = entry.name.upper()
    return entry.container is None and scope is not None and any(one.references for one in scope[name])


def _assignment(statement: cst.BaseSmallStatement) -> tuple[str | None, cst.BaseExpression | None]:
    if isinstance(statement, cst.Assign) and len(statement.targets) == 1:
        return dotted(statement.targets[0].target), statement.value
    if isinstance(statement, cst.AnnAssign):
        return dotted(statement.target), statement.value
    return None, None


def _of_dict(node: cst.Dict, prefix: str, nested: str) -> Iterator[ConfigEntry]:
    for one in node.elements:
        if not isinstance(one, cst.DictElement) or not isinstance(one.key, cst.SimpleString):
            continue
        name = prefix + str(one.key.evaluated_value)
        if name == nested and isinstance(one.value, cst.Dict):
            yield from _of_dict(one.value, f"{nested}.", nested)
        else:
            yield ConfigEntry(name, one.value, one, node)


def _is_touched(file: PythonFile) -> bool:
    scope = file.scope(file.tree)
    if scope is None or VARIABLE not in scope:
        return False
    bindings = scope[VARIABLE]
    return len(bindings) > 1 or any(one.references for one in bindings)


def names_once(file: PythonFile) -> dict[str, cst.BaseExpression]:
    """Return the module-level names that are bound exactly once, by an assignment, with their expressions."""
    found: dict[str, cst.BaseExpression] = {}
    scope = file.scope(file.tree)
    for line in file.tree.body:
        if not isinstance(line, cst.SimpleStatementLine):
            continue
        for statement in line.body:
            target, value = _assignment(statement)
            if (
                target
                and value is not None
                and scope is not None
                and target in scope
                and len(scope[target]) == 1
            ):
                found[target] = value
    return found


def entry_removal(file: PythonFile, entries: list[ConfigEntry]) -> list[Splice]:
    """Return the replacements that take entries away, with the comments that belong to them.

    A nested dictionary, and the whole assignment, go when nothing is left in them.
    """
    splices: list[Splice] = []
    gone = {id(one.node) for one in entries}
    emptied: dict[int, cst.Dict] = {}
    for one in entries:
        if one.container is None:
            splices.append(file.without(one.node))
        else:
            emptied[id(one.container)] = one.container
    for container in emptied.values():
        splices += _from_dict(file, container, gone)
    return _outermost(splices)


def _from_dict(file: PythonFile, container: cst.Dict, gone: set[int]) -> list[Splice]:
    left = [one for one in container.elements if id(one) not in gone]
    above = file.parents[container]
    if not left:
        if isinstance(above, cst.DictElement):
            outer = file.parents[above]
            assert isinstance(outer, cst.Dict)  # noqa: S101 - an entry stands in one
            gone.add(id(above))
            return (
                _from_dict(file, outer, gone)
                if all(id(one) in gone for one in outer.elements)
                else [_element(file, outer, above)]
            )
        line = next((one for one in file.around(container) if isinstance(one, cst.SimpleStatementLine)), None)
        return [file.without(line)] if line is not None else []
    return [_element(file, container, one) for one in container.elements if id(one) in gone]


def _element(file: PythonFile, container: cst.Dict, element: cst.BaseDictElement) -> Splice:
    start, end = file.span(element)
    index = next(at for at, one in enumerate(container.elements) if one is element)
    comma = element.comma
    if isinstance(comma, cst.Comma):
        end = max(end, file.span(comma)[1])
    line = file.line_start(start)
    rest = file.data[end : file.line_end(end)].strip()
    if not file.data[line:start].strip() and (not rest or rest.startswith(b"#")):
        return Splice(_comments_above(file, line), file.line_end(end), b"")
    if index + 1 < len(container.elements):
        return Splice(start, file.span(container.elements[index + 1])[0], b"")
    if index:
        before = container.elements[index - 1]
        return Splice(file.span(before)[1], file.span(element)[1], b"")
    return Splice(start, end, b"")


def _comments_above(file: PythonFile, line: int) -> int:
    while line:
        above = file.line_start(line - 1 - (file.data[line - 2 : line] == b"\r\n"))
        text = file.data[above:line].strip()
        if not text.startswith(b"#") or b"TODO(realtime-upgrade" in text:
            break
        line = above
    return line


def _outermost(splices: list[Splice]) -> list[Splice]:
    kept: list[Splice] = []
    for one in sorted(set(splices), key=lambda one: (one.start, -one.end)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


@dataclass(slots=True)
class Readers:
    """Who reads the settings module in one file.

    Attributes:
        keys: key and the expression that reads it with a literal, which can become one of `settings()`.
        kept: keys that are read in another way, and have to stay.
        everything: expressions that may read any key, so that all have to stay.
        unread: it is imported and not read: the module has to stay.
    """

    keys: list[tuple[str, cst.CSTNode]] = field(default_factory=list)
    kept: list[tuple[str, cst.CSTNode]] = field(default_factory=list)
    everything: list[cst.CSTNode] = field(default_factory=list)
    unread: bool = False


def read_keys(file: PythonFile, nested: str) -> Readers:
    """Return how a file reads the settings module."""
    readers = Readers()
    for statement in file.nodes(cst.ImportFrom):
        if file.names.import_base(statement) == MODULE and not isinstance(statement.names, cst.ImportStar):
            for alias in statement.names:
                _of_name(file, alias, readers, nested)
        elif file.names.import_base(statement) == MODULE:
            readers.everything.append(statement)
    for plain in file.nodes(cst.Import):
        for alias in plain.names:
            if dotted(alias.name) == MODULE:
                _of_module(file, alias, readers, nested)
    return readers


def _references(file: PythonFile, alias: cst.ImportAlias, local: str) -> list[cst.CSTNode]:
    scope = file.scope(alias)
    if scope is None or local not in scope:
        return []
    found = {id(access.node): access.node for one in scope[local] for access in one.references}
    return sorted(found.values(), key=lambda node: file.span(node)[0])


def _of_name(file: PythonFile, alias: cst.ImportAlias, readers: Readers, nested: str) -> None:
    local = alias.evaluated_alias or alias.evaluated_name
    uses = _references(file, alias, local)
    if alias.evaluated_name != VARIABLE:
        if alias.evaluated_name.isupper():
            readers.kept.append((alias.evaluated_name.lower(), alias))
        return
    readers.unread |= not uses
    for use in uses:
        _of_config(file, use, readers, nested)
    if _is_re_exported(file, local):
        readers.everything.append(alias)


def _of_module(file: PythonFile, alias: cst.ImportAlias, readers: Readers, nested: str) -> None:
    local = alias.evaluated_alias or MODULE
    uses = _references(file, alias, local)
    readers.unread |= not uses
    for use in uses:
        name = use
        while isinstance(name, cst.Attribute):
            name = name.value
        above = file.parents.get(name)
        if not isinstance(above, cst.Attribute):
            readers.everything.append(use)
        elif above.attr.value == VARIABLE:
            _of_config(file, above, readers, nested)
        elif above.attr.value.isupper():
            readers.keys.append((above.attr.value.lower(), above))


def _of_config(file: PythonFile, use: cst.CSTNode, readers: Readers, nested: str) -> None:
    above = file.parents.get(use)
    key = _literal_index(above, use)
    if key is not None:
        assert isinstance(above, cst.Subscript)  # noqa: S101 - a literal index stands in one
        node: cst.CSTNode = above
        if key == nested:
            outer = file.parents.get(above)
            inner = _literal_index(outer, above)
            if inner is None or outer is None:
                readers.everything.append(use)
                return
            key, node = f"{nested}.{inner}", outer
        holder = file.parents.get(node)
        if isinstance(holder, cst.AssignTarget | cst.Del | cst.AugAssign):
            readers.everything.append(use)
        else:
            readers.keys.append((key, node))
        return
    if isinstance(above, cst.Attribute) and above.attr.value == "get":
        call = file.parents.get(above)
        if isinstance(call, cst.Call) and call.args and isinstance(call.args[0].value, cst.SimpleString):
            readers.kept.append((str(call.args[0].value.evaluated_value), call))
            return
    readers.everything.append(use)


def _literal_index(node: cst.CSTNode | None, of: cst.CSTNode) -> str | None:
    if not isinstance(node, cst.Subscript) or node.value is not of or len(node.slice) != 1:
        return None
    index = node.slice[0].slice
    if isinstance(index, cst.Index) and isinstance(index.value, cst.SimpleString):
        return str(index.value.evaluated_value)
    return None


def _is_re_exported(file: PythonFile, local: str) -> bool:
    """Say whether another file takes the dictionary from this one."""
    project: Project = file.project
    name = file.module.rpartition(".")[2]
    for path in project.mentions(local.encode(), suffixes=(".py",)):
        if path in (file.path, PATH) or name.encode() not in project.tree.read(path):
            continue
        other = project.file(path)
        if other is None:
            continue
        for statement in other.nodes(cst.ImportFrom):
            if other.names.import_base(statement) == file.module and (
                isinstance(statement.names, cst.ImportStar)
                or any(alias.evaluated_name == local for alias in statement.names)
            ):
                return True
        for node in other.attributes(local):
            if other.names.of(node.value) == {f"~{file.module}"}:
                return True
    return False
