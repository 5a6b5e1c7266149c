"""A history does what lists of events do from which the old, the many and the unused are taken. Spec: platform 7.5."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runtime.plugins import Replay
from tests.unit.core.parts import Core

AGE = 8
topics = st.sampled_from("abcd")
sizes = st.sampled_from([1, 2, 4])
since = st.integers(0, 12)


class ReplayMachine(RuleBasedStateMachine):
    """Topics with a list of (number, moment) each, in the order in which they were last used."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.core = Core()
        self.kept: OrderedDict[str, list[tuple[int, float]]] = OrderedDict()
        self.current: dict[str, int] = {}

    def teardown(self) -> None:
        self.run(self.replay.close())
        assert self.core.publisher.recorders == {}
        self.loop.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    @initialize(size=sizes, most=sizes)
    def begin(self, size: int, most: int) -> None:
        self.size, self.most = size, most
        self.replay = self.made()
        for topic in "abcd":
            self.replay.record_topic(topic, platform=self.core.platform)

    def made(self) -> Replay:
        return Replay(
            size=self.size, max_topics=self.most, max_age=AGE, max_bytes=None, clock=self.core.clock
        )

    # ------------------------------------------------------------ the model

    def note(self, topic: str, number: int) -> None:
        events = self.kept.setdefault(topic, [])
        if number != self.current.get(topic, 0) + 1:
            events.clear()
        events.append((number, self.core.clock.monotonic()))
        self.current[topic] = number
        self.kept.move_to_end(topic)
        self.trim()

    def trim(self) -> None:
        for events in self.kept.values():
            del events[: -self.size]
        while len(self.kept) > self.most:
            self.kept.popitem(last=False)

    def use(self, topic: str) -> None:
        if topic in self.kept:
            self.kept.move_to_end(topic)

    def expected(self, topic: str, seen: int) -> list[int]:
        now = self.core.clock.monotonic()
        return [number for number, at in self.kept.get(topic, ()) if at >= now - AGE and number > seen]

    def is_whole(self, topic: str, seen: int) -> bool:
        current = self.current.get(topic, 0)
        return seen <= current and self.expected(topic, seen) == list(range(seen + 1, current + 1))

    # ------------------------------------------------------------ what is done

    @rule(topic=topics, through=st.booleans(), count=st.integers(1, 3))
    def publish(self, topic: str, through: bool, count: int) -> None:
        async def publish() -> None:
            if through:
                await self.replay.publish(self.core.platform, topic, "e", {"n": 1})
            else:
                self.core.platform.publish(topic, "e", {"n": 1})

        for _ in range(count):
            self.run(publish())
            self.note(topic, self.current.get(topic, 0) + 1)

    @rule(topic=topics, ahead=st.integers(1, 3))
    def publish_with_a_number(self, topic: str, ahead: int) -> None:
        number = self.current.get(topic, 0) + ahead

        async def publish() -> None:
            self.core.platform.publish(topic, "e", {"n": 1}, seq=number)

        self.run(publish())
        self.note(topic, number)

    @rule(topic=topics)
    def ask_for_the_number(self, topic: str) -> None:
        assert self.run(self.replay.seq(topic)) == self.current.get(topic, 0)
        self.use(topic)

    @rule(topic=topics, seen=since)
    def read(self, topic: str, seen: int) -> None:
        found = self.run(self.replay.since(topic, seen))
        assert [one.seq for one in found] == self.expected(topic, seen)
        self.use(topic)

    @rule(topic=topics, seen=since)
    def ask_for_a_gap(self, topic: str, seen: int) -> None:
        assert self.run(self.replay.gap(topic, seen)).truncated is not self.is_whole(topic, seen)
        self.use(topic)

    @rule(topic=topics, seen=since)
    def replay_to_a_peer(self, topic: str, seen: int) -> None:
        peer = self.core.connect()
        outcome = self.run(self.replay.replay(peer, topic, seen, req_id=1))
        sent = self.core.events(peer)
        expected = self.expected(topic, seen)
        assert [data["seq"] for _, event, data, _ in sent if event == "msg"] == expected
        whole = self.is_whole(topic, seen)
        assert sent[-1][1:3] == ("end", {"reqId": 1} if whole else {"reqId": 1, "truncated": True})
        assert outcome.state == ("truncated" if not whole else "filled" if expected else "complete")
        assert outcome.count == len(expected)
        self.use(topic)

    @rule(seconds=st.sampled_from([1, 3, 5]))
    def wait(self, seconds: int) -> None:
        self.core.clock._elapsed += seconds

    @rule(topic=topics)
    def forget_a_topic(self, topic: str) -> None:
        self.run(self.replay.clear_topic(topic))
        self.kept.pop(topic, None)

    @rule()
    def forget_everything(self) -> None:
        self.run(self.replay.clear())
        self.kept.clear()

    @rule(size=sizes, most=sizes)
    def reload(self, size: int, most: int) -> None:
        self.size, self.most = size, most
        made = self.made()
        assert made.adopt(self.replay)
        self.replay = made
        self.trim()

    @invariant()
    def it_is_as_full_as_it_may_be(self) -> None:
        if hasattr(self, "replay"):
            assert self.replay.sizes()["MAX_REPLAY_TOPICS"] == len(self.kept) <= self.most


ReplayMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestReplay = pytest.mark.spec("PLAT-137")(ReplayMachine.TestCase)
