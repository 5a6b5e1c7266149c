"""`live.room`: one declaration that becomes a data stream, a roster, cursors and actions. Spec: live-api 12.

The declaration records and checks; `parts()` says which endpoints it stands for. Who is in a room is kept by
`runtime.live.roompresence`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar

from runtime.core.errors import Issue, LiveError, denial_error
from runtime.live.access import allows
from runtime.live.callables import call_with_as_many
from runtime.live.guards import denied, run_guard
from runtime.live.marks import Mark, set_mark
from runtime.live.options import Predicate, StreamOptions, Topic
from runtime.live.pageload import Loadable
from runtime.live.roomctx import RoomCtx
from runtime.live.signature import CTX_NAMES, Parameter, Signature, SignatureError, signature_of
from runtime.live.topics import resolve_topic
from runtime.plugins.options import seconds
from runtime.wire import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.live.context import Ctx

__all__ = ["RoomDeclaration", "RoomPart", "RoomPlace", "RosterEntry"]

DATA = "data"
PRESENCE = "presence"
CURSORS = "cursors"
MEMBERS = frozenset({DATA, PRESENCE, CURSORS})

# Spec: wire 5.3.
# Seconds between two moves of one cursor. Spec: live-api 27.2.
CURSOR_THROTTLE = 0.05
MOVE_CURSOR = "move_cursor"
SUFFIXES = {PRESENCE: ":presence", CURSORS: ":cursors"}

_ACTION_NAME = re.compile(r"[A-Za-z0-9_]+", re.ASCII)

P = TypeVar("P")


class RosterEntry(TypedDict, Generic[P]):
    """One user in a room, as rosters and `join` events show them."""

    key: str
    data: P


@dataclass(slots=True, frozen=True, eq=False)
class RoomPart:
    """One endpoint of a room.

    `member` is its name at the client (`board.data`), `segment` what follows the room's own path (`__data`).
    """

    room: RoomDeclaration
    member: str
    segment: str
    kind: Literal["rpc", "stream"]
    fn: Callable[..., Any]
    signature: Signature
    options: StreamOptions | None = None

    @property
    def is_data(self) -> bool:
        """Whether subscribing to this part means being in the room."""
        return self.kind == "stream" and self.member == DATA

    @property
    def is_roster(self) -> bool:
        """Whether this part's value is who is in the room."""
        return self.kind == "stream" and self.member == PRESENCE

    @property
    def is_cursors(self) -> bool:
        """Whether this part starts empty and lives of what the app publishes."""
        return self.kind == "stream" and self.member == CURSORS

    @property
    def line(self) -> int:
        """Where this part is written: an action at its function if that is in the room's file, else at the room."""
        code = getattr(inspect.unwrap(self.fn), "__code__", None)
        is_own = self.kind == "rpc" and code is not None and code.co_filename == self.room.file
        return code.co_firstlineno if code is not None and is_own else self.room.line

    @property
    def doc(self) -> str:
        """The docstring of the action, or of the function that loads the data."""
        return inspect.getdoc(self.fn) or "" if self.kind == "rpc" or self.is_data else ""

    async def admit(self, ctx: Ctx, args: Sequence[Any]) -> Ctx:
        """Ask the room's own guard, and return the ctx that the part's function gets.

        Raises:
            LiveError: a refusal; `VALIDATION` for an action that was not told which room.
        """
        if self.kind == "rpc":
            self._require_room_args(args)
        await self.room.admit(ctx, args)
        return RoomCtx(ctx, self.room.topic_for(ctx, args)) if self.kind == "rpc" else ctx

    def _require_room_args(self, args: Sequence[Any]) -> None:
        given, wanted = len(args), self.room.topic_args or 0
        known = [parameter.name for parameter in self.signature.parameters if not parameter.variadic]
        missing = [known[index] if index < len(known) else str(index) for index in range(given, wanted)]
        if missing:
            raise LiveError.validation([Issue(path=[name], message="Required") for name in missing])


@dataclass(slots=True)
class RoomPlace:
    """Where a room is registered: `path`, of which its parts' paths are made; `None` before."""

    path: str | None = None


class RoomDeclaration:
    """What `live.room(...)` or a class below `live.Room` declares, checked.

    Raises:
        ValueError: an option that cannot be; the message names it.
        TypeError: an unknown option.
    """

    def __init__(
        self,
        *,
        topic: Topic,
        init: Callable[..., Any],
        presence: Callable[[Any], Any] | None = None,
        cursors: bool | Mapping[str, float] = False,
        guard: Callable[..., Any] | None = None,
        on_join: Callable[..., Any] | None = None,
        on_leave: Callable[..., Any] | None = None,
        actions: Mapping[str, Callable[..., Any]] | None = None,
        topic_args: int | None = None,
        options: Mapping[str, Any],
        file: str,
        line: int,
        doc: str = "",
        place: RoomPlace | None = None,
    ) -> None:
        #: Where it is registered.
        self.place = RoomPlace() if place is None else place
        self.init = init
        self.presence = presence
        self.cursors, self.cursor_throttle = _cursors(cursors)
        self.guard = guard
        self.on_join = on_join
        self.on_leave = on_leave
        self.file = file
        self.line = line
        self.doc = doc
        settings = dict(options)
        self.access: Predicate | None = _access(settings)
        unknown = sorted(set(settings) - set(StreamOptions.names()))
        if unknown:
            known = ", ".join(name for name in StreamOptions.names() if name != "topic")
            raise TypeError(
                f"live.room has no option {unknown[0]!r}; besides its own it has those of streams: {known}"
            )
        self._check_functions()
        self.topic = topic
        self.options = replace(StreamOptions(topic=topic, **settings), topic=self._topic_of_part(""))
        #: Texts about actions that were left out.
        self.skipped: list[str] = []
        self.actions = self._checked_actions(actions)
        self.topic_args = _topic_args(topic, topic_args, bool(self.actions))
        problem = self._topic_problem(topic) if isinstance(topic, str) else None
        if problem is not None:
            raise ValueError(f"topic: {problem}")

    @property
    def data(self) -> Loadable:
        """Its data, for pages: `await board.data.load(platform, user=..., args=["b1"])`."""
        return Loadable(self.place, f"/__{DATA}")

    @property
    def is_guarded(self) -> bool:
        """Whether the room itself decides who may come in."""
        return self.guard is not None or self.access is not None

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to know who is in the room."""
        return self.presence is not None or self.on_leave is not None

    def functions(self) -> list[Callable[..., Any]]:
        """Return every function of the app that this room calls."""
        found = [self.init, self.presence, self.guard, self.on_join, self.on_leave, *self.actions.values()]
        return [function for function in found if function is not None]

    def topic_for(self, ctx: Ctx, args: Sequence[Any]) -> str:
        """Return the room's topic for these arguments, of which the first `topic_args` count.

        Raises:
            LiveError: `INVALID_REQUEST` for no string or a reserved name, `INVALID_TOPIC` for one too long.
        """
        topic = resolve_topic(self.topic, ctx, list(self.room_args(args)))
        if not isinstance(self.topic, str) and self._topic_problem(topic) is not None:
            raise denial_error("INVALID_TOPIC")
        return topic

    def room_args(self, args: Sequence[Any]) -> Sequence[Any]:
        """Return those of `args` that say which room."""
        return args if self.topic_args is None else args[: self.topic_args]

    async def admit(self, ctx: Ctx, args: Sequence[Any]) -> None:
        """Let a caller pass or raise, as a module's guard does.

        Raises:
            LiveError: from the guard, or the refusal that fits the caller.
        """
        guard, mine = self.guard, self.room_args(args)
        if guard is not None:
            await run_guard(lambda ctx: call_with_as_many(guard, (ctx, *mine)), ctx)
        if self.access is not None and not await allows(self.access, ctx, list(mine)):
            raise denied(ctx.user)

    def parts(self) -> list[RoomPart]:
        """Return the endpoints that this room stands for.

        Raises:
            SignatureError: a function that cannot be called from a client, or cannot be told which room.
        """
        loaded = signature_of(self.init)
        self._require("init", loaded)
        found = [RoomPart(self, DATA, "__data", "stream", self.init, loaded, self.options)]
        mine = loaded.parameters[: self.topic_args]
        if self.presence is not None:
            shown = signature_of(self.presence).returns
            signature = Signature(mine, list[RosterEntry[shown]])  # type: ignore[valid-type]  # built at run time
            found.append(self._stream_part(PRESENCE, "presence", _nobody, signature))
        if self.cursors:
            found.append(self._stream_part(CURSORS, "cursor", _nobody, Signature(mine, list[dict[str, Any]])))
        for name, function in self.actions.items():
            signature = signature_of(function)
            self._require(f"action {name}", signature)
            found.append(
                RoomPart(self, name, f"__action/{name}", "rpc", function, self._typed(signature, loaded))
            )
        if self.cursors and MOVE_CURSOR not in self.actions and self.topic_args is not None:
            found.append(self._move_cursor(mine))
        return found

    def _stream_part(
        self, member: str, merge: str, function: Callable[..., Any], signature: Signature
    ) -> RoomPart:
        options = StreamOptions(topic=self._topic_of_part(SUFFIXES[member]), merge=merge)
        return RoomPart(self, member, f"__{member}", "stream", function, signature, options)

    def _move_cursor(self, room_args: tuple[Parameter, ...]) -> RoomPart:
        """Return the action that every room with cursors has: `move_cursor(*room_args, data)`."""
        throttle = self.cursor_throttle

        async def move_cursor(ctx: RoomCtx, *args: Any) -> None:
            """Show the others in the room where your cursor is."""
            ctx.move_cursor(args[-1], throttle)

        set_mark(move_cursor, Mark(volatile=True))
        data = Parameter("data", dict[str, Any], required=True, default=None, variadic=False)
        signature = Signature((*room_args, data), None)
        return RoomPart(self, MOVE_CURSOR, f"__action/{MOVE_CURSOR}", "rpc", move_cursor, signature)

    def _topic_of_part(self, suffix: str) -> Topic:
        if isinstance(self.topic, str):
            return self.topic + suffix

        def topic_of_part(ctx: Any, *args: Any) -> str:
            return self.topic_for(ctx, args) + suffix

        return topic_of_part

    def _require(self, what: str, signature: Signature) -> None:
        taken, wanted = signature.parameters, self.topic_args or 0
        if len(taken) < wanted and not any(parameter.variadic for parameter in taken):
            raise SignatureError(
                f"{what}: takes {len(taken)} argument{'' if len(taken) == 1 else 's'} behind ctx, "
                f"and the first {wanted} say which room (topic_args)"
            )

    def _typed(self, action: Signature, loaded: Signature) -> Signature:
        """Give room arguments of an action that has no annotations those of `init`: it is the same room."""
        typed = list(action.parameters)
        for index, known in enumerate(loaded.parameters[: self.topic_args]):
            if (
                index < len(typed)
                and typed[index].annotation is Any
                and not (typed[index].variadic or known.variadic)
            ):
                typed[index] = replace(typed[index], annotation=known.annotation)
        return Signature(tuple(typed), action.returns)

    def _check_functions(self) -> None:
        if not callable(self.init):
            raise ValueError(f"init: must be a function (ctx, *args), not {self.init!r}")
        for name in ("presence", "guard", "on_join", "on_leave"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise ValueError(f"{name}: must be a function, not {value!r}")

    def _checked_actions(
        self, actions: Mapping[str, Callable[..., Any]] | None
    ) -> dict[str, Callable[..., Any]]:
        if actions is None:
            return {}
        if not isinstance(actions, Mapping):
            raise ValueError(f"actions: must map names to functions, not {actions!r}")
        kept = {}
        for name, function in actions.items():
            if not callable(function):
                raise ValueError(
                    f"actions: {name!r} must be a function (ctx, *room_args, *args), not {function!r}"
                )
            if not isinstance(name, str) or not _ACTION_NAME.fullmatch(name):
                self.skipped.append(f"action {name!r} is skipped: names are made of letters, digits and _")
            elif name in MEMBERS:
                self.skipped.append(
                    f"action {name!r} is skipped: clients find the room's {name} under that name"
                )
            else:
                kept[name] = function
        return kept

    def _topic_problem(self, topic: str) -> str | None:
        """Return what is wrong with the longest topic of this room, or `None`."""
        used = [SUFFIXES[PRESENCE]] * (self.presence is not None) + [SUFFIXES[CURSORS]] * self.cursors
        longest = topic + max(used, key=len, default="")
        problem = names.name_problem(longest)
        return None if problem is None else f"{longest!r} {problem}"


def _cursors(given: Any) -> tuple[bool, float]:
    """Return whether a room has cursors, and for how many seconds each rests between two moves."""
    if isinstance(given, bool):
        return given, CURSOR_THROTTLE
    if not isinstance(given, Mapping) or set(given) - {"throttle"}:
        raise ValueError(f'cursors: must be True, False or {{"throttle": seconds}}, not {given!r}')
    return True, seconds("cursors", "throttle", given.get("throttle", CURSOR_THROTTLE))


def _access(settings: dict[str, Any]) -> Predicate | None:
    """Take `access` (or `filter`, its other name) out of the options: it holds for every part of the room."""
    access, other = settings.pop("access", None), settings.pop("filter", None)
    chosen: Predicate | None = access if access is not None else other
    if chosen is not None and not callable(chosen):
        raise ValueError(f"access: must be a function, not {chosen!r}")
    return chosen


def _topic_args(topic: Topic, given: int | None, has_actions: bool) -> int | None:
    """Return how many arguments say which room; `None`: all of them."""
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int) or given < 0:
            raise ValueError(f"topic_args: must be an integer >= 0, not {given!r}")
        return given
    if isinstance(topic, str):
        return 0
    taken = [
        parameter
        for parameter in inspect.signature(topic).parameters.values()
        if parameter.kind
        in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    if taken and taken[0].name in CTX_NAMES:
        taken = taken[1:]
    if all(p.kind is not p.VAR_POSITIONAL and p.default is p.empty for p in taken):
        return len(taken)
    if has_actions:
        raise ValueError(
            "topic_args: the topic function takes a variable number of arguments; say how many of an action's "
            "arguments say which room"
        )
    return None


async def _nobody(ctx: Any, *args: Any) -> list[Any]:
    return []
