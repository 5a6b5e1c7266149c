"""What every ctx of one worker shares: the platform and the way to publish through the turn batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.platform import Platform
    from runtime.core.publisher import Event
    from runtime.core.turnbatch import TurnBatch
    from runtime.live.admission import Admission

__all__ = ["LiveScope"]


class LiveScope:
    """Built once per worker; `admission` follows the registry that is in force."""

    __slots__ = ("_turn", "admission", "dev", "max_frame", "platform", "volatile_topics")

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
        self._turn = turn

    def check(self, event: Event) -> Event:
        """Return `event` if it may be published.

        Raises:
            ValueError: it has no number, and its topic is kept for replay.
        """
        publisher = self.platform.parts.publisher
        if publisher.recorders:
            publisher.check(event)
        return event

    def enqueue(self, event: Event) -> None:
        """Queue a checked publish behind the others of this loop turn."""
        if event.key is None:
            self._turn.add(event)
        else:
            self._turn.flush()
            self.shapes.send_newest(event)

    def publish_late(self, event: Event) -> None:
        """Queue a publish that was checked a while ago."""
        self.enqueue(self.check(event))

    def sheds(self, class_name: str) -> bool:
        """Return whether `class_name` is refused under the present pressure.

        Raises:
            ValueError: admission is configured and has no such class.
        """
        return self.admission is not None and self.admission.sheds(class_name, self.platform.pressure)
