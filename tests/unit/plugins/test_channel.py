"""Channels: which events there are, what their data must be, and what is said when it is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from runtime.core import currentplatform
from runtime.core.errors import PlatformNotReady
from runtime.plugins import Channel, ValidationError
from tests.unit.core.parts import Core

pytestmark = pytest.mark.spec("PLAT-141")


class Todo(msgspec.Struct):
    id: int
    text: str


class Moved(TypedDict):
    id: int
    to: str


@dataclass
class Due:
    id: int
    day: date


class Note(pydantic.BaseModel):
    id: int
    text: str = pydantic.Field(max_length=5)


@pytest.fixture
def core() -> Core:
    return Core()


def events(core: Core, ws: Any) -> list[tuple[str, Any, int | None]]:
    return [(event, data, seq) for _, event, data, seq in core.events(ws)]


async def test_what_fits_is_published(core: Core) -> None:
    todos = Channel(
        "todos",
        {
            "created": Todo,
            "moved": Moved,
            "due": Due,
            "noted": Note,
            "listed": list[Todo],
            "state": Literal["open", "done"],
            "any": Any,
            "cleared": None,
        },
    )
    ws = core.connect("todos")
    sent: list[tuple[str, Any]] = [
        ("created", {"id": 1, "text": "a"}),
        ("created", Todo(2, "b")),
        ("moved", {"id": 1, "to": "top"}),
        ("due", {"id": 1, "day": "2026-11-25"}),
        ("due", Due(1, date(2026, 11, 25))),
        ("noted", {"id": 1, "text": "a"}),
        ("noted", Note(id=1, text="a")),
        ("listed", [Todo(1, "a")]),
        ("state", "done"),
        ("any", {"x": [1]}),
        ("cleared", None),
    ]
    for event, data in sent:
        assert todos.publish(core.platform, event, data) is True
    assert [(event, data) for event, data, _ in events(core, ws)] == [
        ("created", {"id": 1, "text": "a"}),
        ("created", {"id": 2, "text": "b"}),
        ("moved", {"id": 1, "to": "top"}),
        ("due", {"id": 1, "day": "2026-11-25"}),
        ("due", {"id": 1, "day": "2026-11-25"}),
        ("noted", {"id": 1, "text": "a"}),
        ("noted", {"id": 1, "text": "a"}),
        ("listed", [{"id": 1, "text": "a"}]),
        ("state", "done"),
        ("any", {"x": [1]}),
        ("cleared", None),
    ]
    assert todos.topic == "todos"
    assert todos.events[:2] == ("created", "moved")
    assert repr(Channel("t", {"e": None})) == "Channel('t', ['e'])"


def test_an_unknown_event_is_refused_with_those_there_are(core: Core) -> None:
    todos = Channel("todos", {"created": Todo, "moved": None})
    for event in ("deleted", ["created"]):
        with pytest.raises(
            ValueError, match=r'channel "todos": unknown event ".*"\. Valid events: created, moved'
        ):
            todos.publish(core.platform, event, {})  # type: ignore[arg-type]  # that is the point
    assert not issubclass(ValueError, ValidationError)


@pytest.mark.parametrize(
    ("event", "data", "reason"),
    [
        ("created", {"id": "1", "text": "a"}, "id: Expected `int`, got `str`"),
        ("created", {"id": 1}, "text: Required"),
        ("created", None, "Expected `object`, got `null`"),
        ("created", Todo("x", "a"), "id: Expected `int`, got `str`"),  # type: ignore[arg-type]  # a struct looks at nothing
        ("due", Due(1, "soon"), "day: Invalid RFC3339"),  # type: ignore[arg-type]  # as above
        ("noted", {"id": 1, "text": "too long"}, "text: String should have at most 5 characters"),
        ("noted", {}, "id: Field required; text: Field required"),
        ("checked", {}, "no title"),
    ],
)
async def test_data_that_does_not_fit_is_refused_with_the_reason(
    core: Core, event: str, data: Any, reason: str
) -> None:
    def check(data: Any) -> Any:
        raise KeyError("no title")

    todos = Channel("todos", {"created": Todo, "due": Due, "noted": Note, "checked": check})
    ws = core.connect("todos")
    with pytest.raises(ValidationError) as caught:
        todos.publish(core.platform, event, data)
    assert str(caught.value).startswith(f'channel "todos": event "{event}" validation failed: ')
    assert reason in str(caught.value)
    assert caught.value.__cause__ is not None
    with pytest.raises(ValidationError):
        todos.send(core.platform, ws, event, data)
    assert events(core, ws) == []


def test_many_faults_are_counted(core: Core) -> None:
    fields = {f"f{index}": (int, ...) for index in range(8)}
    wide = pydantic.create_model("Wide", **fields)  # type: ignore[call-overload]  # made of a mapping
    with pytest.raises(ValidationError, match=r"f4: Field required; and 3 more$"):
        Channel("t", {"e": wide}).validate("e", {})


async def test_a_function_may_change_the_data(core: Core) -> None:
    todos = Channel("todos", {"moved": lambda data: {"id": int(data["id"])}})
    ws = core.connect("todos")
    todos.publish(core.platform, "moved", {"id": "7", "secret": 1})
    assert events(core, ws) == [("moved", {"id": 7}, 1)]


@pytest.mark.spec("PLAT-177")
async def test_it_sends_to_one_and_finds_the_platform(core: Core) -> None:
    todos = Channel("todos", {"created": Todo})
    ws, other = core.connect(), core.connect("todos")
    todos.send(None, ws, "created", {"id": 1, "text": "a"})
    todos.send(core.platform, ws, "created", {"id": 2, "text": "b"})
    assert [data["id"] for _, data, _ in events(core, ws)] == [1, 2]
    with pytest.raises(PlatformNotReady, match='channel "todos"'):
        todos.publish(None, "created", {"id": 1, "text": "a"})
    currentplatform.set_platform(core.platform, core.settings)
    try:
        assert todos.publish(None, "created", {"id": 3, "text": "c"})
    finally:
        currentplatform.forget_platform(core.platform)
    assert [data["id"] for _, data, _ in events(core, other)] == [3]


class Plain:
    pass


async def slow(data: Any) -> Any:
    return data


@pytest.mark.parametrize(
    ("topic", "declared", "message"),
    [
        ("", {"e": None}, "the topic must not be empty"),
        ("t", {}, "at least one event"),
        ("t", {"": None}, "the event ''"),
        ("t", {"e": Plain}, "Plain cannot be a schema"),
        ("t", {"e": "Todo"}, "needs a type"),
        ("t", {"e": slow}, "plain function"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(topic: str, declared: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Channel(topic, declared)
