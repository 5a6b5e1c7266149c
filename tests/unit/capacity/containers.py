"""Finds, by reading the code, every container of `runtime` that can grow and outlives the call that made it.

Found are attributes of objects, fields of classes, names of modules and what closures share, whose value is a dict,
list, set, deque, queue or bytearray; and caches of functions without a bound. Left out is what is written down whole
and never changed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAKERS = {
    "Counter",
    "LifoQueue",
    "OrderedDict",
    "PriorityQueue",
    "Queue",
    "SimpleQueue",
    "WeakKeyDictionary",
    "WeakSet",
    "WeakValueDictionary",
    "bytearray",
    "defaultdict",
    "deque",
    "dict",
    "list",
    "set",
}
GROWING = {
    "add",
    "append",
    "appendleft",
    "extend",
    "extendleft",
    "heappush",
    "insert",
    "put",
    "put_nowait",
    "setdefault",
    "update",
}
DISPLAYS = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)


@dataclass
class Found:
    """One container: its name, such as `runtime.core.health:Health._causes`, and where it is made."""

    name: str
    line: int
    attribute: str
    starts_empty: bool


@dataclass
class Module:
    name: str
    tree: ast.Module
    found: list[Found] = field(default_factory=list)
    #: Names of what is changed anywhere in it.
    changed: set[str] = field(default_factory=set)


def growing_containers(package: Path) -> dict[str, str]:
    """Return where each growing container is made, as `path:line`, by its name."""
    modules = [_read(file, package) for file in sorted(package.rglob("*.py"))]
    changed = {name for module in modules for name in module.changed}
    return {
        one.name: f"{module.name.replace('.', '/')}.py:{one.line}"
        for module in modules
        for one in _without_repeats(module.found)
        if one.starts_empty or one.attribute in (module.changed if _is_module_name(one) else changed)
    }


def _read(file: Path, package: Path) -> Module:
    parts = file.relative_to(package.parent).with_suffix("").parts
    tree = ast.parse(file.read_text(encoding="utf-8"))
    module = Module(".".join(parts).removesuffix(".__init__"), tree)
    _look(module, tree, scope="", is_class=False)
    module.changed = set(_changed(tree))
    return module


def _look(module: Module, node: ast.AST, *, scope: str, is_class: bool) -> None:
    """Note what is made in `node`, whose names belong to `scope`: a class, a function, or the module."""
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    shared = _shared(node) if is_function else set()
    for inner in _statements(node):
        if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _unbounded_cache(module, inner, scope)
            below = f"{scope}.{inner.name}" if scope else inner.name
            _look(module, inner, scope=below, is_class=isinstance(inner, ast.ClassDef))
            continue
        for target, value in _assigned(inner):
            if not _is_container(value):
                continue
            if isinstance(target, ast.Attribute):
                owner = scope.rpartition(".")[0] if _is_self(target) else _text(target.value)
                _note(module, f"{owner}.{target.attr}", target.attr, inner, value)
            elif isinstance(target, ast.Name) and (is_class or not scope or target.id in shared):
                _note(module, f"{scope}.{target.id}" if scope else target.id, target.id, inner, value)


def _note(module: Module, name: str, attribute: str, node: ast.stmt, value: ast.expr) -> None:
    if name == "__all__":
        return
    is_constant = name.strip("_").isupper()
    module.found.append(
        Found(f"{module.name}:{name}", node.lineno, attribute, _is_empty(value) and not is_constant)
    )


def _without_repeats(found: list[Found]) -> Iterator[Found]:
    """Yield what is found, except where other methods, or other functions, give an attribute a new value."""
    made = {one.attribute for one in found if _is_of_class(one)}
    seen: set[str] = set()
    for one in found:
        if one.name not in seen and (_is_of_class(one) or one.attribute not in made):
            seen.add(one.name)
            yield one


def _is_module_name(one: Found) -> bool:
    return one.name.endswith(f":{one.attribute}")


def _is_of_class(one: Found) -> bool:
    return one.name.partition(":")[2].lstrip("_")[0].isupper()


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a body, with those in its `if`, `for`, `try` and `with`; of what it defines the head."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        elif isinstance(child, ast.stmt):
            yield child
            yield from _statements(child)
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from _statements(child)


def _assigned(node: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(target.elts, node.value.elts, strict=False)
            else:
                yield target, node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield node.target, node.value


def _shared(function: ast.AST) -> set[str]:
    """Return the names that functions inside of `function` change: what they share outlives the call."""
    return {
        name
        for inner in ast.walk(function)
        if inner is not function and isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for name in _changed(inner)
    }


def _changed(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute) and function.attr in GROWING:
                yield from _named(function.value)
                yield from (
                    name for value in node.args[:1] if function.attr == "heappush" for name in _named(value)
                )
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            yield from _named(node.value)
        elif isinstance(node, ast.AugAssign):
            yield from _named(node.target)


def _named(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Subscript):
        yield from _named(node.value)


def _unbounded_cache(module: Module, node: ast.stmt, scope: str) -> None:
    arguments = getattr(node, "args", None)
    if isinstance(arguments, ast.arguments) and not ast.unparse(arguments):
        return  # one value
    for decorator in getattr(node, "decorator_list", ()):
        name = _text(decorator.func if isinstance(decorator, ast.Call) else decorator).rpartition(".")[2]
        has_none = isinstance(decorator, ast.Call) and any(
            isinstance(value, ast.Constant) and value.value is None
            for value in (*decorator.args, *(keyword.value for keyword in decorator.keywords))
        )
        if name == "cache" or (name == "lru_cache" and has_none):
            own = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else ""
            full = f"{module.name}:{scope}.{own}" if scope else f"{module.name}:{own}"
            module.found.append(Found(full, node.lineno, own, starts_empty=True))


def _is_container(value: ast.expr) -> bool:
    if isinstance(value, DISPLAYS):
        return True
    if isinstance(value, ast.BoolOp):
        return any(map(_is_container, value.values))
    if isinstance(value, ast.IfExp):
        return _is_container(value.body) or _is_container(value.orelse)
    if not isinstance(value, ast.Call):
        return False
    name = _text(value.func).rpartition(".")[2]
    if name == "field":
        return any(
            keyword.arg == "default_factory" and _makes_container(keyword.value) for keyword in value.keywords
        )
    return name in MAKERS


def _makes_container(factory: ast.expr) -> bool:
    if isinstance(factory, ast.Lambda):
        return _is_container(factory.body)
    return _text(factory).rpartition(".")[2] in MAKERS


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List | ast.Set):
        return not value.elts
    if isinstance(value, ast.Call):
        return not value.args or _text(value.func).rpartition(".")[2] in ("Queue", "defaultdict")
    if isinstance(value, ast.BoolOp):
        return any(map(_is_empty, value.values))
    return isinstance(value, ast.IfExp) and (_is_empty(value.body) or _is_empty(value.orelse))


def _is_self(target: ast.Attribute) -> bool:
    return isinstance(target.value, ast.Name) and target.value.id == "self"


def _text(node: ast.expr) -> str:
    return ast.unparse(node).partition("[")[0]
