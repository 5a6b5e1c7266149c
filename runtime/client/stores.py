"""Values that change, and telling those who want to know. Spec: live-api 22.1 and 26."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runtime.client.feeds import Feed, Latest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["DerivedStore", "Listeners", "Offs", "Store", "WritableStore"]

logger = logging.getLogger("realtime.client")

T = TypeVar("T")


class Listeners(Generic[T]):
    """Callbacks in order of arrival. One that raises is logged and disturbs nobody else."""

    __slots__ = ("_fns", "_rounds")

    def __init__(self) -> None:
        #: By a key of their own, so that the same function may listen twice and each `off` ends its own.
        self._fns: dict[object, Callable[[T], object]] = {}
        self._rounds = 0

    def __bool__(self) -> bool:
        return bool(self._fns)

    def add(self, fn: Callable[[T], object]) -> Callable[[], None]:
        """Call `fn(value)` from now on; return the function that ends it, which may be called again."""
        key = object()
        self._fns[key] = fn

        def off() -> None:
            self._fns.pop(key, None)

        return off

    def call(self, value: T) -> None:
        """Hand `value` to everybody who listens now and still does when it is their turn."""
        for key, fn in tuple(self._fns.items()):
            if key in self._fns:
                notify(fn, value)

    def show(self, value: T) -> None:
        """As `call`, for a value that takes the place of the one before.

        When a callback brings about a newer one, which everybody is told of at once, this one is shown no further.
        """
        self._rounds += 1
        mine = self._rounds
        for key, fn in tuple(self._fns.items()):
            if self._rounds != mine:
                return
            if key in self._fns:
                notify(fn, value)


class Offs:
    """The functions that end what was begun through one handle, so that closing the handle ends all of it."""

    __slots__ = ("_offs",)

    def __init__(self) -> None:
        self._offs: dict[Callable[[], object], None] = {}

    def add(self, off: Callable[[], object]) -> Callable[[], None]:
        """Return a function that calls `off()`, unless that was done already by itself or by `end`."""

        def once() -> None:
            if once in self._offs:
                del self._offs[once]
                off()

        self._offs[once] = None
        return once

    def end(self) -> None:
        """Call everything that was not called yet, oldest first."""
        for once in list(self._offs):
            once()


def notify(fn: Callable[[T], object], value: T) -> None:
    """Call an app's callback; what it raises is logged with its name."""
    try:
        fn(value)
    except Exception:
        logger.exception("a listener raised: %s", getattr(fn, "__qualname__", fn))


class Store(Generic[T]):
    """A value that changes. Read `.value`, `subscribe`, or iterate; usable in the loop's thread only.

    `async for` gives the value of now and then each later one; a slow reader gets the newest and misses those
    between.
    """

    def __init__(self, value: T) -> None:
        self._value = value
        self._listeners: Listeners[T] = Listeners()

    @property
    def value(self) -> T:
        """The present value."""
        return self._value

    def subscribe(self, fn: Callable[[T], object]) -> Callable[[], None]:
        """Call `fn(value)` at once and on every change; return the function that ends it."""
        off = self._listeners.add(fn)
        notify(fn, self._value)
        return off

    def __aiter__(self) -> AsyncIterator[T]:
        return follow(self.subscribe)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.value!r}>"


class WritableStore(Store[T]):
    """A store for the side that knows the value."""

    def set(self, value: T) -> None:
        """Replace the value and tell everybody, unless it is a plain one equal to the present one."""
        if isinstance(value, dict) or value != self._value:
            self._value = value
            self._listeners.show(value)


class DerivedStore(Store[Any]):
    """A store computed from another source, which it follows only while somebody follows it.

    `feeds` takes the iterators over it, for an owner of the source who ends them together with the source.
    """

    def __init__(
        self,
        read: Callable[[], Any],
        subscribe: Callable[[Callable[[Any], object]], Callable[[], None]],
        compute: Callable[[Any], Any],
        *,
        feeds: weakref.WeakSet[Feed[Any]] | None = None,
    ) -> None:
        super().__init__(None)
        self._feeds = feeds
        self._read = read
        self._follow = subscribe
        self._compute = compute

    @property
    def value(self) -> Any:
        """The value computed from the source's present one."""
        return self._compute(self._read())

    def subscribe(self, fn: Callable[[Any], object]) -> Callable[[], None]:
        """Call `fn(value)` at once and on every change of the source; return the function that ends it."""
        return self._follow(lambda value: fn(self._compute(value)))

    def __aiter__(self) -> AsyncIterator[Any]:
        feed = follow(self.subscribe)
        if self._feeds is not None:
            self._feeds.add(feed)
        return feed


def follow(subscribe: Callable[[Callable[[T], object]], Callable[[], None]]) -> Latest[T]:
    """Return an iterator over what `subscribe` reports, which ends when its reader lets go of it."""
    feed: Latest[T] = Latest()
    reference = weakref.ref(feed)

    def push(value: T) -> None:
        target = reference()
        if target is not None:
            target.push(value)

    feed.on_close(subscribe(push))
    return feed
