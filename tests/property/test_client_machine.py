"""The Python client's connection against a model: states, waits, attempts, opening frames, and what becomes of calls.

The server's side is scripted and the clock stands still between the steps, so the model can say to the millisecond
when the client tries again. Chance always says 0.5: every wait is the middle of its range.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.client import ClientOptions, Realtime, RpcError
from runtime.core.capacity import capacity_override
from runtime.testing import FakeClock
from tests.unit.client.scripted import ScriptedSocket, ScriptedTransport

TOPICS = st.sampled_from(["a", "b", "__system"])
CODES = [1000, 1001, 1005, 1006, 1009, 1011, 1012, 1013, 4000]
TERMINAL = [1008, 4401, 4403]
THROTTLE = 4429
#: The end of everything, which the steps should not come to early.
ONE_IN_MANY = st.integers(1, 30).map(lambda number: number == 17)
MOST_TRIES = 8
CHECK, SILENCE = 30.0, 150.0
#: Fewer than in earnest, so that the bound is reached.
QUEUED = 5


class Half(random.Random):
    """Chance that always says 0.5."""

    def random(self) -> float:
        return 0.5


class Model:
    """What the connection must be."""

    def __init__(self) -> None:
        self.now = 0.0
        self.status = "connecting"
        self.failure: tuple[str, int] | None = None
        self.is_up = True
        self.attempts = 0
        self.sockets = 0
        self.attempt = 0
        self.tries = 0
        self.quick = 0
        self.opened_at = 0.0
        self.heard_at = 0.0
        self.check_at = 0.0
        self.retry_at = 0.0
        self.session: str | None = None
        self.skips_resume = False
        self.seen: dict[str, int] = {}
        self.topics: dict[str, None] = {}
        self.queue: list[int] = []
        self.opening: list[Any] = []

    @property
    def is_open(self) -> bool:
        return self.status == "open"

    def try_to_open(self) -> None:
        self.attempts += 1
        if not self.is_up:
            self.lost(1006, was_open=False)
            return
        self.status, self.failure = "open", None
        self.attempt = self.tries = 0
        self.opened_at = self.heard_at = self.now
        self.check_at = self.now + CHECK
        self.opening = ["hello"]
        if self.session and self.seen and not self.skips_resume:
            self.opening.append(("resume", self.session, dict(self.seen)))
        named = [topic for topic in self.topics if not topic.startswith("__")]
        if named:
            self.opening.append(("subscribe-batch", named))
        self.opening += [("call", number) for number in self.queue]
        self.queue = []
        self.skips_resume = False
        self.sockets += 1
        self.session = f"session-{self.sockets}"

    def lost(self, code: int, *, was_open: bool) -> None:
        kind = "TERMINAL" if code in TERMINAL else "THROTTLE" if code == THROTTLE else "RETRY"
        self.failure = (kind, code)
        self.skips_resume = code == 1009
        if kind == "TERMINAL" or self.tries >= MOST_TRIES:
            if kind != "TERMINAL":
                self.failure = ("EXHAUSTED", code)
            self.ended()
            return
        if kind == "THROTTLE":
            self.attempt = max(self.attempt, 5)
        self.status = "disconnected"
        self.tries += 1
        if was_open and self.now - self.opened_at >= 5:
            self.quick = 0
        if code == 1012 and was_open and self.quick < 5:
            self.quick += 1
            self.retry_at = self.now + 0.15
            return
        self.retry_at = self.now + min(3 * 2.2**self.attempt, 300)
        self.attempt += 1

    def ended(self) -> None:
        self.status = "failed"
        self.queue = []

    def advance(self, seconds: float) -> None:
        target = self.now + seconds
        while True:
            due = {"disconnected": self.retry_at, "open": self.check_at}.get(self.status, target + 1)
            if due > target:
                break
            self.now = max(self.now, due)
            if self.status == "disconnected":
                self.try_to_open()
            elif self.now - self.heard_at > SILENCE:
                self.lost(1006, was_open=True)
            else:
                self.check_at += CHECK
        self.now = target


class ConnectionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bounds = capacity_override(MAX_CLIENT_QUEUE=QUEUED)
        self.bounds.__enter__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock(now=0.0)
        self.transport = ScriptedTransport()
        self.model = Model()
        self.calls: dict[int, Any] = {}
        self.listeners: dict[str, Any] = {}
        self.numbers = 0
        self.statuses: list[str] = []
        self.client = self.run(self.begin())
        self.model.try_to_open()
        self.settle()

    async def begin(self) -> Realtime:
        options = ClientOptions.of({"max_attempts": MOST_TRIES, "timeout": 1e9})
        client = Realtime(
            "ws://test.example/ws", options, transport=self.transport, clock=self.clock, rng=Half()
        )
        client.status.subscribe(self.statuses.append)
        client.start()
        return client

    def teardown(self) -> None:
        self.run(self.client.close())
        for call in self.calls.values():
            assert call.done()
            call.exception()
        assert self.client._tasks.running == 0
        assert self.clock.pending == 0
        self.runner.close()
        self.bounds.__exit__(None, None, None)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def settle(self) -> None:
        self.run(self.clock.advance(0))

    @property
    def socket(self) -> ScriptedSocket:
        return self.transport.sockets[-1]

    # ------------------------------------------------------------ the server's side

    @rule(is_up=st.booleans())
    def server(self, is_up: bool) -> None:
        self.model.is_up = is_up
        self.transport.is_down = not is_up

    @rule(code=st.sampled_from([*CODES, THROTTLE]))
    def close(self, code: int) -> None:
        if self.model.is_open:
            self.socket.drop(code)
            self.model.lost(code, was_open=True)
            self.settle()

    @rule(code=st.sampled_from(TERMINAL), really=ONE_IN_MANY)
    def close_for_good(self, code: int, really: int) -> None:
        if self.model.is_open and really:
            self.socket.drop(code)
            self.model.lost(code, was_open=True)
            self.settle()

    @rule(topic=TOPICS, step=st.integers(-2, 5))
    def publish(self, topic: str, step: int) -> None:
        if self.model.is_open:
            seq = max(0, self.model.seen.get(topic, 0) + step)
            self.socket.publish(topic, "x", None, seq)
            self.model.seen[topic] = max(self.model.seen.get(topic, 0), seq)
            self.model.heard_at = self.model.now
            self.settle()

    @rule(frame=st.sampled_from([b"{", b"[]", b'{"type":"ping"}', b'{"topic":"a","event":"x","seq":"9"}']))
    def say_nothing_useful(self, frame: bytes) -> None:
        if self.model.is_open:
            self.socket.push(frame)
            self.model.heard_at = self.model.now
            self.settle()

    @rule()
    def answer_all(self) -> None:
        if self.model.is_open:
            for request in self.socket.requests():
                if request["args"][0] in self.calls:
                    self.socket.reply(request, "done")
                    self.model.heard_at = self.model.now
            self.settle()
            self.calls = {number: call for number, call in self.calls.items() if not self.is_done(call)}

    # ------------------------------------------------------------ the app's side

    @rule(seconds=st.sampled_from([0.01, 0.4, 3.7, 29.3, 100.0, 155.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.model.advance(seconds)
        self.run(self.clock.advance(seconds))

    @rule(topic=TOPICS)
    def listen(self, topic: str) -> None:
        if topic not in self.listeners:
            self.listeners[topic] = self.run(self.listening(topic))
            self.model.topics[topic] = None
            self.settle()

    async def listening(self, topic: str) -> Any:
        return self.client.on(topic).subscribe(lambda event: None)

    @rule(topic=TOPICS)
    def leave(self, topic: str) -> None:
        off = self.listeners.pop(topic, None)
        if off is not None:
            self.run(self.leaving(off))
            del self.model.topics[topic]
            self.settle()

    async def leaving(self, off: Any) -> None:
        off()

    @rule(count=st.integers(1, 4))
    def call(self, count: int) -> None:
        for number in range(self.numbers, self.numbers + count):
            call = self.run(self.calling(number))
            if self.model.status == "failed":
                assert self.code_of(call) == "CONNECTION_CLOSED"
                continue
            self.calls[number] = call
            if not self.model.is_open:
                self.model.queue.append(number)
        self.numbers += count
        for number in self.model.queue[:-QUEUED]:
            call = self.calls.pop(number, None)
            assert call is None or self.code_of(call) == "QUEUE_FULL"
        self.model.queue = self.model.queue[-QUEUED:]
        self.settle()

    async def calling(self, number: int) -> Any:
        return self.client.call("a/b", number)

    @rule(really=ONE_IN_MANY)
    def end(self, really: int) -> None:
        if really:
            self.run(self.client.close())
            if self.model.status != "failed":
                self.model.failure = None
                self.model.ended()

    def is_done(self, call: Any) -> bool:
        return bool(call.done()) and call.exception() is None

    def code_of(self, call: Any) -> str:
        error = call.exception()
        assert isinstance(error, RpcError)
        return error.code

    # ------------------------------------------------------------ what must hold

    @invariant()
    def the_connection_is_where_the_model_is(self) -> None:
        model, client = self.model, self.client
        assert client.status.value == model.status
        assert self.transport.attempts == model.attempts
        failure = client.failure.value
        assert (failure and (failure["class"], failure["code"])) == model.failure
        assert "connecting" not in self.statuses[-1:], "an attempt has an outcome"

    @invariant()
    def a_socket_begins_with_what_the_model_says(self) -> None:
        if not self.model.is_open:
            return
        begun = [shown(frame) for frame in self.socket.sent[: len(self.model.opening)]]
        assert begun == self.model.opening

    @invariant()
    def the_server_knows_the_topics_listened_to(self) -> None:
        if not self.model.is_open:
            return
        known: set[str] = set()
        refs = []
        for frame in self.socket.sent:
            refs += [frame["ref"]] if "ref" in frame else []
            match frame.get("type"):
                case "subscribe":
                    assert frame["topic"] not in known
                    known.add(frame["topic"])
                case "subscribe-batch":
                    known |= set(frame["topics"])
                case "unsubscribe":
                    known.remove(frame["topic"])
        assert known == {topic for topic in self.model.topics if not topic.startswith("__")}
        assert refs == sorted(set(refs))

    @invariant()
    def calls_end_with_their_connection(self) -> None:
        if self.model.is_open:
            return
        code = "CONNECTION_CLOSED" if self.model.status == "failed" else "DISCONNECTED"
        queued = set(self.model.queue)
        for number, call in list(self.calls.items()):
            if number in queued and self.model.status == "disconnected" and not call.done():
                continue  # made while there was no connection: it waits for the next attempt
            assert self.code_of(call) in (code, "DISCONNECTED")
            del self.calls[number]


def shown(frame: dict[str, Any]) -> Any:
    """A frame as the model writes it."""
    match frame.get("type"):
        case "resume":
            return "resume", frame["sessionId"], frame["lastSeenSeqs"]
        case "subscribe-batch":
            return "subscribe-batch", frame["topics"]
        case str(name):
            return name
    return "call", frame["args"][0]


ConnectionMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
pytestmark = pytest.mark.spec("WIRE-115", "WIRE-116", "WIRE-117", "LIVE-191")
TestConnectionMachine = ConnectionMachine.TestCase
