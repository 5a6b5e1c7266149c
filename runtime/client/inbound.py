"""What the server sends besides replies: who we are, denials, reports, health, requests. Spec: wire 3.3."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from runtime.client.stores import Listeners, WritableStore
from runtime.client.topics import TopicEvent, Topics
from runtime.wire.jsoncodec import DecodeError, decode, encode
from runtime.wire.limits import MAX_OUTBOUND_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Inbound"]

logger = logging.getLogger("realtime.client")

SYSTEM_TOPIC = "__realtime"
HEALTHY = "healthy"
HEALTH = {"degraded": "degraded", "recovered": HEALTHY}
#: The largest whole number that JSON carries exactly between all languages.
MAX_NUMBER = 2**53 - 1


class Inbound:
    """Sort incoming frames, and remember what the next connection needs for a resume.

    Anything that is no frame of ours is ignored, as every client of the protocol does.
    """

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        #: Id of the session of the last connection; the next one names it in `resume`.
        self.session_id: str | None = None
        self.denials: WritableStore[dict[str, Any] | None] = WritableStore(None)
        self.resumed: WritableStore[dict[str, Any] | None] = WritableStore(None)
        self.health: WritableStore[str] = WritableStore(HEALTHY)
        #: Frames that were dropped for their length. Spec: wire 1.10.
        self.oversized = 0
        #: Called with topic and reason of each refused subscription.
        self.denied: Listeners[tuple[str, str]] = Listeners()
        #: Called with (ref, event, data) of a request that wants a reply.
        self.request: Callable[[int | float | str, str, Any], None] = lambda ref, event, data: None
        topics.listen(SYSTEM_TOPIC, self._system_event)

    def opening_frames(self, *, resume: bool = True) -> list[bytes]:
        """Return what a new connection begins with, in this order; perhaps without a resume. Spec: wire 1.6."""
        frames = [encode({"type": "hello", "caps": ["batch"]})]
        seen = self._topics.resume_numbers()
        if resume and self.session_id is not None and seen:
            frames.append(encode({"type": "resume", "sessionId": self.session_id, "lastSeenSeqs": seen}))
        return frames + self._topics.opening_frames()

    def opened(self) -> None:
        """Take note of a new connection: what is known of the health is that of the one before."""
        self.health.set(HEALTHY)

    def receive(self, frame: bytes) -> None:
        """Handle one frame."""
        if len(frame) > MAX_OUTBOUND_CHARS and _is_oversized(frame):
            self.oversized += 1
            return
        try:
            message = decode(frame)
        except DecodeError:
            return
        if not isinstance(message, dict) or self._envelope(message):
            return
        match message:
            case {"type": "welcome", "sessionId": str(session_id)}:
                self.session_id = session_id
            case {"type": "batch", "events": [*events]}:
                for event in events:
                    if isinstance(event, dict):
                        self._envelope(event)
            case {"type": "subscribe-denied", "topic": str(topic), "reason": str(reason)}:
                self.denials.set({"topic": topic, "reason": reason, "ref": message.get("ref")})
                self.denied.call((topic, reason))
            case {"type": "resumed"}:
                report = message.get("topics")
                self.resumed.set(report if isinstance(report, dict) else {})
            case {"type": "request", "ref": int() | float() | str() as ref, "event": str(event)}:
                self.request(ref, event, message.get("data"))

    def _envelope(self, message: dict[str, Any]) -> bool:
        topic = message.get("topic")
        if not topic or "event" not in message:
            return False
        event, seq = message["event"], message.get("seq")
        if isinstance(topic, str) and isinstance(event, str):
            is_number = isinstance(seq, int) and not isinstance(seq, bool) and 0 <= seq <= MAX_NUMBER
            number = seq if is_number else None
            self._topics.dispatch(TopicEvent(topic, event, message.get("data"), number))
        return True

    def _system_event(self, event: TopicEvent) -> None:
        health = HEALTH.get(event.event)
        if health is not None:
            self.health.set(health)


def _is_oversized(frame: bytes) -> bool:
    """Return whether a text has more UTF-16 code units than a client looks at."""
    text = frame.decode("utf-8", "replace")
    return len(text) + sum(char > "\uffff" for char in text) > MAX_OUTBOUND_CHARS
