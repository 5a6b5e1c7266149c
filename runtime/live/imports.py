"""The import statements of live modules: which live modules a file needs, and how `live.*` comes to mean its own app.

Two apps of one process both write `from live.x import y`. Which of them is meant is known from the file alone, so the
statements of live modules are compiled with the private name of their package in place of `live`: wherever and
whenever they run, they find the modules of their app. Spec: design page, decision 7.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ALIAS", "bind", "defined_names", "imported"]

#: What apps call the package of their live modules.
ALIAS = "live"


def bind(tree: ast.AST, package: str) -> None:
    """Let the import statements of `tree` that name `live` or `live.*` name `package` instead; lines stay as they are.

    A name that is bound stays the same: `import live.a` binds `live`, `import live.a as x` binds `x`.
    """
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list) and any(isinstance(one, ast.Import) for one in statements):
                setattr(node, field, [new for one in statements for new in _bound(one, package)])
        if isinstance(node, ast.ImportFrom) and not node.level and _is_live(node.module or ""):
            node.module = package + (node.module or "")[len(ALIAS) :]


def imported(tree: ast.AST, module: str, package: str, *, is_package: bool) -> set[str]:
    """Return the live modules that a file imports, wherever in it, under names that begin with `package`.

    The packages around an imported module are among them, since they run first. What a `from` import names may be a
    module or not: both are in the result.

    Args:
        tree: the parsed file.
        module: its own name below `package`; relative imports are resolved by it.
        package: the private name of `live`.
        is_package: whether the file is an `__init__.py`.
    """
    home = module if is_package else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _resolve(node, home)
            targets = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for target in targets:
            name = package + target[len(ALIAS) :] if _is_live(target) else target
            while name.startswith(f"{package}."):
                found.add(name)
                name = name.rpartition(".")[0]
    return found


def defined_names(tree: ast.Module) -> dict[str, int]:
    """Return the names that a module itself defines at its top level, not those it imports, with their lines."""
    found: dict[str, int] = {}
    for statement in _top_level(tree.body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.setdefault(statement.name, statement.lineno)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                for node in ast.walk(target):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        found.setdefault(node.id, statement.lineno)
    return found


def _top_level(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in statements:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            yield from _top_level(statement.body)
            if not isinstance(statement, ast.With):
                yield from _top_level(statement.orelse)


def _is_live(name: str) -> bool:
    return name == ALIAS or name.startswith(f"{ALIAS}.")


def _bound(statement: ast.AST, package: str) -> Iterator[ast.AST]:
    if not isinstance(statement, ast.Import) or not any(_is_live(alias.name) for alias in statement.names):
        yield statement
        return
    for alias in statement.names:
        pairs = [(alias.name, alias.asname)]
        if _is_live(alias.name):
            private = package + alias.name[len(ALIAS) :]
            # `import live.a` imports all of it and then binds the package.
            pairs = [(private, alias.asname or ALIAS)]
            if alias.asname is None and private != package:
                pairs.append((package, ALIAS))
        for name, asname in pairs:
            made = ast.Import([ast.copy_location(ast.alias(name, asname), alias)])
            yield ast.copy_location(made, statement)


def _resolve(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
    return f"{base}.{node.module}" if node.module else base
