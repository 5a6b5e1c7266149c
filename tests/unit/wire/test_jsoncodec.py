from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import sqlite3
import types
import uuid
from typing import Any

import msgspec
import pydantic
import pytest

from runtime.wire import jsoncodec
from runtime.wire.jsoncodec import DecodeError, EncodeError, NestingError


class Row(msgspec.Struct):
    id: int
    text: str | msgspec.UnsetType = msgspec.UNSET


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Model(pydantic.BaseModel):
    id: int
    at: datetime.date


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ({"b": 1, "a": [True, False, 1.5]}, '{"b":1,"a":[true,false,1.5]}'),
        ("é 😀 \u2028", '"é 😀 \u2028"'),
        ('"\\\n\x01', '"\\"\\\\\\n\\u0001"'),
        (float("nan"), "null"),
        (float("inf"), "null"),
        ([-float("inf")], "[null]"),
        (2**70, str(2**70)),
        (-(2**63), str(-(2**63))),
        (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), '"2026-01-02T03:04:05Z"'),
        (datetime.date(2026, 1, 2), '"2026-01-02"'),
        (decimal.Decimal("1.50"), '"1.50"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (b"ab", '"YWI="'),
        (Colour.RED, '"red"'),
        (Row(1), '{"id":1}'),
        (Row(1, "x"), '{"id":1,"text":"x"}'),
        (Point(1, 2.5), '{"x":1,"y":2.5}'),
        (Model(id=1, at=datetime.date(2026, 1, 2)), '{"id":1,"at":"2026-01-02"}'),
        ({1: "a", None: 2, False: 3}, '{"1":"a","null":2,"false":3}'),
        ((1, 2), "[1,2]"),
        (collections.deque([1, 2]), "[1,2]"),
        (range(3), "[0,1,2]"),
        ({"a": 1}.values(), "[1]"),
        (types.MappingProxyType({"a": 1}), '{"a":1}'),
        (collections.ChainMap({"a": 1}), '{"a":1}'),
        (frozenset([7]), "[7]"),
    ],
)
def test_encoding(value: Any, text: str) -> None:
    assert jsoncodec.encode(value) == text.encode()


def test_a_database_row_is_an_object() -> None:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    rows = connection.execute("select 1 as id, 'milk' as text").fetchall()
    connection.close()
    assert jsoncodec.encode(rows) == b'[{"id":1,"text":"milk"}]'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\ud800", b'"\\ud800"'),
        ("a\udfffé", b'"a\\udfff\xc3\xa9"'),
        ({"\ud800": 1, None: 2, False: 3}, b'{"\\ud800":1,"null":2,"false":3}'),
        ({"\ud800": 1}, b'{"\\ud800":1}'),
        (["\ud800", float("nan"), 1.5, {"a": (1, Row(1))}], b'["\\ud800",null,1.5,{"a":[1,{"id":1}]}]'),
        ({"x": "\ud800", 1: datetime.date(2026, 1, 2)}, b'{"x":"\\ud800","1":"2026-01-02"}'),
    ],
)
def test_lone_surrogates_are_escaped_as_javascript_does(value: Any, text: bytes) -> None:
    assert jsoncodec.encode(value) == text


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "object"),
        ({"a": [object()]}, "object"),
        (lambda: 1, "function"),
        (Point, "type"),
        (Model, "ModelMetaclass"),
        (1j, "complex"),
        ((item for item in [1]), "generator"),
        (circular(), "contains itself"),
        ({object(): 1}, "object"),
        ({(1, 2): 1}, "dict"),
        (["\ud800", object()], "object"),
        (["\ud800", circular()], "list"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_has_no_json_form(value: Any, text: str) -> None:
    with pytest.raises(EncodeError) as caught:
        jsoncodec.encode(value)
    assert text in str(caught.value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":1,"a":2}', {"a": 2}),
        ('{"__proto__":{"x":1}}', {"__proto__": {"x": 1}}),
        ("18446744073709551617", 18446744073709551617),
        ("1e300", 1e300),
        (" [1 , 2] ", [1, 2]),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\ud800"', "\ud800"),
        ('{"rpc":"a/b","args":["\\uD800",1.5,1e10]}', {"rpc": "a/b", "args": ["\ud800", 1.5, 1e10]}),
        ('"\x7f"', "\x7f"),
    ],
)
def test_decoding(text: str, value: Any) -> None:
    assert jsoncodec.decode(text) == value
    assert jsoncodec.decode(text.encode()) == value


class Markup(str):
    """As template engines mark what is safe."""

    __slots__ = ()


class Meters(float):
    __slots__ = ()


class Count(int):
    __slots__ = ()


class Digest(bytes):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Markup("<b>é</b>"), '"<b>é</b>"'),
        (Markup(""), '""'),
        ([Markup("a"), {Markup("k"): Markup("v")}], '["a",{"k":"v"}]'),
        (Meters(1.5), "1.5"),
        (Meters("nan"), "null"),
        (Count(7), "7"),
        ({Count(7): Count(2**70)}, '{"7":1180591620717411303424}'),
        (Digest(b"x"), '"eA=="'),
        ([Markup("\ud800"), Meters("inf"), Count(1)], '["\\ud800",null,1]'),
    ],
)
def test_what_is_derived_from_a_plain_value_is_encoded_as_one(value: Any, expected: str) -> None:
    assert jsoncodec.encode(value).decode() == expected
    assert jsoncodec.encode(jsoncodec.to_plain(value)).decode() == expected


BAD_TEXTS = [
    "",
    "{",
    "NaN",
    "[Infinity]",
    "-Infinity",
    "01",
    "1e999",
    '"\x01"',
    "{'a':1}",
    "[1,]",
    "1 2",
    "9" * 5000,
    "\ufeff1",
    '["\\ud800",NaN]',
    '["\\ud800",1e999]',
    '["\\ud800",]',
    '"\\ud800',
    "\ud800",
    '"\ud800"',
    '"\ud800\\ud800"',
]


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(DecodeError):
        jsoncodec.decode(text)
    with pytest.raises(DecodeError):
        jsoncodec.decode(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("data", [b"\xff", b'"\xff"', b'"\xc3"', b'["\xff\\ud800"]'])
def test_invalid_utf8_is_not_json(data: bytes) -> None:
    with pytest.raises(DecodeError):
        jsoncodec.decode(data)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '["\\ud800",' + "[" * 100_000]
)
def test_deep_nesting_is_refused_without_overflow(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        jsoncodec.decode(text)
    assert isinstance(caught.value, NestingError) or "ud800" in text


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "[]",
        "[[]]",
        '{"a":{"b":[1]}}',
        '{"a":"[[[[[[[["}',
        "[[],[],[],[[],[]]]",
        '[{"a":[]},{"a":{"b":{}}}]',
    ],
)
def test_nesting_is_measured(text: str) -> None:
    def depth(value: Any) -> int:
        if isinstance(value, dict):
            value = list(value.values())
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    value = json.loads(text)
    for limit in range(1, 8):
        assert jsoncodec.nesting_exceeds(text, value, limit) is (depth(value) > limit)
        assert jsoncodec.nesting_exceeds(text.encode(), value, limit) is (depth(value) > limit)
