"""How a stream with `replay` catches up: from the events that its topic's history still has, if they are all there.

Spec: wire 5.4, live-api 8.6.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.wire.replay import is_since
from runtime.wire.stream import StreamReply, encode_missed

if TYPE_CHECKING:
    from runtime.core.connection import Connection
    from runtime.core.subscriptions import Hold
    from runtime.live.options import StreamOptions
    from runtime.live.scope import LiveScope
    from runtime.plugins.protocols import ReplaySource
    from runtime.wire.rpc import CallFrame

__all__ = ["CatchUp", "newest"]

logger = logging.getLogger("realtime.stream")

# What a client keeps of a `latest` stream that names no `max`. Spec: wire 5.6.
LATEST_DEFAULT = 50
# Room for the keys of a reply around its data.
REPLY_MARGIN = 1024


class CatchUp:
    """The streams' way to `platform.replay`."""

    __slots__ = ("_max_frame", "_scope", "_warned")

    def __init__(self, scope: LiveScope, max_frame: int) -> None:
        self._scope = scope
        self._max_frame = max_frame
        self._warned: OrderedDict[str, None] = OrderedDict()

    def history(self, options: StreamOptions, topic: str) -> ReplaySource | None:
        """Return what keeps the events of a stream's topic, `None` when nothing does."""
        if not options.keeps_events:
            return None
        replay: ReplaySource | None = self._scope.platform.replay
        if replay is None:
            self._warn(topic)
        else:
            replay.attach(self._scope.platform)
        return replay

    def record(self, options: StreamOptions, topic: str) -> None:
        """Have the events of a topic kept that somebody has got on, if its stream wants that."""
        replay: ReplaySource | None = self._scope.platform.replay
        if replay is None:
            return
        if options.keeps_events:
            replay.record_topic(topic, options.replay_size, self._scope.platform)
        elif options.volatile and replay.is_recorded(topic):
            replay.release_topic(topic)  # the stream was another one before its code was reloaded

    def release(self, topic: str) -> None:
        """Keep the events of `topic` no longer."""
        replay: ReplaySource | None = self._scope.platform.replay
        if replay is not None:
            replay.release_topic(topic)

    async def close_gap(self, connection: Connection, topic: str) -> None:
        """Send what came between a resume and this subscription of the resumed topic. Spec: wire 8.4."""
        gap = self._scope.platform.parts.resumes.close_gap(connection, topic)
        if gap is not None:
            await gap

    async def reply(
        self, history: ReplaySource, options: StreamOptions, topic: str, frame: CallFrame, held: Hold | None
    ) -> StreamReply | None:
        """Return what the client missed, or `None` when it has to load in full.

        Args:
            history: of the topic.
            options: of the stream.
            topic: of the stream.
            frame: the request; its `seq` is the last number the client has.
            held: the frames of the topic that wait for the reply; those in it are dropped.
        """
        if not frame.has_seq or not is_since(frame.seq):
            return None
        try:
            return await self._reply(history, options, topic, frame.seq, held)
        except Exception:
            logger.exception("the history of %r cannot be read; the stream loads in full", topic)
            return None

    async def _reply(
        self, history: ReplaySource, options: StreamOptions, topic: str, seq: int, held: Hold | None
    ) -> StreamReply | None:
        if held is not None:
            self._scope.platform.flush()
            held.restart()  # what came until here is read now
        missed = await history.since(topic, seq)
        # Looked at behind the reading: what is not truncated now was not when it was read.
        if (await history.gap(topic, seq)).truncated:
            return None
        if missed and options.merge == "latest":
            return None  # a client would show entries twice
        data = encode_missed(topic, ((one.seq, one.event, one.encoded) for one in missed))
        if self._max_frame and len(data) + REPLY_MARGIN > self._max_frame:
            return None
        if held is not None:
            if held.overflowed:
                return None
            held.skip(missed[-1].seq if missed else seq)
        return StreamReply(data, seq=missed[-1].seq if missed else seq, replay=True)

    def _warn(self, topic: str) -> None:
        """In dev, say once per topic that nothing keeps its events."""
        if not self._scope.platform.settings.is_dev or topic in self._warned:
            return
        if len(self._warned) >= capacity.get("VOLATILE_WARN_CAP"):
            self._warned.popitem(last=False)
        self._warned[topic] = None
        logger.warning(
            "the stream on %r asks for replay, but platform.replay is None: clients that come back load it in full",
            topic,
        )


def newest(value: Any, options: StreamOptions) -> Any:
    """Return the entries of a `latest` stream that a client keeps. Spec: wire 5.4."""
    bound = LATEST_DEFAULT if options.max is None else options.max
    return value[-bound:] if bound and isinstance(value, list) else value
