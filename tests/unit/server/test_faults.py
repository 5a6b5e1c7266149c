"""What must always hold is broken on purpose, kind by kind: each is counted once, and the worker goes on.

Spec: platform 6.4 and PLAT-130.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import UserDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from runtime.core import assertions, coalesce, directframe, requests
from runtime.core.assertions import assertion_counters
from runtime.core.connection import Connection
from runtime.core.gate import Membership
from runtime.core.publisher import Publisher, make_event
from runtime.core.sink import Frame
from runtime.core.subscriptions import Subscriptions
from runtime.live.rings import Ring
from runtime.plugins import Lock
from runtime.server import assembly
from runtime.wire import control
from tests.server.peers import Peer, turns
from tests.unit.capacity.world import World

Patch = pytest.MonkeyPatch
Fault = Callable[[World, Patch], Awaitable[None]]


async def slow_peer(world: World) -> tuple[Peer, Any]:
    """Return a peer that is behind, and what waits for it."""
    peer = await world.peer()
    peer.sink.buffered = 2 * peer.connection.max_backpressure
    world.platform.send_coalesced(peer.connection, key="k", topic="t", event="e", data=1)
    return peer, peer.connection.coalesced


async def bucket_index(world: World, patch: Patch) -> None:
    ring = Ring(2, dict)
    ring._head = 5
    ring.move(1)


async def over_limit(world: World, patch: Patch) -> None:
    class Miscounted(dict[str, Any]):
        sizes: Iterator[int] = iter((0, 5_000_000, 5_000_000))

        def __len__(self) -> int:
            return next(self.sizes)

    _, waiting = await slow_peer(world)
    waiting._entries = Miscounted()
    waiting.put("other", "t", "e", 1)
    waiting._entries = {}


async def pending_type(world: World, patch: Patch) -> None:
    _, waiting = await slow_peer(world)
    waiting._entries = UserDict()
    waiting.put("other", "t", "e", 1)


async def entry(world: World, topic: Any, event: Any) -> None:
    peer, waiting = await slow_peer(world)
    waiting._entries["k"] = coalesce._Entry(topic, event, 1)
    peer.sink.buffered = 0
    peer.connection.drained()
    await turns()
    assert not peer.connection.closed


async def entry_topic(world: World, patch: Patch) -> None:
    await entry(world, 5, "e")


async def entry_event(world: World, patch: Patch) -> None:
    await entry(world, "t", 5)


async def closed_twice(world: World, patch: Patch) -> None:
    peer = await world.peer()
    await peer.leave()
    world.runtime.forget(peer.inbound, 1000, 1.0)


async def written_after_close(world: World, patch: Patch) -> None:
    peer = await world.peer()
    peer.connection.queue(Frame(b"{}"))
    peer.connection.closed = True
    await turns()
    assert "{}" not in peer.frames
    peer.connection.closed = False


async def empty_batch(world: World, patch: Patch) -> None:
    world.runtime.outbox._batch([])


async def empty_publish(world: World, patch: Patch) -> None:
    event = make_event("t", "e", 1, False, 0)
    world.runtime.publisher.publish(msgspec.structs.replace(event, data=b""))


async def empty_send(world: World, patch: Patch) -> None:
    nothing = SimpleNamespace(encode_envelope=lambda *_: b"")
    patch.setattr(directframe, "envelope", nothing)
    directframe.direct_frame("t", "e", 1, 0)
    patch.undo()


async def empty_reply(world: World, patch: Patch) -> None:
    peer = await world.peer()
    world.runtime.live.dispatcher._reply(peer.connection, "q", b"")
    assert (await peer.reply("q"))["code"] == "INTERNAL_ERROR"


async def waiter_shape(world: World, patch: Patch) -> None:
    lock, go = Lock(), asyncio.Event()
    running = [asyncio.ensure_future(lock.with_lock("a", go.wait)) for _ in range(2)]
    await turns()
    (waiter,) = lock._state.keys["a"].line or ()
    waiter.held.key = "b"
    go.set()
    await asyncio.gather(*running)


async def other_thread(world: World, patch: Patch) -> None:
    thread = threading.Thread(target=world.runtime.threads._work)
    thread.start()
    thread.join()


async def negative_window(world: World, patch: Patch) -> None:
    sampler = world.platform.parts.sampler
    sampler._sampled_at = world.clock.monotonic() + 10
    sampler.sample()


async def lost_user(world: World, patch: Patch) -> None:
    peer = await world.peer({"user_id": "u1"})
    del world.runtime.live.pushes._users["u1"]
    await peer.leave()


async def no_waiter(world: World, **reply: Any) -> None:
    peer = await world.peer()
    peer.connection.requests = {1: object()}
    requests.answer(peer.connection, control.Reply(ref=1, **reply))


async def no_waiter_for_answer(world: World, patch: Patch) -> None:
    await no_waiter(world, data=1, error=None)


async def no_waiter_for_error(world: World, patch: Patch) -> None:
    await no_waiter(world, data=None, error="no")


async def requests_type(world: World, patch: Patch) -> None:
    peer = await world.peer()
    strange: Any = UserDict()
    peer.connection.requests = strange
    asked = asyncio.ensure_future(world.platform.request(peer.connection, "ask", 1))
    await turns()
    asked.cancel()


async def untracked_stream(world: World, patch: Patch) -> None:
    peer = await world.peer()
    await peer.stream("m/rows", "a")
    world.runtime.live.streams.subs._by_topic.clear()
    await peer.leave()


async def not_granted(world: World, patch: Patch) -> None:
    peer = await world.peer()
    patch.setattr(Connection, "note", lambda *_, **__: None)
    await world.platform.subscribe(peer.connection, "a")
    patch.undo()


async def not_granted_in_batch(world: World, patch: Patch) -> None:
    grant, peer = Membership.grant, await world.peer()

    def forgetful(self: Membership, connection: Connection, topic: str, reason: str | None) -> str | None:
        found = grant(self, connection, topic, reason)
        connection.all_topics.discard(topic)
        return found

    patch.setattr(Membership, "grant", forgetful)
    peer.send({"type": "subscribe-batch", "topics": ["a", "b"], "ref": 1})
    await turns()
    patch.undo()


async def still_member(world: World, patch: Patch) -> None:
    peer = await world.peer()
    peer.connection.subscribe("a")
    patch.setattr(Subscriptions, "_drop", lambda *_: None)
    peer.connection.unsubscribe("a")
    patch.undo()
    world.runtime.subscriptions.members.pop("a")


async def negative_total(world: World, patch: Patch) -> None:
    subscriptions = world.runtime.subscriptions
    total, subscriptions._total = subscriptions._total, -1
    world.platform.parts.sampler.sample()
    subscriptions._total = total


async def stats_shape(world: World, patch: Patch) -> None:
    patch.setattr(Publisher, "take_window", lambda self: {"t": (1, 2, 3)})
    world.platform.parts.sampler.sample()
    patch.undo()


async def index_mismatch(world: World, patch: Patch) -> None:
    patch.setattr(assembly, "CLOSES_PER_LOOK", 1)
    peer = await world.peer()
    peer.connection.subscribe("a")
    world.runtime.subscriptions.members.pop("a")
    await peer.leave()


async def upload_bytes(world: World, patch: Patch) -> None:
    pending: Any = SimpleNamespace(pending_bytes=1)
    world.runtime.live.uploads._leave_pending(pending)
    world.runtime.live.uploads.pending_bytes = 0


async def same_id(world: World, patch: Patch) -> None:
    patch.setattr(assembly.uuid, "uuid4", lambda: "the same")
    await world.peer()
    await world.peer()
    patch.undo()


async def foreign_request_id(world: World, patch: Patch) -> None:
    peer = await world.peer()
    view: Any = peer.connection.platform
    peer.connection.request_id = f"not {view.request_id}"
    await world.runtime.attempt("drain", peer.connection)


FAULTS: dict[str, Fault] = {
    assertions.AGGREGATE_BUCKET_INDEX: bucket_index,
    assertions.CAPACITY_OVER_LIMIT: over_limit,
    assertions.COALESCE_ENTRY_EVENT_TYPE: entry_event,
    assertions.COALESCE_ENTRY_TOPIC_TYPE: entry_topic,
    assertions.COALESCE_PENDING_TYPE: pending_type,
    assertions.CONN_CLOSE_TWICE: closed_twice,
    assertions.CONN_WRITE_AFTER_CLOSE: written_after_close,
    assertions.ENVELOPE_BATCH_EMPTY: empty_batch,
    assertions.ENVELOPE_EMPTY: empty_publish,
    assertions.ENVELOPE_SEND_EMPTY: empty_send,
    assertions.HANDLE_RPC_ENVELOPE: empty_reply,
    assertions.LOCK_WAITER_SHAPE: waiter_shape,
    assertions.LOOP_THREAD: other_thread,
    assertions.PRESSURE_WINDOW_NEGATIVE: negative_window,
    assertions.PUSH_REGISTRY_ENTRY_TRACKED: lost_user,
    assertions.REQUEST_ENTRY_REJECT_SHAPE: no_waiter_for_error,
    assertions.REQUEST_ENTRY_RESOLVE_SHAPE: no_waiter_for_answer,
    assertions.REQUEST_PENDING_TYPE: requests_type,
    assertions.SUBSCRIPTION_WS_TRACKED: untracked_stream,
    assertions.SUBS_SHAPE: not_granted,
    assertions.SUBS_SHAPE_BATCH: not_granted_in_batch,
    assertions.SUBS_SHAPE_UNSUBSCRIBE: still_member,
    assertions.SUBS_TOTAL_NEGATIVE: negative_total,
    assertions.TOPICS_INDEX_MISMATCH: index_mismatch,
    assertions.TOPIC_STATS_SHAPE: stats_shape,
    assertions.UPLOAD_ACCOUNTING: upload_bytes,
    assertions.WS_PLATFORM_DOUBLE_INIT: same_id,
    assertions.WS_REQUEST_ID_LEAK: foreign_request_id,
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.mark.spec("PLAT-130")
@pytest.mark.parametrize("category", FAULTS)
async def test_a_fault_is_counted_once_and_the_worker_goes_on(
    category: str, world: World, monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    before = dict(assertion_counters())
    with monkeypatch.context() as outside_tests:
        outside_tests.delitem(sys.modules, "pytest")  # so that nothing is raised
        await FAULTS[category](world, monkeypatch)
    counts = {name: count - before.get(name, 0) for name, count in assertion_counters().items()}
    assert {name: count for name, count in counts.items() if count} == {category: 1}
    exported = world.runtime.metrics.snapshot()["assertion_violations_total"]
    assert exported[category,] == assertion_counters()[category]
    said = [record.getMessage() for record in caplog.records if record.name == "realtime.assert"]
    layer = "realtime" if category.startswith("realtime/") else "platform"
    assert [line.partition(" ")[0] for line in said] == [f"[{layer}/assert]"]
    await world.undisturbed()


@pytest.mark.spec("PLAT-130")
def test_every_category_has_a_fault() -> None:
    named = {
        value for name, value in vars(assertions).items() if name.isupper() and isinstance(value, str)
    } - {assertions.EXTENSIONS}
    assert named == FAULTS.keys()


async def test_what_the_cluster_violates_is_shown_twice(world: World) -> None:
    name = "registry.session-shadow.consistency"
    with pytest.raises(assertions.InvariantViolation):
        assertions.assert_invariant(False, name)
    assert name in assertions.extension_counters()
    assert assertions.extension_counters().keys().isdisjoint(FAULTS)
    found = world.runtime.metrics.snapshot()
    shown = found["extensions_assertion_violations_total"]
    assert shown[name,] == found["assertion_violations_total"][name,]
    assert shown.keys() == {(one,) for one in assertions.extension_counters()}
