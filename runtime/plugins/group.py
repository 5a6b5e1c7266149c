"""`Group`: connections with roles in something that can be full and can be closed. Spec: platform 7.8, wire 6.3."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from runtime.plugins.hookargs import platform_of
from runtime.plugins.lifetime import Plugin, PluginState
from runtime.plugins.options import UNSET, bound
from runtime.plugins.protocols import Role
from runtime.wire import names

if TYPE_CHECKING:
    from runtime.core.connection import Connection
    from runtime.core.platform import Platform, PlatformCore

__all__ = ["Group", "GroupHooks"]

logger = logging.getLogger("realtime.group")

PREFIX = "__group:"
ROLES = get_args(Role)

OnMember = Callable[["Connection", Role], Any]
OnClose = Callable[[], Any]


class _State(PluginState):
    __slots__ = ("declared", "is_closed", "members", "meta")

    def __init__(self, meta: dict[str, Any]) -> None:
        super().__init__()
        self.members: dict[Connection, Role] = {}
        self.is_closed = False
        self.declared = meta
        self.meta = dict(meta)

    def gone(self, connection: Connection) -> None:
        """Let a connection go that is closed."""
        if isinstance(self.plugin, Group):
            self.plugin._gone(connection)

    async def close(self) -> None:
        """Forget the members: the app has stopped, and nobody is there to be told."""
        if isinstance(self.plugin, Group):
            await self.plugin.destroy()


class Group(Plugin[_State]):
    """Members of this worker, each with a role, on the system topic `__group:<name>`.

    Its cluster twin has the same methods. A member is an entry in a dict and a subscription; it leaves by itself when
    its connection is gone. What a callback raises is logged and changes nothing.

    Args:
        name: of the group; its topic must be one, so at most 248 characters.
        max_members: how many it takes; without it `MAX_GROUPS_LOCAL_MEMBERS`.
        meta: what the app keeps with the group; copied, one level deep.
        on_join: called as `fn(ws, role)` when somebody is in, plain or asynchronous; `join` waits for it.
        on_leave: the same when somebody has left, by whatever way but the end of the group.
        on_full: the same when somebody could not join.
        on_close: called without arguments when the group has ended.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "Group"

    def __init__(
        self,
        name: str,
        *,
        max_members: int | None = None,
        meta: Mapping[str, Any] | None = None,
        on_join: OnMember | None = None,
        on_leave: OnMember | None = None,
        on_full: OnMember | None = None,
        on_close: OnClose | None = None,
    ) -> None:
        problem = names.name_problem(PREFIX + name if isinstance(name, str) and name else name)
        if problem is not None:
            raise ValueError(f"Group: the name {problem}")
        self.name = name
        #: The system topic of its events.
        self.topic = PREFIX + name
        self._is_limited = max_members is not None
        given = UNSET if max_members is None else max_members
        self._bound = bound(self.label, "max_members", given, "MAX_GROUPS_LOCAL_MEMBERS")
        callbacks = {"on_join": on_join, "on_leave": on_leave, "on_full": on_full, "on_close": on_close}
        for option, callback in callbacks.items():
            if callback is not None and not callable(callback):
                raise ValueError(f"Group: {option} must be callable, not {callback!r}")
        self._callbacks = callbacks
        #: For `hooks.py`: `hooks.subscribe`, `hooks.unsubscribe`, `hooks.close`.
        self.hooks = GroupHooks(self)
        super().__init__(_State(_meta(meta)))

    def __repr__(self) -> str:
        return f"<Group {self.name!r} of {len(self._state.members)}{' closed' if self.is_closed else ''}>"

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._state.is_closed

    # ------------------------------------------------------------ coming and going

    async def join(self, ws: Connection, platform: Platform | None = None, role: Role = "member") -> bool:
        """Take a connection in, tell the others, then send it the `members`.

        One that is in already stays with the role it has. When the caller is cancelled in `on_join` it is out again.

        Args:
            ws: who joins.
            platform: `ws.platform` if it is left out.
            role: `member`, `admin` or `viewer`.

        Returns:
            Whether it is in: not when the group is full or closed, or the connection is.

        Raises:
            ValueError: another role.
        """
        _check_role(role)
        state = self._state
        if ws in state.members:
            return True
        if state.is_closed or ws.closed:
            return False
        platform = self._platform(platform, ws)
        core = platform.parts
        label = core.metrics.topic_label(self.name)
        if len(state.members) >= self._bound.limit:
            core.metrics.add("group_joins_rejected_total", label)
            if not self._is_limited:
                self._bound.record("reject", hint="does everybody join one group?")
            await self._call("on_full", ws, role)
            return False
        state.members[ws] = role
        core.departures.watch(ws, id(state), state.gone)
        platform.publish(self.topic, "join", {"role": role, "count": len(state.members)})
        ws.subscribe(self.topic)
        platform.send(ws, self.topic, "members", self._roles())
        core.metrics.add("group_joins_total", label)
        try:
            await self._call("on_join", ws, role)
        except asyncio.CancelledError:
            self._gone(ws)
            raise
        return ws in state.members

    async def leave(self, ws: Connection, platform: Platform | None = None) -> None:
        """Let a connection go and tell the others; nothing happens for one that is not in."""
        if ws in self._state.members:
            role = self._remove(ws, self._platform(platform, ws))
            await self._call("on_leave", ws, role)

    def _remove(self, ws: Connection, platform: Platform) -> Role:
        state, core = self._state, platform.parts
        role = state.members.pop(ws)
        core.departures.forget(ws, id(state))
        ws.unsubscribe(self.topic)
        platform.publish(self.topic, "leave", {"role": role, "count": len(state.members)})
        core.metrics.add("group_leaves_total", core.metrics.topic_label(self.name))
        return role

    def _gone(self, ws: Connection) -> None:
        """Let a connection go whose caller does not wait for that."""
        if ws in self._state.members:
            role = self._remove(ws, ws.platform)
            self._start(ws.platform.parts, ws, role)

    def _start(self, core: PlatformCore, ws: Connection, role: Role) -> None:
        if self._callbacks["on_leave"] is not None and not core.tasks.closed:
            core.tasks.start(self._call("on_leave", ws, role), name=f"on_leave of group {self.name}")

    # ------------------------------------------------------------ sending

    async def publish(
        self, platform: Platform | None, event: str, data: Any = None, role: Role | None = None
    ) -> None:
        """Send an event to everybody in it, or to each member of one role; nothing happens once it is closed.

        Raises:
            ValueError, TypeError, PayloadTooLarge: as `platform.publish`; ValueError for an unknown role too.
            PlatformNotReady: no platform was given and no app runs.
        """
        self.publish_nowait(platform, event, data, role)

    def publish_nowait(
        self, platform: Platform | None, event: str, data: Any = None, role: Role | None = None
    ) -> None:
        """Do what `publish` does, from code that cannot await."""
        if role is not None:
            _check_role(role)
        if self._state.is_closed:
            return
        platform = self._platform(platform)
        core = platform.parts
        if role is None:
            platform.publish(self.topic, event, data)
        else:
            frame = core.direct(self.topic, event, data)
            for ws, has in list(self._state.members.items()):
                if has == role:
                    core.send(ws, frame)
        core.metrics.add("group_publishes_total", core.metrics.topic_label(self.name))

    async def send(self, platform: Platform | None, ws: Connection, event: str, data: Any = None) -> None:
        """Send an event to one member.

        Raises:
            ValueError: the connection is not in the group; else as `platform.send`.
        """
        if ws not in self._state.members:
            raise ValueError(f"Group: {ws!r} is not in the group {self.name!r}; send to members only")
        self._platform(platform, ws).send(ws, self.topic, event, data)

    # ------------------------------------------------------------ looking

    def local_members(self) -> list[tuple[Connection, Role]]:
        """Return the members of this worker, each with its role, in the order in which they came."""
        return list(self._state.members.items())

    def has(self, ws: Connection) -> bool:
        """Return whether a connection is in it."""
        return ws in self._state.members

    async def members(self) -> list[dict[str, str]]:
        """Return `{"role": ...}` of each member, as clients see them."""
        return self._roles()

    async def count(self) -> int:
        """Return the number of members."""
        return len(self._state.members)

    async def get_meta(self) -> dict[str, Any]:
        """Return a copy, one level deep, of what the app keeps with the group."""
        return dict(self._state.meta)

    async def set_meta(self, meta: Mapping[str, Any]) -> None:
        """Keep something else with the group; it is copied one level deep.

        Raises:
            ValueError: it is no mapping.
        """
        self._state.meta = _meta(meta)

    def _roles(self) -> list[dict[str, str]]:
        return [{"role": role} for role in self._state.members.values()]

    # ------------------------------------------------------------ the end

    async def close(self, platform: Platform | None = None) -> None:
        """End the group: tell everybody, let everybody go, take nobody any more. Once; later calls do nothing."""
        state = self._state
        if state.is_closed:
            return
        state.is_closed = True
        if state.members:
            self._platform(platform, next(iter(state.members))).publish(self.topic, "close")
        self._let_go()
        await self._call("on_close")

    async def destroy(self) -> None:
        """Forget members, meta and the end of the group without telling anybody; another app may use it then."""
        await super().close()

    async def _close(self) -> None:
        state = self._state
        self._let_go()
        state.is_closed = False
        state.meta = dict(state.declared)

    def _let_go(self) -> None:
        state = self._state
        members, state.members = list(state.members), {}
        for ws in members:
            ws.platform.parts.departures.forget(ws, id(state))
            ws.unsubscribe(self.topic)

    async def _call(self, name: str, *args: Any) -> None:
        callback: Any = self._callbacks[name]
        if callback is None:
            return
        try:
            answer = callback(*args)
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            logger.exception("group %s: %s failed", self.name, name)

    # ------------------------------------------------------------ reload

    def sizes(self) -> Mapping[str, int]:
        """Return the number of members."""
        return {"MAX_GROUPS_LOCAL_MEMBERS": len(self._state.members)}

    def is_same_as(self, predecessor: Plugin[Any]) -> bool:
        """Return whether the other one has the same name."""
        return isinstance(predecessor, Group) and predecessor.name == self.name

    def adopt(self, predecessor: Plugin[Any]) -> bool:
        """Take over the members; the meta as well, unless the code declares another one now."""
        declared = self._state.declared
        if not super().adopt(predecessor):
            return False
        if declared != self._state.declared:
            self._state.declared, self._state.meta = declared, dict(declared)
        return True


class GroupHooks:
    """A group's hooks. A subscribe to the group's name, or to its topic by the server, joins it as a `member`."""

    __slots__ = ("_group",)

    def __init__(self, group: Group) -> None:
        self._group = group

    @property
    def _current(self) -> Group:
        """The group whose options are in force: a reload may have made another one."""
        plugin = self._group._state.plugin
        return plugin if isinstance(plugin, Group) else self._group

    async def subscribe(self, ws: Connection, topic: str, ctx: Any = None) -> bool | None:
        """Join; `False`, which denies, when that is refused. Other topics are none of its business: `None`."""
        if topic not in (self._group.name, self._group.topic):
            return None
        return None if await self._current.join(ws, platform_of(ctx)) else False

    async def unsubscribe(self, ws: Connection, topic: str, ctx: Any = None) -> None:
        """Leave, if the topic is the group's."""
        if topic in (self._group.name, self._group.topic):
            await self._current.leave(ws, platform_of(ctx))

    async def close(self, ws: Connection, ctx: Any = None) -> None:
        """Leave; without this hook that is done right behind the app's own `close` hook."""
        await self._current.leave(ws, platform_of(ctx))


def _check_role(role: Any) -> None:
    if role not in ROLES:
        raise ValueError(f"Group: role must be one of {', '.join(ROLES)}, not {role!r}")


def _meta(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    if meta is not None and not isinstance(meta, Mapping):
        raise ValueError(f"Group: meta must be a mapping, not {type(meta).__name__}")
    return dict(meta or {})
