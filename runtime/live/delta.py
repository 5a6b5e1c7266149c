"""How a stream tells a client that comes back just what has changed: its own version, or its own events.

Spec: live-api 8.6 (`from_seq`) and 8.7; wire 5.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from runtime.live.callables import call_with_as_many
from runtime.wire import jsoncodec

__all__ = ["Delta", "MissedEvent", "delta_of"]

DELETED = "_deleted"


@dataclass(slots=True, frozen=True)
class Delta:
    """What a stream knows of its changes; every function may be asynchronous.

    `version()` returns the present version, any JSON value that is compared with `==`. `diff(since)` returns the items
    that changed since that version, each whole; one with a true `_deleted` is gone; `None` means that it cannot tell.
    `from_seq(seq)` returns the events behind a number, `{"seq", "event", "data"}` each, or `None` likewise. All of them
    get the arguments of the stream behind that, if they have parameters for them.
    """

    version: Callable[..., Any] | None = None
    diff: Callable[..., Any] | None = None
    from_seq: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        for name in ("version", "diff", "from_seq"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise ValueError(f"delta: {name} must be a function, not {value!r}")
        if (self.version is None) != (self.diff is None):
            raise ValueError("delta: version and diff need each other")
        if self.version is None and self.from_seq is None:
            raise ValueError("delta: name version and diff, or from_seq")

    async def read_version(self, args: Sequence[Any]) -> Any:
        """Return the present version; a stream without versions has none to ask for."""
        if self.version is None:
            raise LookupError("the stream has no versions")
        return await call_with_as_many(self.version, args)

    async def changed_since(self, version: Any, args: Sequence[Any]) -> list[Any] | None:
        """Return the items that changed since `version`, `None` when that cannot be told.

        Raises:
            TypeError: `diff` returned neither a list nor `None`.
        """
        if self.diff is None:
            return None
        items = await call_with_as_many(self.diff, (version, *args))
        if items is None or isinstance(items, list | tuple):
            return None if items is None else list(items)
        raise TypeError(f"delta: diff must return a list or None, not {items!r}")

    async def missed_since(self, seq: int, args: Sequence[Any]) -> list[MissedEvent] | None:
        """Return the events behind number `seq`, `None` when that cannot be told.

        Raises:
            TypeError, ValueError: `from_seq` returned something else.
        """
        if self.from_seq is None:
            return None
        events = await call_with_as_many(self.from_seq, (seq, *args))
        if events is None:
            return None
        if not isinstance(events, list | tuple):
            raise TypeError(f"delta: from_seq must return a list or None, not {events!r}")
        return [MissedEvent.of(event) for event in events]


@dataclass(slots=True, frozen=True)
class MissedEvent:
    """One event that a client has missed."""

    seq: int
    event: str
    data: Any

    @classmethod
    def of(cls, raw: Any) -> MissedEvent:
        """Return the event in a mapping.

        Raises:
            TypeError: no mapping, or a number or name of another type.
        """
        if not isinstance(raw, Mapping):
            raise TypeError(f'delta: an event is {{"seq", "event", "data"}}, not {raw!r}')
        seq, event = raw.get("seq"), raw.get("event")
        if not isinstance(seq, int) or isinstance(seq, bool) or not isinstance(event, str):
            raise TypeError(f"delta: an event needs an integer seq and a string event: {raw!r}")
        return cls(seq, event, raw.get("data"))

    def encoded(self, transform: Callable[[Any], Any] | None) -> tuple[int, str, bytes]:
        """Return number, name and encoded data."""
        data = self.data if transform is None else transform(self.data)
        return self.seq, self.event, jsoncodec.encode(data)


def delta_of(value: Any) -> Delta | None:
    """Return the `delta` option of a stream as what it stands for.

    Raises:
        ValueError: not a `Delta`, a mapping of its fields, or `None`; or a member that is no function.
    """
    if value is None or isinstance(value, Delta):
        return value
    names = [field.name for field in fields(Delta)]
    if not isinstance(value, Mapping) or not all(name in names for name in value):
        raise ValueError(f"delta: must be a Delta, or a mapping of {', '.join(names)}; not {value!r}")
    return Delta(**value)
