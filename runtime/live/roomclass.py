"""Rooms as classes: `class Board(live.Room)`, the same keys as methods and attributes. Spec: live-api 12."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from runtime.live.options import StreamOptions
from runtime.live.pageload import Loadable
from runtime.live.room import DATA, RoomDeclaration, RoomPlace

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Room", "action", "room_of"]

F = TypeVar("F")

_ACTION = "__realtime_action__"
_OWN_KEYS = ("topic", "init", "presence", "cursors", "guard", "on_join", "on_leave", "topic_args")
_OPTION_KEYS = ("filter", *(name for name in StreamOptions.names() if name != "topic"))


class _Data:
    """The attribute `data` of room classes."""

    def __get__(self, room: Room | None, owner: type[Room]) -> Loadable:
        return Loadable(owner._place, f"/__{DATA}")


class Room:
    """Base of rooms that are written as a class; one instance per load, made without arguments.

    `topic` and `init` are needed; `presence`, `guard`, `on_join`, `on_leave`, `cursors`, `topic_args` and the options
    of streams may follow. A function whose first parameter is `self` is a method, any other is taken as it stands
    (`access = live.access.org()`). Methods under `@live.action` are the actions.
    """

    _declared_at: ClassVar[tuple[str, int]]
    _place: ClassVar[RoomPlace]
    #: The data of a room, for pages: `await Board.data.load(platform, user=..., args=["b1"])`.
    data: ClassVar[Loadable] = _Data()  # type: ignore[assignment]  # a descriptor

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        frame = sys._getframe(1)
        cls._declared_at = (frame.f_code.co_filename, frame.f_lineno)
        cls._place = RoomPlace()


def action(function: F) -> F:
    """Make a method of a `live.Room` class callable by clients.

    Raises:
        TypeError: not a function.
    """
    if not callable(function) or inspect.isclass(function):
        raise TypeError(f"live.action: a method of a live.Room is needed, not {function!r}")
    setattr(function, _ACTION, True)
    return function


def room_of(value: Any) -> RoomDeclaration | None:
    """Return the room that a module's attribute declares, in either form, or `None`.

    Raises:
        ValueError, TypeError: the class cannot be a room; the message names the key.
    """
    if isinstance(value, RoomDeclaration):
        return value
    if isinstance(value, type) and issubclass(value, Room) and value is not Room:
        return _declaration(value)
    return None


def _declaration(cls: type[Room]) -> RoomDeclaration:
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__[: cls.__mro__.index(Room)]):
        members.update(vars(base))
    for name in ("topic", "init"):
        if name not in members:
            raise ValueError(f"{name}: the room {cls.__qualname__} needs it")
    room = cls()
    own = {name: _taken(members[name], name, room) for name in _OWN_KEYS if name in members}
    options = {name: _taken(members[name], name, room) for name in _OPTION_KEYS if name in members}
    actions = {name: _taken(value, name, room) for name, value in members.items() if _is_action(value)}
    file, line = cls._declared_at
    doc = inspect.cleandoc(cls.__doc__ or "")
    return RoomDeclaration(
        **own, actions=actions, options=options, file=file, line=line, doc=doc, place=cls._place
    )


def _is_action(value: Any) -> bool:
    return bool(getattr(value, _ACTION, False) or getattr(getattr(value, "__func__", None), _ACTION, False))


def _taken(value: Any, name: str, room: Room) -> Any:
    """Return what `name` of the class stands for: a method bound to `room`, a plain function, or a value."""
    if isinstance(value, staticmethod):
        return value.__func__
    if not inspect.isfunction(value):
        return value
    inner: Callable[..., Any] = inspect.unwrap(value)
    if next(iter(inspect.signature(inner).parameters), None) != "self":
        return value
    if inner is not value:
        raise ValueError(f"{name}: decorators hand over ctx first, so leave `self` out under them")
    return value.__get__(room)
