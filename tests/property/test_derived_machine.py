"""Derived streams against a model: when all is quiet everybody sees the present value, and nothing is left of who went.

Publishes come at any moment, runs hang and fail, time passes, connections subscribe, leave and come back.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.testing import FakeClock
from tests.server.peers import App, Peer, turns, write_file

LIVE = """
# realtime-allow-public
import asyncio
from runtime import live

state = {"a": 0, "b": 0, "all": 0}
running, most, failing = {}, {"all": 0}, []
gate = asyncio.Event()
gate.set()


async def computed(name):
    running[name] = running.get(name, 0) + 1
    most[name] = max(most.get(name, 0), running[name])
    value = state[name]
    await gate.wait()
    running[name] -= 1
    if failing: raise RuntimeError("as the test wants it")
    return value

@live.derived(["t:a", "t:b"])
async def total(ctx):
    return await computed("all") if ctx.ws is None else state["all"]

@live.derived(lambda name: [f"t:{name}"], debounce=0.5)
async def each(ctx, name: str):
    return await computed(name) if ctx.ws is None else state[name]
"""
NAMES = st.sampled_from(["a", "b"])
PEERS = st.integers(0, 1)
TOPICS = {"total": "m/total", "a": "m/each~a", "b": "m/each~b"}


class Following(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.project = Path(tempfile.mkdtemp())
        write_file(self.project, "live/m.py", LIVE)
        self.clock = FakeClock()
        self.app = App(self.project, "test", clock=self.clock)
        self.runner.run(self.app.runtime.start())
        self.peers: list[Peer] = [self.runner.run(self.app.connect(f"user {n}")) for n in range(2)]
        #: What each peer last saw of each stream that it is subscribed to.
        self.shown: dict[tuple[int, str], Any] = {}
        self.read = [0, 0]

    def teardown(self) -> None:
        self.settle()
        for peer, name in list(self.shown):
            self.leave(peer, name)
        assert self.watched() == {"t:a", "t:b"}, "what the static one follows"
        assert all(len(watch._callbacks) == 1 for watch in self.watchers().values())
        self.runner.run(self.app.runtime.stop())
        assert self.clock.pending == 0
        self.runner.close()
        shutil.rmtree(self.project)

    @property
    def module(self) -> Any:
        return self.app.runtime.live.registry.modules["m"].module

    def watchers(self) -> dict[str, Any]:
        return self.app.runtime.platform.parts.publisher.watchers

    def watched(self) -> set[str]:
        return set(self.watchers())

    def turn(self, count: int = 15) -> None:
        self.runner.run(turns(count))
        for number, peer in enumerate(self.peers):
            frames = peer.parsed()
            for frame in frames[self.read[number] :]:
                for envelope in frame["events"] if frame.get("type") == "batch" else [frame]:
                    for name, topic in TOPICS.items():
                        if (
                            envelope.get("topic") == topic
                            and "event" in envelope
                            and (number, name) in self.shown
                        ):
                            assert envelope["event"] == "set"
                            self.shown[number, name] = envelope["data"]
            self.read[number] = len(frames)

    @rule(name=NAMES, times=st.integers(1, 3))
    def publish(self, name: str, times: int) -> None:
        async def publish() -> None:
            for _ in range(times):
                self.module.state[name] += 1
                self.module.state["all"] += 1
                self.app.runtime.platform.publish(f"t:{name}", "changed")

        self.runner.run(publish())
        self.turn()

    @rule(peer=PEERS, name=st.sampled_from(list(TOPICS)))
    def subscribe(self, peer: int, name: str) -> None:
        if (peer, name) in self.shown:
            return
        path, args = ("m/total", []) if name == "total" else ("m/each", [name])
        reply = self.runner.run(self.peers[peer].stream(path, *args))
        assert reply["topic"] == TOPICS[name]
        self.turn()
        self.shown[peer, name] = reply["data"]
        assert reply["data"] == self.module.state["all" if name == "total" else name]

    @rule(peer=PEERS, name=st.sampled_from(list(TOPICS)))
    def leave(self, peer: int, name: str) -> None:
        if self.shown.pop((peer, name), None) is not None:
            self.peers[peer].send({"type": "unsubscribe", "topic": TOPICS[name]})
            self.turn()

    @rule(peer=PEERS)
    def reconnect(self, peer: int) -> None:
        self.turn()
        self.runner.run(self.peers[peer].leave())
        self.peers[peer] = self.runner.run(self.app.connect(f"user {peer}"))
        self.read[peer] = 0
        self.shown = {key: value for key, value in self.shown.items() if key[0] != peer}

    @rule()
    def hang(self) -> None:
        self.module.gate.clear()

    @rule(fails=st.booleans())
    def go_on(self, fails: bool) -> None:
        self.module.failing[:] = ["x"] if fails else []
        self.module.gate.set()
        self.turn()

    @rule(seconds=st.floats(0.05, 1))
    def wait(self, seconds: float) -> None:
        self.runner.run(self.clock.advance(seconds))
        self.turn()

    @rule()
    def settle(self) -> None:
        """When nothing fails or hangs, one more publish brings everybody the present value."""
        self.module.failing.clear()
        self.module.gate.set()
        self.turn(40)
        for name in ("a", "b"):
            self.publish(name, 1)
        for _ in range(2):
            self.runner.run(self.clock.advance(0.5))
            self.turn(40)
        for (_, name), value in self.shown.items():
            assert value == self.module.state["all" if name == "total" else name]
        assert not any(self.module.running.values())

    @invariant()
    def the_value_of_everybody_has_one_run_at_a_time(self) -> None:
        """One that everybody left while it was computed ends by itself; that of arguments may have a successor."""
        assert self.module.most["all"] <= 1

    @invariant()
    def what_somebody_needs_is_watched(self) -> None:
        needed = {(f"t:{name}", name) for _, name in self.shown if name != "total"}
        for topic in ("t:a", "t:b"):
            callbacks = len(self.watchers()[topic]._callbacks)
            assert callbacks == 1 + any(topic == one for one, _ in needed)


Following.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestDerived = pytest.mark.spec("LIVE-108", "LIVE-109")(Following.TestCase)
