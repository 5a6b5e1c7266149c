"""A line that is cut at every point of the exchange: no gap is passed over, nothing comes twice, nothing is promised
that does not hold. The server may restart, its hooks and loaders take their time, and histories are short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runtime import live
from runtime.core import capacity
from runtime.core.publisher import make_event
from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.live.registry import build_module
from runtime.plugins import replay, replaywriter
from runtime.server.assembly import Handshake, Runtime, assemble
from runtime.server.hooks import Hook, HookSet
from runtime.server.inbound import Inbound
from runtime.testing import FakeClock
from tests.property.resume_model import FEED, LATEST_KEPT, Client, Stream
from tests.server.peers import MemorySink

KEPT = 20
PAGE = 2
HELD_AT_MOST = 4
BUFFER = 64 * 1024
SETTLE_TURNS = 400
#: What may happen between two frames, the likely more often.
STEPS = ["up"] * 6 + ["down"] * 3 + ["turn"] * 3 + ["feed"] * 3 + ["read"] * 2
STEPS += ["many", "line", "row", "todo", "log", "ask", "reconnect"]
SETTINGS = Settings(
    server=ServerSettings(env="property", origin="http://t", shutdown_timeout=0.0),
    websocket=WebSocketSettings(max_backpressure=BUFFER),
    capacity={"MAX_REPLAY_SIZE": KEPT, "MAX_HELD_FRAMES": HELD_AT_MOST},
)


class App:
    """What the app has stored, which outlives its processes, and how long its code takes."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.lines: list[int] = []
        self.hook_turns = 0
        self.load_turns = 0
        self.is_denied = False

    async def subscribe(self, topic: str) -> bool | None:
        for _ in range(self.hook_turns):
            await asyncio.sleep(0)
        return False if topic == FEED and self.is_denied else None

    def module(self) -> ModuleType:
        module = ModuleType("things")

        @live.stream("todo", replay=True)
        async def todo(ctx: Any) -> list[Any]:
            return await self.loaded(list(self.rows.values()))

        @live.stream("log", merge="latest", max=LATEST_KEPT, replay=True)
        async def log(ctx: Any) -> list[Any]:
            return await self.loaded(self.lines[-LATEST_KEPT:])

        for name, function in (("todo", todo), ("log", log)):
            function.__module__ = "things"
            setattr(module, name, function)
        return module

    async def loaded(self, snapshot: list[Any]) -> list[Any]:
        for _ in range(self.load_turns):
            await asyncio.sleep(0)
        return snapshot


def process(app: App, clock: FakeClock) -> Runtime:
    """Return a fresh process of the app, whose numbers start at its clock."""
    runtime = assemble(None, SETTINGS, clock=clock)
    runtime.set_hooks(HookSet({"subscribe": Hook("subscribe", app.subscribe)}))
    file = Path(__file__)
    runtime.live.register(build_module(app.module(), "things", file, file.parent))
    return runtime


class Resume(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.patch = pytest.MonkeyPatch()
        for module in (replay, replaywriter):
            self.patch.setattr(module, "PAGE", PAGE)
        self.app = App()
        self.client = Client()
        self.value = 0
        self.started_at = 1_700_000_000.0
        self.sink = MemorySink()
        self.inbound: Inbound | None = None
        self.read = 0
        self.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    def start(self) -> None:
        self.clock = FakeClock(self.started_at)
        self.runtime = process(self.app, self.clock)
        self.base = int(self.started_at) * 1000
        self.run(self.runtime.start())
        # From the start on, as a stream or a first publish would have it.
        self.runtime.platform.replay.record_topic(FEED, platform=self.runtime.platform)

    def teardown(self) -> None:
        self.settle()
        self.cut()
        self.run(self.runtime.stop())
        assert self.runtime.platform.parts.resumes._gaps == {}
        self.runner.close()
        self.patch.undo()
        capacity.configure({})

    def next(self) -> int:
        self.value += 1
        return self.value

    def do(self, *operations: Any, turns: int = 0) -> None:
        async def one_turn() -> None:
            for operation in operations:
                operation()
            for _ in range(turns):
                await asyncio.sleep(0)

        self.run(one_turn())

    def current(self, topic: str) -> int:
        return self.runtime.sequence.current(topic)

    # ---------------------------------------------------------------- the app

    def publish_to_the_feed(self, count: int, *, together: bool = False) -> None:
        values = [self.next() for _ in range(count)]
        platform = self.runtime.platform
        if together:
            messages: list[Any] = [{"topic": FEED, "event": "e", "data": value} for value in values]
            self.do(lambda: platform.publish_batched(messages))
        else:
            self.do(*(partial(platform.replay.publish_nowait, platform, FEED, "e", n) for n in values))

    @rule(key=st.integers(0, 3), door=st.sampled_from(["platform", "turn"]), is_gone=st.booleans())
    def change_a_row(self, key: int, door: str, is_gone: bool) -> None:
        row = {"id": key, "n": self.next()}
        event = "updated" if self.app.rows.pop(key, None) else "created"
        if is_gone:
            event = "deleted"
        else:
            self.app.rows[key] = row
        if door == "turn":
            self.do(lambda: self.runtime.turn.add(make_event("todo", event, row, True, 0)))
        else:
            self.do(lambda: self.runtime.platform.publish("todo", event, row))

    def write_lines(self, count: int) -> None:
        def write(line: int) -> None:
            # In one step: a load between the two would show the line, and the event would show it again.
            self.app.lines.append(line)
            self.runtime.platform.publish("log", "said", line)

        self.do(*(partial(write, self.next()) for _ in range(count)))

    @initialize()
    def begin(self) -> None:
        """Have everything subscribed, and something to come back for."""
        self.settle()
        self.publish_to_the_feed(1)
        self.settle()

    @rule(
        missed=st.integers(0, 4),
        steps=st.lists(st.sampled_from(STEPS), min_size=15, max_size=40),
        is_slow=st.booleans(),
        restarts=st.sampled_from([False, False, False, False, True]),
    )
    def come_back(self, missed: int, steps: list[str], is_slow: bool, restarts: bool) -> None:
        """Lose the line and take it up again, with anything between any two frames."""
        self.cut()
        if restarts:
            self.restart()
        self.publish_to_the_feed(missed)
        what_happens: dict[str, Callable[[], object]] = {
            "reconnect": lambda: (self.cut(), self.connect(), self.let_the_peer_read(is_slow)),
            "up": lambda: self.carry_up(1),
            "down": lambda: self.carry_down(2),
            "turn": lambda: self.do(turns=1),
            "feed": lambda: self.publish_to_the_feed(1),
            "many": lambda: self.publish_to_the_feed(KEPT - 1, together=True),
            "line": lambda: self.write_lines(1),
            "row": lambda: self.change_a_row(1, "platform", False),
            "todo": lambda: self.renew(self.client.streams[0]),
            "log": lambda: self.renew(self.client.streams[1]),
            "ask": self.client.ask_for_missed,
            "read": lambda: (self.let_the_peer_read(False), self.pass_time()),
        }
        for step in ["reconnect", *steps]:
            what_happens[step]()
        self.let_the_peer_read(False)

    @rule(hook=st.integers(0, 6), load=st.integers(0, 6))
    def take_time(self, hook: int, load: int) -> None:
        self.app.hook_turns, self.app.load_turns = hook, load

    @rule(denied=st.booleans())
    def decide_about_the_feed(self, denied: bool) -> None:
        self.app.is_denied = denied

    def restart(self) -> None:
        self.cut()
        self.run(self.runtime.stop())
        self.started_at += 10
        self.start()

    # ---------------------------------------------------------------- the line

    def connect(self) -> None:
        self.sink, self.read = MemorySink(), 0

        async def accept() -> Inbound:
            return await self.runtime.open(self.sink, Handshake())

        self.inbound = self.run(accept())
        self.client.opened()

    def cut(self) -> None:
        if not self.client.is_online:
            return
        self.client.cut()
        inbound, self.inbound = self.inbound, None
        if inbound is not None:
            self.run(inbound.closed(1006, ""))

    def carry_up(self, count: int) -> None:
        frames = [self.client.up.popleft() for _ in range(min(count, len(self.client.up)))]
        if self.inbound is not None and frames:
            self.do(*(partial(self.inbound.feed, frame) for frame in frames))

    def carry_down(self, count: int) -> None:
        for frame in self.sink.frames[self.read : self.read + count]:
            self.read += 1
            self.client.read(frame)

    def let_the_peer_read(self, is_slow: bool) -> None:
        """Fill the buffer so far that a replay waits and nothing is dropped, or empty it."""
        self.sink.buffered = BUFFER * 3 // 4 if is_slow else 0

    def pass_time(self) -> None:
        self.run(self.clock.advance(0.02))

    def renew(self, stream: Stream) -> None:
        if stream.request is None:
            self.client.renew(stream)

    @rule()
    def settle(self) -> None:
        """Let everything arrive and every stream be answered: then the client has what the app has."""
        if not self.client.is_online:
            self.connect()
        for stream in self.client.streams:
            if not (stream.is_attached and stream.is_fresh):
                self.renew(stream)
        self.let_the_peer_read(False)
        for _ in range(SETTLE_TURNS):
            self.pass_time()
            self.carry_up(4)
            self.carry_down(100)
            asked = any(stream.request for stream in self.client.streams)
            waits = self.client.up or self.read < len(self.sink.frames)
            if not (asked or waits or self.runtime.live.calls.running):
                break
        todo, log = self.client.streams
        assert {row["id"]: row for row in todo.value} == self.app.rows
        assert log.value == self.app.lines[-LATEST_KEPT:]
        self.client.listener.check(self.current(FEED))

    # ---------------------------------------------------------------- what holds at any time

    @invariant()
    def a_covered_number_is_never_answered_with_everything(self) -> None:
        for stream, asked, reply in self.client.replies:
            if asked is None or asked < self.base or reply["seq"] < self.base:
                continue  # nothing to build on, or of a process that is gone
            if reply["replay"] is True:
                assert reply["seq"] - asked == len(reply["data"]) <= (KEPT if stream.merge == "crud" else 0)
            else:
                # The number of the reply is from before its load: what came meanwhile counts too.
                assert self.current(stream.topic) - asked > (KEPT if stream.merge == "crud" else 0)
        self.client.replies.clear()

    @invariant()
    def no_value_is_taken_away(self) -> None:
        for stream in self.client.streams:
            assert stream.seq is None or isinstance(stream.value, list)

    @invariant()
    def nothing_is_left_of_connections_that_are_gone(self) -> None:
        if self.inbound is None:
            parts = self.runtime.platform.parts
            assert not parts.subscriptions.holds
            assert not parts.resumes._gaps


Resume.TestCase.settings = settings(max_examples=200, stateful_step_count=8, deadline=None)
pytestmark = pytest.mark.spec(
    "WIRE-112", "WIRE-113", "WIRE-121", "WIRE-123", "WIRE-99", "WIRE-101", "WIRE-106"
)
TestResume = Resume.TestCase
