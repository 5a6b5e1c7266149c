"""Whatever a peer sends, in whatever order: nothing is raised, and the connection answers a call afterwards.

A model of the subscriptions is kept beside it: what is acknowledged is held, and the counts agree.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.server.assembly import Handshake, Runtime, assemble
from runtime.server.hooks import Hook, HookSet
from runtime.testing import FakeClock
from runtime.wire import names
from tests.server.peers import MemorySink, Peer, turns

odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=6,
)
topics = (
    st.sampled_from(["a", "b", "no", "boom", "slow", "__realtime", "__x", "", 'bad"', "täg", "\ud800"]) | odd
)
refs = st.sampled_from([1, "r", 1.5, None, True]) | odd
controls = st.one_of(
    st.fixed_dictionaries({"type": st.just("subscribe"), "topic": topics}, optional={"ref": refs}),
    st.fixed_dictionaries({"type": st.just("unsubscribe"), "topic": topics}),
    st.fixed_dictionaries(
        {"type": st.just("subscribe-batch"), "topics": st.lists(topics, max_size=5) | odd},
        optional={"ref": refs},
    ),
    st.fixed_dictionaries(
        {"type": st.just("hello"), "caps": st.lists(st.sampled_from(["batch", "x"])) | odd}
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("resume"),
            "sessionId": st.just("s") | odd,
            "lastSeenSeqs": st.dictionaries(topics.filter(lambda one: isinstance(one, str)), odd, max_size=3)
            | odd,
        }
    ),
    st.fixed_dictionaries({"type": st.just("reply"), "ref": refs}, optional={"data": odd, "error": odd}),
    st.fixed_dictionaries({"type": odd}),
)
calls = st.fixed_dictionaries(
    {"rpc": st.just("no/thing") | odd}, optional={"id": st.just("i") | odd, "args": odd}
)
batches = st.fixed_dictionaries({"batch": st.lists(calls | odd, max_size=4) | odd})
frames = st.one_of(
    (controls | calls | batches | odd).map(lambda obj: json.dumps(obj, allow_nan=True)),
    st.text(max_size=40),
    st.binary(max_size=40),
    controls.map(lambda obj: json.dumps(obj)[:-3]),
)


def runtime_with_hooks() -> Runtime:
    runtime = assemble(
        None,
        Settings(
            server=ServerSettings(env="test", shutdown_timeout=0.2),
            websocket=WebSocketSettings(hook_timeout=5, seq_base=0),
        ),
        clock=FakeClock(),
    )

    async def subscribe(ws: Any, topic: str) -> Any:
        if topic == "boom":
            raise RuntimeError("broken hook")
        if topic == "slow":
            await turns(3)
        return topic != "no"

    def message(data: Any) -> None:
        if isinstance(data, str) and "boom" in data:
            raise RuntimeError("broken hook")

    hooks = {"subscribe": subscribe, "message": message, "unsubscribe": lambda topic: None}
    runtime.set_hooks(HookSet({name: Hook(name, function) for name, function in hooks.items()}))
    return runtime


@settings(deadline=None)
@given(st.lists(frames, max_size=12), st.integers(0, 12))
def test_a_connection_survives_every_frame(sent: list[str | bytes], opened_after: int) -> None:
    async def run() -> None:
        runtime = runtime_with_hooks()
        await runtime.start()
        sink = MemorySink()
        peer = Peer(sink, runtime.connect(sink, Handshake()))
        other_sink = MemorySink()
        other = Peer(other_sink, runtime.connect(other_sink, Handshake()))
        other.inbound.opened()
        for index, frame in enumerate(sent):
            if index == opened_after:
                peer.inbound.opened()
            peer.send(frame)
        if opened_after >= len(sent):
            peer.inbound.opened()
        # It is answered when every control frame before it was handled to its end.
        peer.send('{"type":"subscribe","topic":"last","ref":"the end"}')
        await peer.wait(lambda frame: isinstance(frame, dict) and frame.get("ref") == "the end")
        assert (await peer.request("no/thing"))["code"] == "NOT_FOUND"
        assert not peer.connection.closed
        held = peer.connection.subscriptions
        for topic in held:
            assert names.is_wire_topic(topic, allow_non_ascii=False)
            assert topic not in ("no", "boom")
            assert runtime.subscriptions.count(topic) == 1
        assert runtime.subscriptions.total == len(held) + 2  # and __realtime of both
        assert [frame.get("type") for frame in other.parsed()] == ["welcome"]
        assert (await other.request("no/thing"))["code"] == "NOT_FOUND"
        await peer.leave()
        await other.leave()
        assert (runtime.subscriptions.total, runtime.connections) == (0, {})
        await runtime.stop()
        assert runtime.live.calls.running == 0

    asyncio.run(run())
