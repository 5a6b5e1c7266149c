"""`ctx`: what one call knows and may do. Spec: live-api 2."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from runtime.core.errors import LiveError
from runtime.core.publisher import make_event
from runtime.core.signaltopic import signal_topic
from runtime.plugins.options import seconds
from runtime.wire import jsoncodec, names

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor

    from runtime.core.connection import Connection
    from runtime.core.platform import BatchMessage, Platform
    from runtime.core.publisher import Event
    from runtime.core.signal import Signal
    from runtime.live.pacing import Key
    from runtime.live.scope import LiveScope

__all__ = ["Ctx", "ThreadCtx", "call_in", "current_ctx", "keeping_current", "leave_call"]

_current: ContextVar[Ctx | None] = ContextVar("realtime_ctx", default=None)


def current_ctx() -> Ctx | None:
    """Return the ctx of the call that runs, or `None` outside of one. Spec: live-api 18.5."""
    return _current.get()


@contextlib.contextmanager
def keeping_current() -> Iterator[None]:
    """Let `current_ctx()` be behind the block what it is before it, whatever runs in it."""
    before = _current.get()
    try:
        yield
    finally:
        _current.set(before)


class Ctx:
    """The context of one call. Middleware may set further attributes; handlers see them.

    `user` is the connection's own object, the same in all its calls: replacing it changes this call only, changing what
    is in it changes it for the connection. Spec: live-api 2.7.
    """

    def __init__(
        self,
        scope: LiveScope,
        ws: Connection | None,
        *,
        user: Any,
        signal: Signal,
        cursor: Any = None,
        idempotency_key: Any = None,
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
        self._sent_key = idempotency_key
        #: Correlation id of the connection or request.
        self.request_id = request_id

    @property
    def idempotency_key(self) -> str | None:
        """The idempotency key that the client sent with the call, or `None`."""
        return self._sent_key if isinstance(self._sent_key, str) else None

    @property
    def platform(self) -> Platform:
        """The platform, under this call's request id."""
        platform = self.ws.platform if self.ws is not None else self._scope.platform
        wrap = self._scope.wrap
        return platform if wrap is None else wrap(platform)

    def publish(
        self,
        topic: str,
        event: str,
        data: Any = None,
        *,
        volatile: bool = False,
        relay: bool = True,
        seq: bool = True,
    ) -> bool:
        """Publish to every subscriber of `topic`; never blocks. The publishes of one loop turn leave together, in
        order, and always before this call's reply. Spec: live-api 2.1 and 2.2.

        Args:
            topic: must not begin with `__`; `ctx.platform.publish` is the door to system topics.
            event: `created`, `updated`, `deleted` for crud streams; any name for others.
            data: anything with a JSON form.
            volatile: without a number. A topic that a stream declared volatile is always so.
            relay: also to the other workers, if a bus connects them.
            seq: `False` leaves the number out; that cannot be where a stream keeps the events for replay.

        Returns `False` when the topic's stream could not transform the data and has an `on_error`, which was told.

        Raises:
            LiveError: `INVALID_TOPIC` for a system topic.
            ValueError, TypeError: as `platform.publish`.
        """
        made = self._event(topic, event, data, seq and not volatile, relay)
        if made is None:
            return False
        self._enqueue(made)
        return True

    def publish_throttled(self, topic: str, event: str, data: Any, every: float) -> None:
        """Publish at once, then at most once per `every` seconds: what came last, when the time is over.

        Publishes of the same topic and event share the time, of whichever call they are; those with another
        `data["key"]` have their own. Beyond `MAX_THROTTLE_TIMERS` keys everything is published at once. What waits when
        the worker stops is published then. Spec: live-api 2.3.

        Raises:
            ValueError: `every` is not a finite number above 0; or as `publish`.
            LiveError, TypeError: as `publish`.
        """
        every = seconds("publish_throttled", "every", every)
        made = self._event(topic, event, data, True, True)
        if made is not None:
            self._in_loop(self._scope.pacing.throttle, _pace_key(topic, event, data), made, every)

    def publish_debounced(self, topic: str, event: str, data: Any, after: float) -> None:
        """Publish what came last when for `after` seconds nothing came; keys and bounds as `publish_throttled`.

        Raises:
            ValueError: `after` is not a finite number above 0; or as `publish`.
            LiveError, TypeError: as `publish`.
        """
        after = seconds("publish_debounced", "after", after)
        made = self._event(topic, event, data, True, True)
        if made is not None:
            self._in_loop(self._scope.pacing.debounce, _pace_key(topic, event, data), made, after)

    def skip(self, key: str, for_: float) -> bool:
        """Return `False` for the first call with `key`, then `True` for `for_` seconds: `if ctx.skip(...): return`.

        The gate is this worker's, shared by all callers, and calls inside do not extend it. Beyond `MAX_SKIP_GATES`
        shut gates nothing is skipped. Spec: live-api 2.4.

        Raises:
            LiveError: `INVALID_ARG` for a key that is no string, or `for_` not a finite number above 0.
        """
        if not isinstance(key, str):
            raise LiveError("INVALID_ARG", f"skip: key must be a string, not {type(key).__name__}")
        try:
            for_ = seconds("skip", "for_", for_)
        except ValueError as error:
            raise LiveError("INVALID_ARG", str(error)) from error
        return self._scope.pacing.gates.skip(key, for_)

    def send_signal(self, user_id: str, event: str, data: Any = None) -> bool:
        r"""Send to every connection of one user that enabled signals, on every worker; return whether one is here.

        It leaves in order with what this call publishes. From a `thread=True` body the answer is `True`.

        Raises:
            LiveError: `INVALID_USER_ID`: not 1 to 256 characters, or with a control character, `"` or `\`.
            ValueError, TypeError: as `publish`.
        """
        try:
            topic = signal_topic(user_id)
        except ValueError as error:
            raise LiveError("INVALID_USER_ID", str(error)) from error
        self._enqueue(self._scope.check(make_event(topic, event, data, True, self._scope.max_frame)))
        return self._is_heard(topic)

    def batch(self, messages: Iterable[BatchMessage]) -> None:
        """Publish several messages, checked first: nothing is published when one is bad.

        Raises:
            LiveError: `INVALID_TOPIC` for a system topic.
            ValueError, TypeError: with the index of the bad message.
        """
        made = [self._event_of(index, message) for index, message in enumerate(messages)]
        for event in made:
            if event is not None:
                self._enqueue(event)

    def _event_of(self, index: int, message: BatchMessage) -> Event | None:
        if not isinstance(message, Mapping):
            raise TypeError(f"message {index}: a mapping with topic and event is needed, not {message!r}")
        seq = bool(message.get("seq", True)) and not message.get("volatile")
        relay = bool(message.get("relay", True))
        try:
            return self._event(message["topic"], message["event"], message.get("data"), seq, relay)
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

    def _event(self, topic: str, event: str, data: Any, seq: bool, relay: bool) -> Event | None:
        if topic.__class__ is not str:
            topic = _exact(topic)
        if topic.startswith(names.SYSTEM_PREFIX) and not self._scope.system_topics:
            self._scope.platform.parts.metrics.add("security_refusals_total", "system_publish")
            raise LiveError(
                "INVALID_TOPIC", f"{topic!r} is a system topic; use ctx.platform.publish if you mean it"
            )
        if self._scope.dev is not None:
            self._scope.dev.payload(topic, data)
        key, original = None, UNSET
        if topic in self._scope.shapes.by_topic:
            original = self._scope.original(topic, data)
            shaped = self._scope.shapes.apply(topic, data, self._in_loop)
            if shaped is None:
                return None
            data, key, numbered = shaped
            seq = seq and numbered
        return self._scope.check(
            make_event(
                topic, event, data, seq, self._scope.max_frame, relay=relay, key=key, original=original
            )
        )

    def _enqueue(self, event: Event) -> None:
        self._scope.enqueue(event)

    def _in_loop(self, function: Callable[..., object], *args: Any) -> None:
        function(*args)

    def _is_heard(self, topic: str) -> bool:
        return self._scope.platform.subscribers(topic) > 0


class ThreadCtx(Ctx):
    """The ctx of a `thread=True` body: publishing checks its arguments in the thread and hands over to the loop."""

    _loop: asyncio.AbstractEventLoop
    _loop_thread: int
    _executor: Executor

    def bind(self, loop: asyncio.AbstractEventLoop, executor: Executor) -> None:
        """Name the loop, which runs in this thread, and where the body will run."""
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._executor = executor

    def _enqueue(self, event: Event) -> None:
        self._in_loop(self._scope.enqueue, event)

    def _in_loop(self, function: Callable[..., object], *args: Any) -> None:
        if threading.get_ident() == self._loop_thread:
            function(*args)  # middleware, guards and wrappers around the body
        else:
            self._loop.call_soon_threadsafe(function, *args)

    def _is_heard(self, topic: str) -> bool:
        return threading.get_ident() != self._loop_thread or super()._is_heard(topic)


def leave_call() -> None:
    """Let `current_ctx()` be `None` in a task that a call has started and that is no part of it."""
    _current.set(None)


def call_in(ctx: Ctx, function: Callable[..., Any], args: list[Any]) -> Any:
    """Call `function(ctx, *args)` with `current_ctx()` set to `ctx`; in a task of its own this needs no reset."""
    _current.set(ctx)
    return function(ctx, *args)


def _exact(topic: object) -> str:
    """Return the text of a subclass of `str`, whose own methods are not asked.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(topic, str):
        raise TypeError(f"topic: must be a string, not {type(topic).__name__}")
    return str.__str__(topic)


def _pace_key(topic: str, event: str, data: Any) -> Key:
    if not isinstance(data, Mapping) or "key" not in data:
        return topic, event, None
    key = data["key"]
    return topic, event, key if isinstance(key, str) else jsoncodec.encode(key)
