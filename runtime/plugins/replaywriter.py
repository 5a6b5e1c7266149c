"""Writes one replay to one peer: in pages, at the peer's pace, with no live event of the topic in between.

The first page goes out at once. Before the next one the topic is reserved, so that what is published meanwhile waits
behind the end of the replay, and the loop turns; a peer that does not keep up is waited for.
Spec: wire 6.4 and 8.4, platform 7.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.core.connection import SendResult
from runtime.core.sink import Frame
from runtime.core.tasks import next_turn
from runtime.wire import envelope

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.connection import Connection
    from runtime.core.platform import PlatformCore
    from runtime.core.subscriptions import Hold
    from runtime.plugins.history import History, Kept
    from runtime.wire.replay import ReplayFrames

__all__ = ["PAGE", "ReplayWriter"]

#: Messages that are written without letting the loop turn.
PAGE = 100
# A peer that has not taken half of its buffer by then is too slow for a replay; it is told that something is missing.
DRAIN_TIMEOUT = 30.0
DRAIN_POLL = 0.01
# Readings of the history for one replay: each has what was published while the one before was written.
MAX_READINGS = 32


class ReplayWriter:
    """One replay. `count` messages were sent; `read_to` is how far the history was read.

    `is_whole` says whether nothing behind the first number is missing in what was sent.
    """

    __slots__ = (
        "_core",
        "_frames",
        "_history",
        "_hold",
        "_missed",
        "_topic",
        "_ws",
        "count",
        "is_whole",
        "read_to",
    )

    def __init__(
        self,
        core: PlatformCore,
        history: History,
        ws: Connection,
        topic: str,
        since: int,
        frames: ReplayFrames,
        covers: Callable[[], bool],
    ) -> None:
        """Read what came behind `since`; `covers()` says whether all of it is kept."""
        self._core = core
        self._history = history
        self._ws = ws
        self._topic = topic
        self._frames = frames
        self._hold: Hold | None = None
        self.count = 0
        self.read_to = core.publisher.sequence.current(topic)
        self._missed = history.after(topic, since)
        # Looked at behind the reading: an event may have grown too old in between.
        self.is_whole = covers()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to tell."""
        return self.is_whole and not self._missed

    @property
    def fits(self) -> bool:
        """Whether one page holds everything, and the peer has room for it."""
        size = sum(kept.size for kept in self._missed) if len(self._missed) <= PAGE else 0
        return len(self._missed) <= PAGE and self._ws.buffered_amount + size <= self._ws.max_backpressure // 2

    def write_at_once(self) -> None:
        """Write the whole replay in this turn; for one that `fits`."""
        self._write_page(0)
        self._end()

    def reserve(self) -> None:
        """Hold live events of the topic back from the peer from here on."""
        if self._hold is None:
            self._hold = self._core.subscriptions.reserve(self._ws, self._topic)

    async def write(self) -> None:
        """Write the replay. It ends with its last frame, also when the task is cancelled."""
        done = False
        try:
            readings = 1
            while await self._write_missed() and self._read_more():
                readings += 1
                if readings > MAX_READINGS:
                    self.is_whole = False
                    break
            done = True
        finally:
            self.is_whole = self.is_whole and done
            self._end()

    async def _write_missed(self) -> bool:
        """Write what was read; return whether the peer took it."""
        written = 0
        if not self.fits:
            self.reserve()
            if not await self._has_room():
                return False
        while True:
            written = self._write_page(written)
            if written >= len(self._missed):
                return True
            self.reserve()
            if not await self._has_room():
                return False

    def _write_page(self, start: int) -> int:
        """Write messages from index `start` on, at least one; return the index behind the last."""
        budget = self._ws.max_backpressure // 2
        limit = self._core.publisher.max_frame
        index = start
        for kept in self._missed[start : start + PAGE]:
            payload = self._frames.message(kept.seq, kept.event, kept.data)
            if budget < len(payload) and index > start:
                break
            budget -= len(payload)
            index += 1
            if envelope.exceeds_outbound(payload, limit):
                self.is_whole = False  # a client drops a frame of that size without a trace
            elif self._ws.write(Frame(payload)) is SendResult.DROPPED:
                self.is_whole = False
                return len(self._missed)
            else:
                self.count += 1
        return index

    async def _has_room(self) -> bool:
        """Let the loop turn until the peer has taken enough; otherwise note that it gets no more."""
        await next_turn()
        clock = self._core.clock
        given_up = clock.monotonic() + DRAIN_TIMEOUT
        while not self._ws.closed and self._ws.buffered_amount > self._ws.max_backpressure // 2:
            if clock.monotonic() >= given_up:
                break
            await clock.sleep(DRAIN_POLL)
        else:
            if not self._ws.closed:
                return True
        self.is_whole = False
        return False

    def _read_more(self) -> bool:
        """Read what was published while pages were written and will not come live; return whether there was any."""
        if self._hold is None:
            return False
        self._core.turn.flush()
        hold = self._core.subscriptions.held_by(self._ws, self._topic) or self._hold
        current = self._core.publisher.sequence.current(self._topic)
        # The connection may have got on the topic meanwhile: from its first held frame on it gets everything live.
        upto = current if hold.first_seq is None else hold.first_seq - 1
        if upto <= self.read_to:
            return False
        self._missed = [kept for kept in self._history.after(self._topic, self.read_to) if kept.seq <= upto]
        if self._history.safe_from(self._topic, current) > self.read_to:
            self.is_whole = False
        self.read_to = upto
        return True

    def _end(self) -> None:
        hold, self._hold = self._hold, None
        if hold is not None and hold.overflowed:
            # More came than is held; the history has it, with the numbers it was published under.
            hold.restart()
            hold.frames = [self._live(kept) for kept in self._history.after(self._topic, self.read_to)]
            current = self._core.publisher.sequence.current(self._topic)
            kept_from = self._history.safe_from(self._topic, current)
            if kept_from > self.read_to:
                self.is_whole = False
                if self._topic in self._ws.all_topics:
                    # Who listens to the topic is owed these too, and does not read what ends here.
                    self._ws.lose(self._topic, self.read_to, kept_from - self.read_to)
        self._ws.write_control(self._frames.end(truncated=not self.is_whole))
        if hold is not None:
            self._core.subscriptions.unreserve(self._ws, self._topic, hold)

    def _live(self, kept: Kept) -> Frame:
        payload = envelope.encode_envelope(self._topic, kept.event, kept.data, kept.seq)
        return Frame(payload, self._topic, kept.seq)
