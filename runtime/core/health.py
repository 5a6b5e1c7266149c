"""Tell every peer when this worker can do less than usual, and when it is well again. Spec: wire 3.1, cluster 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded
from runtime.core.publisher import make_event

if TYPE_CHECKING:
    from runtime.core.clock import Clock
    from runtime.core.publisher import Publisher
    from runtime.core.turnbatch import TurnBatch

__all__ = ["Health"]

TOPIC = "__realtime"


class Health:
    """What the worker suffers from. Several causes at a time make one outage: the first is told as `degraded`, the end
    of the last as `recovered`, both on `__realtime`, where every connection is.
    """

    __slots__ = ("_causes", "_clock", "_publisher", "_turn")

    def __init__(self, publisher: Publisher, turn: TurnBatch, clock: Clock) -> None:
        self._publisher = publisher
        self._turn = turn
        self._clock = clock
        self._causes: dict[str, None] = {}

    @property
    def causes(self) -> tuple[str, ...]:
        """What holds at present, oldest first; empty when all is well."""
        return tuple(self._causes)

    def sizes(self) -> dict[str, int]:
        """Return how many causes hold."""
        return {"MAX_DEGRADED_CAUSES": len(self._causes)}

    def degrade(self, cause: str) -> None:
        """Note that `cause` holds from now on; does nothing when it holds already.

        Raises:
            ValueError: `cause` is no text, or empty.
            CapacityExceeded: `MAX_DEGRADED_CAUSES` hold already; name causes, not cases.
        """
        if not isinstance(cause, str) or not cause:
            raise ValueError(f"cause: must be a text that is not empty, not {cause!r}")
        if cause in self._causes:
            return
        limit = capacity.get("MAX_DEGRADED_CAUSES")
        if len(self._causes) >= limit:
            capacity.record("MAX_DEGRADED_CAUSES", "reject", hint="causes are a few fixed names, not cases")
            raise CapacityExceeded(f"causes of degradation exceeded {limit}")
        self._causes[cause] = None
        if len(self._causes) == 1:
            self._tell("degraded")

    def recover(self, cause: str) -> None:
        """Note that `cause` is over; does nothing when it did not hold."""
        if cause in self._causes:
            del self._causes[cause]
            if not self._causes:
                self._tell("recovered")

    def _tell(self, event: str) -> None:
        # Without a number: a client must not take it for progress on a topic that it could resume.
        made = make_event(TOPIC, event, {"at": int(self._clock.now() * 1000)}, False, 0)
        self._turn.flush()
        self._publisher.publish(made)
