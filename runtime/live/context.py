"""`ctx`: what one call knows and may do. Spec: live-api 2."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from runtime.core.errors import LiveError
from runtime.core.publisher import make_event
from runtime.wire import names

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from runtime.core.connection import Connection
    from runtime.core.platform import BatchMessage, Platform
    from runtime.core.publisher import Event
    from runtime.core.signal import Signal
    from runtime.live.scope import LiveScope

__all__ = ["Ctx", "ThreadCtx", "current_ctx"]

_current: ContextVar[Ctx | None] = ContextVar("realtime_ctx", default=None)


def current_ctx() -> Ctx | None:
    """Return the ctx of the call that runs, or `None` outside of one. Spec: live-api 18.5."""
    return _current.get()


class Ctx:
    """The context of one call. Middleware may set further attributes; handlers see them."""

    def __init__(
        self,
        scope: LiveScope,
        ws: Connection | None,
        *,
        user: Any,
        signal: Signal,
        cursor: Any = None,
        idempotency_key: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self._scope = scope
        #: The connection that called, `None` outside of one.
        self.ws = ws
        #: What the `upgrade` hook returned, or `None`.
        self.user = user
        #: Fires when the connection closes.
        self.signal = signal
        #: The page cursor of a paginated stream request.
        self.cursor = cursor
        #: The caller's idempotency key.
        self.idempotency_key = idempotency_key
        #: Correlation id of the connection or request.
        self.request_id = request_id

    @property
    def platform(self) -> Platform:
        """The platform, under this call's request id."""
        platform = self.ws.platform if self.ws is not None else self._scope.platform
        wrap = self._scope.wrap
        return platform if wrap is None else wrap(platform)

    def publish(
        self, topic: str, event: str, data: Any = None, *, volatile: bool = False, seq: bool = True
    ) -> bool:
        """Publish to every subscriber of `topic`; never blocks. The publishes of one loop turn leave together, in
        order, and always before this call's reply. Spec: live-api 2.1 and 2.2.

        Args:
            topic: must not begin with `__`; `ctx.platform.publish` is the door to system topics.
            event: `created`, `updated`, `deleted` for crud streams; any name for others.
            data: anything with a JSON form.
            volatile: without a number. A topic that a stream declared volatile is always so.
            seq: `False` leaves the number out; that cannot be where a stream keeps the events for replay.

        Raises:
            LiveError: `INVALID_TOPIC` for a system topic.
            ValueError, TypeError: as `platform.publish`.
        """
        self._enqueue(self._event(topic, event, data, seq=seq and not volatile))
        return True

    def batch(self, messages: Iterable[BatchMessage]) -> None:
        """Publish several messages, checked first: nothing is published when one is bad.

        Raises:
            LiveError: `INVALID_TOPIC` for a system topic.
            ValueError, TypeError: with the index of the bad message.
        """
        made = [self._event_of(index, message) for index, message in enumerate(messages)]
        for event in made:
            self._enqueue(event)

    def _event_of(self, index: int, message: BatchMessage) -> Event:
        if not isinstance(message, Mapping):
            raise TypeError(f"message {index}: a mapping with topic and event is needed, not {message!r}")
        seq = bool(message.get("seq", True)) and not message.get("volatile")
        try:
            return self._event(message["topic"], message["event"], message.get("data"), seq=seq)
        except KeyError as error:
            raise ValueError(f"message {index}: {error} is missing") from None
        except (ValueError, TypeError) as error:
            raise type(error)(f"message {index}: {error}") from error

    def shed(self, class_name: str) -> bool:
        """Return whether work of this class should be refused now; `False` without `live.admission`.

        Raises:
            ValueError: there is no such class.
        """
        return self._scope.sheds(class_name)

    def _event(self, topic: str, event: str, data: Any, *, seq: bool) -> Event:
        if isinstance(topic, str) and names.is_system_topic(topic):
            raise LiveError(
                "INVALID_TOPIC", f"{topic!r} is a system topic; use ctx.platform.publish if you mean it"
            )
        if self._scope.dev is not None:
            self._scope.dev.payload(topic, data)
        stamped = seq and topic not in self._scope.volatile_topics
        return self._scope.check(make_event(topic, event, data, stamped, self._scope.max_frame))

    def _enqueue(self, event: Event) -> None:
        self._scope.enqueue(event)


class ThreadCtx(Ctx):
    """The ctx of a `thread=True` body: publishing checks its arguments in the thread and hands over to the loop."""

    _loop: asyncio.AbstractEventLoop

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop that the thread hands over to."""
        self._loop = loop

    def _enqueue(self, event: Event) -> None:
        self._loop.call_soon_threadsafe(self._scope.enqueue, event)


def call_in(ctx: Ctx, function: Callable[..., Any], args: list[Any]) -> Any:
    """Call `function(ctx, *args)` with `current_ctx()` set to `ctx`; in a task of its own this needs no reset."""
    _current.set(ctx)
    return function(ctx, *args)
