"""What each peer must have received, in order, without loss or repetition, whatever the order of operations.

The model is a plain list of events per peer. Operations of one turn of the loop run together, as in the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.core import capacity
from runtime.core.publisher import make_event
from tests.unit.core.parts import Core

PEERS = st.integers(0, 5)
TOPICS = st.sampled_from("ab")
HELD_AT_MOST = 3
MAX_FRAME = 400


class Model:
    """One peer as it should be; its frames of a topic are held back while a stream of it loads."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.held: dict[str, list[Any] | None] = {}  # None: too many were held
        self.received: list[Any] = []

    def take(self, topic: str, data: int) -> None:
        if topic not in self.topics:
            return
        held = self.held.get(topic, self.received)
        if held is None:
            return
        held.append((topic, data))
        if held is not self.received and len(held) > HELD_AT_MOST:
            self.held[topic] = None


class Delivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        capacity.configure({"MAX_HELD_FRAMES": HELD_AT_MOST, "MAX_BATCH_EVENTS": 4})
        self.runner = asyncio.Runner()
        self.core = Core(max_frame=MAX_FRAME)
        self.connections = [
            self.core.connect(caps=caps, joins=joins, deflates=deflates)
            for caps in ([], ["batch"])
            for joins, deflates in ((False, False), (True, False), (True, True))
        ]
        self.models = [Model() for _ in self.connections]
        self.holds: dict[tuple[int, str], Any] = {}
        self.queued: list[tuple[str, int]] = []
        self.operations: list[Callable[[], object]] = []
        self.data = 0

    def teardown(self) -> None:
        self.end_of_turn()
        self.every_peer_has_what_it_must_have()
        self.runner.close()
        capacity.configure({})

    def next(self) -> int:
        self.data += 1
        return self.data

    def published(self, topic: str, data: int) -> None:
        for model in self.models:
            model.take(topic, data)

    def flushed(self) -> None:
        """What live functions published in this turn goes out before anything that is sent directly."""
        for topic, data in self.queued:
            self.published(topic, data)
        self.queued.clear()

    @rule(peer=PEERS, topic=TOPICS)
    def subscribe(self, peer: int, topic: str) -> None:
        self.models[peer].topics.add(topic)
        self.operations.append(lambda: self.core.subscriptions.add(self.connections[peer], topic))

    @rule(peer=PEERS, topic=TOPICS)
    def unsubscribe(self, peer: int, topic: str) -> None:
        self.models[peer].topics.discard(topic)
        self.models[peer].held.pop(topic, None)
        self.operations.append(lambda: self.connections[peer].unsubscribe(topic))

    @rule(peer=PEERS, topic=TOPICS)
    def stream_request(self, peer: int, topic: str) -> None:
        model = self.models[peer]
        if topic in model.held:
            return
        model.topics.add(topic)
        model.held[topic] = []

        def operation() -> None:
            self.core.subscriptions.add(self.connections[peer], topic)
            self.holds[peer, topic] = self.core.subscriptions.hold(self.connections[peer], topic)

        self.operations.append(operation)

    @rule(peer=PEERS, topic=TOPICS)
    def stream_reply(self, peer: int, topic: str) -> None:
        """Release the newest hold; this does nothing when an unsubscribe ended it."""
        data = self.next()
        model = self.models[peer]
        self.flushed()
        model.received.append(("__rpc", data))
        model.received.extend(model.held.pop(topic, None) or [])

        def operation() -> None:
            self.core.platform.send(self.connections[peer], "__rpc", "e", data)
            hold = self.holds.get((peer, topic))
            if hold is not None:
                self.core.subscriptions.release(self.connections[peer], topic, hold)

        self.operations.append(operation)

    @rule(topic=TOPICS)
    def publish_at_once(self, topic: str) -> None:
        data = self.next()
        self.flushed()
        self.published(topic, data)
        self.operations.append(lambda: self.core.platform.publish(topic, "e", data))

    @rule(topics=st.lists(TOPICS, min_size=2, max_size=9))
    def publish_batched(self, topics: list[str]) -> None:
        messages: list[Any] = [{"topic": topic, "event": "e", "data": self.next()} for topic in topics]
        self.flushed()
        for message in messages:
            self.published(message["topic"], message["data"])
        self.operations.append(lambda: self.core.platform.publish_batched(messages))

    @rule(topics=st.lists(TOPICS, min_size=1, max_size=3))
    def publish_in_the_turn(self, topics: list[str]) -> None:
        for topic in topics:
            event = make_event(topic, "e", self.next(), True, 0)
            self.queued.append((topic, self.data))
            self.operations.append(lambda event=event: self.core.turn.add(event))

    @rule(peer=PEERS, topic=TOPICS)
    def send(self, peer: int, topic: str) -> None:
        data = self.next()
        self.flushed()
        self.models[peer].received.append((topic, data))
        self.operations.append(lambda: self.core.platform.send(self.connections[peer], topic, "e", data))

    @rule(peer=PEERS, able=st.booleans())
    def reconnect(self, peer: int, able: bool) -> None:
        self.end_of_turn()
        connection = self.connections[peer]
        connection.close_soon(1000, "")
        self.core.subscriptions.remove_all(connection)
        assert connection.all_topics == set()
        caps = ["batch"] if able else []
        self.connections[peer] = self.core.connect(caps=caps, joins=peer % 3 > 0, deflates=peer % 3 == 2)
        self.models[peer] = Model()

    @rule()
    def end_of_turn(self) -> None:
        self.flushed()
        operations, self.operations = self.operations, []

        async def turn() -> None:
            for operation in operations:
                operation()
            for _ in range(3):
                await asyncio.sleep(0)

        self.runner.run(turn())

    @invariant()
    def every_peer_has_what_it_must_have(self) -> None:
        if self.operations:
            return
        core = self.core
        for connection, model in zip(self.connections, self.models, strict=True):
            received = core.events(connection)
            assert [(topic, data) for topic, _, data, _ in received] == model.received
            assert connection.all_topics == model.topics
            for topic in "ab":
                numbers = [number for name, *_, number in received if name == topic and number is not None]
                assert numbers == sorted(set(numbers))
            assert all(len(text) <= MAX_FRAME for text in core.texts(connection))
            if "batch" not in connection.caps:
                assert all("type" not in frame for frame in core.frames(connection))

    @invariant()
    def the_index_agrees(self) -> None:
        if self.operations:
            return
        subscriptions = self.core.subscriptions
        for topic in "ab":
            assert subscriptions.count(topic) == sum(topic in model.topics for model in self.models)
        assert subscriptions.total == sum(len(model.topics) for model in self.models)
        assert subscriptions.topics == len(set().union(*(model.topics for model in self.models)))


Delivery.TestCase.settings = settings(max_examples=110, stateful_step_count=40, deadline=None)
pytestmark = pytest.mark.spec("WIRE-24", "WIRE-31", "WIRE-92")
TestDelivery = Delivery.TestCase
