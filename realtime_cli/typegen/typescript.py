"""``types/live/<module>.d.ts``: what editors know of the modules that pages import from ``$live/``.

Spec: live-api 21.1.
"""

from __future__ import annotations

import json
import re
from itertools import groupby
from operator import attrgetter
from textwrap import indent
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
from runtime.server.stubs import RESERVED_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.live.registry import Endpoint, LiveModule

__all__ = ["CLIENT_TYPES", "declaration_source", "type_text"]

CLIENT_TYPES = ("BinaryRpc", "Rpc", "StreamFactory", "StreamStore", "Upload")
"""What a declaration file imports from the types of the browser client, so no app type may have these names."""

# The type of an export that is called.
_CALLS = {"rpc": "Rpc", "binary": "BinaryRpc", "upload": "Upload"}

ERROR_CODES = "ErrorCode"

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_BASIC = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
    "unknown": "unknown",
}
_NEVER = "never"
_RECORD = "Record"
# Names of the language that no declared type may have; the files do not use them.
_PREDEFINED = ("any", "bigint", "object", "symbol")

_RESERVED_TYPES = frozenset(
    {*CLIENT_TYPES, ERROR_CODES, *_BASIC.values(), _NEVER, _RECORD, *_PREDEFINED, *RESERVED_WORDS}
)


def declaration_source(module: LiveModule, error_codes: Iterable[str] = ()) -> str:
    """Write the declaration file of one live module.

    Args:
        module: the module as it is registered; exactly its endpoints are declared, without `ctx`.
        error_codes: codes of the `LiveError`s that the module raises, for the union ``ErrorCode``.
    """
    model = TypeModel(reserved=_RESERVED_TYPES)
    by_name = groupby(module.endpoints, key=attrgetter("name"))
    exports = [_export(name, list(group), model) for name, group in by_name]
    text = "\n".join(exports)
    used = [name for name in CLIENT_TYPES if re.search(rf"\b{name}<", text)]
    client = "../" * module.name.count("/") or "./"
    parts = [f"// Written by `realtime types` from {module.file}; changes are lost."]
    if used:
        parts.append(f'import type {{ {", ".join(used)} }} from "{client}client.js";')
    parts += ["", *exports]
    parts += [_declaration(declared) for declared in model.declarations.values()]
    codes = sorted(set(error_codes))
    if codes:
        union = "".join(f"\n  | {json.dumps(code)}" for code in codes)
        parts.append(
            f"/** Codes of the errors that this module raises itself. */\nexport type {ERROR_CODES} ={union};\n"
        )
    if not exports:
        parts.append("export {};\n")
    return "\n".join(parts).rstrip("\n") + "\n"


def _export(name: str, endpoints: list[Endpoint], model: TypeModel) -> str:
    """Declare one export: a function, a stream, or an object with the parts of a room."""
    first = endpoints[0]
    if first.member is None:
        doc, kind = _comment(first.doc), _kind(first, model)
    else:
        members = [
            f"{_comment(endpoint.doc)}{_property(endpoint.member or '')}: {_kind(endpoint, model)};"
            for endpoint in endpoints
        ]
        doc, kind = _comment(first.group_doc), f"{{\n{indent(chr(10).join(members), '  ')}\n}}"
    if name in RESERVED_WORDS or name in CLIENT_TYPES:
        return f"{doc}declare const ${name}: {kind};\nexport {{ ${name} as {name} }};\n"
    return f"{doc}export const {name}: {kind};\n"


def _kind(endpoint: Endpoint, model: TypeModel) -> str:
    listed = list(_parameters(endpoint, model))
    if endpoint.kind == "binary":
        del listed[:1]  # the payload, which is bytes whatever the annotation says
    parameters = ", ".join(listed)
    if endpoint.kind in _CALLS:
        result = type_text(model.convert(endpoint.signature.returns, "out"))
        return f"{_CALLS[endpoint.kind]}<[{parameters}], {result}>"
    value = type_text(stream_value(endpoint, model))
    return f"StreamFactory<[{parameters}], {value}>" if endpoint.dynamic else f"StreamStore<{value}>"


def _parameters(endpoint: Endpoint, model: TypeModel) -> Iterable[str]:
    for parameter in endpoint.signature.parameters:
        node = model.convert(parameter.annotation, "in")
        name = f"{parameter.name}_" if parameter.name in RESERVED_WORDS else parameter.name
        if parameter.variadic:
            yield f"...{name}: {type_text(Array(node))}"
        else:
            yield f"{name}{'' if parameter.required else '?'}: {type_text(node)}"


def _declaration(declared: Declaration) -> str:
    doc = _comment(declared.doc)
    if isinstance(declared, Alias):
        return f"{doc}export type {declared.name} = {type_text(declared.type)};\n"
    lines = [f"  {_key(field)}: {type_text(field.type)};" for field in declared.fields]
    return "\n".join([f"{doc}export interface {declared.name} {{", *lines, "}\n"])


def _property(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name)


def _key(field: Field) -> str:
    name = _property(field.name)
    return name if field.required else f"{name}?"


def type_text(node: Node, *, integer: str = "number") -> str:
    """Write a type, whole numbers as `integer`."""
    match node:
        case Basic("integer"):
            return integer
        case Basic(name):
            return _BASIC[name]
        case Literals(values):
            return " | ".join(json.dumps(value) for value in values) or _NEVER
        case Array(item):
            inner = type_text(item, integer=integer)
            return f"({inner})[]" if _is_union(item) else f"{inner}[]"
        case Tuple(items):
            return f"[{', '.join(type_text(item, integer=integer) for item in items)}]"
        case Record(value):
            return f"{_RECORD}<string, {type_text(value, integer=integer)}>"
        case Ref(name):
            return name
        case Union(members):
            return " | ".join(type_text(member, integer=integer) for member in members)


def _is_union(node: Node) -> bool:
    return isinstance(node, Union) or (isinstance(node, Literals) and len(node.values) > 1)


def _comment(text: str) -> str:
    lines = [line.rstrip().replace("*/", "*\\/") for line in text.strip().splitlines()]
    if not lines:
        return ""
    if len(lines) == 1:
        return f"/** {lines[0]} */\n"
    return "\n".join(["/**", *(f" * {line}".rstrip() for line in lines), " */"]) + "\n"
