"""Any order of taking, freeing, waiting, giving up and clearing, against a model. Spec: platform 7.1."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime import Signal
from runtime.plugins import Lock, LockCleared, LockQueueFull, LockTimeout
from runtime.testing import FakeClock

KEYS = ("a", "b")
LINE = 3


class Caller:
    """One task that takes a key and keeps it until its gate opens."""

    def __init__(self, key: str, ends: float | None) -> None:
        self.key = key
        self.ends = ends
        self.gate = asyncio.Event()
        self.signal = Signal()
        self.is_in = False
        self.task: asyncio.Task[None]

    async def run(self, lock: Lock, max_wait: float | None) -> None:
        async with lock.hold(self.key, max_wait=max_wait, signal=self.signal):
            self.is_in = True
            try:
                await self.gate.wait()
            finally:
                self.is_in = False


class Locks(RuleBasedStateMachine):
    """The model keeps, by key, who holds it and who waits, in order; and those who hold a key that was forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.lock = Lock(max_waiters_per_key=LINE, clock=self.clock)
        self.lines: dict[str, list[Caller]] = {key: [] for key in KEYS}
        self.forgotten: list[Caller] = []
        self.ended: list[tuple[Caller, type[BaseException] | None]] = []

    def turn(self) -> None:
        self.runner.run(self.clock.advance(0))

    @rule(key=st.sampled_from(KEYS), max_wait=st.sampled_from([None, 0, 2, 5]), turns=st.booleans())
    def ask(self, key: str, max_wait: float | None, turns: bool) -> None:
        async def start() -> Caller:
            caller = Caller(key, None if max_wait is None else self.clock.monotonic() + max_wait)
            caller.task = asyncio.get_running_loop().create_task(caller.run(self.lock, max_wait))
            if turns:
                await self.clock.advance(0)
            return caller

        line = self.lines[key]
        caller = self.runner.run(start())
        if line and max_wait == 0:
            self.ended.append((caller, LockTimeout))
        elif len(line) > LINE:
            self.ended.append((caller, LockQueueFull))
        else:
            line.append(caller)
        self.turn()

    @rule(key=st.sampled_from(KEYS), place=st.integers(0, LINE), how=st.sampled_from(["cancel", "signal"]))
    def leave(self, key: str, place: int, how: str) -> None:
        """Let the holder, or one in line, end before its time."""
        line = self.lines[key]
        if place >= len(line) or (place == 0 and how == "signal"):
            return
        caller = line.pop(place)
        caller.signal.abort("gone") if how == "signal" else caller.task.cancel()
        self.ended.append((caller, asyncio.CancelledError))
        self.turn()

    @rule(key=st.sampled_from(KEYS))
    def free(self, key: str) -> None:
        line = self.lines[key]
        if line:
            caller = line.pop(0)
            caller.gate.set()
            self.ended.append((caller, None))
            self.turn()

    @rule(key=st.sampled_from(KEYS))
    def free_and_cancel_the_next_in_the_same_step(self, key: str) -> None:
        line = self.lines[key]
        if len(line) > 1:
            holder, heir = line.pop(0), line.pop(0)
            holder.gate.set()
            self.runner.run(asyncio.sleep(0))
            heir.task.cancel()
            self.ended += [(holder, None), (heir, asyncio.CancelledError)]
            self.turn()

    @rule(seconds=st.sampled_from([1, 2, 3]))
    def wait(self, seconds: float) -> None:
        now = self.clock.monotonic() + seconds
        for line in self.lines.values():
            for caller in line[1:]:
                if caller.ends is not None and caller.ends <= now:
                    line.remove(caller)
                    self.ended.append((caller, LockTimeout))
        self.runner.run(self.clock.advance(seconds))

    @rule()
    def clear(self) -> None:
        async def clear() -> None:
            self.lock.clear()

        self.runner.run(clear())
        for line in self.lines.values():
            self.forgotten += line[:1]
            self.ended += [(caller, LockCleared) for caller in line[1:]]
            line.clear()
        self.turn()

    @rule()
    def free_what_was_forgotten(self) -> None:
        if self.forgotten:
            caller = self.forgotten.pop(0)
            caller.gate.set()
            self.ended.append((caller, None))
            self.turn()

    @invariant()
    def the_first_of_each_line_is_in_and_nobody_else(self) -> None:
        for key, line in self.lines.items():
            assert [caller.is_in for caller in line] == [place == 0 for place in range(len(line))]
            assert self.lock.held(key) == bool(line)
        assert self.lock.size() == sum(bool(line) for line in self.lines.values())

    @invariant()
    def whoever_ended_did_so_as_expected(self) -> None:
        for caller, expected in self.ended:
            assert caller.task.done()
            assert not caller.is_in
            if expected is asyncio.CancelledError:
                assert caller.task.cancelled()
            else:
                error = caller.task.exception()
                assert (None if error is None else type(error)) is expected

    @invariant()
    def no_timer_is_left(self) -> None:
        waiting = [caller for line in self.lines.values() for caller in line[1:] if caller.ends is not None]
        assert self.clock.pending == len(waiting)

    def teardown(self) -> None:
        async def end() -> None:
            left: list[Any] = [*self.forgotten, *(caller for line in self.lines.values() for caller in line)]
            for caller in left:
                caller.task.cancel()
            await asyncio.gather(*(caller.task for caller in left), return_exceptions=True)

        self.runner.run(end())
        assert self.lock.size() == 0
        self.runner.close()


TestLocks = Locks.TestCase
TestLocks.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestLocks.pytestmark = [pytest.mark.spec("PLAT-131")]
