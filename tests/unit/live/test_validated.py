"""`live.validated`: an explicit schema for the first argument. Spec: live-api 5.1."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import msgspec
import pydantic
import pytest

from runtime.core.errors import LiveError
from runtime.live.declare import Live
from runtime.testing import TestContext
from tests.server.conftest import AppFactory

live = Live()


class Item(msgspec.Struct):
    qty: Annotated[int, msgspec.Meta(ge=1)]


class Order(msgspec.Struct):
    sku: str
    items: list[Item] = []


@dataclass
class Plain:
    sku: str


class Dict(TypedDict):
    sku: str


class Model(pydantic.BaseModel):
    sku: str
    qty: int = 1


async def run(schema: Any, *args: Any) -> Any:
    """Return the arguments that a handler under `schema` gets."""

    async def handler(ctx: Any, *args: Any) -> Any:
        return args

    return await live.validated(schema)(live(handler))(TestContext(), *args)


async def refused(schema: Any, *args: Any) -> list[Any]:
    with pytest.raises(LiveError) as caught:
        await run(schema, *args)
    assert (caught.value.code, caught.value.message) == ("VALIDATION", "Validation failed")
    assert caught.value.issues
    assert all(isinstance(part, str) for issue in caught.value.issues for part in issue["path"])
    return list(caught.value.issues)


@pytest.mark.spec("LIVE-48")
@pytest.mark.parametrize(
    ("schema", "parsed"),
    [
        (Order, Order("x")),
        (Plain, Plain("x")),
        (Dict, {"sku": "x"}),
        (Model, Model(sku="x")),
        (dict[str, str], {"sku": "x"}),
    ],
)
async def test_the_first_argument_becomes_the_parsed_value(schema: Any, parsed: Any) -> None:
    assert await run(schema, {"sku": "x"}, "second", 3) == (parsed, "second", 3)
    # The annotation of the parameter may have parsed it already.
    assert await run(schema, parsed) == (parsed,)
    assert await refused(schema, {"sku": 5}) != []
    assert await refused(schema, None) != []
    assert await refused(schema) != []
    assert await refused(schema, [1]) != []


@pytest.mark.spec("LIVE-48")
async def test_issues_have_a_path_of_strings() -> None:
    issues = await refused(Order, {"sku": "x", "items": [{"qty": 0}]})
    assert issues == [{"path": ["items", "0", "qty"], "message": "Expected `int` >= 1"}]
    assert await refused(Order, {}) == [{"path": ["sku"], "message": "Required"}]
    assert [issue["path"] for issue in await refused(Model, {"qty": "many"})] == [["sku"], ["qty"]]


class Upper:
    """An object that validates."""

    def validate(self, value: Any) -> Any:
        if value == "live":
            raise LiveError("TEAPOT")
        if value == "crash":
            raise KeyError("the password is hunter2")
        if not isinstance(value, str):
            raise ValueError("a text is needed")
        return value.upper()


@pytest.mark.spec("LIVE-48")
async def test_an_object_may_validate(caplog: pytest.LogCaptureFixture) -> None:
    assert await run(Upper(), "abc", 1) == ("ABC", 1)
    assert await refused(Upper(), 5) == [{"path": [], "message": "a text is needed"}]
    with pytest.raises(LiveError, match="TEAPOT"):
        await run(Upper(), "live")
    with caplog.at_level(logging.WARNING):
        assert "hunter2" not in str(await refused(Upper(), "crash"))
    assert "KeyError" in caplog.text


class AsyncValidator:
    async def validate(self, value: Any) -> Any:
        return value


class Later:
    def validate(self, value: Any) -> Any:
        return AsyncValidator().validate(value)


class Promise:
    def validate(self, value: Any) -> Any:
        return asyncio.get_running_loop().create_future()


class Custom:
    pass


@pytest.mark.spec("LIVE-49")
@pytest.mark.parametrize(
    "schema",
    [
        AsyncValidator(),
        Later(),
        Promise(),
        object(),
        5,
        "str",
        lambda value: value,
        Custom,
        {"type": "object"},
        AsyncValidator,
    ],
    ids=["async", "later", "promise", "object", "number", "text", "function", "class", "mapping", "type"],
)
async def test_a_schema_that_cannot_check_lets_nothing_pass(schema: Any) -> None:
    assert await refused(schema, {"sku": "x"}) == [
        {"path": [], "message": "The schema cannot check this value"}
    ]


@pytest.mark.spec("LIVE-49")
@pytest.mark.parametrize(
    ("schema", "text"),
    [(Custom, "Custom cannot be a schema"), (AsyncValidator(), "validates asynchronously")],
)
def test_such_a_schema_is_warned_of_when_it_is_declared(
    schema: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        live.validated(schema)
    assert text in caplog.text
    assert "every call is refused" in caplog.text


@pytest.mark.spec("LIVE-48", "WIRE-64")
async def test_over_the_wire_the_issues_arrive(make_app: AppFactory) -> None:
    source = """
        from typing import Annotated
        import msgspec
        from runtime import live

        class Order(msgspec.Struct):
            sku: str
            qty: Annotated[int, msgspec.Meta(ge=1)]

        ran = []

        @live.validated(Order)
        async def create(ctx, order, note="none"):
            ran.append(order)
            return [order.qty, note]
    """
    app = await make_app({"live/a.py": source})
    peer = await app.connect()
    assert (await peer.request("a/create", {"sku": "x", "qty": 2}))["data"] == [2, "none"]
    reply = await peer.request("a/create", {"sku": "x", "qty": 0}, "mine")
    assert reply == {
        "id": "q2",
        "ok": False,
        "code": "VALIDATION",
        "error": "Validation failed",
        "issues": [{"path": ["qty"], "message": "Expected `int` >= 1"}],
    }
    assert len(app.runtime.live.registry.modules["a"].module.ran) == 1
