"""Where functions and classes of the project are defined, and the objects that it makes. Spec: upgrade 3.1."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import libcst as cst
from libcst.metadata import Assignment, BuiltinAssignment, ImportAssignment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project
    from realtime_cli.codemods.pythonfile import Function, PythonFile

__all__ = ["Definition", "body_nodes", "called_with", "class_of", "function_of", "made_objects", "users"]

Definition = tuple["PythonFile", cst.FunctionDef | cst.ClassDef | cst.Lambda]
_MAX_COPIES = 8

_objects: WeakKeyDictionary[Project, dict[tuple[str, ...], list[tuple[str, str, str]]]] = WeakKeyDictionary()


def _definition(file: PythonFile, node: cst.CSTNode, copies: int = 0) -> Definition | None:
    if isinstance(node, cst.Lambda):
        return file, node
    if copies > _MAX_COPIES:
        return None
    if isinstance(node, cst.Name):
        scope = file.scope(node)
        bound = [
            one
            for one in (scope[node.value] if scope is not None and node.value in scope else ())
            if not isinstance(one, BuiltinAssignment)
        ]
        if (
            len(bound) == 1
            and isinstance(bound[0], Assignment)
            and not isinstance(bound[0], ImportAssignment)
        ):
            made = bound[0].node
            if isinstance(made, cst.FunctionDef | cst.ClassDef):
                return file, made
            target = file.parents.get(made)
            statement = file.parents.get(target) if isinstance(target, cst.AssignTarget) else None
            if isinstance(statement, cst.Assign):
                return _definition(file, statement.value, copies + 1)
            return None
    found = file.names.of(node)
    if len(found) != 1:
        return None
    (meaning,) = found
    if not meaning.startswith("~") or "<locals>" in meaning or "(" in meaning:
        return None
    module, _, name = meaning[1:].rpartition(".")
    other = file.project.module(module)
    if other is None:
        return None
    every: list[cst.FunctionDef | cst.ClassDef] = [*other.nodes(cst.FunctionDef), *other.nodes(cst.ClassDef)]
    named = [one for one in every if one.name.value == name and _at_top(other, one)]
    return (other, named[0]) if len(named) == 1 else None


def _at_top(file: PythonFile, node: cst.CSTNode) -> bool:
    return not any(
        isinstance(above, cst.FunctionDef | cst.ClassDef | cst.Lambda) for above in file.around(node)
    )


def function_of(file: PythonFile, node: cst.CSTNode) -> tuple[PythonFile, Function] | None:
    """Return the function or lambda that an expression is, and its file; None if it is none of the project's."""
    found = _definition(file, node)
    if found is None or isinstance(found[1], cst.ClassDef):
        return None
    return found[0], found[1]


def class_of(file: PythonFile, node: cst.CSTNode) -> tuple[PythonFile, cst.ClassDef] | None:
    """Return the class that an expression is, and its file; None if it is none of the project's."""
    found = _definition(file, node)
    if found is None or not isinstance(found[1], cst.ClassDef):
        return None
    return found[0], found[1]


def users(file: PythonFile, function: cst.FunctionDef) -> list[cst.Name]:
    """Return the places of its own file that read a function's name."""
    scope = file.scope(function)
    if scope is None or function.name.value not in scope:
        return []
    return [
        access.node
        for binding in scope[function.name.value]
        for access in binding.references
        if isinstance(access.node, cst.Name)
    ]


def body_nodes(file: PythonFile, function: cst.CSTNode, kind: type[cst.CSTNode]) -> list[cst.CSTNode]:
    """Return the nodes of a type below another one, in source order, those of inner functions too."""
    start, end = file.span(function)
    return [one for one in file.nodes(kind) if start <= file.span(one)[0] and file.span(one)[1] <= end]


def called_with(file: PythonFile, node: cst.CSTNode, *names: str) -> bool:
    """Say whether an expression is, at some depth of its statement, an argument of a call spelled like one of these."""
    below = node
    for above in file.around(node):
        if isinstance(above, cst.BaseCompoundStatement | cst.SimpleStatementLine):
            return False
        if isinstance(above, cst.Call) and isinstance(below, cst.Arg):
            name = above.func.attr if isinstance(above.func, cst.Attribute) else above.func
            if isinstance(name, cst.Name) and name.value in names:
                return True
        below = above
    return False


def made_objects(project: Project, *makers: str) -> list[tuple[str, str, str]]:
    """Return path, module and name of every module-level object that one of these classes made."""
    kept = _objects.setdefault(project, {})
    if makers not in kept:
        kept[makers] = sorted(set(_made_objects(project, makers)))
    return kept[makers]


def _made_objects(project: Project, makers: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    tokens = [maker.rpartition(".")[2].encode() for maker in makers]
    for path in project.imports.reaching_with(*tokens):
        file = project.file(path)
        if file is None:
            continue
        for statement in file.nodes(cst.Assign):
            if not isinstance(statement.value, cst.Call | cst.Await) or not _at_top(file, statement):
                continue
            if not file.names.made_by(statement.value, *makers):
                continue
            for target in statement.targets:
                if isinstance(target.target, cst.Name):
                    yield path, file.module, target.target.value
