"""`Replay`: the last events of topics, in this process, for clients that come back. Spec: platform 7.5, wire 6.4 and 8.

Every event is kept under the number of its envelope, by whatever door it was published: the publisher tells the
history of each publish right after it got its number. So live frames, replayed ones and what clients report speak of
one number.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.resumes import accepted
from runtime.core.tasks import next_turn
from runtime.plugins.history import History, Limits
from runtime.plugins.lifetime import Plugin, PluginState
from runtime.plugins.options import UNSET, Unset
from runtime.plugins.protocols import Gap, ReplayMessage, ReplayOutcome
from runtime.plugins.replaywriter import PAGE, ReplayWriter
from runtime.wire import names
from runtime.wire.limits import MAX_BATCH_TOPICS
from runtime.wire.replay import ReplayFrames, is_since, usable_req_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from runtime.core.connection import Connection
    from runtime.core.platform import Platform, PlatformCore
    from runtime.core.publisher import Recorder
    from runtime.plugins.lifetime import AnyClock

__all__ = ["Replay"]

INVALID_TOPIC = "INVALID_TOPIC"


class _Recorders:
    """Those who record one topic, where more than one history wants it."""

    __slots__ = ("members",)

    def __init__(self) -> None:
        self.members: dict[_State, Recorder] = {}

    def __call__(self, event: str, data: bytes, seq: int) -> None:
        for record in self.members.values():
            record(event, data, seq)


class _Recorded:
    """A topic whose publishes are recorded: how many are kept, and the number up to which it counts."""

    __slots__ = ("last", "size")

    def __init__(self, size: int | None, last: int) -> None:
        self.size = size
        self.last = last


class _State(PluginState):
    """What is kept; `served` is the app whose publishes are recorded."""

    __slots__ = ("history", "served", "topics")

    def __init__(self) -> None:
        super().__init__()
        self.served: PlatformCore | None = None
        self.topics: OrderedDict[str, _Recorded] = OrderedDict()
        self.history = History(self._now)

    def _now(self) -> float:
        return self.plugin._clock.monotonic()


class Replay(Plugin[_State]):
    """A bounded history of topics in this process; its cluster twins have the same methods.

    Made at import time or in `init`; it serves the app whose platform it was last used with, and ends with it. Usable
    in the loop's thread only. `platform.replay` is the one that streams with `replay` use.

    Args:
        size: events kept of one topic (`MAX_REPLAY_SIZE`); the oldest is overwritten. `None`: no bound.
        max_topics: topics with kept events (`MAX_REPLAY_TOPICS`); the one unused for longest is forgotten, and its
            number goes on.
        authorize: ask the subscribe gate before anything is given to a client.
        max_bytes: bytes of all kept events (`MAX_REPLAY_BYTES`); the topic unused for longest loses its oldest first.
        max_age: seconds after which an event is not given out any more; `None`: never.
        clock: the time; that of the app if it is left out.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "Replay"

    def __init__(
        self,
        *,
        size: int | Unset | None = UNSET,
        max_topics: int | Unset | None = UNSET,
        authorize: bool = True,
        max_bytes: int | Unset | None = UNSET,
        max_age: float | None = None,
        clock: AnyClock | None = None,
    ) -> None:
        if not isinstance(authorize, bool):
            raise ValueError(f"Replay: authorize must be True or False, not {authorize!r}")
        self._authorize = authorize
        self._options = {"size": size, "max_topics": max_topics, "max_bytes": max_bytes}
        self._max_age = _age(max_age)
        limits = self._limits()
        super().__init__(_State(), clock)
        self._state.history.limit(limits)

    def __repr__(self) -> str:
        return f"<Replay of {len(self._state.topics)} topics, {self._history.size} bytes>"

    @property
    def _history(self) -> History:
        return self._state.history

    def _limits(self) -> Limits:
        """Return the bounds in force: an option that was left out is its constant, as the app has set it."""
        options = {
            option: capacity.get(f"MAX_REPLAY_{option.removeprefix('max_').upper()}")
            if value is UNSET
            else _bound(option, value)
            for option, value in self._options.items()
        }
        return Limits(max_age=self._max_age, **options)

    # ------------------------------------------------------------ publishing and recording

    def attach(self, platform: Platform) -> None:
        """Belong to the app of `platform`, as the first use with it does; what was kept for another one is gone."""
        self._bind(platform)

    async def publish(self, platform: Platform | None, topic: str, event: str, data: Any = None) -> bool:
        """Publish one event and keep it under its number; return whether anybody was subscribed.

        Raises:
            ValueError, TypeError: as `platform.publish`.
            PlatformNotReady: no platform was given and no app runs.
        """
        return self.publish_nowait(platform, topic, event, data)

    def publish_nowait(self, platform: Platform | None, topic: str, event: str, data: Any = None) -> bool:
        """Do what `publish` does, from code that cannot await."""
        platform = self._platform(platform)
        self.record_topic(topic, platform=platform)
        return platform.publish(topic, event, data)

    def record_topic(self, topic: str, size: int | None = None, platform: Platform | None = None) -> None:
        """Keep every event of `topic` from now on, whoever publishes it; `size` bounds it instead of the common size.

        At most `MAX_REPLAY_RECORDED` topics are recorded: beyond that the one asked for longest ago is released.

        Raises:
            ValueError: a topic that cannot travel, or a size that is no integer >= 1.
        """
        size = _bound("size", size)
        core = self._bind(self._platform(platform))
        state = self._state
        topics = state.topics
        if topic in topics:
            topics.move_to_end(topic)
            if size is not None:
                topics[topic].size = size
            return
        names.check_name(topic, "topic")
        core.turn.flush()  # what was published before is not asked for its number
        if len(topics) >= capacity.get("MAX_REPLAY_RECORDED"):
            capacity.record("MAX_REPLAY_RECORDED", "evict", hint="topic names that never repeat cost memory")
            self.release_topic(next(iter(topics)))
        recorded = topics[topic] = _Recorded(size, core.publisher.sequence.current(topic))
        recorders = core.publisher.recorders
        others = recorders.get(topic)
        if not isinstance(others, _Recorders):
            others = recorders[topic] = _Recorders()
        others.members[state] = lambda event, data, seq: _record(
            state.history, core, topic, recorded, event, data, seq
        )

    def is_recorded(self, topic: str) -> bool:
        """Return whether the events of `topic` are kept."""
        return topic in self._state.topics

    def release_topic(self, topic: str) -> None:
        """Record `topic` no longer and forget its events; unnumbered publishes are allowed on it again."""
        state = self._state
        if state.topics.pop(topic, None) is None or state.served is None:
            return
        state.history.forget(topic)
        recorders = state.served.publisher.recorders
        others = recorders.get(topic)
        if isinstance(others, _Recorders):
            others.members.pop(state, None)
            if not others.members:
                del recorders[topic]

    # ------------------------------------------------------------ reading

    async def seq(self, topic: str) -> int:
        """Return the topic's current number; the start of the counters, usually 0, when nothing was published."""
        return self.seq_nowait(topic)

    def seq_nowait(self, topic: str) -> int:
        """Do what `seq` does, from code that cannot await."""
        core = self._flushed()
        if core is None:
            return 0
        self._history.touch(topic)
        return core.publisher.sequence.current(topic)

    async def since(self, topic: str, seq: int) -> list[ReplayMessage]:
        """Return what is still kept of the events behind `seq`, ascending; nothing for a bad number."""
        return self.since_nowait(topic, seq)

    def since_nowait(self, topic: str, seq: int) -> list[ReplayMessage]:
        """Do what `since` does, from code that cannot await."""
        if self._flushed() is None or not is_since(seq):
            return []
        return [
            ReplayMessage(kept.seq, topic, kept.event, kept.data) for kept in self._history.after(topic, seq)
        ]

    async def gap(self, topic: str, last_seen: int) -> Gap:
        """Return whether something behind `last_seen` is no longer kept, or was never seen here.

        Raises:
            ValueError: `last_seen` is no integer from 0 on.
        """
        return self.gap_nowait(topic, last_seen)

    def gap_nowait(self, topic: str, last_seen: int) -> Gap:
        """Do what `gap` does, from code that cannot await."""
        if not is_since(last_seen):
            raise ValueError(f"Replay: last_seen must be an integer >= 0, not {last_seen!r}")
        core = self._flushed()
        number = 0 if core is None else core.publisher.sequence.current(topic)
        if last_seen == 0 if core is None else self._covers(core, topic, last_seen):
            return Gap(truncated=False)
        return Gap(truncated=True, missing_from=last_seen + 1 if last_seen < number else None)

    def _covers(self, core: PlatformCore, topic: str, since: int) -> bool:
        """Return whether everything behind `since` is kept."""
        sequence = core.publisher.sequence
        number = sequence.current(topic)
        if not sequence.knows(topic):
            # Nothing was published, so nothing can be missing, unless it went out without a number.
            return since in (0, number) and not sequence.is_full
        if topic not in self._state.topics:
            return False
        return self._history.safe_from(topic, number) <= since <= number

    # ------------------------------------------------------------ sending

    async def replay(
        self,
        ws: Connection,
        topic: str,
        since: int,
        platform: Platform | None = None,
        req_id: int | str | None = None,
    ) -> ReplayOutcome:
        """Send one connection what it missed of `topic` behind the number `since`, if it may subscribe to it.

        Each event is a direct send on `__replay:<topic>`; the end follows, with `truncated` when something may be
        missing, or `denied` comes alone. Live events of the topic wait meanwhile. A bad `since` gets the end only.

        Args:
            ws: whom to send it to; a slow one is waited for.
            topic: of any connection's; system topics are always denied.
            since: the last number that the client has seen.
            platform: `ws.platform` if it is left out.
            req_id: echoed in every message: a number, or a string of up to 128 characters.

        Returns:
            What became of it; while a `resume` hook of `ws` runs it goes into the report of `resumed`.
        """
        platform = platform or ws.platform
        core = self._bind(platform)
        denied = None
        if self._asks(core):
            denied = INVALID_TOPIC
            if not names.is_system_topic(topic):
                denied = await platform.check_subscribe(ws, topic)
        return await self._answer(core, ws, topic, since, req_id, denied)

    def resume_hook(self) -> Callable[..., Awaitable[None]]:
        """Return a `resume` hook that replays every topic a client reports: `resume = replay.resume_hook()`."""

        async def resume(ws: Connection, last_seen_seqs: Mapping[str, int], platform: Platform) -> None:
            await self._catch_up(ws, last_seen_seqs, platform, only_recorded=False)

        return resume

    async def catch_up(self, ws: Connection, seen: Mapping[str, int], platform: Platform) -> None:
        """Replay what a connection missed on those of its topics that are recorded.

        The gate is asked about all of them, so that nobody learns of a topic that it may not have.
        """
        await self._catch_up(ws, seen, platform, only_recorded=True)

    async def _catch_up(
        self, ws: Connection, seen: Mapping[str, int], platform: Platform, *, only_recorded: bool
    ) -> None:
        core = self._bind(platform)
        seen = accepted(seen)
        denials = await self._denials(core, ws, list(seen))
        written = 0
        for topic, since in seen.items():
            if ws.closed:
                return
            denied = denials.get(topic)
            if only_recorded and denied is None and topic not in self._state.topics:
                continue
            outcome = await self._answer(core, ws, topic, since, None, denied)
            written += outcome.count + 1
            if written >= PAGE:
                written = 0
                await next_turn()

    async def _denials(self, core: PlatformCore, ws: Connection, topics: list[str]) -> dict[str, str | None]:
        gate = core.membership.gate
        if gate.is_open or not self._asks(core):
            return {}
        found: dict[str, str | None] = {}
        for start in range(0, len(topics), MAX_BATCH_TOPICS):
            part = topics[start : start + MAX_BATCH_TOPICS]
            found.update(zip(part, await gate.decide(ws, part), strict=True))
        return found

    def _asks(self, core: PlatformCore) -> bool:
        return self._authorize and core.settings.security.replay_authorize

    async def _answer(
        self,
        core: PlatformCore,
        ws: Connection,
        topic: str,
        since: int,
        req_id: int | str | None,
        denied: str | None,
    ) -> ReplayOutcome:
        frames = ReplayFrames(topic, usable_req_id(req_id))
        core.turn.flush()
        if denied is not None:
            core.metrics.add("security_refusals_total", "replay")
            ws.write_control(frames.denied(denied))
            outcome = ReplayOutcome("denied", code=denied)
        elif not is_since(since):
            ws.write_control(frames.end(truncated=False))
            return ReplayOutcome("truncated")
        else:
            writer = self._writer(core, ws, topic, since, frames)
            await writer.write()
            outcome = self._counted(core, topic, writer)
        if is_since(since):
            core.resumes.note(ws, topic, since, outcome, self)
        return outcome

    def fill(self, ws: Connection, topic: str, since: int) -> Awaitable[None] | None:
        """Send what came since a resume read the history, before the subscription of `topic` is confirmed.

        Returns `None` when that is done, which is the usual case, or what has to be awaited for it.
        """
        core = self._state.served
        if core is None:
            return None
        core.turn.flush()
        writer = self._writer(core, ws, topic, since, ReplayFrames(topic))
        if writer.is_idle:
            return None
        if writer.fits:
            writer.write_at_once()
            self._counted(core, topic, writer)
            return None
        writer.reserve()
        return self._fill(core, topic, writer)

    def _writer(
        self, core: PlatformCore, ws: Connection, topic: str, since: int, frames: ReplayFrames
    ) -> ReplayWriter:
        return ReplayWriter(
            core, self._history, ws, topic, since, frames, lambda: self._covers(core, topic, since)
        )

    async def _fill(self, core: PlatformCore, topic: str, writer: ReplayWriter) -> None:
        await writer.write()
        self._counted(core, topic, writer)

    def _counted(self, core: PlatformCore, topic: str, writer: ReplayWriter) -> ReplayOutcome:
        count = writer.count
        if count:
            core.metrics.add("replay_messages_replayed_total", core.metrics.topic_label(topic), amount=count)
        if not writer.is_whole:
            core.metrics.add("replay_truncations_total", core.metrics.topic_label(topic))
            return ReplayOutcome("truncated", count, read_to=writer.read_to)
        return ReplayOutcome("filled" if count else "complete", count, read_to=writer.read_to)

    # ------------------------------------------------------------ forgetting

    async def clear(self) -> None:
        """Forget every event; numbers go on, and topics are still recorded."""
        self._history.clear()

    async def clear_topic(self, topic: str) -> None:
        """Forget the events of one topic; its number goes on, and it is still recorded."""
        self._history.forget(topic)

    # ------------------------------------------------------------ inside

    def _bind(self, platform: Platform) -> PlatformCore:
        """Return the parts of the app of `platform`, which this serves from now on."""
        core, state = platform.parts, self._state
        if state.served is not core:
            self._release_all()
            if state.core is not None and state.core is not core:
                state.core.closing.discard(state)
                state.core, state.clock = None, state.given_clock
            state.served = core
            if state.core is None:
                self._belong(platform)
            state.history.limit(self._limits())
        return core

    def _release_all(self) -> None:
        for topic in list(self._state.topics):
            self.release_topic(topic)

    def _flushed(self) -> PlatformCore | None:
        """Return the parts of the app, with what live functions published in this turn counted in."""
        core = self._state.served
        if core is not None:
            core.turn.flush()
        return core

    async def _close(self) -> None:
        """Record no topic any more, and forget every event."""
        self._release_all()
        self._history.clear()
        self._state.served = None

    def sizes(self) -> Mapping[str, int]:
        """Return how full it is."""
        state = self._state
        return {
            "MAX_REPLAY_BYTES": state.history.size,
            "MAX_REPLAY_RECORDED": len(state.topics),
            "MAX_REPLAY_SIZE": state.history.longest,
            "MAX_REPLAY_TOPICS": len(state.history),
        }

    def _adopted(self) -> None:
        """Keep no more than the new options allow."""
        self._history.limit(self._limits())


def _record(
    history: History, core: PlatformCore, topic: str, recorded: _Recorded, event: str, data: bytes, seq: int
) -> None:
    last = history.add(topic, event, data, seq, recorded.last, recorded.size)
    recorded.last = last
    if last != seq:
        core.publisher.sequence.raise_to(topic, last)
    core.metrics.add("replay_publishes_total", core.metrics.topic_label(topic))


def _bound(option: str, value: int | None) -> int | None:
    if value is None or value == math.inf:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"Replay: {option} must be an integer >= 1, or None for no bound, not {value!r}")
    return value


def _age(value: float | None) -> float | None:
    if value is None or value == math.inf:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"Replay: max_age must be a number of seconds > 0, or None, not {value!r}")
    return float(value)
