"""State at the top of modules: who else sees it, and what bounds it. Spec: platform 8.3, 8.4."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source
    from realtime_cli.rules.taint import Flow

__all__ = ["GlobalRequestState", "UnboundedContainer", "UnboundedPlugin"]

_CONTAINERS = frozenset(
    {
        "builtins.dict()",
        "builtins.list()",
        "builtins.set()",
        "collections.defaultdict()",
        "collections.OrderedDict()",
        "collections.deque()",
        "collections.Counter()",
    }
)
_GROWS = frozenset({"append", "add", "setdefault", "update", "extend", "insert", "appendleft"})
_SHRINKS = frozenset({"pop", "popitem", "remove", "discard", "clear", "popleft"})


class GlobalRequestState(Rule):
    """LIV029."""

    id = "LIV029"
    severity = Severity.WARNING
    title = "state of one request in a variable of the module"
    why = "All calls share it: while one waits, the next one puts its own user there, and the first goes on with it."
    how = "pass it as an argument, or read it from ctx where it is needed"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for variables of modules, and their items, that get what comes from the ctx."""
        for source in project.code:
            if source.tree is None:
                continue
            assigns: list[ast.Assign | ast.NamedExpr | ast.AnnAssign] = [
                *source.nodes(ast.Assign),
                *source.nodes(ast.NamedExpr),
                *source.nodes(ast.AnnAssign),
            ]
            for node in assigns:
                function = source.function(node)
                if function is None or node.value is None:
                    continue
                targets: list[ast.expr] = [node.target] if not isinstance(node, ast.Assign) else node.targets
                for target, value in _pairs(targets, node.value):
                    name = _shared_name(source, target)
                    if name is not None and _is_of_request(source, value, project.flow_by_node.get(function)):
                        yield self.at(source, node, f"{name} holds what belongs to one call, for all calls")


def _pairs(targets: list[ast.expr], value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    for target in targets:
        if isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            same = len(values) == len(target.elts)
            yield from zip(target.elts, values if same else [value] * len(target.elts), strict=True)
        else:
            yield target, value


def _shared_name(source: Source, target: ast.expr) -> str | None:
    """Return the name of what an assignment in a function changes for all: a `global`, an attribute of a module."""
    match target:
        case ast.Name(id=name):
            found = source.scope(target).find(name)
            return name if found is not None and found[0].above is None else None
        case ast.Subscript(value=ast.Name(id=name) as owner, slice=ast.Constant()):
            found = source.scope(owner).find(name)
            return name if found is not None and found[0].above is None else None
        case ast.Attribute(value=ast.Name(id=name) as owner, attr=attribute):
            dotted = source.name(owner)
            is_module = dotted is not None and dotted.partition(".")[0] in source.roots
            found = source.scope(owner).find(name)
            at_top = found is not None and found[0].above is None
            return f"{name}.{attribute}" if is_module and at_top else None
        case ast.Subscript(
            value=ast.Call(func=ast.Name(id="globals")), slice=ast.Constant(value=str() as name)
        ):
            return name
        case _:
            return None


def _is_of_request(source: Source, value: ast.expr, flow: Flow | None) -> bool:
    """Return whether a value is of the call: something of its ctx or connection, or the user by a name."""
    if isinstance(value, ast.Call) and flow is None:
        return False
    found = any(
        (source.name(node) or "").startswith(("@ctx", "@ws"))
        for node in ast.walk(value)
        if isinstance(node, ast.Name | ast.Attribute)
    )
    is_name = isinstance(value, ast.Name | ast.Attribute | ast.Subscript)
    return found or (flow is not None and is_name and flow.is_caller(value))


class UnboundedContainer(Rule):
    """CAP014."""

    id = "CAP014"
    severity = Severity.INFO
    title = "a container of the module that only grows"
    why = "Each call adds to it and nothing takes away: after some days the process has no memory left."
    how = "use a bounded class, such as Dedup or an LRU, or remove what is old"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at dicts, lists and sets at the top of modules that handlers add to, or what these call."""
        containers = {name for source in project.code for name in _containers(source)}
        shrunk = (
            {name for source in project.code for name in _shrunk(project, source)} if containers else set()
        )
        told: set[str] = set()
        for flow in project.flows if containers else ():
            if flow.handler is None:
                continue
            for target, node, key in _grown(flow):
                name = _home(project, flow.source, target)
                if name not in containers or name in shrunk or name in told or name is None:
                    continue
                if key is None or not isinstance(project.value(flow.source, key)[1], ast.Constant):
                    told.add(name)
                    shown = flow.source.segment(target)
                    yield self.at(
                        flow.source, node, f"{shown} grows with each call and is never made smaller"
                    )


def _containers(source: Source) -> Iterator[str]:
    """Yield the full names of the containers that a module makes at its top."""
    if source.tree is None:
        return
    for name, bindings in source.bound.scopes[source.tree].names.items():
        for binding in bindings:
            value = binding.value
            if isinstance(value, ast.Dict | ast.List | ast.Set) or (
                isinstance(value, ast.Call)
                and source.name(value) in _CONTAINERS
                and not any(one.arg == "maxlen" for one in value.keywords)
            ):
                yield f"{source.module}.{name}"


def _home(project: Project, source: Source, node: ast.expr, steps: int = 10) -> str | None:
    """Return the full name of the variable of a module that an expression means, through aliases and imports."""
    match node:
        case ast.Subscript(value=value) if steps:  # what its items hold, it holds
            return _home(project, source, value, steps - 1)
        case ast.Name(id=name) if steps:
            scope = source.scope(node)
            found = scope.find(name)
            for binding in source.bindings(name, scope, node):
                if binding.dotted is not None:
                    return _variable(project, binding.dotted, steps)
                if isinstance(binding.value, ast.Name | ast.Attribute):
                    return _home(project, source, binding.value, steps - 1)
            if found is None:
                return next(iter(_starred(project, source, name)), None)
            return f"{source.module}.{name}" if found[0].above is None else None
        case ast.Attribute(attr=attribute, value=value):
            owner = source.name(value)
            return _variable(project, f"{owner}.{attribute}", steps) if owner is not None else None
        case _:
            return None


def _variable(project: Project, dotted: str, steps: int) -> str | None:
    """Return the full name of a variable by the name that another module has for it."""
    module, _, name = dotted.rpartition(".")
    source = project.by_module.get(module)
    if source is None or source.tree is None or steps <= 0:
        return dotted if source is None else None
    for binding in source.bindings(name, source.bound.scopes[source.tree]):
        if binding.dotted is not None:
            return _variable(project, binding.dotted, steps - 1)
        if isinstance(binding.value, ast.Name | ast.Attribute):
            return _home(project, source, binding.value, steps - 1)
    return dotted


def _starred(project: Project, source: Source, name: str) -> Iterator[str]:
    for module in source.bound.scopes[source.tree].stars if source.tree is not None else ():
        other = project.by_module.get(module)
        if other is not None and other.tree is not None and name in other.bound.scopes[other.tree].names:
            yield f"{module}.{name}"


def _grown(flow: Flow) -> Iterator[tuple[ast.expr, ast.AST, ast.expr | None]]:
    """Yield what a function adds to, by `x[key] = ...` or `x.add(...)`, with the key."""
    for node in flow.source.own(flow.node):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Subscript):
                    yield target.value, node, target.slice
                elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.BitOr):
                    yield target, node, None
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _GROWS:
            read = {one.id for given in node.args for one in ast.walk(given) if isinstance(one, ast.Name)}
            if isinstance(node.func.value, ast.Name) and node.func.value.id in read:
                continue  # made of what it holds already
            key = node.args[0] if node.func.attr == "setdefault" and node.args else None
            yield node.func.value, node, key


def _shrunk(project: Project, source: Source) -> Iterator[str]:
    """Yield the full names of what anything in a file makes smaller, sets anew or looks at the length of."""
    parts: list[ast.expr] = []
    for node in source.nodes(ast.Delete):
        parts += [one.value for one in node.targets if isinstance(one, ast.Subscript)]
    for call in source.nodes(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr in _SHRINKS:
            parts.append(call.func.value)
        elif isinstance(call.func, ast.Name) and call.func.id == "len":
            parts += call.args
        parts += [one.value for one in call.args if isinstance(one, ast.Attribute) and one.attr in _SHRINKS]
    for assign in source.nodes(ast.Assign):
        for target in assign.targets:
            if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Slice):
                parts.append(target.value)  # x[:] = ...
            elif isinstance(target, ast.Name) and _shared_name(source, target) and source.function(assign):
                parts.append(target)  # a `global` that begins anew
    for part in parts:
        name = _home(project, source, part)
        if name is not None:
            yield name


class UnboundedPlugin(Rule):
    """CAP010."""

    id = "CAP010"
    severity = Severity.WARNING
    title = "a group or queue without a bound"
    why = "Clients fill it until the process has no memory left."
    how = "give it max_members or max_size"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at how groups and queues are made."""
        for source in project.code:
            for call in source.calls_of("runtime.Group", "runtime.Queue"):
                is_group = source.name(call.func) == "runtime.Group"
                option = "max_members" if is_group else "max_size"
                given = {one.arg: one.value for one in call.keywords}
                if None in given:
                    continue  # ** may hold it
                value = project.value(source, given[option])[1] if option in given else None
                off = isinstance(value, ast.Constant) and value.value is None
                if off or (is_group and option not in given):
                    what = "Group" if is_group else "Queue"
                    yield self.at(source, call, f"this {what} has no {option}", f"give it {option}=...")
