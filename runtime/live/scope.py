"""What every ctx of one worker shares: the platform and the way to publish through the turn batch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from runtime.core.bus import Outlet
from runtime.core.unread import lets_pending_in
from runtime.live.pacing import Pacing
from runtime.live.ratelimit import Buckets
from runtime.live.topicshapes import TopicShapes
from runtime.live.watchers import deepened, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.platform import Platform
    from runtime.core.publisher import Event
    from runtime.core.turnbatch import TurnBatch
    from runtime.live.admission import Admission
    from runtime.live.aggregates import Aggregates
    from runtime.live.roomcursors import RoomCursors

__all__ = ["LiveScope"]

logger = logging.getLogger("realtime.live")


class LiveScope:
    """Built once per worker; `admission` follows the registry that is in force."""

    __slots__ = (
        "_publisher",
        "_turn",
        "admission",
        "aggregates",
        "buckets",
        "cursors",
        "dev",
        "lets_pending_in",
        "max_frame",
        "outlet",
        "own_keys",
        "pacing",
        "platform",
        "shapes",
        "system_topics",
        "wrap",
    )

    def __init__(self, platform: Platform, turn: TurnBatch, max_frame: int) -> None:
        self.platform = platform
        self.max_frame = max_frame
        self.dev = platform.dev_checks
        self.admission: Admission | None = None
        #: How publishes on the topics of subscribed streams are shaped.
        self.shapes = TopicShapes()
        #: What `message_options(platform=...)` makes of the platform, and where publishes leave then.
        self.wrap: Callable[[Any], Any] | None = None
        self.outlet: Outlet | None = None
        security = platform.settings.security
        #: Whether `ctx.publish` takes topics that begin with `__`.
        self.system_topics = security.allow_system_topic_publish
        #: Whether each live function has idempotency keys of its own.
        self.own_keys = security.idempotency_namespace
        #: Whether an access check that is async lets everybody in.
        self.lets_pending_in = lets_pending_in(platform.settings)
        self._turn = turn
        self._publisher = platform.parts.publisher
        #: The aggregates of the worker; set when they are made.
        self.aggregates: Aggregates
        #: The cursors in rooms; set when the rooms of the worker are made.
        self.cursors: RoomCursors
        #: Who called what how often.
        self.buckets = Buckets(platform.parts.clock)
        #: Publishes that wait, and the gates of `ctx.skip`.
        self.pacing = Pacing(platform.parts.clock, self.publish_late, platform.flush, self._late_failed)
        platform.parts.closing.add(self.pacing)
        turn.through = self._through

    def wrap_platform(self, wrap: Callable[[Any], Any] | None) -> None:
        """Let live functions publish through `wrap(platform)`, or through the platform itself."""
        self.wrap = wrap
        self.outlet = None if wrap is None else Outlet(wrap(self.platform), self._publisher)

    def _through(self) -> Outlet | None:
        return self.outlet or self.platform.parts.outlet

    def check(self, event: Event) -> Event:
        """Return `event` if it may be published, with how many watchers deep it is made.

        Raises:
            ValueError: it has no number, and its topic is kept for replay.
        """
        publisher = self._publisher
        if publisher.recorders:
            publisher.check(event)
        return deepened(event) if publisher.watchers else event

    def enqueue(self, event: Event) -> None:
        """Queue a checked publish behind the others of this loop turn."""
        if event.key is None:
            self._turn.add(event)
        else:
            self._turn.flush()
            self.shapes.send_newest(event)
            self._publisher.tell_apart(event)

    def publish_late(self, event: Event) -> None:
        """Queue a publish that was checked a while ago."""
        self.enqueue(self.check(event))

    def original(self, topic: str, data: Any) -> Any:
        """Return what watchers see of `data`, which a stream changes before it is sent; `UNSET` if nobody watches."""
        return snapshot(data) if topic in self._publisher.watchers else UNSET

    def _late_failed(self, error: Exception) -> None:
        """Report what came of a publish whose maker is not there any more."""
        wiring = self.platform.parts.wiring
        if wiring is not None:
            wiring.report("timer", error)
        else:
            logger.error("timer failed", exc_info=error)

    def sheds(self, class_name: str) -> bool:
        """Return whether `class_name` is refused under the present pressure.

        Raises:
            ValueError: admission is configured and has no such class.
        """
        return self.admission is not None and self.admission.sheds(class_name, self.platform.pressure)
