"""State at the top of modules: who else sees it, and what bounds it. Spec: platform 8.3, 8.4."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.handlers import Handler
    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

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
        """Look for `global` names that get what comes from the ctx."""
        for source in project.code:
            if source.tree is None or "global " not in source.text:
                continue
            for node in source.nodes(ast.Assign):
                function = source.function(node)
                if function is None:
                    continue
                declared = {
                    n for one in source.own(function) if isinstance(one, ast.Global) for n in one.names
                }
                for target in node.targets:
                    named = isinstance(target, ast.Name) and target.id in declared
                    if named and _is_of_request(source, node.value):
                        assert isinstance(target, ast.Name)  # noqa: S101
                        yield self.at(
                            source, node, f"{target.id} holds what belongs to one call, for all calls"
                        )


def _is_of_request(source: Source, value: ast.expr) -> bool:
    if source.name(value) == "@platform":
        return False  # the same for all calls
    return any(
        (source.name(node) or "").startswith(("@ctx", "@ws"))
        for node in ast.walk(value)
        if isinstance(node, ast.Name | ast.Attribute)
    )


class UnboundedContainer(Rule):
    """CAP014."""

    id = "CAP014"
    severity = Severity.INFO
    title = "a container of the module that only grows"
    why = "Each call adds to it and nothing takes away: after some days the process has no memory left."
    how = "use a bounded class, such as Dedup or an LRU, or remove what is old"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at dicts, lists and sets at the top of live modules that handlers add to."""
        for source in project.live:
            containers = dict(_containers(source))
            if not containers:
                continue
            shrunk = _shrunk(source)
            told: set[str] = set()
            for handler in (one for one in project.handlers if one.source is source):
                flow = project.flow(handler)
                for name, node, key in _grown(source, handler):
                    sent = (
                        key is None
                        or flow.is_sent(key)
                        or flow.is_caller(key)
                        or not isinstance(key, ast.Constant)
                    )
                    if name in containers and name not in shrunk and name not in told and sent:
                        told.add(name)
                        yield self.at(source, node, f"{name} grows with each call and is never made smaller")


def _containers(source: Source) -> Iterator[tuple[str, ast.AST]]:
    if source.tree is None:
        return
    for name, bindings in source.bound.scopes[source.tree].names.items():
        for binding in bindings:
            value = binding.value
            empty = isinstance(value, ast.Dict | ast.List | ast.Set) or (
                isinstance(value, ast.Call)
                and source.name(value) in _CONTAINERS
                and not any(k.arg == "maxlen" for k in value.keywords)
            )
            if empty:
                yield name, binding.node


def _grown(source: Source, handler: Handler) -> Iterator[tuple[str, ast.AST, ast.expr | None]]:
    """Yield the names that a handler adds to, by `x[key] = ...` or `x.add(...)`, also in a function that it calls."""
    functions = [handler.node]
    for node in handler.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found = source.scope(node.func).find(node.func.id)
            functions += [
                b.node
                for b in (found[1] if found else [])
                if isinstance(b.node, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
    for function in functions:
        for node in source.own(function):
            if isinstance(node, ast.Assign | ast.AugAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                        yield target.value.id, node, target.slice
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                grown = node.func.value if node.func.attr in _GROWS else None
                if isinstance(grown, ast.Name):
                    yield grown.id, node, None


def _shrunk(source: Source) -> set[str]:
    """Return the names that anything in the file makes smaller, or looks at the length of."""
    found = set()
    for node in source.nodes(ast.Delete):
        found |= {
            t.value.id for t in node.targets if isinstance(t, ast.Subscript) and isinstance(t.value, ast.Name)
        }
    for call in source.nodes(ast.Call):
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            if call.func.attr in _SHRINKS:
                found.add(call.func.value.id)
        elif isinstance(call.func, ast.Name) and call.func.id == "len" and call.args:
            found |= {one.id for one in call.args if isinstance(one, ast.Name)}
        found |= {
            one.value.id
            for one in call.args
            if isinstance(one, ast.Attribute) and one.attr in _SHRINKS and isinstance(one.value, ast.Name)
        }
    return found


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
                is_group = (source.name(call.func) or "").endswith("Group")
                option = "max_members" if is_group else "max_size"
                given = {one.arg: one.value for one in call.keywords}
                if None in given:
                    continue
                value = given.get(option)
                off = isinstance(value, ast.Constant) and value.value is None
                if off or (is_group and option not in given):
                    what = "Group" if is_group else "Queue"
                    yield self.at(source, call, f"this {what} has no {option}", f"give it {option}=...")
