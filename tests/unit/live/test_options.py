"""What a stream may be declared with; every refusal names its option. Spec: live-api 8.1."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pytest

from runtime.core.errors import LiveError
from runtime.live.declare import Live
from runtime.live.options import MERGES, StreamOptions


async def async_topic(ctx: Any) -> str:
    return "x"


class AsyncTopic:
    """An object that is called as a function, and gives a coroutine."""

    async def __call__(self, ctx: Any) -> str:
        return "x"


REFUSED = [
    ("topic", ""),
    ("topic", "__system"),
    ("topic", 5),
    ("topic", None),
    ("topic", async_topic),
    ("topic", AsyncTopic()),
    ("topic", partial(async_topic, None)),
    ("topic", 'a"b'),
    ("topic", "a\nb"),
    ("topic", "x" * 257),
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
    ("class_of_service", ""),
    ("access", True),
    ("transform", "x"),
    ("transform", async_topic),
    ("coalesce_by", AsyncTopic()),
    ("args", 5),
    ("args", int),
    ("args", dict[str, int]),
    ("args", tuple[object, int]),
    ("args", Any),
    ("replay", 1),
    ("replay", {"sizes": 1}),
    ("replay", {"size": 0}),
    ("stale_after", -1),
    ("invalidate_on", ["a", ""]),
    ("delta", 5),
    ("version", 0),
    ("resync_on_drop", 1),
    ("on_subscribe", 5),
    ("on_unsubscribe", {}),
    ("on_error", []),
    ("migrate", {1: async_topic}),
]


#: What must be right for an option to be looked at.
BESIDE: dict[str, dict[str, Any]] = {"migrate": {"version": 2}}


@pytest.mark.spec("LIVE-78", "LIVE-79")
@pytest.mark.parametrize(("option", "value"), REFUSED)
def test_an_option_that_cannot_be_is_named(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{option}: "):
        StreamOptions(**{"topic": "x", **BESIDE.get(option, {}), option: value})


@pytest.mark.parametrize(("option", "value"), REFUSED)
def test_the_decorators_refuse_the_same_at_the_declaration(option: str, value: Any) -> None:
    options = {**BESIDE.get(option, {}), option: value}
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


def test_filter_is_named_as_it_was_given() -> None:
    with pytest.raises(ValueError, match=r"^filter: must be a function, not 5"):
        Live().stream("x", filter=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^filter: "):
        Live().stream("x", access=len, filter="no")  # type: ignore[arg-type]


@pytest.mark.spec("LIVE-99")
@pytest.mark.parametrize("other", [{"replay": True}, {"replay": {"size": 3}}, {"coalesce_by": len}])
def test_volatile_excludes_what_needs_numbers(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^volatile: cannot be combined with"):
        Live().stream("x", volatile=True, **other)
    Live().stream("x", volatile=True)


class Pair(NamedTuple):
    left: int
    right: str = "r"


@pytest.mark.parametrize(
    ("schema", "args", "parsed"),
    [
        (tuple[int, str], [1, "a"], [1, "a"]),
        (tuple[int, ...], [1, 2, 3], [1, 2, 3]),
        (list[str], ["a"], ["a"]),
        (Pair, [1], [1, "r"]),
        (tuple, [1, None], [1, None]),
    ],
)
def test_a_schema_of_all_arguments_is_a_sequence(schema: Any, args: list[Any], parsed: list[Any]) -> None:
    assert StreamOptions("x", args=schema).args.decode(args) == parsed
    # Options that are copied, as a room does, keep what they were declared with.
    assert replace(StreamOptions("x", args=schema), topic="y").args.schema is schema


@pytest.mark.spec("LIVE-80")
def test_a_schema_says_which_argument_is_wrong() -> None:
    schema = StreamOptions("x", args=tuple[int, Pair]).args
    with pytest.raises(LiveError) as refused:
        schema.decode([1, ["a"]])
    assert (refused.value.code, refused.value.issues) == (
        "VALIDATION",
        [{"path": ["1", "0"], "message": "Expected `int`, got `str`"}],
    )


def test_a_schema_that_would_have_to_wait_is_refused() -> None:
    class Later:
        async def validate(self, args: list[Any]) -> list[Any]:
            return args

    with pytest.raises(ValueError, match=r"^args: .* validates asynchronously; use a plain"):
        StreamOptions("x", args=Later())
