"""Pydantic models as type descriptions, by way of the JSON Schema that they give.

Pydantic itself is never imported here: a class is asked whether it can describe itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from realtime_cli.typegen.nodes import (
    NULL,
    UNKNOWN,
    Alias,
    Array,
    Basic,
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
    from realtime_cli.typegen.model import Direction, TypeModel

__all__ = ["declare", "has_schema"]

_BASIC: dict[str, Node] = {
    "string": Basic("string"),
    "integer": Basic("integer"),
    "number": Basic("number"),
    "boolean": Basic("boolean"),
    "null": NULL,
}
_POINTER = "#/$defs/"


def has_schema(cls: Any) -> bool:
    """Say whether a class describes itself as pydantic models do."""
    return callable(getattr(cls, "model_json_schema", None))


def declare(cls: Any, direction: Direction, model: TypeModel) -> Node:
    """Declare a pydantic model, and the models inside it, in `model`; give back a reference to it."""
    document = _schema(cls, direction)
    schemas = {**document.get("$defs", {})}
    root = document.get("$ref", "").removeprefix(_POINTER) or cls.__name__
    schemas.setdefault(root, document)
    differs = any(_has_optional(schema) for schema in schemas.values()) or document != _schema(cls, "out")
    suffix = "Input" if direction == "in" and differs else ""
    reader = _Reader(model, schemas, suffix, all_present=direction == "out")
    return reader.ref(root)


def _schema(cls: Any, direction: Direction) -> dict[str, Any]:
    schema: dict[str, Any] = cls.model_json_schema(
        mode="validation" if direction == "in" else "serialization"
    )
    return schema


class _Reader:
    def __init__(self, model: TypeModel, schemas: dict[str, Any], suffix: str, *, all_present: bool) -> None:
        self._all_present = all_present  # results carry defaults too
        self._model = model
        self._schemas = schemas
        self._suffix = suffix

    def ref(self, name: str) -> Node:
        schema = self._schemas.get(name)
        if not isinstance(schema, dict):
            return UNKNOWN
        declared, is_new = self._model.claim((repr(schema), self._suffix), f"{name}{self._suffix}")
        if is_new and "properties" in schema:
            made = ObjectType(declared, _doc(schema))
            self._model.declarations[declared] = made  # before its fields: a model may contain itself
            required = frozenset(schema.get("required", ()))
            made.fields = tuple(
                Field(key, self.node(value), required=self._all_present or key in required)
                for key, value in schema["properties"].items()
            )
        elif is_new:
            self._model.declarations[declared] = Alias(declared, self.node(schema), _doc(schema))
        return Ref(declared)

    def node(self, schema: Any) -> Node:
        if not isinstance(schema, dict):
            return UNKNOWN
        if "$ref" in schema:
            return self.ref(schema["$ref"].removeprefix(_POINTER))
        if "const" in schema:
            return Literals((schema["const"],))
        if "enum" in schema:
            return Literals(tuple(schema["enum"]))
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return Union.of(self.node(part) for part in schema[key])
        if len(schema.get("allOf", ())) == 1:
            return self.node(schema["allOf"][0])
        kind = schema.get("type")
        if kind == "array":
            if "prefixItems" in schema:
                return Tuple(tuple(self.node(part) for part in schema["prefixItems"]))
            return Array(self.node(schema.get("items")))
        if kind == "object":
            return Record(self.node(schema.get("additionalProperties")))
        return _BASIC.get(kind, UNKNOWN) if isinstance(kind, str) else UNKNOWN


def _has_optional(schema: dict[str, Any]) -> bool:
    return not schema.get("properties", {}).keys() <= set(schema.get("required", ()))


def _doc(schema: dict[str, Any]) -> str:
    return str(schema.get("description", ""))
