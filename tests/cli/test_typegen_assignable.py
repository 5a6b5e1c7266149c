"""Whether one type fits where another is expected, against values that are made of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_cli.typegen.assignable import mismatch
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

KEYS = ("a", "b")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.sampled_from(["x", "y", "z"]),
    "integer": st.integers(0, 2),
    "number": st.sampled_from([0.5, 1, 2]),
    "boolean": st.booleans(),
    "null": st.none(),
    "unknown": st.sampled_from([None, True, 1, 1.5, "x", [], {"a": 1}]),
}

basics = st.sampled_from(
    [NULL, UNKNOWN, *(Basic(name) for name in ("string", "integer", "number", "boolean"))]
)
literals = st.lists(st.sampled_from(["x", "y", 1, 2, True, None]), min_size=1, max_size=3).map(
    lambda values: Literals(tuple(values))
)
named = st.sampled_from([Ref("T"), Ref("U")])


def wider(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        inner.map(Array),
        st.lists(inner, max_size=2).map(lambda items: Tuple(tuple(items))),
        inner.map(Record),
        st.lists(inner, min_size=2, max_size=3).map(Union.of),
    )


nodes: st.SearchStrategy[Node] = st.recursive(st.one_of(basics, literals, named), wider, max_leaves=4)
fields = st.lists(
    st.tuples(st.sampled_from(KEYS), nodes, st.booleans()), max_size=2, unique_by=lambda one: one[0]
)
objects = fields.map(
    lambda listed: ObjectType(
        "T", fields=tuple(Field(key, node, required=must) for key, node, must in listed)
    )
)
tables: st.SearchStrategy[dict[str, Declaration]] = st.builds(
    lambda first, second: {"T": first, "U": Alias("U", second)},
    objects,
    st.one_of(basics, literals, st.just(Ref("T")), st.just(Array(Ref("T")))),
)


def value_of(draw: Any, node: Node, types: dict[str, Declaration], depth: int = 0) -> Any:
    """Make some value of a type; deep inside the shortest one there is."""
    match node:
        case Basic(name):
            return draw(VALUES[name])
        case Literals(values):
            return draw(st.sampled_from(values))
        case Array(item):
            return [
                value_of(draw, item, types, depth + 1)
                for _ in range(draw(st.integers(0, 2)) if depth < 4 else 0)
            ]
        case Tuple(items):
            return [value_of(draw, item, types, depth + 1) for item in items]
        case Record(item):
            keys = draw(st.sets(st.sampled_from(("a", "c")))) if depth < 4 else set()
            return {key: value_of(draw, item, types, depth + 1) for key in sorted(keys)}
        case Union(members):
            return value_of(draw, draw(st.sampled_from(members)), types, depth + 1)
        case Ref(name):
            declared = types[name]
            if isinstance(declared, Alias):
                return value_of(draw, declared.type, types, depth + 1)
            if depth > 12:
                raise Endless
            return {
                one.name: value_of(draw, one.type, types, depth + 1)
                for one in declared.fields
                if one.required or (depth < 4 and draw(st.booleans()))
            }


class Endless(Exception):
    """The type has no value of an end: it contains itself, and must."""


def is_of(value: Any, node: Node, types: dict[str, Declaration]) -> bool:
    """Say whether a value is one of a type: the definition that `mismatch` is held against."""
    match node:
        case Basic("unknown"):
            return True
        case Basic("null"):
            return value is None
        case Basic("boolean"):
            return isinstance(value, bool)
        case Basic("integer"):
            return isinstance(value, int) and not isinstance(value, bool)
        case Basic("number"):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Basic():
            return isinstance(value, str)
        case Literals(values):
            return any(value == one and type(value) is type(one) for one in values)
        case Array(item):
            return isinstance(value, list) and all(is_of(one, item, types) for one in value)
        case Tuple(items):
            return (
                isinstance(value, list)
                and len(value) == len(items)
                and all(is_of(one, item, types) for one, item in zip(value, items, strict=True))
            )
        case Record(item):
            return isinstance(value, dict) and all(is_of(one, item, types) for one in value.values())
        case Union(members):
            return any(is_of(value, member, types) for member in members)
        case Ref(name):
            declared = types[name]
            if isinstance(declared, Alias):
                return is_of(value, declared.type, types)
            return isinstance(value, dict) and all(
                is_of(value[one.name], one.type, types) if one.name in value else not one.required
                for one in declared.fields
            )


@settings(max_examples=400, deadline=None)
@given(st.data(), nodes, tables)
def test_what_fits_fits_with_every_value(
    data: st.DataObject, source: Node, source_types: dict[str, Declaration]
) -> None:
    # Two types that have nothing to do with each other seldom fit: most of the time they are near.
    near = st.sampled_from([source, Union.of((NULL, source)), Union.of((source, Basic("string")))])
    target = data.draw(st.one_of(near, near, nodes), label="target")
    target_types = data.draw(st.one_of(st.just(source_types), tables), label="target types")
    if mismatch(source, source_types, target, target_types) is not None:
        return
    try:
        value = value_of(data.draw, source, source_types)
    except Endless:
        return
    assert is_of(value, target, target_types)


@settings(max_examples=200, deadline=None)
@given(nodes, tables, st.booleans())
def test_every_type_fits_itself_and_what_is_anything(
    node: Node, types: dict[str, Declaration], all_keys: bool
) -> None:
    assert mismatch(node, types, node, types, all_keys=all_keys) is None
    assert mismatch(node, types, UNKNOWN, {}, all_keys=all_keys) is None
    assert mismatch(node, types, Union((NULL, node)), types, all_keys=all_keys) is None
