"""Presence, cursors and groups as stores. Spec: wire 6.1 to 6.3, live-api 25.6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from runtime.client.stores import WritableStore
from runtime.client.topicstores import MAX_PLUGIN_ENTRIES, AfterTopics, AgingMap, StoreTable, TopicStore
from runtime.wire.jsoncodec import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.client.connection import ClientConnection
    from runtime.client.topics import TopicEvent, Topics
    from runtime.core.clock import Clock, TimerHandle

__all__ = ["Group", "Plugins"]

PRESENCE_PREFIX = "__presence:"
CURSOR_PREFIX = "__cursor:"
GROUP_PREFIX = "__group:"
#: A store with a `max_age` looks this many times in it for what is too old.
AGE_CHECKS = 4

T = TypeVar("T")


class Group(TopicStore[Any]):
    """The last event of a group as a `TopicEvent`, `None` before the first; `members` is a store of `{role}` dicts."""

    members: TopicStore[list[Any]]


class Plugins:
    """Makes the stores of one client. None of them subscribes: being on a `__` topic is the server's decision."""

    def __init__(
        self,
        connection: ClientConnection,
        topics: Topics,
        after_topics: AfterTopics,
        stores: StoreTable,
        clock: Clock,
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._after_topics = after_topics
        self._stores = stores
        self._clock = clock

    def presence(self, topic: str, max_age: float) -> TopicStore[list[Any]]:
        """Return the store of the data of those present on `topic`."""

        def make() -> TopicStore[list[Any]]:
            return self._aging(PRESENCE_PREFIX + topic, max_age, [], AgingMap.values, _apply_presence)

        return self._stores.get(("presence", _name("topic", topic), _age(max_age)), make)

    def cursor(self, topic: str, max_age: float) -> TopicStore[dict[str, Any]]:
        """Return the store of the cursors on `topic`: key to `{"user": ..., "data": ...}`."""
        ask = encode({"type": "cursor-snapshot", "topic": _name("topic", topic)})

        def begin() -> Callable[[], None]:
            if self._connection.is_open:
                self._after_topics.add(lambda: ask)
            return self._connection.opened.add(lambda reopened: self._after_topics.add(lambda: ask))

        def make() -> TopicStore[dict[str, Any]]:
            return self._aging(CURSOR_PREFIX + topic, max_age, {}, AgingMap.items, _apply_cursor, begin)

        return self._stores.get(("cursor", topic, _age(max_age)), make)

    def group(self, name: str) -> Group:
        """Return the store of the group `name`."""
        return self._stores.get(("group", _name("name", name)), lambda: self._group(name))

    def _group(self, name: str) -> Group:
        members: WritableStore[list[Any]] = WritableStore([])

        def start(show: Callable[[Any], None]) -> Callable[[], None]:
            def on_event(event: TopicEvent) -> None:
                members.set(_members_after(members.value, event.event, event.data))
                show(event)

            off = self._topics.listen(GROUP_PREFIX + name, on_event)

            def stop() -> None:
                off()
                members.set([])

            return stop

        group = Group(None, start)

        def follow(show: Callable[[list[Any]], None]) -> Callable[[], None]:
            off_group = group.subscribe(lambda event: None)
            off_members = members.subscribe(show)

            def stop() -> None:
                off_members()
                off_group()

            return stop

        group.members = TopicStore([], follow)
        return group

    def _aging(
        self,
        topic: str,
        max_age: float,
        idle: T,
        view: Callable[[AgingMap[Any]], T],
        apply: Callable[[AgingMap[Any], str, Any], bool],
        begin: Callable[[], Callable[[], None]] | None = None,
    ) -> TopicStore[T]:
        """Return a store that follows a system topic and shows what an `AgingMap` holds of it."""

        def start(show: Callable[[T], None]) -> Callable[[], None]:
            entries: AgingMap[Any] = AgingMap(self._clock.now)
            timer: TimerHandle | None = None

            def on_event(event: TopicEvent) -> None:
                if apply(entries, event.event, event.data):
                    show(view(entries))

            def look() -> None:
                nonlocal timer
                timer = self._clock.call_later(max_age / AGE_CHECKS, look)
                if entries.drop_older_than(max_age):
                    show(view(entries))

            off = self._topics.listen(topic, on_event)
            end = begin() if begin is not None else None
            if max_age:
                timer = self._clock.call_later(max_age / AGE_CHECKS, look)

            def stop() -> None:
                off()
                if end is not None:
                    end()
                if timer is not None:
                    timer.cancel()

            return stop

        return TopicStore(idle, start)


def _apply_presence(present: AgingMap[Any], event: str, data: Any) -> bool:
    if event == "heartbeat":
        for key in data if isinstance(data, list) else ():
            if isinstance(key, str):
                present.renew(key)
        return False
    if event not in ("presence_state", "presence_diff") or not isinstance(data, dict):
        return False
    joins, leaves = data.get("joins"), data.get("leaves")
    if event == "presence_state":
        present.clear()
        joins, leaves = data, None
    for key in leaves if isinstance(leaves, dict) else ():
        present.delete(key)
    for key, value in joins.items() if isinstance(joins, dict) else ():
        present.set(key, value)
    return True


def _apply_cursor(cursors: AgingMap[Any], event: str, data: Any) -> bool:
    if event == "remove":
        if isinstance(data, dict) and isinstance(data.get("key"), str):
            cursors.delete(data["key"])
        return True
    entries = [data] if event == "update" else data
    if event not in ("update", "bulk", "snapshot") or not isinstance(entries, list):
        return False
    if event == "snapshot":
        cursors.clear()
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("key"), str):
            cursors.set(entry["key"], {"user": entry.get("user"), "data": entry.get("data")})
    return True


def _members_after(members: list[Any], event: str, data: Any) -> list[Any]:
    if event == "close":
        return []
    if event == "members" and isinstance(data, list):
        return data
    role = data.get("role") if isinstance(data, dict) else None
    if not isinstance(role, str):
        return members
    if event == "join":
        return [*members, {"role": role}][-MAX_PLUGIN_ENTRIES:]
    if event == "leave":
        for position, member in enumerate(members):
            if isinstance(member, dict) and member.get("role") == role:
                return members[:position] + members[position + 1 :]
    return members


def _name(what: str, name: str) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"{what}: must be a non-empty string, not {name!r}")
    return name


def _age(max_age: float) -> float:
    if not max_age >= 0:
        raise ValueError(f"max_age: must be seconds, 0 or above, not {max_age!r}")
    return max_age
