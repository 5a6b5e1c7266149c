"""Coalesced sends against a model: a dict per peer, whatever the order of sends, stalls and drains."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.core import capacity, coalesce
from tests.unit.core.parts import Core

KEYS = st.sampled_from("abcde")
MOST = 3
LIMIT = 400


class Value:
    """Data that notes when it is encoded."""

    def __init__(self, number: int, size: int, encoded: list[int]) -> None:
        self.number = number
        self.size = size
        self.encoded = encoded

    def model_dump(self, mode: str) -> Any:
        self.encoded.append(self.number)
        return [self.number, "x" * self.size]


class Coalescing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        capacity.configure({"MAX_COALESCED_KEYS_PER_CONNECTION": MOST})
        self.runner = asyncio.Runner()
        self.core = Core(max_backpressure=LIMIT)
        self.peer = self.core.connect()
        self.sink = self.core.sink(self.peer)
        self.sink.is_stuck = True
        self.waiting: dict[str, int] = {}  # the model: what has to wait, in order
        self.sent: list[int] = []  # what may have left, in order
        self.evicted = 0
        self.encoded: list[int] = []
        self.number = 0

    def teardown(self) -> None:
        for _ in range(MOST + 1):
            self.drain()
        assert self.waiting == {}
        assert self.received() == self.sent
        self.runner.close()
        capacity.configure({})

    def run(self, operation: Any) -> None:
        async def turn() -> None:
            operation()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        self.runner.run(turn())

    def received(self) -> list[int]:
        async def read() -> list[int]:
            return [data[0] for _, event, data, _ in self.core.events(self.peer) if event == "e"]

        return self.runner.run(read())

    def left(self) -> None:
        """Move what has left from the model of those that wait: always a beginning of the line."""
        line = self.peer.coalesced
        still = list(line._entries) if line else []
        gone = [key for key in self.waiting if key not in still]
        assert list(self.waiting)[: len(gone)] == gone
        for key in gone:
            self.sent.append(self.waiting.pop(key))

    @rule(key=KEYS, size=st.integers(0, 150))
    def send(self, key: str, size: int) -> None:
        self.number += 1
        value = Value(self.number, size, self.encoded)
        if key not in self.waiting and len(self.waiting) >= MOST:
            # It is put in line before the peer is looked at.
            del self.waiting[next(iter(self.waiting))]
            self.evicted += 1
        self.waiting[key] = self.number
        self.run(
            lambda: self.core.platform.send_coalesced(self.peer, key=key, topic="t", event="e", data=value)
        )
        self.left()

    def is_full(self) -> bool:
        return self.sink.buffered >= LIMIT

    @rule(key=KEYS)
    def overwrite_many_times(self, key: str) -> None:
        if key not in self.waiting or not self.is_full():
            return
        before = len(self.encoded)
        for _ in range(20):
            self.send(key, 5)
        assert len(self.encoded) == before

    @rule(size=st.integers(1, 500))
    def something_else_is_sent(self, size: int) -> None:
        self.run(lambda: self.core.platform.send(self.peer, "t", "other", "x" * size))
        self.left()

    @rule(size=st.integers(1, 400))
    def the_peer_reads_a_little(self, size: int) -> None:
        self.sink.buffered = max(0, self.sink.buffered - size)

    @rule()
    def drain(self) -> None:
        self.sink.buffered = 0
        self.run(self.peer.drained)
        self.left()

    @rule()
    def reconnect(self) -> None:
        self.peer.mark_closed("gone")
        coalesce.forget(self.peer)
        assert self.received() == self.sent
        self.peer = self.core.connect()
        self.sink = self.core.sink(self.peer)
        self.sink.is_stuck = True
        self.waiting.clear()
        self.sent.clear()
        self.encoded.clear()

    @invariant()
    def the_line_is_the_model(self) -> None:
        line = self.peer.coalesced
        entries = {key: entry.data.number for key, entry in line._entries.items()} if line else {}
        assert list(entries.items()) == list(self.waiting.items())
        assert len(entries) <= MOST
        assert self.core.metrics.get("ws_coalesced_pending") == len(entries)
        assert self.core.metrics.get("ws_coalesced_evicted_total") == self.evicted

    @invariant()
    def what_left_arrives_once_in_order_and_is_encoded_once(self) -> None:
        assert self.received() == self.sent
        assert self.encoded == self.sent
        assert self.core.metrics.get("ws_frames_dropped_total", "coalesced") == 0


Coalescing.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
pytestmark = pytest.mark.spec("WIRE-35", "PLAT-56")
TestCoalescing = Coalescing.TestCase
