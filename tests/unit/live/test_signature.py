"""Annotations as schema: what arguments become, and where a wrong one is wrong. Spec: live-api 3.1 and 5.1."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict

import msgspec
import pydantic
import pytest

from runtime.core.errors import LiveError
from runtime.live.signature import Signature, SignatureError, signature_of


class Order(msgspec.Struct):
    sku: str
    qty: Annotated[int, msgspec.Meta(ge=1)] = 1


class Renamed(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    first_name: str


@dataclass
class Point:
    x: int
    y: int = 0


class Row(TypedDict, total=False):
    id: int
    text: str


class Pair(NamedTuple):
    a: int
    b: str


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Model(pydantic.BaseModel):
    n: int
    inner: list[Pair] = []


class Node(msgspec.Struct):
    name: str
    children: list[Node] = []


def of(annotation: Any, default: Any = ...) -> Signature:
    """Return the signature of a handler with one parameter `v`."""

    async def handler(ctx, v): ...

    handler.__annotations__ = {"v": annotation}
    if default is not ...:
        handler.__defaults__ = (default,)
    return signature_of(handler)


RIGHT = [
    (Any, {"anything": [1]}, {"anything": [1]}),
    (int, 5, 5),
    (float, 5, 5.0),
    (str, "x", "x"),
    (bool, True, True),
    (None, None, None),
    (int | None, None, None),
    (Optional[str], "x", "x"),  # noqa: UP045 - authors write it too
    (list, [1, "x"], [1, "x"]),
    (list[int], [1, 2], [1, 2]),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (set[int], [1, 1, 2], {1, 2}),
    (frozenset[str], ["a"], frozenset({"a"})),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (Literal["a", 2], "a", "a"),
    (int | str, "x", "x"),
    (list[Order] | None, [{"sku": "s"}], [Order("s", 1)]),
    (datetime.datetime, "2024-05-01T10:00:00Z", datetime.datetime(2024, 5, 1, 10, tzinfo=datetime.UTC)),
    (datetime.date, "2024-05-01", datetime.date(2024, 5, 1)),
    (datetime.timedelta, "PT90S", datetime.timedelta(seconds=90)),
    (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678-1234-5678-1234-567812345678")),
    (decimal.Decimal, "1.50", decimal.Decimal("1.50")),
    (bytes, "aGk=", b"hi"),
    (Color, "red", Color.RED),
    (Order, {"sku": "s", "qty": 2, "more": 1}, Order("s", 2)),
    (Renamed, {"firstName": "A"}, Renamed("A")),
    (Point, {"x": 1}, Point(1, 0)),
    (Row, {"id": 1}, {"id": 1}),
    (Pair, [1, "b"], Pair(1, "b")),
    (Node, {"name": "a", "children": [{"name": "b"}]}, Node("a", [Node("b")])),
    (Model, {"n": 1}, Model(n=1)),
    (Model | None, None, None),
    (list[Model], [{"n": 1}], [Model(n=1)]),
    (Annotated[str, msgspec.Meta(max_length=3)], "abc", "abc"),
]


@pytest.mark.parametrize(("annotation", "given", "decoded"), RIGHT)
def test_an_argument_becomes_what_its_annotation_says(annotation: Any, given: Any, decoded: Any) -> None:
    (value,) = of(annotation).decode([given])
    assert value == decoded
    assert type(value) is type(decoded)


@pytest.mark.spec("LIVE-35", "WIRE-65")
@pytest.mark.parametrize(
    ("annotation", "given", "path", "text"),
    [
        (int, "5", ["v"], "Expected `int`, got `str`"),
        (int, True, ["v"], "Expected `int`, got `bool`"),
        (int, 1.5, ["v"], "Expected `int`, got `float`"),
        (int, None, ["v"], "Expected `int`, got `null`"),
        (str, 5, ["v"], "Expected `str`, got `int`"),
        (list[int], [1, "2"], ["1"], "Expected `int`, got `str`"),
        (list[list[int]], [[1], [2, "x"]], ["1", "1"], "Expected `int`, got `str`"),
        (dict[str, int], {"a": 1, "b": "x"}, [], "Expected `int`, got `str`"),
        (Literal["a"], "b", ["v"], "Invalid enum value 'b'"),
        (Color, "green", ["v"], "Invalid enum value 'green'"),
        (datetime.date, "yesterday", ["v"], "Invalid"),
        (Order, {"qty": 1}, ["sku"], "Required"),
        (Order, {"sku": "s", "qty": 0}, ["qty"], "Expected `int` >= 1"),
        (list[Order], [{"sku": "s"}, {"sku": 5}], ["1", "sku"], "Expected `str`, got `int`"),
        (list[Order], [{"sku": "s"}, {}], ["1", "sku"], "Required"),
        (Renamed, {"firstName": 5}, ["firstName"], "Expected `str`, got `int`"),
        (Renamed, {"firstName": "A", "x": 1}, ["v"], "unknown field `x`"),
        (Point, {"y": 1}, ["x"], "Required"),
        (
            Node,
            {"name": "a", "children": [{"name": 5}]},
            ["children", "0", "name"],
            "Expected `str`, got `int`",
        ),
        (Annotated[str, msgspec.Meta(max_length=3)], "abcd", ["v"], "length <= 3"),
    ],
)
def test_a_wrong_argument_is_named_by_its_path(
    annotation: Any, given: Any, path: list[str], text: str
) -> None:
    with pytest.raises(LiveError) as caught:
        of(annotation).decode([given])
    assert (caught.value.code, caught.value.message) == ("VALIDATION", "Validation failed")
    (issue,) = caught.value.issues
    assert text in issue["message"]
    assert issue["path"] == path or annotation == dict[str, int]


def test_models_of_pydantic_name_every_field_that_is_wrong() -> None:
    with pytest.raises(LiveError) as caught:
        of(Model).decode([{"n": "x", "inner": [[1, 2]]}])
    issues = caught.value.issues
    assert issues[0]["path"] == ["n"]
    assert {issue["path"][0] for issue in issues} == {"n", "inner"}
    with pytest.raises(LiveError) as caught:
        of(list[Model] | int).decode([[{}]])
    assert caught.value.issues


async def several(ctx, a: int, b: str = "b", c: Order | None = None, *rest: int): ...


@pytest.mark.parametrize(
    ("args", "decoded"),
    [
        ([1], [1]),
        ([1, "x"], [1, "x"]),
        ([1, "x", None], [1, "x", None]),
        ([1, "x", {"sku": "s"}], [1, "x", Order("s")]),
        ([1, "x", None, 7, 8], [1, "x", None, 7, 8]),
    ],
)
def test_defaults_and_further_arguments(args: list[Any], decoded: list[Any]) -> None:
    assert signature_of(several).decode(args) == decoded


@pytest.mark.spec("LIVE-35")
@pytest.mark.parametrize(
    ("args", "issues"),
    [
        ([], [(["a"], "Required")]),
        (["x", 5], [(["a"], "Expected `int`, got `str`"), (["b"], "Expected `str`, got `int`")]),
        ([1, None], [(["b"], "Expected `str`, got `null`")]),
        ([1, "x", {"sku": 5}], [(["c", "sku"], "Expected `str`, got `int`")]),
        ([1, "x", None, 7, "y"], [(["rest", "1"], "Expected `int`, got `str`")]),
    ],
)
def test_every_wrong_argument_is_named(args: list[Any], issues: list[Any]) -> None:
    with pytest.raises(LiveError) as caught:
        signature_of(several).decode(args)
    assert [(issue["path"], issue["message"]) for issue in caught.value.issues] == issues


def test_a_trailing_null_means_absent_only_where_the_default_is_none() -> None:
    async def handler(ctx, a: str = None, b: str = "x"): ...  # noqa: RUF013 - as authors write it

    signature = signature_of(handler)
    assert signature.decode([None]) == [None]
    with pytest.raises(LiveError):
        signature.decode([None, None])


@pytest.mark.parametrize(
    ("handler", "args", "message"),
    [
        (lambda ctx: None, [1], "Too many arguments: takes 0 arguments, got 1"),
        (lambda ctx, a: None, [1, 2, 3], "Too many arguments: takes 1 argument, got 3"),
    ],
)
def test_too_many_arguments_are_counted(handler: Any, args: list[Any], message: str) -> None:
    with pytest.raises(LiveError) as caught:
        signature_of(handler).decode(args)
    (issue,) = caught.value.issues
    assert issue["message"] == message
    assert issue["path"] == [str(len(signature_of(handler).parameters))]


def test_without_annotations_anything_goes_but_the_number() -> None:
    signature = signature_of(lambda ctx, a, b=5: None)
    args = [{"x": 1}, [2]]
    assert signature.decode(args) is args
    assert signature.decode([1]) == [1]
    with pytest.raises(LiveError) as caught:
        signature.decode([])
    assert caught.value.issues == [{"path": ["a"], "message": "Required"}]


def test_what_is_read_from_a_function() -> None:
    async def handler(
        context, a: int, /, b: str = "x", *rest: float, own: bool = True, **more: Any
    ) -> list[int]: ...

    signature = signature_of(handler)
    assert [(p.name, p.annotation, p.required, p.default, p.variadic) for p in signature.parameters] == [
        ("a", int, True, None, False),
        ("b", str, False, "x", False),
        ("rest", float, False, None, True),
    ]
    assert signature.returns == list[int]
    assert signature_of(lambda ctx: None).returns is Any


def test_wrappers_are_looked_through() -> None:
    async def inner(ctx, n: int): ...

    @functools.wraps(inner)
    async def outer(*args, **kwargs): ...

    assert [p.name for p in signature_of(outer).parameters] == ["n"]


def test_topic_functions_may_lack_the_ctx() -> None:
    for function in (lambda room: room, lambda ctx, room: room):
        assert [p.name for p in signature_of(function, skip_ctx=False).parameters] == ["room"]


class Custom: ...


class Holder(msgspec.Struct):
    inner: list[Custom]


def handler_of(annotation: Any) -> Any:
    def handler(ctx, v): ...

    handler.__annotations__ = {"v": annotation}
    return handler


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (lambda: None, "the first parameter must be ctx"),
        (lambda *args: None, "the first parameter must be ctx"),
        (lambda *, ctx: None, "the first parameter must be ctx"),
        (lambda ctx, *, a: None, "a: clients pass arguments by position; give it a default"),
        (handler_of("Missing"), "the annotations cannot be resolved: name 'Missing' is not defined"),
        (handler_of(Custom), "v: Custom cannot be a schema: use builtins"),
        (handler_of(list[Custom]), "v: Custom cannot be a schema"),
        (handler_of(dict[str, Custom | None]), "v: Custom cannot be a schema"),
        (handler_of(Holder), "v: Custom cannot be a schema"),
        (handler_of(list[int] | set[int]), "v: .* cannot be a schema"),
    ],
)
def test_what_clients_cannot_call_is_refused(handler: Any, message: str) -> None:
    with pytest.raises(SignatureError, match=message):
        signature_of(handler)


def test_what_yields_is_refused_where_it_is_declared() -> None:
    async def pieces(ctx: Any) -> Any:
        yield ctx

    def rows(ctx: Any) -> Any:
        yield ctx

    for function in (pieces, rows):
        with pytest.raises(SignatureError, match="it has a yield, so it returns no value that can be sent"):
            signature_of(function)
