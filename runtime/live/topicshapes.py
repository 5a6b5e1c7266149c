"""How `ctx.publish` shapes what it sends to the topics of subscribed streams. Spec: live-api 2.1 and 8.12.

A topic's shape is that of the stream that got on it first, and is gone with its last subscriber on this worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from runtime.core import coalesce
from runtime.core.sink import Frame
from runtime.wire import envelope

if TYPE_CHECKING:
    from runtime.core.connection import Connection
    from runtime.core.metrics import Metrics
    from runtime.core.publisher import Event
    from runtime.core.subscriptions import Subscriptions
    from runtime.live.options import StreamOptions

__all__ = ["TopicShapes"]

#: Told of an exception of `transform` or `coalesce_by`: the stream's options, the error, the topic.
Teller = Callable[["StreamOptions", Exception, str], object]


class TopicShapes:
    """The options of subscribed streams by topic, where they say anything about publishes."""

    __slots__ = ("_holders", "_metrics", "_subscriptions", "_tell", "by_topic")

    def __init__(self) -> None:
        #: Topics whose publishes are transformed, coalesced or left without a number.
        self.by_topic: dict[str, StreamOptions] = {}
        self._tell: Teller | None = None
        self._holders: Callable[[str], Iterable[Connection]] = _nobody
        self._subscriptions: Subscriptions | None = None
        self._metrics: Metrics | None = None

    def connect(
        self,
        tell: Teller,
        holders: Callable[[str], Iterable[Connection]],
        subscriptions: Subscriptions,
        metrics: Metrics,
    ) -> None:
        """Name who is told of failures, and where the connections are that hold a topic through a stream."""
        self._tell, self._holders = tell, holders
        self._subscriptions, self._metrics = subscriptions, metrics
        subscriptions.watch(coalesce.forget_topic)

    def enter(self, topic: str, options: StreamOptions) -> None:
        """Note the stream of a subscription; one that was there before decides."""
        if options.volatile or options.transform is not None or options.coalesce_by is not None:
            self.by_topic.setdefault(topic, options)

    def leave(self, topic: str) -> None:
        """Forget a topic whose last subscriber left."""
        self.by_topic.pop(topic, None)

    def renew(self, topic: str, options: StreamOptions) -> None:
        """Take the options that a stream has since its code was reloaded."""
        self.by_topic.pop(topic, None)
        self.enter(topic, options)

    def apply(
        self, topic: str, data: Any, in_loop: Callable[..., object]
    ) -> tuple[Any, str | None, bool] | None:
        """Return what is sent of `data`, the key under which it is coalesced, and whether it may have a number.

        `None`: it cannot be shaped, and the stream's `on_error` is told. `in_loop(function, *args)` calls in the loop.

        Raises:
            Exception: it cannot be shaped, and the stream has no `on_error`.
        """
        options = self.by_topic.get(topic)
        if options is None:  # its last subscriber has just left
            return data, None, True
        try:
            key = None
            if options.coalesce_by is not None:
                found = options.coalesce_by(data)
                if found is not None and not isinstance(found, str | int | float):
                    raise TypeError(f"coalesce_by: the key must be text, a number or None, not {found!r}")
                key = f"{topic}\0{'' if found is None else found}"
            if options.transform is not None:
                data = options.transform(data)
        except Exception as error:
            if options.on_error is None or self._tell is None:
                raise
            in_loop(self._tell, options, error, topic)
            return None
        return data, key, not options.volatile and key is None

    def send_newest(self, event: Event) -> None:
        """Send an event to everybody who holds its topic through a stream; to peers that are behind, when they are not
        any more, and then only the newest of its key.
        """
        key, subscriptions, metrics = event.key, self._subscriptions, self._metrics
        if key is None or subscriptions is None or metrics is None:
            return
        topic = event.topic
        frame = Frame(envelope.encode_envelope(topic, event.event, event.data, None))
        for connection in list(self._holders(topic)):
            hold = subscriptions.held_by(connection, topic)
            if hold is None:
                coalesce.send_shared(connection, key, topic, event.event, frame, metrics)
            else:
                hold.keep(frame)  # the client does not listen yet


def _nobody(topic: str) -> Iterable[Connection]:
    return ()
