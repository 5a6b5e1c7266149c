"""``types/python/realtime_live.pyi``: what type checkers know of an app's functions in programs that call them.

```python
if TYPE_CHECKING:
    from realtime_live import Live          # with mypy_path (or the editor's stub path) at types/python

async with connect("ws://localhost:3000/ws") as rt:
    live = cast("Live", rt.live)
    task = await live.board.add("card-0001", "milk")
```
Spec: live-api 26.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from realtime_cli.typegen.model import TypeModel, stream_value
from realtime_cli.typegen.nodes import (
    Alias,
    Array,
    Basic,
    Declaration,
    Field,
    Literals,
    Node,
    Record,
    Ref,
    Tuple,
    Union,
)
from runtime.live.registry import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.live.registry import LiveModule

__all__ = ["stub_source"]

_IMPORTS = """\
from asyncio import Future
from typing import Any, Literal, NotRequired, Protocol, TypeAlias, TypedDict
"""
_TAKEN = frozenset({"Any", "Future", "Literal", "NotRequired", "Protocol", "TypeAlias", "TypedDict", "Live"})
_OPTIONS = "timeout: float | None = ..., idempotency_key: str | None = ..., fresh: bool = ..."
_OPTION_NAMES = frozenset({"self", "timeout", "idempotency_key", "fresh"})
_BASIC = {
    "string": "str",
    "number": "float",
    "integer": "int",
    "boolean": "bool",
    "null": "None",
    "unknown": "Any",
}


@dataclass(slots=True)
class _Branch:
    """One attribute of ``Live`` and what hangs on it: functions of the module, and modules in the folder."""

    title: str
    functions: list[Endpoint] = field(default_factory=list)
    branches: dict[str, _Branch] = field(default_factory=dict)


def stub_source(modules: Iterable[LiveModule]) -> str:
    """Write the stub: a class per module, the types of arguments and results, and the values of streams.

    Modules whose path is no chain of Python names are left out; ``rt.live["a-b"]`` reaches them untyped. So are the
    actions of rooms, which are called by their path.
    """
    root = _Branch("Live")
    values: list[tuple[str, str, Endpoint]] = []
    for module in modules:
        parts = module.name.split("/")
        if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
            continue
        branch = root
        for part in parts:
            title = "".join((*([] if branch is root else [branch.title]), _title(part)))
            branch = branch.branches.setdefault(part, _Branch(title))
        for endpoint in module.endpoints:
            if endpoint.kind != "rpc":
                name = f"{branch.title}{_title(endpoint.name)}{_title(endpoint.member or '')}"
                values.append((name, endpoint.path, endpoint))
            elif endpoint.member is None:
                branch.functions.append(endpoint)
    titles = {branch.title for branch in _all(root)} | {name for name, _, _ in values}
    model = TypeModel(reserved=_TAKEN | titles)
    classes = [_class(branch, model) for branch in _all(root)]
    aliases = [
        f'{name}: TypeAlias = {_type(stream_value(endpoint, model))}\n"""The value of the stream "{path}"."""\n'
        for name, path, endpoint in values
    ]
    declared = [_declaration(one) for one in model.declarations.values()]
    header = "# Written by `realtime types`; changes are lost.\n"
    return "\n".join([header, _IMPORTS, *declared, *aliases, *classes]).rstrip("\n") + "\n"


def _all(branch: _Branch) -> Iterable[_Branch]:
    for inner in branch.branches.values():
        yield from _all(inner)
    yield branch


def _title(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _class(branch: _Branch, model: TypeModel) -> str:
    lines = [f"class {branch.title}(Protocol):"]
    for name, inner in branch.branches.items():
        lines += ["    @property", f"    def {name}(self) -> {inner.title}: ..."]
    for endpoint in branch.functions:
        lines.append(
            f"    def {endpoint.name}({_parameters(endpoint, model)}) -> {_result(endpoint, model)}:"
        )
        lines.append(f"        {_doc(endpoint.doc)}" if endpoint.doc else "        ...")
    if len(lines) == 1:
        lines.append("    ...")
    return "\n".join([*lines, ""])


def _result(endpoint: Endpoint, model: TypeModel) -> str:
    return f"Future[{_type(model.convert(endpoint.signature.returns, 'out'))}]"


def _parameters(endpoint: Endpoint, model: TypeModel) -> str:
    fixed, rest = ["self"], "*"
    for parameter in endpoint.signature.parameters:
        name = f"{parameter.name}_" if parameter.name in _OPTION_NAMES else parameter.name
        kind = _type(model.convert(parameter.annotation, "in"))
        if parameter.variadic:
            rest = f"*{name}: {kind}"
        else:
            fixed.append(f"{name}: {kind}{'' if parameter.required else ' = ...'}")
    return ", ".join([*fixed, "/", rest, _OPTIONS])


def _declaration(declared: Declaration) -> str:
    if isinstance(declared, Alias):
        return f"{declared.name}: TypeAlias = {_type(declared.type)}\n"
    plain = all(item.name.isidentifier() and not keyword.iskeyword(item.name) for item in declared.fields)
    if not plain:
        items = ", ".join(f"{item.name!r}: {_field_type(item)!r}" for item in declared.fields)
        return f"{declared.name} = TypedDict({declared.name!r}, {{{items}}})\n"
    lines = [f"class {declared.name}(TypedDict):"]
    if declared.doc:
        lines.append(f"    {_doc(declared.doc)}")
    lines += [f"    {item.name}: {_field_type(item)}" for item in declared.fields]
    if len(lines) == 1:
        lines.append("    ...")
    return "\n".join([*lines, ""])


def _field_type(item: Field) -> str:
    return _type(item.type) if item.required else f"NotRequired[{_type(item.type)}]"


def _type(node: Node) -> str:
    match node:
        case Basic(name):
            return _BASIC[name]
        case Literals(values):
            return _literals(values)
        case Array(item):
            return f"list[{_type(item)}]"
        case Tuple(items):
            # JSON has only lists: what arrives is one, whatever the places hold.
            return f"list[{_type(Union.of(items))}]" if items else "list[Any]"
        case Record(value):
            return f"dict[str, {_type(value)}]"
        case Ref(name):
            return name
        case Union(members):
            return " | ".join(_type(member) for member in members)


def _literals(values: tuple[object, ...]) -> str:
    if any(isinstance(value, float) for value in values):  # not allowed in Literal
        return _type(Union.of(Basic("string" if isinstance(value, str) else "number") for value in values))
    return f"Literal[{', '.join(repr(value) for value in values)}]"


def _doc(text: str) -> str:
    escaped = text.strip().replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{escaped}"""'
