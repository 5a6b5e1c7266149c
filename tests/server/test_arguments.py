"""Arguments against annotations. Spec: design page rule 6, live-api 3.1 and 5.1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.conftest import AppFactory

TYPED = """
    from typing import Annotated, Literal, TypedDict
    from dataclasses import dataclass
    import msgspec
    from runtime import live

    ran = []

    class New(msgspec.Struct):
        text: Annotated[str, msgspec.Meta(min_length=1)]
        tags: list[str] = []

    @dataclass
    class Point:
        x: float
        y: float

    @live
    async def add(ctx, new: New): ran.append(new); return new.text

    @live
    async def move(ctx, id: int, to: Point, how: Literal["fast", "slow"] = "fast"): ran.append(id); return to.x

    @live
    async def many(ctx, first: str, *rest: int): return [first, *rest]

    @live
    async def optional(ctx, a: int, b: int = None): return [a, b]

    @live
    async def free(ctx, anything): return anything
"""


@pytest.mark.spec("LIVE-35", "WIRE-65")
@pytest.mark.parametrize(
    ("path", "args", "issues"),
    [
        ("t/add", [{"text": 5}], [(["text"], "Expected `str`, got `int`")]),
        ("t/add", [{}], [(["text"], "Required")]),
        ("t/add", [{"text": "a", "tags": ["x", 1]}], [(["tags", "1"], "Expected `str`, got `int`")]),
        ("t/add", ["text"], [(["new"], "Expected `object`, got `str`")]),
        ("t/add", [], [(["new"], "Required")]),
        ("t/move", [1], [(["to"], "Required")]),
        ("t/move", ["1", {"x": 1, "y": "2"}], [(["id"], None), (["to", "y"], None)]),
        ("t/move", [1, {"x": 1, "y": 2}, "quick"], [(["how"], None)]),
        ("t/many", ["a", 1, "2"], [(["rest", "1"], None)]),
        ("t/optional", [None], [(["a"], None)]),
        ("t/optional", [1, 2, 3], [(["2"], "Too many arguments: takes 2 arguments, got 3")]),
    ],
)
async def test_wrong_arguments_name_the_field(
    make_app: AppFactory, path: str, args: list[Any], issues: list[Any]
) -> None:
    app = await make_app({"live/t.py": TYPED})
    peer = await app.connect()
    reply = await peer.request(path, *args)
    assert (reply["code"], reply["error"]) == ("VALIDATION", "Validation failed")
    assert [issue["path"] for issue in reply["issues"]] == [path for path, _ in issues]
    for issue, (_, text) in zip(reply["issues"], issues, strict=True):
        assert text is None or issue["message"] == text
    assert app.runtime.live.registry.modules["t"].module.ran == []


@pytest.mark.parametrize(
    ("path", "args", "result"),
    [
        ("t/add", [{"text": "a"}], "a"),
        ("t/move", [1, {"x": 1, "y": 2}], 1),
        ("t/move", [1, {"x": 1.5, "y": 2}, "slow"], 1.5),
        ("t/many", ["a"], ["a"]),
        ("t/many", ["a", 1, 2], ["a", 1, 2]),
        ("t/optional", [1, None], [1, None]),
        ("t/free", [{"__class__": "x", "__proto__": 1}], {"__class__": "x", "__proto__": 1}),
    ],
)
async def test_right_arguments_arrive_as_their_types(
    make_app: AppFactory, path: str, args: list[Any], result: Any
) -> None:
    app = await make_app({"live/t.py": TYPED})
    peer = await app.connect()
    assert (await peer.request(path, *args))["data"] == result


async def test_pydantic_models_are_schemas(make_app: AppFactory) -> None:
    source = """
        from pydantic import BaseModel, Field
        from runtime import live

        class Order(BaseModel):
            sku: str
            qty: int = Field(ge=1)

        @live
        async def create(ctx, order: Order) -> Order: return order

        @live
        async def many(ctx, note: str, orders: list[Order]): return sum(order.qty for order in orders)
    """
    app = await make_app({"live/shop.py": source})
    peer = await app.connect()
    assert (await peer.request("shop/create", {"sku": "a", "qty": 2}))["data"] == {"sku": "a", "qty": 2}
    reply = await peer.request("shop/create", {"sku": "a", "qty": 0})
    assert reply["issues"][0]["path"] == ["qty"]
    reply = await peer.request("shop/many", "n", [{"sku": "a", "qty": 1}, {"qty": 1}])
    assert reply["issues"][0]["path"] == ["orders", "1", "sku"]


async def test_a_frame_full_of_wrong_elements_is_answered_with_the_first_of_them(
    make_app: AppFactory,
) -> None:
    source = """
        from pydantic import BaseModel
        from runtime import live

        class Item(BaseModel):
            name: str

        @live
        async def numbers(ctx, *ids: int): return len(ids)

        @live
        async def items(ctx, items: list[Item]): return len(items)
    """
    app = await make_app({"live/m.py": source})
    peer = await app.connect()
    reply = await peer.request("m/numbers", *["x"] * 5000)
    assert [issue["path"] for issue in reply["issues"]] == [["ids", str(i)] for i in range(50)]
    reply = await peer.request("m/items", [1] * 900)
    assert len(reply["issues"]) == 50
    reply = await peer.request("m/items", [1] * 5000)
    assert reply["issues"] == [{"path": ["items"], "message": "5000 validation errors"}]
