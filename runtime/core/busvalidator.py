"""What a bus brings from elsewhere is looked at before it is published here. Spec: cluster 2.2, platform 5.11."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from runtime.core import capacity
from runtime.core.errors import MAX_SAFE_INTEGER
from runtime.wire import jsoncodec, names

if TYPE_CHECKING:
    from runtime.core.clock import Clock
    from runtime.core.messages import BatchMessage
    from runtime.core.metrics import Metrics
    from runtime.core.platform import Platform

__all__ = ["DEFAULT_MAX_BYTES", "BusValidator"]

logger = logging.getLogger("realtime.bus")

DEFAULT_MAX_BYTES: Final = 1024 * 1024
OWN_TOPICS: Final = ("__realtime",)
LOG_EVERY: Final = 60.0  # seconds between two lines of one bus


class BusValidator:
    """Reads the envelopes of one bus; what is wrong is dropped and counted, never raised.

    An envelope is `{"instanceId", "topic", "event", "data"?, "seq"?}`, or `{"instanceId", "batch": [...]}`.
    `rejected` counts the envelopes and members of a batch that were dropped, `echoes` those that came from here.

    Args:
        name: of the bus, for the label of `bus_rejected_total`.
        instance: the `instanceId` that this worker sends; what carries it is its own echo.
        max_bytes: the longest envelope, in bytes of UTF-8; anything that is no positive number means 1 MiB.
        allow_system_topics: take every topic that begins with `__`.
        own_topics: those that are taken anyway.
    """

    def __init__(
        self,
        name: str,
        *,
        metrics: Metrics,
        clock: Clock,
        instance: str | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        allow_system_topics: bool = False,
        own_topics: Collection[str] = OWN_TOPICS,
    ) -> None:
        is_size = isinstance(max_bytes, int) and not isinstance(max_bytes, bool) and max_bytes > 0
        self.name = name
        self.max_bytes = max_bytes if is_size else DEFAULT_MAX_BYTES
        self.rejected = 0
        self.echoes = 0
        self._instance = instance
        self._allows_system = allow_system_topics
        self._own = frozenset(own_topics)
        self._metrics = metrics
        self._clock = clock
        self._told: float | None = None

    @classmethod
    def of(cls, platform: Platform, name: str, *, instance: str | None = None) -> BusValidator:
        """Return the validator of a bus that wraps `platform`, as `[security] bus_*` want it."""
        security = platform.settings.security
        return cls(
            name,
            metrics=platform.parts.metrics,
            clock=platform.parts.clock,
            instance=instance,
            max_bytes=security.bus_max_bytes,
            allow_system_topics=security.bus_allow_system_topics,
            own_topics=security.bus_allowed_system_topics,
        )

    def read(self, raw: str | bytes | bytearray | memoryview) -> list[BatchMessage]:
        """Return the messages of an envelope that may be published here, with `relay` off; of a bad one none."""
        if not isinstance(raw, str | bytes | bytearray | memoryview):
            return self._reject("type")
        if _size(raw) > self.max_bytes:
            return self._reject("size")
        data = raw if isinstance(raw, str | bytes) else bytes(raw)
        try:
            envelope = jsoncodec.decode(data)
        except jsoncodec.NestingError:
            return self._reject("depth")
        except jsoncodec.DecodeError:
            return self._reject("json")
        if not isinstance(envelope, dict):
            return self._reject("shape")
        if jsoncodec.nesting_exceeds(data, envelope, capacity.get("MAX_ENVELOPE_DEPTH")):
            return self._reject("depth")
        if self._instance is not None and envelope.get("instanceId") == self._instance:
            self.echoes += 1
            return []
        batch = envelope.get("batch")
        if batch is None:
            return self._messages([envelope])
        return self._messages(batch) if isinstance(batch, list) else self._reject("shape")

    def _messages(self, members: list[Any]) -> list[BatchMessage]:
        found = []
        for member in members:
            reason = self._problem(member)
            if reason is None:
                found.append(_message(member))
            else:
                self._reject(reason)
        return found

    def _problem(self, member: Any) -> str | None:
        if not isinstance(member, Mapping):
            return "shape"
        topic, event = member.get("topic"), member.get("event")
        if not isinstance(topic, str) or names.name_problem(topic) is not None:
            return "topic"
        if not isinstance(event, str) or names.name_problem(event) is not None:
            return "event"
        if names.is_system_topic(topic) and not (self._allows_system or topic in self._own):
            return "system_topic"
        seq = member.get("seq")
        if "seq" not in member:
            return None
        is_number = isinstance(seq, int) and not isinstance(seq, bool) and 1 <= seq <= MAX_SAFE_INTEGER
        return None if is_number else "seq"

    def _reject(self, reason: str) -> list[BatchMessage]:
        self.rejected += 1
        self._metrics.add("bus_rejected_total", self.name, reason)
        now = self._clock.monotonic()
        if self._told is None or now - self._told >= LOG_EVERY:
            self._told = now
            logger.warning(
                "bus %s: a message from elsewhere was dropped (%s), %d so far; look who writes to it",
                self.name,
                reason,
                self.rejected,
            )
        return []


def _size(raw: str | bytes | bytearray | memoryview) -> int:
    if isinstance(raw, memoryview):
        return raw.nbytes
    if not isinstance(raw, str) or raw.isascii():
        return len(raw)
    return len(raw.encode("utf-8", "surrogatepass"))


def _message(member: Mapping[str, Any]) -> BatchMessage:
    message: BatchMessage = {"topic": member["topic"], "event": member["event"], "relay": False}
    if "data" in member:
        message["data"] = member["data"]
    if "seq" in member:
        message["seq"] = member["seq"]
    return message
