"""Uploads of one connection against a model: each has one response, and it is the one that what was sent allows.

Chunks come in any order and size, handlers read or do not, either side gives up, the connection comes and goes.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.testing import FakeClock
from runtime.wire.binary import encode_cancel, encode_chunk, encode_upload_header
from tests.server.peers import App, Peer, turns, write_file

IDS = st.integers(0, 4)
PAYLOADS = st.binary(max_size=12)
MAX_SIZE, MAX_WAITING = 60, 3
LIVE = f"""
# realtime-allow-public
import asyncio
from runtime import live

gate = asyncio.Event()
gate.set()

@live.upload(max_size={MAX_SIZE}, max_buffered_chunks={MAX_WAITING})
async def put(ctx):
    got = []
    async for chunk in ctx.stream:
        got.append(chunk.hex())
        await gate.wait()
    return got
"""
HEADER = encode_upload_header("a/put", [])


@dataclass
class Sent:
    """One upload as the client knows it."""

    payloads: list[bytes] = field(default_factory=list)
    seq: int = 1
    is_complete: bool = False
    #: What it has to fail with, and what it may fail with.
    must: str = ""
    may: set[str] = field(default_factory=set)


class Uploading(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.project = Path(tempfile.mkdtemp())
        write_file(self.project, "live/a.py", LIVE)
        self.clock = FakeClock()
        self.app = App(self.project, "test", clock=self.clock)
        self.runner.run(self.app.runtime.start())
        self.peer: Peer = self.runner.run(self.app.connect())
        self.active: dict[int, Sent] = {}
        self.is_told = False
        self.seen = len(self.peer.frames)
        self.refused: int | None = None

    def teardown(self) -> None:
        self.gate.set()
        self.settle()
        for id in list(self.active):
            self.cancel(id)
        assert not self.active
        self.leave()
        live = self.app.runtime.live
        assert live.calls.running == 0
        assert live.uploads._peers.keys() == {self.peer.connection} or not live.uploads._peers
        self.runner.run(self.app.runtime.stop())
        self.runner.close()
        shutil.rmtree(self.project)

    @property
    def gate(self) -> asyncio.Event:
        gate: asyncio.Event = self.app.runtime.live.registry.modules["a"].module.gate
        return gate

    def feed(self, frame: bytes) -> None:
        async def send() -> None:
            self.peer.send(frame)

        self.runner.run(send())

    def settle(self) -> None:
        """Let everything run, and look at each response that came."""
        self.runner.run(turns(20))
        for text in self.peer.frames[self.seen :]:
            frame = json.loads(text)
            if frame == {"type": "ping"}:
                continue
            assert frame["topic"] == "__upload"
            data = frame["data"]
            assert ("__cap" in data) is not self.is_told
            self.is_told = True
            self.take(int(frame["event"], 16), data)
        self.seen = len(self.peer.frames)
        for sent in self.active.values():
            assert not sent.must, f"it should have failed with {sent.must}"
            assert not (sent.is_complete and self.gate.is_set()), "it should have ended"

    def take(self, id: int, data: dict[str, Any]) -> None:
        if data.get("error") == "streamId already active":
            assert id in self.active
            assert self.refused == id
            self.refused = None
            return
        sent = self.active.pop(id)
        if data["ok"]:
            assert sent.is_complete
            assert not sent.must
            assert data["data"] == [payload.hex() for payload in sent.payloads if payload]
        elif sent.must:
            assert data["code"] == sent.must
        else:
            assert data["code"] in sent.may

    @rule(id=IDS, payload=PAYLOADS, last=st.booleans())
    def begin(self, id: int, payload: bytes, last: bool) -> None:
        if id in self.active:
            self.refused = id
        else:
            sent = self.active[id] = Sent([payload], is_complete=last)
            if len(self.active) > 4:
                sent.must = "TOO_MANY_UPLOADS"
        self.feed(encode_chunk(id, 0, payload, is_last=last, header=HEADER))
        self.settle()
        assert self.refused is None

    @rule(id=IDS, payloads=st.lists(PAYLOADS, min_size=1, max_size=5), last=st.booleans())
    def go_on(self, id: int, payloads: list[bytes], last: bool) -> None:
        sent = self.active.get(id)
        for number, payload in enumerate(payloads):
            is_last = last and number == len(payloads) - 1
            if sent is not None:
                if not sent.is_complete:
                    sent.payloads.append(payload)
                    if sum(map(len, sent.payloads)) > MAX_SIZE:
                        sent.must = sent.must or "PAYLOAD_TOO_LARGE"
                    elif not self.gate.is_set():
                        sent.may.add("FLOW_BACKPRESSURE")
                sent.is_complete = sent.is_complete or is_last
            self.feed(encode_chunk(id, sent.seq if sent else 7, payload, is_last=is_last))
            if sent is not None:
                sent.seq += 1
            if not self.peer.sink.is_paused or self.gate.is_set():
                self.settle()
                sent = self.active.get(id)
        self.settle()

    @rule(id=IDS, off=st.sampled_from([-1, 1, 5, 2**31]))
    def miss(self, id: int, off: int) -> None:
        sent = self.active.get(id)
        seq = ((sent.seq if sent else 3) + off) % 2**32
        if seq == 0:
            return  # that is another beginning
        if sent is not None:
            sent.must = "INVALID_REQUEST"
        self.feed(encode_chunk(id, seq, b"?", is_last=False))
        self.settle()

    @rule(id=IDS)
    def cancel(self, id: int) -> None:
        if id in self.active:
            self.active[id].must = "CANCELLED"
        self.feed(encode_cancel(id))
        self.settle()

    @rule(is_open=st.booleans())
    def read(self, is_open: bool) -> None:
        if is_open:
            self.gate.set()
        else:
            self.gate.clear()
        self.settle()

    @rule(seconds=st.sampled_from([1.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.runner.run(self.clock.advance(seconds))
        self.settle()

    @rule()
    def leave(self) -> None:
        self.runner.run(self.peer.leave())
        self.runner.run(turns(20))
        assert len(self.peer.frames) == self.seen
        assert not self.peer.sink.is_paused
        self.active.clear()
        self.peer = self.runner.run(self.app.connect())
        self.seen, self.is_told = len(self.peer.frames), False

    @invariant()
    def the_counts_are_those_of_the_model(self) -> None:
        uploads = self.app.runtime.live.uploads
        assert (uploads.active, uploads.running) == (len(self.active), len(self.active))
        assert uploads.pending_bytes == 0
        assert self.app.runtime.metrics.get("uploads_active") == len(self.active)
        if not self.active:
            assert not self.peer.sink.is_paused


Uploading.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestUploading = pytest.mark.spec("LIVE-71", "LIVE-72", "WIRE-81", "WIRE-88")(Uploading.TestCase)
