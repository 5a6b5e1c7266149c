"""Stores that follow topics while somebody follows them: what the stores of the server's plugins have in common."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runtime.client.stores import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from runtime.client.connection import ClientConnection

__all__ = ["MAX_PLUGIN_ENTRIES", "MAX_TOPIC_STORES", "AfterTopics", "AgingMap", "StoreTable", "TopicStore"]

logger = logging.getLogger("realtime.client")

#: Stores that are kept by what they were made from, and entries of one of them.
MAX_TOPIC_STORES = 1000
MAX_PLUGIN_ENTRIES = 100_000

T = TypeVar("T")
S = TypeVar("S", bound="TopicStore[Any]")


class TopicStore(Store[T]):
    """A store that works while it is entered (`async with`), subscribed to, or iterated over.

    `value` is the idle one at other times. Belongs to the loop's thread.
    """

    def __init__(self, idle: T, start: Callable[[Callable[[T], None]], Callable[[], None]]) -> None:
        super().__init__(idle)
        self._idle = idle
        self._start = start
        self._users = 0
        self._stop: Callable[[], None] | None = None

    @property
    def is_active(self) -> bool:
        """Whether somebody uses it."""
        return self._users > 0

    def subscribe(self, fn: Callable[[T], object]) -> Callable[[], None]:
        """Call `fn(value)` at once and on every change; return the function that ends it."""
        self._acquire()
        off = super().subscribe(fn)
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                off()
                self._release()

        return end

    async def __aenter__(self) -> TopicStore[T]:
        self._acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _set(self, value: T) -> None:
        self._value = value
        self._listeners.show(value)

    def _acquire(self) -> None:
        self._users += 1
        if self._users == 1:
            self._stop = self._start(self._set)

    def _release(self) -> None:
        self._users -= 1
        if not self._users:
            stop, self._stop = self._stop, None
            if stop is not None:
                stop()
            self._value = self._idle


class StoreTable:
    """Stores by what they were made from: the same arguments give the same store, as long as it is remembered."""

    def __init__(self) -> None:
        self._stores: dict[tuple[Any, ...], TopicStore[Any]] = {}

    def get(self, key: tuple[Any, ...], make: Callable[[], S]) -> S:
        """Return the store of `key`, made if need be; at the bound unused ones go, oldest first."""
        known: Any = self._stores.get(key)
        if known is not None:
            store: S = known
            return store
        if len(self._stores) >= MAX_TOPIC_STORES:
            unused = next((other for other, store in self._stores.items() if not store.is_active), None)
            if unused is not None:
                del self._stores[unused]
        made = make()
        if len(self._stores) < MAX_TOPIC_STORES:
            self._stores[key] = made
        return made


class AfterTopics:
    """Frames to send at the end of a turn of the loop, behind what it says about topics."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._makers: list[Callable[[], bytes | None]] = []

    def add(self, make: Callable[[], bytes | None]) -> None:
        """Send what `make()` returns then, if anything, and if there is a connection then."""
        self._makers.append(make)
        self._connection.end_of_turn()

    def forget(self) -> None:
        """Send nothing of it: the connection is lost."""
        self._makers.clear()

    def turn_frames(self) -> Iterable[bytes]:
        """Return the frames that wait."""
        makers, self._makers = self._makers, []
        frames = [make() for make in makers]
        return [frame for frame in frames if frame is not None]


class AgingMap(Generic[T]):
    """Values by key, with the time when each was last heard of; at `MAX_PLUGIN_ENTRIES` the oldest goes."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[str, tuple[float, T]] = {}
        self._is_warned = False

    def set(self, key: str, value: T) -> None:
        """Add or replace a value."""
        self._entries[key] = (self._now(), value)
        if len(self._entries) > MAX_PLUGIN_ENTRIES:
            del self._entries[next(iter(self._entries))]
            if not self._is_warned:
                self._is_warned = True
                logger.warning("more than %d entries of one topic: the oldest go", MAX_PLUGIN_ENTRIES)

    def renew(self, key: str) -> None:
        """Note that a key, if there is one, was heard of."""
        if key in self._entries:
            self._entries[key] = (self._now(), self._entries[key][1])

    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Remove everything."""
        self._entries.clear()

    def drop_older_than(self, age: float) -> bool:
        """Remove what was not heard of for `age` seconds; return whether there was any."""
        oldest = self._now() - age
        kept = {key: entry for key, entry in self._entries.items() if entry[0] >= oldest}
        gone = len(kept) < len(self._entries)
        self._entries = kept
        return gone

    def values(self) -> list[T]:
        """Return the values, oldest key first."""
        return [value for _, value in self._entries.values()]

    def items(self) -> dict[str, T]:
        """Return the values by key."""
        return {key: value for key, (_, value) in self._entries.items()}
