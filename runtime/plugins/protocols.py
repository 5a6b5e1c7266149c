"""What the in-process primitives and their cluster twins have in common. Spec: cluster 2.5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from runtime.core.connection import Connection
    from runtime.core.platform import Platform

__all__ = ["Gap", "ReplayMessage", "ReplayOutcome", "ReplayProtocol", "ReplaySource"]


class ReplayMessage:
    """One kept event: its number, topic and name, and its data as JSON."""

    __slots__ = ("encoded", "event", "seq", "topic")

    def __init__(self, seq: int, topic: str, event: str, encoded: bytes) -> None:
        self.seq = seq
        self.topic = topic
        self.event = event
        self.encoded = encoded

    @property
    def data(self) -> Any:
        """A fresh copy of the data."""
        return jsoncodec.decode(self.encoded)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReplayMessage) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"ReplayMessage({self.seq}, {self.topic!r}, {self.event!r}, {self.encoded[:80]!r})"

    def _key(self) -> tuple[int, str, str, bytes]:
        return self.seq, self.topic, self.event, self.encoded


@dataclass(slots=True, frozen=True)
class Gap:
    """Whether something behind a number is no longer kept, and the first number that is missing, if it is known."""

    truncated: bool
    missing_from: int | None = None


@dataclass(slots=True, frozen=True)
class ReplayOutcome:
    """What one replay did.

    `state`: `complete` (nothing was missed), `filled` (`count` events were sent, which is all), `truncated` (something
    may be missing), `denied` (by the subscribe gate, for the reason in `code`). `read_to` is the number up to which the
    history was read, `None` when it was not.
    """

    state: Literal["complete", "filled", "truncated", "denied"]
    count: int = 0
    code: str | None = None
    read_to: int | None = None


class ReplayProtocol(Protocol):
    """A bounded history of topics, numbered as the envelopes are; apps use it, in process or shared."""

    async def publish(self, platform: Platform | None, topic: str, event: str, data: Any = None) -> bool:
        """Publish one event and keep it under its number."""

    async def seq(self, topic: str) -> int:
        """Return the topic's current number; the counter's start, usually 0, when nothing was published."""

    async def since(self, topic: str, seq: int) -> list[ReplayMessage]:
        """Return what is still kept of the events behind `seq`, ascending; nothing for a bad number."""

    async def gap(self, topic: str, last_seen: int) -> Gap:
        """Return whether everything behind `last_seen` is kept."""

    async def replay(
        self,
        ws: Connection,
        topic: str,
        since: int,
        platform: Platform | None = None,
        req_id: int | str | None = None,
    ) -> ReplayOutcome:
        """Send one connection what it missed, if it may subscribe to the topic."""

    def resume_hook(self) -> Callable[..., Awaitable[None]]:
        """Return a `resume` hook that replays everything a client reports."""

    async def clear(self) -> None:
        """Forget every event."""

    async def clear_topic(self, topic: str) -> None:
        """Forget the events of one topic."""


class ReplaySource(ReplayProtocol, Protocol):
    """What the framework needs of `platform.replay` besides, to keep streams and to resume sessions."""

    def attach(self, platform: Platform) -> None:
        """Belong to the app of `platform`."""

    def record_topic(self, topic: str, size: int | None = None, platform: Platform | None = None) -> None:
        """Keep every event of `topic` from now on, whoever publishes it; the last `size` of them."""

    def is_recorded(self, topic: str) -> bool:
        """Return whether the events of `topic` are kept."""

    def release_topic(self, topic: str) -> None:
        """Keep the events of `topic` no longer."""

    async def catch_up(self, ws: Connection, seen: Mapping[str, int], platform: Platform) -> None:
        """Replay to a connection what it missed on those of its topics that are kept; the gate is asked about all."""

    def fill(self, ws: Connection, topic: str, since: int) -> Awaitable[None] | None:
        """Send what came since a resume read the history, before the subscription of `topic` is confirmed."""
