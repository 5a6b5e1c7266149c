"""The declaration of rooms: options, actions, room arguments, classes. Spec: live-api 12."""

from __future__ import annotations

import functools
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runtime import Ctx, LiveError, Room, RoomCtx, live
from runtime.live.guards import guard
from runtime.live.registry import LiveModule, build_module
from runtime.live.room import RoomDeclaration, RosterEntry
from runtime.live.roomclass import room_of
from runtime.live.signature import SignatureError

HERE = Path(__file__)


async def load(ctx: Any, board_id: str) -> list[int]:
    """The cards of a board."""
    return []


async def add(ctx: Any, board_id: Any, title: str, *tags: str) -> bool:
    """Add a card."""
    return True


def board_topic(ctx: Any, board_id: str) -> str:
    return f"board:{board_id}"


def make(**options: Any) -> RoomDeclaration:
    return live.room(**{"topic": board_topic, "init": load, **options})


def register(**exports: Any) -> LiveModule:
    module = ModuleType(__name__)
    vars(module).update(exports)
    return build_module(module, "m", HERE, HERE.parent)


class Caller:
    """As much of a ctx as guards look at."""

    def __init__(self, user: Any = "ann") -> None:
        self.user = user


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": None}, "init: must be a function"),
        ({"presence": {"name": 1}}, "presence: must be a function"),
        ({"guard": True}, "guard: must be a function"),
        ({"on_join": 1}, "on_join: must be a function"),
        ({"on_leave": 1}, "on_leave: must be a function"),
        ({"cursors": 1}, "cursors: must be True, False or"),
        ({"cursors": {"every": 1}}, "cursors: must be True, False or"),
        ({"cursors": {"throttle": 0}}, "cursors: throttle must be a finite number of seconds above 0"),
        ({"access": "org"}, "access: must be a function"),
        ({"filter": "org"}, "access: must be a function"),
        ({"actions": [add]}, "actions: must map names to functions"),
        ({"actions": {"add": 1}}, "actions: 'add' must be a function"),
        ({"topic_args": -1}, "topic_args: must be an integer >= 0"),
        ({"topic_args": True}, "topic_args: must be an integer >= 0"),
        ({"topic": "__board"}, "topic: '__board' begins with the reserved prefix"),
        ({"topic": 7}, "topic: must be a string or a function"),
        ({"topic": load}, "topic: must be a plain function, not async"),
        ({"topic": "x" * 250, "presence": load}, "topic: .* 259 characters"),
        ({"merge": "sum"}, "merge: must be one of"),
        ({"max": -1}, "max: must be an integer >= 0"),
        (
            {"topic": lambda *ids: "t", "actions": {"add": add}},
            "topic_args: the topic function takes a variable",
        ),
        (
            {"topic": lambda a, b=1: "t", "actions": {"add": add}},
            "topic_args: the topic function takes a variable",
        ),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_an_unknown_option_is_named_with_the_known_ones() -> None:
    with pytest.raises(TypeError, match=r"no option 'replays'.*merge, key, prepend"):
        make(replays=True)


@pytest.mark.parametrize(
    ("topic", "given", "expected"),
    [
        (board_topic, None, 1),
        (lambda context, a, b: "t", None, 2),
        (lambda a, b: "t", None, 2),
        (lambda: "t", None, 0),
        ("lobby", None, 0),
        ("lobby", 1, 1),
        (lambda *ids: "t", 2, 2),
        (lambda *ids: "t", None, None),
        (lambda ctx, a, b=1: "t", 1, 1),
    ],
)
def test_topic_args_follow_from_the_topic(topic: Any, given: int | None, expected: int | None) -> None:
    assert make(topic=topic, topic_args=given).topic_args == expected


def test_parts_and_their_signatures() -> None:
    async def who(ctx: Any) -> dict[str, int]:
        return {}

    async def search(ctx: Any, board_id: str, words: str = "") -> list[int]:
        return []

    room = make(init=search, presence=who, cursors=True, actions={"add": add}, key="slug", max=3)
    found = {part.segment: part for part in room.parts()}
    assert list(found) == ["__data", "__presence", "__cursors", "__action/add", "__action/move_cursor"]
    names = {name: [p.name for p in part.signature.parameters] for name, part in found.items()}
    assert names == {
        "__data": ["board_id", "words"],
        "__presence": ["board_id"],
        "__cursors": ["board_id"],
        "__action/add": ["board_id", "title", "tags"],
        "__action/move_cursor": ["board_id", "data"],
    }
    # The action has no annotation for the room: it gets the one of init.
    assert found["__action/add"].signature.parameters[0].annotation is str
    assert found["__presence"].signature.returns == list[RosterEntry[dict[str, int]]]
    options = {
        name: part.options.client_options() for name, part in found.items() if part.options is not None
    }
    assert options == {
        "__data": {"merge": "crud", "key": "slug", "max": 3},
        "__presence": {"merge": "presence"},
        "__cursors": {"merge": "cursor"},
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": lambda ctx: []}, r"init: takes 0 arguments behind ctx, and the first 1 say which room"),
        ({"actions": {"go": lambda ctx: 1}}, r"action go: takes 0 arguments"),
        ({"topic": lambda a, b: "t", "actions": {"go": add}}, r"init: takes 1 argument behind"),
        ({"presence": lambda: 1}, "the first parameter must be ctx"),
    ],
)
def test_functions_that_cannot_be_told_which_room_are_a_problem(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SignatureError, match=message):
        make(**options).parts()
    module = register(board=make(**options))
    assert [(p.kind, p.file) for p in module.problems] == [("SignatureError", HERE.name)]
    assert module.endpoints == ()


def test_names_of_actions() -> None:
    actions = dict.fromkeys(["ok", "_9", "a-b", "", "ä", "a/b", "data", "presence", "cursors", "Data"], add)
    room = make(actions=actions)
    assert list(room.actions) == ["ok", "_9", "Data"]
    assert room.skipped == [
        *(
            f"action {n!r} is skipped: names are made of letters, digits and _"
            for n in ("a-b", "", "ä", "a/b")
        ),
        *(
            f"action {name!r} is skipped: clients find the room's {name} under that name"
            for name in ("data", "presence", "cursors")
        ),
    ]


def test_what_a_module_with_a_room_registers() -> None:
    @live.volatile
    async def wave(ctx: Any, board_id: str) -> None:
        """Wave."""

    wave.__module__ = __name__
    room = make(actions={"add": add, "wave": wave, "a-b": add}, guard=guard(authenticated=True))
    module = register(board=room, add=add, wave=wave, load=load, _hidden=make())
    assert [(e.path, e.name, e.member, e.kind) for e in module.endpoints] == [
        ("m/board/__data", "board", "data", "stream"),
        ("m/board/__action/add", "board", "add", "rpc"),
        ("m/board/__action/wave", "board", "wave", "rpc"),
    ]
    data, added, waved = module.endpoints
    assert (data.doc, added.doc, waved.doc) == ("The cards of a board.", "Add a card.", "Wave.")
    assert (data.line, added.line) == (room.line, add.__code__.co_firstlineno)
    assert (added.volatile, waved.volatile) == (False, True)
    assert all(endpoint.guarded and endpoint.guard is None for endpoint in module.endpoints)
    # The functions of the room are no forgotten live functions, and the room's guard guards the module.
    assert module.warnings == (
        f"{HERE.name}: board: {room.skipped[0]}",
        f"{HERE.name}: _hidden is reserved: names that begin with '_' are not exported",
    )


def test_a_room_without_a_guard_is_open() -> None:
    (warning,) = register(board=make(actions={"add": add})).warnings
    assert "no _guard: anybody may call board; add one" in warning


def test_a_room_of_another_file_is_not_registered() -> None:
    room = make()
    room.file = str(HERE.with_name("other.py"))
    assert register(board=room, Room=Room).endpoints == ()


@pytest.mark.parametrize(
    "check", [lambda ctx: False, lambda ctx, board_id: board_id != "7", guard(lambda c: False)]
)
async def test_a_guard_may_take_fewer_arguments_and_refuses_with_false(check: Any) -> None:
    room = make(guard=check)
    caller: Any = Caller()
    with pytest.raises(LiveError, match="FORBIDDEN"):
        await room.admit(caller, ["7", "more"])


async def test_guard_and_access_both_have_to_agree() -> None:
    asked: list[Any] = []

    async def check(ctx: Any, *args: Any) -> None:
        asked.append(("guard", *args))

    def access(ctx: Any, *args: Any) -> bool:
        asked.append(("access", *args))
        return args == ("1",)

    room = make(guard=check, access=access)
    ann: Any = Caller()
    await room.admit(ann, ["1", "more"])
    assert asked == [("guard", "1"), ("access", "1")]
    with pytest.raises(LiveError, match="FORBIDDEN"):
        await room.admit(ann, ["2"])
    nobody: Any = Caller(None)
    with pytest.raises(LiveError, match="UNAUTHENTICATED"):
        await room.admit(nobody, ["2"])


def test_a_topic_that_is_no_string_or_reserved_is_refused() -> None:
    caller: Any = Caller()
    for topic in (lambda board_id: 7, lambda board_id: "__x"):
        with pytest.raises(LiveError, match="INVALID_REQUEST"):
            make(topic=topic).topic_for(caller, ["1"])


class Wall(live.Room):  # type: ignore[name-defined,misc]  # the spelling of apps that do not run mypy
    """A wall to write on."""

    cursors = True
    key = "slug"
    access = live.access.owner()

    def topic(self, wall: str) -> str:
        return f"wall:{wall}"

    async def init(self, ctx: Ctx, wall: str) -> list[str]:
        return [type(self).__name__, wall]

    def presence(self, ctx: Ctx) -> str:
        return str(ctx.user)

    @live.action
    async def write(self, ctx: RoomCtx, wall: str, text: str) -> str:
        """Write something."""
        return wall + text

    @live.action
    @staticmethod
    async def wipe(ctx: RoomCtx, wall: str) -> None:
        """Wipe it."""

    @staticmethod
    @live.action
    async def paint(ctx: RoomCtx, wall: str) -> None:
        """Paint it."""

    async def no_action(self) -> None:
        """Stay out of reach."""


class SubWall(Wall):
    """A wall upon a wall."""

    cursors = False

    @live.action
    async def more(self, ctx: RoomCtx, wall: str) -> None:
        """More of it."""


async def test_a_class_is_a_room() -> None:
    room = room_of(Wall)
    assert room is not None
    assert (room.topic_args, room.options.key, room.doc) == (1, "slug", "A wall to write on.")
    parts = {part.member: part for part in room.parts()}
    assert list(parts) == ["data", "presence", "cursors", "write", "wipe", "paint", "move_cursor"]
    caller: Any = Caller()
    assert room.topic_for(caller, ["w"]) == "wall:w"
    assert await room.init(caller, "w") == ["Wall", "w"]
    assert await parts["write"].fn(caller, "w", "x") == "wx"
    assert [p.name for p in parts["write"].signature.parameters] == ["wall", "text"]
    assert [p.name for p in parts["wipe"].signature.parameters] == ["wall"]
    assert parts["write"].doc == "Write something."
    # A function of other code that is assigned in the class is not bound to it.
    owner: Any = Caller({"id": 1})
    await room.admit(owner, ["w"])
    with pytest.raises(LiveError, match="FORBIDDEN"):
        await room.admit(caller, ["w"])


def test_classes_are_registered_and_inherit() -> None:
    module = register(Wall=Wall, SubWall=SubWall)
    assert module.problems == ()
    members = {name: [e.member for e in module.endpoints if e.name == name] for name in ("Wall", "SubWall")}
    assert members == {
        "Wall": ["data", "presence", "cursors", "write", "wipe", "paint", "move_cursor"],
        "SubWall": ["data", "presence", "write", "wipe", "paint", "more"],
    }
    line = next(e.line for e in module.endpoints if e.path == "m/Wall/__data")
    assert HERE.read_text(encoding="utf-8").splitlines()[line - 1].startswith("class Wall(")


def test_a_class_that_cannot_be_a_room_is_a_problem() -> None:
    class NoInit(Room):
        topic = "t"

    class NeedsMore(Room):
        topic = "t"
        init = staticmethod(load)

        def __init__(self, store: Any) -> None:
            pass

    def logged(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(ctx: Any, *args: Any) -> Any:
            return await function(ctx, *args)

        return wrapper

    class Wrapped(Room):
        topic = "t"

        @logged
        async def init(self, ctx: Any) -> list[int]:
            return []

    module = register(NoInit=NoInit, NeedsMore=NeedsMore, Wrapped=Wrapped)
    wanted = [
        "NoInit needs it",
        "argument: 'store'",
        "Wrapped: init: decorators hand over ctx first, so leave `self` out",
    ]
    for problem, text in zip(module.problems, wanted, strict=True):
        assert text in problem.message
    assert module.endpoints == ()


def test_an_action_is_a_method() -> None:
    for wrong in (7, Wall):
        with pytest.raises(TypeError, match=r"live\.action: a method of a live\.Room is needed"):
            live.action(wrong)
