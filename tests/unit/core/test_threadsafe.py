"""The platform from other threads. Spec: platform 2."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio.to_thread
import pytest

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded, PlatformNotReady
from tests.server.peers import turns
from tests.unit.core.parts import Core


async def in_thread(work: Callable[[], Any]) -> Any:
    return await anyio.to_thread.run_sync(work)


@pytest.fixture
async def core() -> Core:
    core = Core()
    core.parts.threads.open()
    return core


@pytest.mark.spec("PLAT-77")
async def test_every_method_works_from_a_worker_thread_in_order(core: Core) -> None:
    peer = core.connect("t", "u", user={"role": "admin"})
    results: list[Any] = []

    def work() -> None:
        view = core.platform.threadsafe
        assert threading.current_thread() is not threading.main_thread()
        results.append(view.publish("t", "publish", {"n": 1}))
        results.append(view.publish("t", "unstamped", seq=False))
        results.append(view.publish("t", "volatile", volatile=True, relay=False))
        results.append(view.batch([{"topic": "t", "event": "batch"}, {"topic": "u", "event": "batch"}]))
        results.append(view.publish_batched([{"topic": "u", "event": "batched"}]))
        results.append(view.send(peer, "x", "send"))
        results.append(view.send_to(lambda user: user["role"] == "admin", "x", "send_to"))
        results.append(view.send_coalesced(peer, key="k", topic="x", event="coalesced", data=2))

    await in_thread(work)
    await turns()
    assert results == [None] * 8
    assert core.events(peer) == [
        ("t", "publish", {"n": 1}, 1),
        ("t", "unstamped", None, None),
        ("t", "volatile", None, None),
        ("t", "batch", None, 2),
        ("u", "batch", None, 1),
        ("u", "batched", None, 2),
        ("x", "send", None, None),
        ("x", "send_to", None, None),
        ("x", "coalesced", 2, None),
    ]


@pytest.mark.spec("PLAT-77")
async def test_the_order_of_one_thread_holds_and_many_threads_lose_nothing(core: Core) -> None:
    peer = core.connect("t")

    def work(name: str) -> None:
        for n in range(200):
            core.platform.threadsafe.publish("t", name, n)

    await asyncio.gather(*(in_thread(lambda name=name: work(name)) for name in "abcd"))
    await turns()
    events = core.events(peer)
    for name in "abcd":
        assert [data for _, event, data, _ in events if event == name] == list(range(200))
    assert [number for *_, number in events] == list(range(1, 801))


async def test_a_burst_wakes_the_loop_once(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = core.connect("t")
    loop = asyncio.get_running_loop()
    woken: list[Any] = []
    real = loop.call_soon_threadsafe

    def counted(callback: Any, *args: Any, **options: Any) -> Any:
        if callback == core.parts.threads._work:
            woken.append(callback)
        return real(callback, *args, **options)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    for n in range(50):  # in the loop's own thread, which cannot work in between
        core.platform.threadsafe.publish("t", "e", n)
    assert len(woken) == 1
    await turns()
    core.platform.threadsafe.publish("t", "e", 50)
    assert len(woken) == 2
    await turns()
    assert [data for *_, data, _ in core.events(peer)] == list(range(51))


async def test_data_is_read_before_the_method_returns(core: Core) -> None:
    peer = core.connect("t")
    data = {"n": 1}

    def work() -> None:
        view = core.platform.threadsafe
        view.publish("t", "e", data)
        view.send(peer, "t", "e", data)
        view.publish_batched([{"topic": "t", "event": "e", "data": data}])
        data["n"] = 2

    await in_thread(work)
    await turns()
    assert [sent for _, _, sent, _ in core.events(peer)] == [{"n": 1}] * 3


BAD: list[Callable[[Any, Any], Any]] = [
    lambda view, peer: view.publish('t"', "e"),
    lambda view, peer: view.publish("t", "e", seq=0),
    lambda view, peer: view.publish("kept", "e", seq=False),
    lambda view, peer: view.batch([{"topic": "t", "event": "e"}, {"topic": ""}]),
    lambda view, peer: view.batch([{"topic": "kept", "event": "e", "volatile": True}]),
    lambda view, peer: view.publish_batched([{"topic": "t"}]),
    lambda view, peer: view.send(peer, "", "e"),
    lambda view, peer: view.send_to(bool, "t", ""),
    lambda view, peer: view.send_coalesced(peer, key="", topic="t", event="e"),
    lambda view, peer: view.send_coalesced(peer, key="k", topic="", event="e"),
]


@pytest.mark.parametrize("call", BAD)
async def test_bad_arguments_raise_in_the_thread_and_send_nothing(core: Core, call: Any) -> None:
    peer = core.connect("t", "kept")
    core.publisher.recorders["kept"] = lambda event, data, seq: None

    def work() -> None:
        with pytest.raises(ValueError, match=r"topic|event|seq|key"):
            call(core.platform.threadsafe, peer)

    await in_thread(work)
    await turns()
    assert core.events(peer) == []
    assert core.metrics.total("publish_total") == 0


async def test_before_the_start_and_after_the_end_there_is_no_loop() -> None:
    core = Core()
    with pytest.raises(PlatformNotReady, match="the app is not running"):
        core.platform.threadsafe.publish("t", "e")
    core.parts.threads.open()
    peer = core.connect("t")
    core.platform.threadsafe.publish("t", "e")
    core.parts.threads.close()
    with pytest.raises(PlatformNotReady, match="the app is not running"):
        core.platform.threadsafe.publish("t", "e")
    await turns()
    assert core.events(peer) == []


async def test_what_the_loop_does_not_take_is_bounded(core: Core) -> None:
    peer = core.connect("t")
    with capacity.capacity_override(MAX_THREADSAFE_QUEUE=3):
        for n in range(3):
            core.platform.threadsafe.publish("t", "e", n)
        with pytest.raises(CapacityExceeded, match="wait for the loop exceeded 3"):
            core.platform.threadsafe.publish("t", "e", 3)
        await turns()
        core.platform.threadsafe.publish("t", "e", 4)
    await turns()
    assert [data for *_, data, _ in core.events(peer)] == [0, 1, 2, 4]


async def test_a_call_that_fails_in_the_loop_is_logged_and_stops_no_other(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    peer = core.connect("t")
    view = core.platform.threadsafe
    view.publish("t", "e", 1, seq=False)
    # The topic becomes one that is kept between the check and the sending.
    core.publisher.recorders["t"] = lambda event, data, seq: None
    view.publish("t", "e", 2)
    await turns()
    assert [data for *_, data, _ in core.events(peer)] == [2]
    assert [record.getMessage() for record in caplog.records] == ["a call of platform.threadsafe failed"]


async def test_it_knows_who_is_foreign(core: Core) -> None:
    assert core.parts.threads.is_foreign() is False
    assert await in_thread(core.parts.threads.is_foreign) is True


@pytest.fixture
def published_log(core: Core, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A log that is shown live: every line is published by the thread that wrote it."""

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with contextlib.suppress(CapacityExceeded):
                core.platform.threadsafe.publish("log", "line", record.name)

    monkeypatch.setattr(capacity, "_told", {})
    handler = Shown()
    logger = logging.getLogger("realtime")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@pytest.mark.usefixtures("published_log")
async def test_a_log_handler_that_publishes_does_not_lock_the_door_it_is_in(core: Core) -> None:
    ended = threading.Event()

    def work() -> None:
        with pytest.raises(CapacityExceeded):
            core.platform.threadsafe.publish("t", "e")
        ended.set()

    with capacity.capacity_override(MAX_THREADSAFE_QUEUE=1):
        core.platform.threadsafe.publish("t", "first")
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        ended.wait(5)  # the loop takes nothing meanwhile
    assert ended.is_set()
    thread.join()


async def test_a_door_that_opens_again_takes_work_again() -> None:
    core = Core()
    core.parts.threads.open()
    core.platform.threadsafe.publish("t", "lost")
    core.parts.threads.close()
    core.parts.threads.open()
    peer = core.connect("t")
    core.platform.threadsafe.publish("t", "e", 1)
    await turns()
    assert [event for _, event, *_ in core.events(peer)] == ["e"]


async def test_a_door_of_another_loop_does_not_wait_for_the_wake_of_the_old_one(core: Core) -> None:
    def other_loop() -> None:
        async def main() -> None:
            core.parts.threads.open()
            core.platform.threadsafe.publish("t", "lost")
            core.parts.threads.close()  # before the loop comes to it, which ends now
            asyncio.get_running_loop().stop()

        loop = asyncio.new_event_loop()
        task = loop.create_task(main())
        loop.run_forever()
        assert task.done()
        loop.close()

    await in_thread(other_loop)
    core.parts.threads.open()
    peer = core.connect("t")
    core.platform.threadsafe.publish("t", "e", 1)
    await turns()
    assert [event for _, event, *_ in core.events(peer)] == ["e"]
