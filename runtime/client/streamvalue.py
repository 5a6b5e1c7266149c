"""The value of a stream: what the server said, and on top of it what was not confirmed yet. Spec: live-api 24.3."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded
from runtime.live.merge import REFRESHED

if TYPE_CHECKING:
    from runtime.live.merge import Merger

__all__ = ["Change", "Mutation", "StreamValue"]

logger = logging.getLogger("realtime.client")

#: Strategies whose value is a whole, without rows that have a key.
UNKEYED = frozenset({"set", "latest"})

Change = tuple[str, Any] | Mapping[str, Any] | Callable[[Any], Any]


@dataclass(slots=True, eq=False)
class Mutation:
    """One unconfirmed change: an event with its data, or a function of a shallow copy of the value."""

    event: str | None
    data: Any
    fn: Callable[[Any], Any] | None
    #: The server's value is of a later time than the change; success adds nothing to it.
    is_covered: bool = False

    @classmethod
    def of(cls, change: Change) -> Mutation:
        """Return the mutation for what an app gave.

        Raises:
            TypeError: neither `(event, data)`, nor `{"event": ..., "data": ...}`, nor a function.
        """
        if callable(change):
            return cls(None, None, change)
        if isinstance(change, Mapping) and isinstance(change.get("event"), str):
            return cls(change["event"], change.get("data"), None)
        if isinstance(change, tuple) and len(change) == 2 and isinstance(change[0], str):
            return cls(change[0], change[1], None)
        raise TypeError(f"change: must be (event, data) or a function of the value, not {change!r}")

    def apply(self, merger: Merger) -> None:
        """Change the value of `merger`."""
        if self.event is not None:
            merger.apply(self.event, self.data)
        if self.fn is not None:
            draft = copy.copy(merger.value)
            made = self.fn(draft)
            merger.load(draft if made is None else made)

    def key(self, merger: Merger) -> Hashable:
        """Return the key of the row it adds or replaces, `None` when it does neither."""
        return None if self.event is None else merger.confirms(self.event, self.data)


class StreamValue:
    """A server value with a queue of mutations; `shown` is what a reader sees."""

    def __init__(self, merger: Merger) -> None:
        #: The rules and the value as the server knows it.
        self.server = merger
        self._mutations: list[Mutation] = []
        self._shown: Any = None
        self._fresh = False

    @property
    def shown(self) -> Any:
        """The server's value with all unconfirmed mutations applied in order."""
        if not self._mutations:
            return self.server.value
        if not self._fresh:
            display = self.server.fork()
            for mutation in self._mutations:
                _apply_safely(mutation, display)
            self._shown, self._fresh = display.value, True
        return self._shown

    def touched(self) -> None:
        """Note that `server` was changed from outside."""
        self._fresh = False

    def load(self, data: Any) -> None:
        """Replace the server's value by a whole one."""
        self.server.load(data)
        if self.server.merge in UNKEYED:
            self._cover()
        self._fresh = False

    def apply(self, event: str, data: Any) -> bool:
        """Fold an event of the server in; a mutation of the same row is thereby confirmed."""
        was_confirmed = self.confirm(event, data)
        changed = self.server.apply(event, data)
        self._fresh = False
        return changed or was_confirmed

    def confirm(self, event: str, data: Any) -> bool:
        """See whether an event of the server speaks for a mutation; return whether one is gone thereby.

        The server writes the events of a handler before its reply, so a change of a whole value (`set`, `latest`,
        `refreshed`) is contained in what came since it began.
        """
        if not self._mutations:
            return False
        if event == REFRESHED or self.server.merge in UNKEYED:
            self._cover()
            return False
        key = self.server.confirms(event, data)
        for position, mutation in enumerate(self._mutations):
            if key is not None and mutation.key(self.server) == key:
                del self._mutations[position]
                self._fresh = False
                return True
        return False

    def add(self, mutation: Mutation) -> None:
        """Show a change before the server knows of it.

        Raises:
            CapacityExceeded: `MAX_OPTIMISTIC_QUEUE_DEPTH` mutations wait already.
            Exception: what the change itself raises; it is not shown then.
        """
        limit = capacity.get("MAX_OPTIMISTIC_QUEUE_DEPTH")
        if len(self._mutations) >= limit:
            capacity.record(
                "MAX_OPTIMISTIC_QUEUE_DEPTH", "reject", hint="await mutations before making further ones"
            )
            raise CapacityExceeded(
                f"{limit} mutations of this stream wait for the server; let some finish first"
            )
        trial = self.server.fork()
        for earlier in self._mutations:
            _apply_safely(earlier, trial)
        mutation.apply(trial)
        self._mutations.append(mutation)
        self._fresh = False

    def settle(self, mutation: Mutation, *, succeeded: bool) -> None:
        """Fold a mutation into the server's value, or drop it; one that an event confirmed is gone already."""
        if any(mutation is waiting for waiting in self._mutations):
            self._mutations = [waiting for waiting in self._mutations if waiting is not mutation]
            if succeeded and not mutation.is_covered:
                _apply_safely(mutation, self.server)
            self._fresh = False

    def _cover(self) -> None:
        for mutation in self._mutations:
            mutation.is_covered = True


def _apply_safely(mutation: Mutation, merger: Merger) -> None:
    """Apply a change that worked when it was made; the value may be another one by now."""
    try:
        mutation.apply(merger)
    except Exception:
        logger.exception("an optimistic change raised on a newer value; it is left out")
