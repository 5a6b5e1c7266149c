"""Which derived streams a client may hold an old value of, though its reply would let it keep that.

A reply with `derived: true` lets a client keep the value it has (wire 5.2). That is right while its value is the last
one. A client that was away has missed what came meanwhile, so it is told to take the value of the reply: the flag is
left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.core import capacity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.core.connection import Connection

__all__ = ["DerivedSeen"]

LIMIT = "MAX_RESUME_TOPICS"
#: No event has this number.
LEFT = -1


class _Known:
    """What one client has: the number of the last event by topic; of other topics it `may_have_any` value, or none."""

    __slots__ = ("may_have_any", "numbers")

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.may_have_any = False


class DerivedSeen:
    """What the clients of one worker have of derived streams; at most `MAX_RESUME_TOPICS` topics for each."""

    __slots__ = ("_is_derived", "_known")

    def __init__(self, is_derived: Callable[[str], bool]) -> None:
        """`is_derived(topic)` says whether a topic is that of a derived stream."""
        self._is_derived = is_derived
        self._known: dict[Connection, _Known] = {}

    def resumed(self, connection: Connection, seen: Mapping[str, int]) -> None:
        """Note which numbers a client has seen that comes back."""
        if connection.signal.aborted:
            return  # it is gone already
        known = self._known[connection] = _Known()
        known.may_have_any = True
        known.numbers = {topic: number for topic, number in seen.items() if self._is_derived(topic)}

    def left(self, connection: Connection, topic: str) -> None:
        """Note that a client has left a topic: it keeps the value for a while, and hears of nothing."""
        known = self._known.setdefault(connection, _Known())
        if topic not in known.numbers and len(known.numbers) >= capacity.get(LIMIT):
            known.numbers.clear()
            known.may_have_any = True
        known.numbers[topic] = LEFT

    def may_be_old(self, connection: Connection, topic: str, current: int) -> bool:
        """Return whether a client may have a value older than that of event `current`."""
        known = self._known.get(connection)
        if known is None:
            return False
        number = known.numbers.get(topic)
        return known.may_have_any if number is None else number != current

    def forget(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self._known.pop(connection, None)
