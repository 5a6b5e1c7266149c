"""What calls, streams, uploads and the context of live functions do at their bounds."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from runtime.core.errors import CapacityExceeded
from runtime.live.aggregate import Sliding
from runtime.live.keep import KeepStore
from runtime.live.marks import Place, finish, learn_path
from runtime.wire.binary import encode_binary_call
from tests.server.peers import Peer, turns
from tests.server.test_uploads import Sender
from tests.unit.capacity.world import Fill, World
from tests.unit.live.test_aggregate import window as declared

__all__ = ["FILLS"]


async def binary(world: World) -> None:
    peer = await world.peer()
    for id, size in (("a", 8), ("b", 9)):
        peer.send(encode_binary_call("m/blob", id, [], b"x" * size))
    assert (await peer.reply("a"))["data"] == 8
    assert (await peer.reply("b"))["code"] == "PAYLOAD_TOO_LARGE"


async def batch(world: World) -> None:
    peer = await world.peer()
    for ids in ("ab", "cde"):
        peer.send({"batch": [{"rpc": "m/echo", "id": id, "args": [id]} for id in ids]})
    await turns(10)
    frames = [one["data"] for one in peer.parsed() if one.get("event") == "__batch"]
    answers = [[(one["id"], one["ok"], one.get("code")) for one in frame["batch"]] for frame in frames]
    assert [("a", True, None), ("b", True, None)] in answers
    refused = next(answer for answer in answers if answer[0][1] is False)
    assert {code for _, _, code in refused} == {"INVALID_REQUEST"}


async def window(world: World) -> None:
    declared(Sliding(duration=2, slide=1))
    with pytest.raises(ValueError, match=r"window 'w': .* are 3 buckets, and MAX_AGGREGATE_BUCKETS is 2"):
        declared(Sliding(duration=3, slide=1))


async def streams(world: World) -> None:
    peer, other = await world.peer(), await world.peer()
    assert [(await peer.stream("m/rows", name)).get("code") for name in "abc"] == [None, None, "RATE_LIMITED"]
    assert (await other.stream("m/rows", "c"))["ok"]
    peer.send({"type": "unsubscribe", "topic": "rows:a"})
    await turns()
    assert (await peer.stream("m/rows", "c"))["ok"]


async def stream_topics(world: World) -> None:
    peer = await world.peer()
    assert [(await peer.stream("m/rows", name)).get("code") for name in "abc"] == [None, None, "OVERLOADED"]
    assert (await (await world.peer()).stream("m/rows", "a"))["ok"]  # that topic is there


async def many_stream_topics(world: World) -> None:
    peer = await world.peer()
    assert [(await peer.stream("m/rows", name))["ok"] for name in "abcd"] == [True] * 4


async def callers(world: World) -> None:
    peers = [await world.peer({"id": name}) for name in "abc"]
    assert [(await peer.request("m/limited")).get("code") for peer in peers] == [None, None, "RATE_LIMITED"]
    assert (await peers[0].request("m/limited"))["ok"]  # who is known goes on
    await world.clock.advance(200)  # what is stale goes first
    assert (await peers[2].request("m/limited"))["ok"]


async def idempotency_key(world: World) -> None:
    peer = await world.peer({"id": "a"})
    codes = [(await peer.request("m/once", 1, idempotencyKey="k" * size)).get("code") for size in (2, 3)]
    assert codes == [None, "INVALID_REQUEST"]


async def paced(world: World, path: str, at_once: list[str]) -> None:
    peer = await world.peer()
    peer.connection.subscribe("paced")
    for key in ("a", "b", "c", "c", "a"):
        assert (await peer.request(path, key))["ok"]
    assert [data["key"] for _, data in peer.events("paced")] == at_once
    await world.clock.advance(10)


async def gates(world: World) -> None:
    peer = await world.peer()
    answers = [(await peer.request("m/skips", key))["data"] for key in ("a", "b", "c", "c", "a")]
    assert answers == [False, False, False, False, True]
    await world.clock.advance(10)
    assert (await peer.request("m/skips", "c"))["data"] is False
    assert (await peer.request("m/skips", "c"))["data"] is True


async def users(world: World) -> None:
    await world.peer({"user_id": "u1"})
    found = await world.peer({"user_id": "u2"})
    lost = await world.peer({"user_id": "u3"})
    found.send({"rpc": "m/pushes", "id": "p", "args": ["u3"]})
    assert (await found.reply("p"))["code"] == "NOT_FOUND"
    assert (await lost.request("m/echo", 1))["ok"]  # the connection works


async def long_users(world: World) -> None:
    peer = await world.peer()
    codes = [(await peer.request("m/signals", "u" * size)).get("code") for size in (4, 5)]
    assert codes == [None, "INVALID_USER_ID"]


async def kept(world: World) -> None:
    store = KeepStore()
    for name in "ab":
        store.get("m", name, dict, ())
    with pytest.raises(CapacityExceeded, match="MAX_LIVE_KEPT"):
        store.get("m", "c", dict, ())
    assert store.get("m", "a", dict, ()) == {}


async def watchers(world: World) -> None:
    told: list[str] = []

    def again(published: Any) -> None:
        told.append(published.event)
        world.platform.publish("loop", "again")

    end = world.runtime.live.watchers.add("loop", again)
    world.platform.publish("loop", "first")
    await turns()
    end()
    assert told == ["first", "again"]
    assert world.runtime.metrics.get("watcher_depth_exceeded_total") == 1


async def wrappers(world: World) -> None:
    def handler(ctx: Any) -> None:
        """Does nothing."""

    places: list[Place] = []
    wrapped: Any = handler
    for _ in range(3):
        place, inner = Place(handler), wrapped

        @functools.wraps(inner)
        def wrapper(ctx: Any, inner: Any = inner) -> Any:
            return inner(ctx)

        wrapped = finish(wrapper, inner, place)
        places.insert(0, place)
    learn_path(wrapped, "m/handler")
    assert [place.path == "m/handler" for place in places] == [True, True, False]


async def dev_warnings(world: World) -> None:
    peer = await world.peer()
    for path in ("m/echo", "m/once", "m/skips"):
        peer.send({"rpc": path, "args": ["a"]})
    await turns(10)


async def silent(world: World) -> None:
    peer = await world.peer()
    for name in "abc":
        await peer.stream("m/rows", name)
    await world.clock.advance(31)


async def loud(world: World) -> None:
    peer = await world.peer()
    for name in "abc":
        await peer.stream("m/rows", name)
        await world.publishes(*[f"rows:{name}"] * 9)
    await world.clock.advance(1.1)


async def refused(peer: Peer, sender: Sender, code: str) -> None:
    assert (await sender.code())[0] == code
    assert (await peer.request("m/echo", 1))["ok"]


async def upload_size(world: World) -> None:
    peer = await world.peer()
    fits = Sender(peer, "m/put", id=1).send(b"x" * 8, last=True)
    assert (await fits.response())["data"] == 8
    upload = Sender(peer, "m/put", id=2).send()
    await turns()
    upload.send(b"x" * 8)
    await refused(peer, upload, "PAYLOAD_TOO_LARGE")


async def uploads_of_one(world: World) -> None:
    peer, other = await world.peer(), await world.peer()
    first = Sender(peer, "m/put", id=1).send()
    await turns()
    await refused(peer, Sender(peer, "m/put", id=2).send(), "TOO_MANY_UPLOADS")
    assert (await Sender(other, "m/put").send(b"xx", last=True).response())["data"] == 2
    first.send(b"x", last=True)
    assert (await first.response())["data"] == 2


async def uploads_of_all(world: World) -> None:
    peer, other = await world.peer(), await world.peer()
    first = Sender(peer, "m/put").send()
    await turns()
    await refused(other, Sender(other, "m/put").send(), "TOO_MANY_UPLOADS")
    first.send(b"x", last=True)
    assert (await first.response())["data"] == 2
    assert (await Sender(other, "m/put", id=2).send(b"xx", last=True).response())["data"] == 2


async def upload_unread(world: World) -> None:
    peer = await world.peer()
    upload = Sender(peer, "m/held").send()
    await turns()
    upload.send().send()
    await refused(peer, upload, "FLOW_BACKPRESSURE")


async def upload_early(world: World) -> None:
    peer = await world.peer()
    await refused(peer, Sender(peer, "m/put").send().send().send(), "FLOW_BACKPRESSURE")


async def upload_early_bytes(world: World) -> None:
    peer = await world.peer()
    await refused(peer, Sender(peer, "m/put").send(b"x" * 8).send(), "PAYLOAD_TOO_LARGE")


async def upload_early_bytes_of_all(world: World) -> None:
    peer, other = await world.peer(), await world.peer()
    first = Sender(peer, "m/put").send(b"x" * 8)
    second = Sender(other, "m/put").send()
    await refused(other, second, "OVERLOADED")
    first.send(b"x", last=True)
    assert (await first.response())["data"] == 9


FILLS = {
    "BINARY_MAX_SIZE": Fill("reject", binary, limit=8),
    "MAX_AGGREGATE_BUCKETS": Fill("reject", window),
    "MAX_BATCH_CALLS": Fill("reject", batch),
    "MAX_DEBOUNCE_TIMERS": Fill("bypass", functools.partial(paced, path="m/debounced", at_once=["c", "c"])),
    "MAX_IDEMPOTENCY_KEY": Fill("reject", idempotency_key),
    "MAX_LIVE_KEPT": Fill("reject", kept),
    "MAX_PUSH_REGISTRY": Fill("skip", users, more=True),
    "MAX_RATE_LIMIT_IDENTITIES": Fill("reject", callers),
    "MAX_SKIP_GATES": Fill("bypass", gates),
    "MAX_STREAM_SUBSCRIPTIONS": Fill("reject", streams),
    "MAX_THROTTLE_TIMERS": Fill(
        "bypass", functools.partial(paced, path="m/throttled", at_once=["a", "b", "c", "c"])
    ),
    "MAX_TOPIC_WS_COUNTS": Fill("reject", stream_topics),
    "MAX_USER_ID_LENGTH": Fill("reject", long_users, limit=4),
    "MAX_WATCHER_DEPTH": Fill("skip", watchers),
    "MAX_WRAPPER_DEPTH": Fill("skip", wrappers),
    "PUBLISH_RATE_WARN_DEDUP_MAX": Fill("evict", loud),
    "SILENT_TOPIC_WARN_DEDUP_MAX": Fill("evict", silent),
    "TOPIC_WS_COUNTS_WARN_THRESHOLD": Fill("warn", many_stream_topics, slack=2),
    "UPLOAD_MAX_BUFFERED_CHUNKS": Fill("reject", upload_unread),
    "UPLOAD_MAX_CONCURRENT_PER_SESSION": Fill("reject", uploads_of_one, limit=1),
    "UPLOAD_MAX_CONCURRENT_TOTAL": Fill("reject", uploads_of_all, limit=1),
    "UPLOAD_MAX_SIZE": Fill("reject", upload_size, limit=8),
    "UPLOAD_PENDING_MAX_AGGREGATE": Fill("reject", upload_early_bytes_of_all, limit=8),
    "UPLOAD_PENDING_MAX_CHUNKS": Fill("reject", upload_early),
    "UPLOAD_PENDING_MAX_SIZE": Fill("reject", upload_early_bytes, limit=8),
    "VOLATILE_WARN_CAP": Fill("evict", dev_warnings),
}
