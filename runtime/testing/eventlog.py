"""What was published, sent or received, in order, with a way to wait for what is still to come. Spec: live-api 20."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from runtime.client.stores import Listeners
from runtime.testing.waiting import holds

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_LOGGED", "EventLog", "PublishedEvent"]

#: Entries of one log; then the oldest go.
MAX_LOGGED = 10_000
#: Entries in the message of a wait that was in vain.
SHOWN = 10


class PublishedEvent(NamedTuple):
    """One event as subscribers get it: topic, event and data."""

    topic: str
    event: str
    data: Any


class _Named(Protocol):
    @property
    def event(self) -> str: ...

    @property
    def data(self) -> Any: ...


E = TypeVar("E", bound=_Named)


class EventLog(list[E]):
    """A list of events, oldest first, at most 10,000: what came is asserted on, what comes is waited for.

    Args:
        what: what an entry is called in messages.
        explain: returns further lines for the message of a wait that was in vain.
    """

    def __init__(self, what: str = "event", explain: Callable[[], str] | None = None) -> None:
        super().__init__()
        self._what = what
        self._explain = explain
        self._added: Listeners[E] = Listeners()

    def add(self, entry: E) -> None:
        """Append an entry and tell those who wait."""
        if len(self) >= MAX_LOGGED:
            del self[0]
        self.append(entry)
        self._added.call(entry)

    def on(self, topic: str) -> list[E]:
        """Return the entries on one topic, of a log whose entries have topics."""
        return [entry for entry in self if getattr(entry, "topic", None) == topic]

    async def wait_for(
        self,
        event: str | None = None,
        where: Callable[[E], Any] | None = None,
        *,
        topic: str | None = None,
        timeout: float = 5.0,
    ) -> E:
        """Return the first entry that fits, waiting for it when there is none yet.

        Args:
            event: its name, `None` for any.
            where: a predicate of the entry.
            topic: its topic, `None` for any.
            timeout: seconds of real time.

        Raises:
            TimeoutError: it did not come in time; the message has the last entries.
            TypeError: `where` is asynchronous. Exception: what it raised.
        """

        def fits(entry: E) -> bool:
            return (
                (event is None or entry.event == event)
                and (topic is None or getattr(entry, "topic", None) == topic)
                and (where is None or holds(where, entry))
            )

        for entry in self:
            if fits(entry):
                return entry
        found: asyncio.Future[E] = asyncio.get_running_loop().create_future()

        def look(entry: E) -> None:
            if found.done():
                return
            try:
                if fits(entry):
                    found.set_result(entry)
            except Exception as error:
                found.set_exception(error)

        off = self._added.add(look)
        try:
            async with asyncio.timeout(timeout):
                return await found
        except TimeoutError:
            raise TimeoutError(self._vain(event, topic, timeout)) from None
        finally:
            off()

    def _vain(self, event: str | None, topic: str | None, timeout: float) -> str:
        wanted = (
            self._what
            + ("" if event is None else f" {event!r}")
            + ("" if topic is None else f" on {topic!r}")
        )
        last = [f"  {entry!r}" for entry in self[-SHOWN:]] or ["  none"]
        lines = [f"no such {wanted} within {timeout:g}s; the last ones were:", *last]
        if self._explain is not None:
            lines.append(self._explain())
        return "\n".join(lines)
