"""One topic with a method for each common event. Spec: platform 2.6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.core.platform import Platform

__all__ = ["ScopedTopic"]


class ScopedTopic:
    """A topic of a platform. Every method publishes, and returns what `Platform.publish` returns."""

    __slots__ = ("_platform", "name")

    def __init__(self, platform: Platform, name: str) -> None:
        self._platform = platform
        self.name = name

    def publish(
        self,
        event: str,
        data: Any = None,
        *,
        relay: bool = True,
        seq: bool | int = True,
        volatile: bool = False,
    ) -> bool:
        """Publish `event` on this topic."""
        return self._platform.publish(self.name, event, data, relay=relay, seq=seq, volatile=volatile)

    def created(self, data: Any) -> bool:
        """Publish that an item came into being."""
        return self.publish("created", data)

    def updated(self, data: Any) -> bool:
        """Publish that an item changed."""
        return self.publish("updated", data)

    def deleted(self, data: Any) -> bool:
        """Publish that an item is gone; `data` holds its key."""
        return self.publish("deleted", data)

    def set(self, value: Any) -> bool:
        """Publish a new value."""
        return self.publish("set", value)

    def increment(self, amount: float = 1) -> bool:
        """Publish that a counter went up."""
        return self.publish("increment", amount)

    def decrement(self, amount: float = 1) -> bool:
        """Publish that a counter went down."""
        return self.publish("decrement", amount)
