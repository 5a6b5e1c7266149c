"""What a type description is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "NULL",
    "UNKNOWN",
    "Alias",
    "Array",
    "Basic",
    "Declaration",
    "Field",
    "Literals",
    "Node",
    "ObjectType",
    "Record",
    "Ref",
    "Tuple",
    "Union",
]


@dataclass(frozen=True, slots=True)
class Basic:
    """A type that JSON knows; ``unknown`` is any JSON value."""

    name: Literal["string", "number", "integer", "boolean", "null", "unknown"]


@dataclass(frozen=True, slots=True)
class Literals:
    """One of some fixed values."""

    values: tuple[str | int | float | bool | None, ...]


@dataclass(frozen=True, slots=True)
class Array:
    """A list of any length."""

    item: Node


@dataclass(frozen=True, slots=True)
class Tuple:
    """A list of fixed length, each place with its own type."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """An object with any keys."""

    value: Node


@dataclass(frozen=True, slots=True)
class Ref:
    """A declared type, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types."""

    members: tuple[Node, ...]

    @staticmethod
    def of(members: Iterable[Node]) -> Node:
        """Join types: nested unions are flattened, doubles dropped, ``null`` goes last."""
        flat: list[Node] = []
        for member in members:
            flat.extend(member.members if isinstance(member, Union) else (member,))
        if UNKNOWN in flat:
            return UNKNOWN
        unique = list(dict.fromkeys(flat))
        unique.sort(key=lambda member: member == NULL)
        return unique[0] if len(unique) == 1 else Union(tuple(unique))


Node: TypeAlias = Basic | Literals | Array | Tuple | Record | Ref | Union

NULL = Basic("null")
UNKNOWN = Basic("unknown")


@dataclass(frozen=True, slots=True)
class Field:
    """One key of an object."""

    name: str
    type: Node
    required: bool


@dataclass(slots=True)
class ObjectType:
    """A named object; `fields` is filled after the name is known, since a type may contain itself."""

    name: str
    doc: str = ""
    fields: tuple[Field, ...] = ()


@dataclass(slots=True)
class Alias:
    """A name for another type."""

    name: str
    type: Node
    doc: str = ""


Declaration: TypeAlias = ObjectType | Alias
