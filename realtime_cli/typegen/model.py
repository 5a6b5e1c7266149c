"""Python annotations as plain type descriptions that every generator writes in its own language.

What is described is the JSON that travels, not the Python value: a ``datetime`` is a string, a set is a list.
Arguments and results of one class may differ (a field with a default may be left out of an argument, but is
always there in a result); then the argument's form is declared a second time, with ``Input`` behind its name.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import inspect as schema

from realtime_cli.typegen import jsonschema
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
    import enum

    from runtime.live.registry import Endpoint

__all__ = ["Direction", "TypeModel", "stream_value"]

Direction = Literal["in", "out"]

_BASIC: dict[type, Node] = {
    schema.BoolType: Basic("boolean"),
    schema.IntType: Basic("integer"),
    schema.FloatType: Basic("number"),
    schema.NoneType: NULL,
    **dict.fromkeys(
        (
            schema.StrType,
            schema.BytesType,
            schema.ByteArrayType,
            schema.MemoryViewType,
            schema.DateTimeType,
            schema.DateType,
            schema.TimeType,
            schema.TimeDeltaType,
            schema.UUIDType,
            schema.DecimalType,
        ),
        Basic("string"),
    ),
}
_LISTS = (schema.ListType, schema.SetType, schema.FrozenSetType, schema.VarTupleType, schema.CollectionType)
_OBJECTS = (schema.StructType, schema.DataclassType, schema.TypedDictType)
_LIST_ORIGINS = (list, set, frozenset, AbstractSet)
_PAGE = "Page"
_LIST_MERGES = frozenset({"crud", "latest", "presence", "cursor"})


@dataclass(slots=True)
class TypeModel:
    """Converts annotations and keeps the named types that they mention, in the order in which they were met.

    Args:
        reserved: names that a declaration must not take, because the generated file uses them itself.
    """

    reserved: frozenset[str] = frozenset()
    declarations: dict[str, Declaration] = field(default_factory=dict)
    _names: dict[Any, str] = field(default_factory=dict)

    def convert(self, annotation: Any, direction: Direction) -> Node:
        """Describe an annotation as an argument (``in``) or a result (``out``); what has no schema is unknown."""
        if annotation is None or annotation is type(None):
            return NULL
        try:
            return self._node(schema.type_info(annotation), direction)
        except (TypeError, NameError, ValueError):
            return self._by_origin(annotation, direction)

    def _by_origin(self, annotation: Any, direction: Direction) -> Node:
        """Describe what msgspec refuses as a whole, such as a union of two structs, by its parts."""
        origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self.convert(parts[0], direction)
        if origin in (typing.Union, types.UnionType):
            return Union.of(self.convert(part, direction) for part in parts)
        if origin in _LIST_ORIGINS and parts:
            return Array(self.convert(parts[0], direction))
        if isinstance(origin, type) and issubclass(origin, Mapping) and len(parts) == 2:
            return Record(self.convert(parts[1], direction))
        return UNKNOWN

    def _node(self, info: schema.Type, direction: Direction) -> Node:
        if isinstance(info, schema.Metadata):  # a type with a title, description or examples
            return self._node(info.type, direction)
        if (basic := _BASIC.get(type(info))) is not None:
            return basic
        if isinstance(info, _OBJECTS):
            return self._object(info, direction)
        if isinstance(info, _LISTS):
            return Array(self._node(info.item_type, direction))
        if isinstance(info, schema.TupleType):
            return Tuple(tuple(self._node(item, direction) for item in info.item_types))
        if isinstance(info, schema.DictType):
            return Record(self._node(info.value_type, direction))
        if isinstance(info, schema.UnionType):
            return Union.of(self._node(part, direction) for part in info.types)
        if isinstance(info, schema.LiteralType):
            return Literals(tuple(info.values))
        if isinstance(info, schema.EnumType):
            return self._enum(info.cls)
        if isinstance(info, schema.NamedTupleType):
            return Tuple(tuple(self._node(item.type, direction) for item in info.fields))
        if isinstance(info, schema.CustomType):
            return self._custom(info.cls, direction)
        return UNKNOWN

    def _enum(self, cls: type[enum.Enum]) -> Node:
        name, is_new = self.claim(cls, _class_name(cls))
        if is_new:
            values = tuple(member.value for member in cls)
            self.declarations[name] = Alias(name, Literals(values), _doc(cls))
        return Ref(name)

    def _object(self, info: Any, direction: Direction) -> Node:
        if getattr(info, "array_like", False):
            parts = [self._node(item.type, direction) for item in info.fields]
            tag = getattr(info, "tag", None)
            return Tuple((*((Literals((tag,)),) if tag is not None else ()), *parts))
        if direction == "in" and not _has_input_form(info, set()):
            direction = "out"
        name, is_new = self.claim(
            (info.cls, direction), _class_name(info.cls) + ("Input" if direction == "in" else "")
        )
        if is_new:
            declared = ObjectType(name, _doc(info.cls))
            self.declarations[name] = declared  # before its fields: a type may contain itself
            declared.fields = tuple(self._fields(info, direction))
        return Ref(name)

    def _fields(self, info: Any, direction: Direction) -> Iterable[Field]:
        if getattr(info, "tag_field", None) is not None:
            yield Field(info.tag_field, Literals((info.tag,)), required=True)
        fields = {item.name: item for item in info.fields}
        if isinstance(info, schema.TypedDictType):  # msgspec sorts them by name
            declared = typing.get_type_hints(typing.get_origin(info.cls) or info.cls)
            fields = {name: fields[name] for name in declared if name in fields}
        for item in fields.values():
            yield Field(
                item.encode_name,
                self._node(item.type, direction),
                required=_is_present(info, item, direction),
            )

    def _custom(self, cls: Any, direction: Direction) -> Node:
        if jsonschema.has_schema(cls):
            return jsonschema.declare(cls, direction, self)
        if isinstance(cls, type) and cls.__module__.startswith("runtime.") and cls.__name__ == _PAGE:
            return Array(UNKNOWN)  # of a page the client's value holds the items
        return UNKNOWN

    def claim(self, key: Any, wanted: str) -> tuple[str, bool]:
        """Give back the name of the type that `key` stands for, and whether it still has to be declared.

        The name is `wanted` as an identifier, with a number behind it if another type has that.
        """
        known = self._names.get(key)
        if known is not None:
            return known, False
        wanted = re.sub(r"\W+", "_", wanted)  # pydantic names a model Box[int]
        name, number = wanted, 1
        while name in self.reserved or name in self._names.values():
            number += 1
            name = f"{wanted}{number}"
        self._names[key] = name
        return name, True


def stream_value(endpoint: Endpoint, model: TypeModel) -> Node:
    """Describe the value that a subscriber of a stream or channel sees once it is there."""
    merge = endpoint.options.merge if endpoint.options is not None else "set"
    if endpoint.kind == "channel":
        return Array(Basic("unknown")) if merge in _LIST_MERGES else Basic("unknown")
    node = model.convert(endpoint.signature.returns, "out")
    declared = model.declarations.get(node.name) if isinstance(node, Ref) else None
    if isinstance(declared, ObjectType):
        keys = {field.name: field for field in declared.fields}
        if {"data", "hasMore"} <= keys.keys():  # a page: clients see the items
            return keys["data"].type
    return node


def _is_present(info: Any, item: Any, direction: Direction) -> bool:
    """Whether a field is always there: in arguments if it has no default, in results unless defaults are omitted."""
    if isinstance(info, schema.TypedDictType) or direction == "in":
        return bool(item.required)
    if not item.required and item.default is msgspec.NODEFAULT and item.default_factory is msgspec.NODEFAULT:
        return False  # its default is UNSET
    config = getattr(typing.get_origin(info.cls) or info.cls, "__struct_config__", None)
    return bool(item.required or not getattr(config, "omit_defaults", False))


def _has_input_form(info: Any, seen: set[Any]) -> bool:
    """Whether arguments of this type are wider than its results, anywhere inside."""
    if isinstance(info, schema.Metadata):
        return _has_input_form(info.type, seen)
    if isinstance(info, _OBJECTS):
        if info.cls in seen:
            return False
        seen.add(info.cls)
        differs = any(_is_present(info, item, "in") != _is_present(info, item, "out") for item in info.fields)
        return differs or any(_has_input_form(item.type, seen) for item in info.fields)
    if isinstance(info, schema.CustomType):
        return jsonschema.has_schema(info.cls)
    inner = [getattr(info, name, None) for name in ("item_type", "value_type")]
    inner += [*getattr(info, "types", ()), *getattr(info, "item_types", ())]
    return any(_has_input_form(part, seen) for part in inner if isinstance(part, schema.Type))


def _class_name(cls: Any) -> str:
    """Name a class; the arguments of a generic one become part of the name: ``Box[int]`` is ``BoxInt``."""
    origin = typing.get_origin(cls) or cls
    parts = [_class_name(part) for part in typing.get_args(cls)]
    name = str(getattr(origin, "__name__", "Type"))
    return name + "".join(part[:1].upper() + part[1:] for part in parts)


def _doc(cls: Any) -> str:
    """Give back the class's own docstring, not an inherited one and not one that Python made."""
    origin = typing.get_origin(cls) or cls
    text = vars(origin).get("__doc__") or ""
    is_made = text.startswith(f"{getattr(origin, '__name__', '')}(")
    module = sys.modules.get(getattr(origin, "__module__", ""))
    return "" if is_made or module is None else inspect.cleandoc(text)
