"""What a stream may be declared with; every refusal names its option. Spec: live-api 8.1."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.live.declare import Live
from runtime.live.options import MERGES, StreamOptions


async def async_topic(ctx: Any) -> str:
    return "x"


REFUSED = [
    ("topic", ""),
    ("topic", "__system"),
    ("topic", 5),
    ("topic", None),
    ("topic", async_topic),
    ("merge", "odd"),
    ("merge", None),
    ("key", ""),
    ("key", 5),
    ("prepend", 1),
    ("prepend", None),
    ("max", -1),
    ("max", 1.5),
    ("max", True),
    ("max", "9"),
    ("volatile", 1),
    ("class_of_service", 5),
    ("access", True),
    ("transform", "x"),
    ("on_subscribe", 5),
    ("on_unsubscribe", {}),
    ("on_error", []),
]


@pytest.mark.parametrize(("option", "value"), REFUSED)
def test_an_option_that_cannot_be_is_named(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{option}: "):
        StreamOptions(**{"topic": "x", option: value})


@pytest.mark.parametrize(("option", "value"), REFUSED)
def test_the_decorators_refuse_the_same_at_the_declaration(option: str, value: Any) -> None:
    options = {option: value}
    topic = options.pop("topic", "x")
    with pytest.raises(ValueError, match=rf"^{option}: "):
        Live().stream(topic, **options)
    if option in ("merge", "key", "max", "volatile", "access", "on_subscribe", "on_unsubscribe"):
        with pytest.raises(ValueError, match=rf"^{option}: "):
            Live().channel(topic, **options)


@pytest.mark.parametrize("option", ["unknown", "replays", "coalesce"])
def test_an_option_that_does_not_exist_is_a_type_error(option: str) -> None:
    with pytest.raises(TypeError, match=option):
        Live().stream("x", **{option: 1})
    assert option not in StreamOptions.names()


@pytest.mark.parametrize("merge", MERGES)
def test_what_clients_are_told_has_only_what_applies(merge: str) -> None:
    expected = {"merge": merge, **({"key": "id"} if merge == "crud" else {})}
    assert StreamOptions("x", merge=merge).client_options() == expected
    full = StreamOptions("x", merge=merge, key="uid", prepend=True, max=0)
    assert full.client_options() == {"merge": merge, "key": "uid", "prepend": True, "max": 0}


def test_a_topic_may_be_a_function_and_hooks_may_be_async() -> None:
    async def hook(ctx: Any) -> None: ...

    options = StreamOptions(lambda room: f"room:{room}", on_subscribe=hook, access=hook, max=0)
    assert callable(options.topic)
    assert set(StreamOptions.names()) > {"topic", "merge", "key", "access", "class_of_service"}


def test_access_wins_over_filter() -> None:
    live = Live()

    @live.stream("a", access=len, filter=max)
    async def both(ctx: Any) -> None: ...

    @live.stream("b", filter=max)
    async def one(ctx: Any) -> None: ...

    assert both.__dict__["__realtime_live__"].options.access is len
    assert one.__dict__["__realtime_live__"].options.access is max
