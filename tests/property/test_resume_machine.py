"""A line that is cut at every point of the exchange: no gap is passed over, nothing comes twice, nothing is promised
that does not hold. The server may restart, its hooks and loaders take their time, and histories are short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runtime import live
from runtime.core import capacity
from runtime.core.publisher import make_event
from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.live.registry import build_module
from runtime.server.assembly import Handshake, Runtime, assemble
from runtime.server.hooks import Hook, HookSet
from runtime.server.inbound import Inbound
from runtime.testing import FakeClock
from tests.property.resume_model import FEED, LATEST_KEPT, Client
from tests.server.peers import MemorySink

KEPT = 6
HELD_AT_MOST = 4
SETTLE_TURNS = 400
STREAMS = st.integers(0, 1)
SETTINGS = Settings(
    server=ServerSettings(env="property", origin="http://t", shutdown_timeout=0.0),
    websocket=WebSocketSettings(max_backpressure=64 * 1024),
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


def process(app: App, started_at: float) -> Runtime:
    """Return a fresh process of the app, whose numbers start at its clock."""
    runtime = assemble(None, SETTINGS, clock=FakeClock(started_at))
    runtime.set_hooks(HookSet({"subscribe": Hook("subscribe", app.subscribe)}))
    file = Path(__file__)
    runtime.live.register(build_module(app.module(), "things", file, file.parent))
    return runtime


class Resume(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
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
        self.runtime = process(self.app, self.started_at)
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

    @rule(count=st.integers(1, KEPT + 2), is_batch=st.booleans())
    def publish_to_the_feed(self, count: int, is_batch: bool) -> None:
        values = [self.next() for _ in range(count)]
        platform = self.runtime.platform
        if is_batch:
            self.do(
                lambda: platform.publish_batched([{"topic": FEED, "event": "e", "data": n} for n in values])
            )
        else:
            self.do(*(lambda n=n: platform.replay.publish_nowait(platform, FEED, "e", n) for n in values))

    @rule(key=st.integers(0, 3), door=st.sampled_from(["platform", "turn"]), is_gone=st.booleans())
    def change_a_row(self, key: int, door: str, is_gone: bool) -> None:
        event = (
            "deleted"
            if is_gone and key in self.app.rows
            else "updated"
            if key in self.app.rows
            else "created"
        )
        row = {"id": key, "n": self.next()}
        if event == "deleted":
            del self.app.rows[key]
        else:
            self.app.rows[key] = row
        if door == "turn":
            self.do(lambda: self.runtime.turn.add(make_event("todo", event, row, True, 0)))
        else:
            self.do(lambda: self.runtime.platform.publish("todo", event, row))

    @rule(count=st.integers(1, 3))
    def write_lines(self, count: int) -> None:
        for _ in range(count):
            line = self.next()
            self.app.lines.append(line)
            self.do(lambda line=line: self.runtime.platform.publish("log", "said", line))

    @rule(hook=st.integers(0, 6), load=st.integers(0, 6))
    def take_time(self, hook: int, load: int) -> None:
        self.app.hook_turns, self.app.load_turns = hook, load

    @rule(denied=st.booleans())
    def decide_about_the_feed(self, denied: bool) -> None:
        self.app.is_denied = denied

    @rule(count=st.integers(1, 5))
    def turn(self, count: int) -> None:
        self.do(turns=count)

    @rule()
    def restart(self) -> None:
        self.cut()
        self.run(self.runtime.stop())
        self.started_at += 10
        self.start()

    # ---------------------------------------------------------------- the line

    @precondition(lambda self: not self.client.is_online)
    @rule()
    def connect(self) -> None:
        self.sink, self.read = MemorySink(), 0

        async def accept() -> Inbound:
            return await self.runtime.open(self.sink, Handshake())

        self.inbound = self.run(accept())
        self.client.opened()

    @precondition(lambda self: self.client.is_online)
    @rule()
    def cut(self) -> None:
        self.client.cut()
        inbound, self.inbound = self.inbound, None
        if inbound is not None:
            self.run(inbound.closed(1006, ""))

    @precondition(lambda self: self.client.up)
    @rule(count=st.integers(1, 4))
    def carry_up(self, count: int) -> None:
        inbound = self.inbound
        assert inbound is not None
        frames = [self.client.up.popleft() for _ in range(min(count, len(self.client.up)))]
        self.do(*(lambda frame=frame: inbound.feed(frame) for frame in frames))

    @precondition(lambda self: self.client.is_online and self.read < len(self.sink.frames))
    @rule(count=st.integers(1, 12))
    def carry_down(self, count: int) -> None:
        for frame in self.sink.frames[self.read : self.read + count]:
            self.read += 1
            self.client.read(frame)

    @precondition(lambda self: self.client.is_online)
    @rule(which=STREAMS)
    def renew_a_stream(self, which: int) -> None:
        stream = self.client.streams[which]
        if stream.request is None:
            self.client.renew(stream)

    @precondition(lambda self: self.client.is_online)
    @rule()
    def ask_for_missed(self) -> None:
        self.client.ask_for_missed()

    @rule()
    def settle(self) -> None:
        """Let everything arrive and every stream be answered: then the client has what the app has."""
        if not self.client.is_online:
            self.connect()
        for stream in self.client.streams:
            if stream.request is None and not (stream.is_attached and stream.is_fresh):
                self.client.renew(stream)
        for _ in range(SETTLE_TURNS):
            self.do(turns=1)
            if self.client.up:
                self.carry_up(4)
            if self.read < len(self.sink.frames):
                self.carry_down(100)
            idle = not self.client.up and self.read == len(self.sink.frames)
            if (
                idle
                and not self.runtime.live.calls.running
                and all(s.request is None for s in self.client.streams)
            ):
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
            missed = reply["seq"] - asked
            if stream.merge == "latest":
                assert reply["replay"] is (missed == 0)
            else:
                assert reply["replay"] is (missed <= KEPT)
        self.client.replies.clear()

    @invariant()
    def no_value_is_taken_away(self) -> None:
        for stream in self.client.streams:
            assert stream.seq is None or isinstance(stream.value, list)

    @invariant()
    def nothing_is_left_of_connections_that_are_gone(self) -> None:
        if self.inbound is None:
            parts = self.runtime.platform.parts
            assert not parts.subscriptions._held
            assert not parts.resumes._gaps


Resume.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
pytestmark = pytest.mark.spec(
    "WIRE-112", "WIRE-113", "WIRE-121", "WIRE-123", "WIRE-99", "WIRE-101", "WIRE-106"
)
TestResume = Resume.TestCase
