"""How a client that comes back to a stream catches up: by the stream's own versions, by the history of its topic, or by
the stream's own events; the first that can tell everything. Spec: wire 5.4, live-api 8.6 and 8.7.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from runtime.core import capacity
from runtime.live.delta import DELETED
from runtime.live.streamvalue import REPLY_MARGIN
from runtime.wire import jsoncodec
from runtime.wire.replay import is_since
from runtime.wire.stream import StreamReply, encode_missed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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


class CatchUp:
    """The streams' way to `platform.replay`."""

    __slots__ = ("_max_frame", "_scope", "_warned")

    def __init__(self, scope: LiveScope, max_frame: int) -> None:
        self._scope = scope
        self._max_frame = max_frame
        self._warned: OrderedDict[str, None] = OrderedDict()

    def sizes(self) -> dict[str, int]:
        """Return how many topics were warned of."""
        return {"VOLATILE_WARN_CAP": len(self._warned)}

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
        """Have the events of a topic kept that somebody has got on, if its stream wants that.

        Not where the app's wrapped platform does so itself, which its attribute `wrapped_for_replay` says.
        """
        replay: ReplaySource | None = self._scope.platform.replay
        if replay is None or self._is_routed():
            return
        if options.keeps_events:
            replay.record_topic(topic, options.replay_size, self._scope.platform)
        elif options.volatile and replay.is_recorded(topic):
            replay.release_topic(topic)  # the stream was another one before its code was reloaded

    def _is_routed(self) -> bool:
        outlet = self._scope.outlet or self._scope.platform.parts.outlet
        return outlet is not None and getattr(outlet.wrapped, "wrapped_for_replay", False) is True

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

    async def number(self, history: ReplaySource | None, options: StreamOptions, topic: str) -> int | None:
        """Return the number that a client of the stream comes back with, `None` for a stream without any."""
        if history is not None:
            return await history.seq(topic)
        if options.delta is None or options.delta.from_seq is None:
            return None
        self._scope.platform.flush()
        return self._scope.platform.parts.publisher.sequence.current(topic)

    async def version(self, options: StreamOptions, args: list[Any]) -> Any:
        """Return the stream's present version, `UNSET` where there is none or it cannot be told."""
        if options.delta is None or options.delta.version is None:
            return UNSET
        try:
            return await options.delta.read_version(args)
        except Exception:
            logger.exception("the version of a stream cannot be told; its clients load in full")
            return UNSET

    async def reply(
        self,
        history: ReplaySource | None,
        options: StreamOptions,
        topic: str,
        args: list[Any],
        frame: CallFrame,
        held: Hold | None,
    ) -> StreamReply | None:
        """Return what the client missed, or `None` when it has to load in full.

        Args:
            history: of the topic, if its events are kept.
            options: of the stream.
            topic: of the stream.
            args: of the stream.
            frame: the request; its `version` and `seq` are the last that the client has.
            held: the frames of the topic that wait for the reply; those in it are dropped.
        """
        ways: list[Callable[[], Awaitable[StreamReply | None]]] = []
        if options.delta is not None and frame.version is not None:
            ways.append(lambda: self._by_version(options, args, frame.version))
        if frame.has_seq and is_since(frame.seq):
            if history is not None:
                ways.append(lambda: self._by_history(history, options, topic, frame.seq, held))
            if options.delta is not None:
                ways.append(lambda: self._by_events(history, options, topic, args, frame.seq, held))
        for way in ways:
            try:
                found = await way()
            except Exception:
                logger.exception("%r cannot tell what a client has missed; the next way is tried", topic)
                continue
            if found is not None:
                return found
        return None

    async def _by_version(self, options: StreamOptions, args: list[Any], known: Any) -> StreamReply | None:
        delta = options.delta
        if delta is None or delta.version is None:
            return None
        version = await delta.read_version(args)
        if version == known:
            return StreamReply(b"[]", unchanged=True, version=version)
        items = await delta.changed_since(known, args)
        if items is None:
            return None
        data = jsoncodec.encode([_shown(item, options) for item in items])
        return StreamReply(data, delta=True, version=version) if self._fits(data) else None

    async def _by_events(
        self,
        history: ReplaySource | None,
        options: StreamOptions,
        topic: str,
        args: list[Any],
        seq: int,
        held: Hold | None,
    ) -> StreamReply | None:
        if options.delta is None or options.delta.from_seq is None:
            return None
        present = await self.number(history, options, topic)
        missed = await options.delta.missed_since(seq, args)
        if missed is None or (missed and options.merge == "latest"):
            return None  # of a `latest` stream a client would show entries twice
        data = encode_missed(topic, (one.encoded(options.transform) for one in missed))
        if not self._fits(data):
            return None
        if held is not None:
            if held.overflowed:
                return None
            if missed:
                held.skip(missed[-1].seq)
        return StreamReply(data, seq=missed[-1].seq if missed else present, replay=True)

    def _fits(self, data: bytes) -> bool:
        return not self._max_frame or len(data) + REPLY_MARGIN <= self._max_frame

    async def _by_history(
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
        if not self._fits(data):
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
            capacity.record("VOLATILE_WARN_CAP", "evict", hint="topics may be warned of again")
        self._warned[topic] = None
        logger.warning(
            "the stream on %r asks for replay, but platform.replay is None: clients that come back load it in full",
            topic,
        )


def newest(value: Any, options: StreamOptions) -> Any:
    """Return the entries of a `latest` stream that a client keeps. Spec: wire 5.4."""
    bound = LATEST_DEFAULT if options.max is None else options.max
    return value[-bound:] if bound and isinstance(value, list) else value


def _shown(item: Any, options: StreamOptions) -> Any:
    """Return a changed item as a loaded one is shown; of one that is gone, what it takes to find it."""
    if options.transform is None:
        return item
    if isinstance(item, Mapping) and item.get(DELETED):
        key = options.wire_key
        return {name: item[name] for name in (key, DELETED) if name in item}
    return options.transform(item)
