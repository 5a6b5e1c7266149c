"""What one connection has running and waiting: counted in frames and in bytes. Spec: wire 3.4."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from runtime.core import capacity
from runtime.live.dispatch import CallSlots

__all__ = ["LIGHT", "NoSlots", "Slots", "Waiting", "Weighed"]

T = TypeVar("T")

#: A frame of up to this many bytes counts as a call only: `MAX_INFLIGHT_CALLS` of them are no more than
#: `MAX_INFLIGHT_BYTES` of larger ones.
LIGHT = 16 * 1024


class Slots(CallSlots):
    """The calls of one connection that run, and how many bytes the large ones among them came in."""

    __slots__ = ("weight",)

    def __init__(self) -> None:
        super().__init__()
        self.weight = 0


class Weighed(CallSlots):
    """Slots for the calls of one large frame; its bytes count from the first of them to the end of the last."""

    __slots__ = ("_held", "_size", "_slots")

    def __init__(self, slots: Slots, size: int) -> None:
        self._slots = slots
        self._size = size
        self._held = 0

    def take(self) -> bool:
        """Take a slot; return whether there was one. A frame that is alone is never too large."""
        slots = self._slots
        if not self._held:
            if slots.weight and slots.weight + self._size > capacity.get("MAX_INFLIGHT_BYTES"):
                capacity.record("MAX_INFLIGHT_BYTES", "reject", hint="large calls of one connection are slow")
                return False
            if not slots.take():
                return False
            slots.weight += self._size
        elif not slots.take():
            return False
        self._held += 1
        return True

    def give_back(self) -> None:
        """Return a slot."""
        self._slots.give_back()
        self._held -= 1
        if not self._held:
            self._slots.weight -= self._size


class NoSlots(CallSlots):
    """Slots for calls that come when no more frames may wait: each is answered `OVERLOADED`."""

    __slots__ = ()

    def take(self) -> bool:
        """Return that there is none."""
        return False


class Waiting(Generic[T]):
    """Frames that wait on one connection, oldest first, and how many bytes they came in."""

    __slots__ = ("_items", "_size")

    def __init__(self) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size(self) -> int:
        """The bytes that all of them came in."""
        return self._size

    def add(self, item: T, size: int) -> bool:
        """Keep `item`, which came in `size` bytes; return whether the bounds allow that."""
        for name, wanted in (
            ("MAX_CONTROL_QUEUE", len(self._items) + 1),
            ("MAX_CONTROL_BYTES", self._size + size),
        ):
            if wanted > capacity.get(name):
                capacity.record(name, "reject", hint="a hook is slow and the client keeps sending")
                return False
        self._items.append((item, size))
        self._size += size
        return True

    def take(self) -> T:
        """Take out the oldest; there has to be one."""
        item, size = self._items.popleft()
        self._size -= size
        return item

    def clear(self) -> None:
        """Forget all of them."""
        self._items.clear()
        self._size = 0
