"""Sessions and claimed ids under any order of use and time, against plain models. Spec: platform 7.2 and 7.3."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.plugins import Dedup, Session
from runtime.testing import FakeClock

TTL = 5
CAP = 4
KEYS = st.sampled_from([f"key{n}" for n in range(8)])


class _Expiring(RuleBasedStateMachine):
    """The model is a list of (key, value, end of its time), the oldest insert first."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.model: dict[str, tuple[int, float]] = {}
        self.values = 0

    def now(self) -> float:
        return self.clock.monotonic()

    def live(self, key: str) -> int | None:
        """Return the value of a live key; one that has expired goes, as it was looked at."""
        value, ends = self.model.get(key, (0, -1.0))
        if ends <= self.now():
            self.model.pop(key, None)
            return None
        return value

    def insert(self, key: str) -> int:
        self.values += 1
        self.model.pop(key, None)
        self.model[key] = (self.values, self.now() + TTL)
        if len(self.model) > 1.1 * CAP:
            self.model = {k: entry for k, entry in self.model.items() if entry[1] > self.now()}
            while len(self.model) > CAP:
                del self.model[next(iter(self.model))]
        return self.values

    @rule(seconds=st.sampled_from([0.5, 1, 2.5, 5]))
    def wait(self, seconds: float) -> None:
        self.runner.run(self.clock.advance(seconds))

    def teardown(self) -> None:
        assert self.clock.pending == 0
        self.runner.close()


class Sessions(_Expiring):
    """Sliding time: a use lets it live on, and does not make it newer."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = Session(ttl=TTL, max_entries=CAP, clock=self.clock)

    def extend(self, key: str) -> None:
        self.model[key] = (self.model[key][0], self.now() + TTL)

    @rule(key=KEYS)
    def set(self, key: str) -> None:
        self.runner.run(self.sessions.set(key, self.insert(key)))

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        expected = self.live(key)
        if expected is not None:
            self.extend(key)
        assert self.runner.run(self.sessions.get(key)) == expected

    @rule(key=KEYS)
    def touch(self, key: str) -> None:
        expected = self.live(key) is not None
        if expected:
            self.extend(key)
        assert self.runner.run(self.sessions.touch(key)) is expected

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        expected = self.live(key) is not None
        self.model.pop(key, None)
        assert self.runner.run(self.sessions.delete(key)) is expected

    @rule()
    def clear(self) -> None:
        self.model.clear()
        self.runner.run(self.sessions.clear())

    @invariant()
    def the_same_keys_are_there_in_the_same_order(self) -> None:
        assert list(self.sessions._state.entries) == list(self.model)
        assert len(self.model) <= 1.1 * CAP


class Claims(_Expiring):
    """Fixed time: a claim within the window changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Dedup(ttl=TTL, max_entries=CAP, clock=self.clock)

    @rule(key=KEYS)
    def claim(self, key: str) -> None:
        expected = self.live(key) is None
        if expected:
            self.insert(key)
        assert self.runner.run(self.seen.claim(key)) is expected

    @rule(key=KEYS)
    def has(self, key: str) -> None:
        expected = self.live(key) is not None
        assert self.runner.run(self.seen.has(key)) is expected

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        expected = self.live(key) is not None
        self.model.pop(key, None)
        assert self.runner.run(self.seen.delete(key)) is expected

    @rule()
    def clear(self) -> None:
        self.model.clear()
        self.runner.run(self.seen.clear())

    @invariant()
    def the_same_ids_are_there_in_the_same_order(self) -> None:
        assert list(self.seen._state.expires) == list(self.model)


TestSessions = Sessions.TestCase
TestClaims = Claims.TestCase
TestSessions.settings = TestClaims.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSessions.pytestmark = [pytest.mark.spec("PLAT-132")]
TestClaims.pytestmark = [pytest.mark.spec("PLAT-133")]
