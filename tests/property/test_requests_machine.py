"""Questions to clients against a model: each ends once, with the outcome that came first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.core import capacity, requests
from runtime.core.errors import PlatformError
from runtime.wire import control
from tests.unit.core.parts import Core

PEERS = st.integers(0, 2)
MOST = 4


@dataclass
class Question:
    """One question as it should be: open until `outcome` is set."""

    peer: int
    ref: int | None
    due: float
    task: asyncio.Task[Any]
    outcome: Any = None


class Asking(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        capacity.configure({"MAX_PENDING_REQUESTS_PER_CONNECTION": MOST})
        self.runner = asyncio.Runner()
        self.core = self.runner.run(self.made())
        self.peers = [self.core.connect() for _ in range(3)]
        self.questions: list[Question] = []
        self.refs = 0

    async def made(self) -> Core:
        return Core(max_backpressure=2000)

    def teardown(self) -> None:
        for n in range(3):
            self.reconnect(n)
        self.advance(100.0)
        self.each_has_the_outcome_that_came_first()
        assert self.core.clock.pending == 0
        self.runner.close()
        capacity.configure({})

    def settle(self) -> None:
        self.runner.run(self.core.clock.advance(0))

    def open_on(self, peer: int) -> list[Question]:
        return [q for q in self.questions if q.peer == peer and q.outcome is None]

    @rule(peer=PEERS, timeout=st.sampled_from([0.5, 1.0, 5.0]))
    def ask(self, peer: int, timeout: float) -> None:
        connection = self.peers[peer]
        refused = None
        if len(self.open_on(peer)) >= MOST:
            refused = "CapacityExceeded"
        elif self.core.sink(connection).buffered >= connection.max_backpressure:
            refused = "ConnectionBusy"

        async def start() -> asyncio.Task[Any]:
            asked: Any = self.core.platform.request(connection, "e", timeout=timeout)
            return asyncio.ensure_future(asked)

        task = self.runner.run(start())
        if refused != "CapacityExceeded":
            self.refs += 1
        ref = None if refused else self.refs
        self.questions.append(Question(peer, ref, self.core.clock.monotonic() + timeout, task, refused))
        self.settle()

    @rule(peer=PEERS, pick=st.integers(0, 20), fails=st.booleans())
    def answer(self, peer: int, pick: int, fails: bool) -> None:
        """Answer any number that was ever given out, from any peer."""
        ref = pick if pick <= self.refs else self.refs + 1
        for question in self.open_on(peer):
            if question.ref == ref:
                question.outcome = "RequestFailed" if fails else ("data", ref)
        reply = control.Reply(ref, ref, "no" if fails else None)
        requests.answer(self.peers[peer], reply)
        self.settle()

    @rule(peer=PEERS)
    def answer_all(self, peer: int) -> None:
        for question in self.open_on(peer):
            assert question.ref is not None
            question.outcome = ("data", question.ref)
            requests.answer(self.peers[peer], control.Reply(question.ref, question.ref, None))
        self.settle()

    @rule(pick=st.integers(0, 20), answered=st.booleans())
    def cancel(self, pick: int, answered: bool) -> None:
        """Cancel one that is open, also in the very turn in which it is answered."""
        still = [q for q in self.questions if q.outcome is None]
        if not still:
            return
        question = still[pick % len(still)]
        assert question.ref is not None
        if answered:
            requests.answer(self.peers[question.peer], control.Reply(question.ref, None, "no"))
        question.task.cancel()
        question.outcome = "cancelled"
        self.settle()

    @rule(seconds=st.sampled_from([0.25, 0.5, 2.0, 5.0]))
    def advance(self, seconds: float) -> None:
        now = self.core.clock.monotonic() + seconds
        for question in self.questions:
            if question.outcome is None and question.due <= now:
                question.outcome = "RequestTimeout"
        self.runner.run(self.core.clock.advance(seconds))

    @rule(peer=PEERS, full=st.booleans())
    def the_buffer_changes(self, peer: int, full: bool) -> None:
        self.core.sink(self.peers[peer]).buffered = 2000 if full else 0

    @rule(peer=PEERS)
    def reconnect(self, peer: int) -> None:
        connection = self.peers[peer]
        connection.mark_closed("gone")
        requests.fail_all(connection)
        for question in self.open_on(peer):
            question.outcome = "ConnectionClosed"
        self.settle()
        assert connection.requests is None
        self.peers[peer] = self.core.connect()

    @invariant()
    def each_has_the_outcome_that_came_first(self) -> None:
        for question in self.questions:
            assert question.task.done() == (question.outcome is not None)
            if question.outcome is not None:
                assert _outcome(question.task) == question.outcome

    @invariant()
    def a_connection_keeps_its_open_ones_and_no_timer_is_left(self) -> None:
        for n, connection in enumerate(self.peers):
            assert list(connection.requests or ()) == [q.ref for q in self.open_on(n)]
            assert connection.requests is None or connection.requests
        assert self.core.clock.pending == sum(q.outcome is None for q in self.questions)


def _outcome(task: asyncio.Task[Any]) -> Any:
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    if error is not None:
        assert isinstance(error, PlatformError)
        return type(error).__name__
    return ("data", task.result())


Asking.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
pytestmark = pytest.mark.spec("WIRE-36", "WIRE-37", "PLAT-67", "PLAT-68")
TestAsking = Asking.TestCase
