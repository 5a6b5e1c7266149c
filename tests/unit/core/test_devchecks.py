"""What only dev looks at. Spec: platform 2.2 and 2.6, wire 2.1."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import msgspec
import pytest

from runtime.core import capacity, devchecks, requests
from runtime.core.settings import ServerSettings, Settings
from runtime.wire import control
from tests.server.peers import turns
from tests.unit.core.parts import Core

DEV = Settings(server=ServerSettings(env="dev"))


class Struct(msgspec.Struct):
    id: int
    raw: bytes = b""


@dataclasses.dataclass
class Row:
    items: list[Any]


class Record:
    """A row of a database driver: neither a mapping nor a dataclass."""

    def keys(self) -> list[str]:
        return ["id"]

    def __getitem__(self, name: str) -> int:
        return 2**60


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


BIG = "is a whole number beyond 2^53-1, which JavaScript rounds; send it as a string"
RAW = "bytes, which travel as base64 text; decode them in the client"


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"abc", f" holds 3 {RAW}"),
        ({"a": [1, {"b": b"xy"}]}, f"['a'][1]['b'] holds 2 {RAW}"),
        (bytearray(4), f" holds 4 {RAW}"),
        ([memoryview(b"x")], f"[0] holds 1 {RAW}"),
        (2**53, f" {BIG}"),
        ([-(2**53)], f"[0] {BIG}"),
        ({"id": 2**63}, f"['id'] {BIG}"),
        (Struct(2**60), f"['id'] {BIG}"),
        (Struct(1, b"r"), f"['raw'] holds 1 {RAW}"),
        (Row([{"n": 2**60}]), f"['items'][0]['n'] {BIG}"),
        ([Record()], f"[0]['id'] {BIG}"),
        ((1, (2**60,)), f"[1][0] {BIG}"),
    ],
)
async def test_what_a_browser_reads_differently_is_warned_of(
    data: Any, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    core = Core(settings=DEV)
    core.platform.publish("t", "e", data)
    assert messages(caplog) == [f"publish on 't': data{where}"]


@pytest.mark.parametrize(
    "data",
    [None, True, "x", 1.5, 2**53 - 1, -(2**53) + 1, {"a": [None, {"b": [1, "2"]}]}, {1: 2}, [], Struct(1)],
)
async def test_plain_data_is_fine(data: Any, caplog: pytest.LogCaptureFixture) -> None:
    core = Core(settings=DEV)
    if isinstance(data, Struct):
        data = {"id": data.id}
    core.platform.publish("t", "e", data)
    assert messages(caplog) == []


async def test_a_topic_is_warned_of_once_and_by_every_door(caplog: pytest.LogCaptureFixture) -> None:
    core = Core(settings=DEV)
    peer = core.connect("t")
    platform = core.platform
    doors: list[Callable[[str], Any]] = [
        lambda topic: platform.publish(topic, "e", b"x"),
        lambda topic: platform.batch([{"topic": topic, "event": "e", "data": b"x"}]),
        lambda topic: platform.publish_batched([{"topic": topic, "event": "e", "data": b"x"}]),
        lambda topic: platform.send(peer, topic, "e", b"x"),
        lambda topic: platform.send_to(bool, topic, "e", b"x"),
        lambda topic: platform.send_coalesced(peer, key="k", topic=topic, event="e", data=b"x"),
        lambda topic: platform.topic(topic).set(b"x"),
    ]
    for n, door in enumerate(doors):
        door(f"t{n}")
        door(f"t{n}")
    assert len(messages(caplog)) == len(doors)


async def test_outside_dev_nothing_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    core = Core()
    peer = core.connect("t")
    assert core.platform.dev_checks is None
    core.platform.publish("t", "e", [b"\x00\xff", 2**60])
    assert core.texts(peer) == ['{"topic":"t","event":"e","data":["AP8=",1152921504606846976],"seq":1}']
    assert messages(caplog) == []


async def test_the_topics_warned_of_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    core = Core(settings=DEV)
    with capacity.capacity_override(PAYLOAD_WARN_CAP=2):
        for n in range(5):
            core.platform.publish(f"t{n}", "e", b"x")
    assert [text for text in messages(caplog) if text.startswith("publish on")] == [
        f"publish on 't{n}': data holds 1 {RAW}" for n in range(2)
    ]


async def test_a_large_payload_is_not_walked_to_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devchecks, "MAX_WALKED", 5)
    core = Core(settings=DEV)
    core.platform.publish("t", "e", [*range(5), b"x"])
    assert messages(caplog) == []
    core.platform.publish("t", "e", [1, b"x"])
    assert len(messages(caplog)) == 1


async def test_data_without_a_json_form_is_told_by_the_publish_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(TypeError, match="no JSON form"):
        Core(settings=DEV).platform.publish("t", "e", [object(), 2**60])
    assert messages(caplog) == []


async def test_a_publish_from_a_foreign_thread_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    core = Core(settings=DEV)
    core.parts.threads.open()
    await anyio.to_thread.run_sync(core.platform.publish, "nobody", "e")
    assert messages(caplog) == [
        "platform.publish was called from another thread than the event loop's; "
        "use platform.threadsafe.publish {}"
    ]


CALLS: list[tuple[str, Callable[[Core, Any], Any]]] = [
    ("platform.subscribe(...)", lambda core, peer: core.platform.subscribe(peer, "t")),
    ("platform.check_subscribe(...)", lambda core, peer: core.platform.check_subscribe(peer, "t")),
    ("platform.request(...)", lambda core, peer: core.platform.request(peer, "e")),
]


@pytest.mark.parametrize(("what", "call"), CALLS)
async def test_a_lost_await_is_reported_with_its_place(
    what: str, call: Callable[[Core, Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    core = Core(settings=DEV)
    peer = core.connect()

    call(core, peer)
    gc.collect()
    place = f"{__file__}:{call.__code__.co_firstlineno} in <lambda>"
    assert messages(caplog) == [
        f"{what} at {place} was called without await, so it did nothing; write: await {what}"
    ]
    assert not peer.is_subscribed("t")
    assert core.texts(peer) == []


async def test_what_is_awaited_works_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    core = Core(settings=DEV)
    core.gate(subscribe=_slow_no)
    peer = core.connect()
    assert await core.platform.subscribe(peer, "t") == "NO"
    # As a task, gathered, under a limit, cancelled, closed: all that people do with coroutines.
    task: Any = core.parts.tasks.start(core.platform.check_subscribe(peer, "t"), name="check")
    assert await task == "NO"
    assert await asyncio.gather(core.platform.subscribe(peer, "a"), core.platform.subscribe(peer, "b")) == [
        "NO",
        "NO",
    ]
    async with asyncio.timeout(1):
        assert await core.platform.subscribe(peer, "t") == "NO"
    answered: Any = core.parts.tasks.start(core.platform.request(peer, "e"), name="request")
    await turns(2)
    requests.answer(peer, control.Reply(1, "yes", None))
    assert await answered == "yes"
    cancelled: Any = core.parts.tasks.start(core.platform.request(peer, "e"), name="request")
    await turns(2)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    core.platform.subscribe(peer, "t").close()
    unused = core.platform.subscribe(peer, "t")
    assert asyncio.iscoroutine(unused)
    unused.close()
    del unused
    gc.collect()
    assert messages(caplog) == []


async def _slow_no(connection: Any, topic: str) -> str:
    await asyncio.sleep(0)
    return "NO"
