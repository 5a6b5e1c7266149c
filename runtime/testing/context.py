"""Calling live functions directly: an inert `ctx`, and the check that a guard refuses. Spec: live-api 20."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.core.errors import LiveError
from runtime.core.signal import Signal
from runtime.core.signaltopic import signal_topic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

__all__ = ["TestContext", "expect_guard_rejects"]


class TestContext:
    """A `ctx` whose helpers do nothing: `publish` is `True`, `shed` and `skip` are `False`.

    `published` holds what was published, as (topic, event, data).
    """

    __test__ = False

    def __init__(
        self,
        user: Any = None,
        ws: Any = None,
        platform: Any = None,
        request_id: str = "test-req",
        cursor: Any = None,
    ) -> None:
        self.user = user
        self.ws = ws
        self.platform = platform
        self.request_id = request_id
        self.cursor = cursor
        self.idempotency_key: str | None = None
        self.signal = Signal()
        self.published: list[tuple[str, str, Any]] = []

    def publish(self, topic: str, event: str, data: Any = None, **options: Any) -> bool:
        """Remember the publish in `published`; nobody gets it."""
        self.published.append((topic, event, data))
        return True

    def publish_throttled(self, topic: str, event: str, data: Any, every: float) -> None:
        """Remember the publish in `published`, at once."""
        self.publish(topic, event, data)

    def publish_debounced(self, topic: str, event: str, data: Any, after: float) -> None:
        """Remember the publish in `published`, at once."""
        self.publish(topic, event, data)

    def skip(self, key: str, for_: float) -> bool:
        """Skip nothing."""
        return False

    def send_signal(self, user_id: str, event: str, data: Any = None) -> bool:
        """Remember the signal in `published`, under the user's topic; nobody gets it."""
        self.publish(signal_topic(user_id), event, data)
        return False

    def batch(self, messages: Iterable[Any]) -> None:
        """Remember the messages in `published`; nobody gets them."""
        for message in messages:
            self.publish(message["topic"], message["event"], message.get("data"))

    def shed(self, class_name: str) -> bool:
        """Shed nothing."""
        return False


async def expect_guard_rejects(awaitable: Awaitable[Any], code: str = "FORBIDDEN") -> LiveError:
    """Return the `LiveError` with which `awaitable` fails.

    Raises:
        AssertionError: it succeeded, or failed with another type or another code.
    """
    try:
        result = await awaitable
    except LiveError as error:
        if error.code != code:
            raise AssertionError(
                f"refused with {error.code!r} ({error.message}), expected {code!r}"
            ) from error
        return error
    except Exception as error:
        raise AssertionError(
            f"failed with {type(error).__name__}: {error}, expected LiveError({code!r})"
        ) from error
    raise AssertionError(f"was let through with {result!r}, expected LiveError({code!r})")
