"""``types/live.json``: what clients can rely on, in a form that two versions of an app can be compared in.

Per live module: its paths with arguments and results, the named types in them, and the error codes that it raises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from realtime_cli.typegen.model import TypeModel, stream_value
from realtime_cli.typegen.nodes import (
    NULL,
    UNKNOWN,
    Alias,
    Array,
    Basic,
    Declaration,
    Field,
    Literals,
    Node,
    ObjectType,
    Record,
    Ref,
    Tuple,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runtime.live.registry import Endpoint, LiveModule

__all__ = [
    "CONTRACT_FILE",
    "Argument",
    "BadContract",
    "Contract",
    "ModuleContract",
    "PathContract",
    "contract_of",
    "read_contract",
]

CONTRACT_FILE = "live.json"

VERSION = 1
_ABOUT = (
    "Written by `realtime types`, and what `realtime types --check` compares the app with; changes are lost."
)
_BASIC: dict[str, Node] = {
    "string": Basic("string"),
    "number": Basic("number"),
    "integer": Basic("integer"),
    "boolean": Basic("boolean"),
    "null": NULL,
    "unknown": UNKNOWN,
}


class BadContract(ValueError):
    """The stored file is none of ours, or of another version."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, given by its place; a `variadic` one stands for any number, and is the last."""

    name: str
    type: Node
    required: bool = True
    variadic: bool = False


@dataclass(frozen=True, slots=True)
class PathContract:
    """What clients know of one path."""

    #: `rpc`, `binary`, `upload` or `stream`.
    kind: str
    arguments: tuple[Argument, ...]
    #: What a call gives, or the value of a stream.
    result: Node
    #: Whether pages call it with arguments to get a store, where it is a stream.
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class ModuleContract:
    """One live module."""

    file: str
    paths: Mapping[str, PathContract]
    types: Mapping[str, Declaration] = field(default_factory=dict)
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """An app, by the names of its modules."""

    modules: Mapping[str, ModuleContract]

    def text(self) -> str:
        """Write it as the JSON document that `read_contract` reads."""
        modules = {name: _module_as_data(module) for name, module in sorted(self.modules.items())}
        document = {"about": _ABOUT, "version": VERSION, "modules": modules}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def contract_of(modules: Iterable[LiveModule], codes: Mapping[str, Sequence[str]]) -> Contract:
    """Describe modules as they are registered, with the error codes that each raises itself."""
    found = {}
    for module in modules:
        model = TypeModel()
        paths = {endpoint.path: _path_of(endpoint, model) for endpoint in module.endpoints}
        raised = tuple(codes.get(module.name, ()))
        found[module.name] = ModuleContract(module.file, paths, model.declarations, raised)
    return Contract(found)


def read_contract(text: str) -> Contract:
    """Read what `Contract.text` wrote.

    Raises:
        BadContract: it is something else.
    """
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise BadContract(f"it has version {document['version']}, and this is {VERSION}")
        return Contract({name: _module_from(data) for name, data in document["modules"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as problem:
        if isinstance(problem, BadContract):
            raise
        raise BadContract(f"{type(problem).__name__}: {problem}") from problem


def _path_of(endpoint: Endpoint, model: TypeModel) -> PathContract:
    is_stream = endpoint.kind not in ("rpc", "binary", "upload")
    parameters = endpoint.signature.parameters[1 if endpoint.kind == "binary" else 0 :]
    arguments = tuple(
        Argument(
            parameter.name,
            model.convert(parameter.annotation, "in"),
            required=parameter.required and not parameter.variadic,
            variadic=parameter.variadic,
        )
        for parameter in parameters
    )
    result = stream_value(endpoint, model) if is_stream else model.convert(endpoint.signature.returns, "out")
    return PathContract(
        "stream" if is_stream else endpoint.kind, arguments, result, is_stream and endpoint.dynamic
    )


# ---------------------------------------------------------------- as JSON and back


def _module_as_data(module: ModuleContract) -> dict[str, Any]:
    return {
        "file": module.file,
        "paths": {path: _path_as_data(contract) for path, contract in module.paths.items()},
        "types": {name: _declaration_as_data(declared) for name, declared in module.types.items()},
        "codes": list(module.codes),
    }


def _path_as_data(path: PathContract) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": path.kind}
    if path.dynamic:
        data["dynamic"] = True
    data["arguments"] = [
        {"name": one.name, "type": _node_as_data(one.type)}
        | ({} if one.required else {"variadic" if one.variadic else "optional": True})
        for one in path.arguments
    ]
    return data | {"result": _node_as_data(path.result)}


def _declaration_as_data(declared: Declaration) -> dict[str, Any]:
    if isinstance(declared, Alias):
        return {"is": _node_as_data(declared.type)}
    return {
        "keys": {
            one.name: {"type": _node_as_data(one.type)} | ({} if one.required else {"optional": True})
            for one in declared.fields
        }
    }


def _node_as_data(node: Node) -> Any:
    match node:
        case Basic(name):
            return name
        case Literals(values):
            return {"one_of": list(values)}
        case Array(item):
            return {"list_of": _node_as_data(item)}
        case Tuple(items):
            return {"tuple": [_node_as_data(item) for item in items]}
        case Record(value):
            return {"record_of": _node_as_data(value)}
        case Ref(name):
            return {"type": name}
        case Union(members):
            return {"any_of": [_node_as_data(member) for member in members]}


def _module_from(data: Any) -> ModuleContract:
    return ModuleContract(
        str(data["file"]),
        {path: _path_from(one) for path, one in data["paths"].items()},
        {name: _declaration_from(name, one) for name, one in data["types"].items()},
        tuple(map(str, data["codes"])),
    )


def _path_from(data: Any) -> PathContract:
    arguments = tuple(
        Argument(
            str(one["name"]),
            _node_from(one["type"]),
            required=not (one.get("optional") or one.get("variadic")),
            variadic=bool(one.get("variadic")),
        )
        for one in data["arguments"]
    )
    return PathContract(str(data["kind"]), arguments, _node_from(data["result"]), bool(data.get("dynamic")))


def _declaration_from(name: str, data: Any) -> Declaration:
    if "is" in data:
        return Alias(name, _node_from(data["is"]))
    fields = tuple(
        Field(key, _node_from(one["type"]), required=not one.get("optional"))
        for key, one in data["keys"].items()
    )
    return ObjectType(name, fields=fields)


def _node_from(data: Any) -> Node:
    if isinstance(data, str):
        return _BASIC[data]
    [(kind, inner)] = data.items()
    match kind:
        case "one_of":
            return Literals(tuple(inner))
        case "list_of":
            return Array(_node_from(inner))
        case "tuple":
            return Tuple(tuple(map(_node_from, inner)))
        case "record_of":
            return Record(_node_from(inner))
        case "type":
            return Ref(str(inner))
        case "any_of":
            return Union(tuple(map(_node_from, inner)))
    raise BadContract(f"there is no type {kind!r}")
