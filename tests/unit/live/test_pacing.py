"""Throttled and debounced publishes, and `ctx.skip`. Spec: live-api 2.3 and 2.4."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.errors import LiveError, PayloadTooLarge
from runtime.core.signal import Signal
from runtime.live.callables import call_in_thread
from runtime.live.context import Ctx, ThreadCtx, call_in
from runtime.live.scope import LiveScope
from tests.server.peers import turns
from tests.unit.core.parts import Core


class Worker:
    """One worker with a connection that hears the topic `a`; each `ctx` is that of another call."""

    def __init__(self, **options: Any) -> None:
        self.core = Core(**options)
        self.peer = self.core.connect("a", "b", caps=["batch"])
        self.scope = LiveScope(self.core.platform, self.core.turn, self.core.max_frame)
        self.clock = self.core.clock

    @property
    def ctx(self) -> Any:
        return Ctx(self.scope, self.peer, user=None, signal=Signal())

    def heard(self) -> list[Any]:
        self.core.turn.flush()
        return [data for _, _, data, _ in self.core.events(self.peer)]


@pytest.mark.spec("LIVE-15")
async def test_a_throttle_publishes_the_first_at_once_and_the_last_at_the_end() -> None:
    worker = Worker()
    for n in range(5):
        worker.ctx.publish_throttled("a", "moved", n, 0.5)
    assert worker.heard() == [0]
    await worker.clock.advance(0.49)
    assert worker.heard() == [0]
    await worker.clock.advance(0.02)
    assert worker.heard() == [0, 4]
    assert [number for *_, number in worker.core.events(worker.peer)] == [1, 2]
    await worker.clock.advance(10)
    assert worker.heard() == [0, 4]
    assert worker.clock.pending == 0


@pytest.mark.spec("LIVE-15")
async def test_a_throttle_that_nothing_followed_publishes_nothing_more() -> None:
    worker = Worker()
    worker.ctx.publish_throttled("a", "moved", 1, 0.5)
    await worker.clock.advance(1)
    assert worker.heard() == [1]
    worker.ctx.publish_throttled("a", "moved", 2, 0.5)
    assert worker.heard() == [1, 2]


@pytest.mark.spec("LIVE-15")
@pytest.mark.parametrize("shape", ["publish_throttled", "publish_debounced"])
async def test_topic_event_and_key_of_the_data_have_a_time_of_their_own(shape: str) -> None:
    worker = Worker()
    different: list[tuple[str, str, dict[str, Any]]] = [
        ("a", "moved", {"key": "u1", "n": 1}),
        ("a", "moved", {"key": "u2", "n": 2}),
        ("a", "moved", {"key": 1, "n": 3}),
        ("a", "moved", {"key": "1", "n": 4}),
        ("a", "moved", {"key": True, "n": 5}),
        ("a", "moved", {"key": [1], "n": 6}),
        ("a", "moved", {"key": None, "n": 7}),
        ("a", "moved", {"n": 8}),
        ("a", "gone", {"n": 9}),
        ("b", "moved", {"n": 10}),
    ]
    for topic, event, data in different:
        getattr(worker.ctx, shape)(topic, event, {**data, "n": 0}, 1)
        getattr(worker.ctx, shape)(topic, event, data, 1)
    await worker.clock.advance(1)
    last = [data["n"] for data in worker.heard() if data["n"]]
    assert last == list(range(1, 11))


@pytest.mark.spec("LIVE-16")
async def test_after_the_last_of_a_window_the_next_publishes_at_once() -> None:
    worker = Worker()
    worker.ctx.publish_throttled("a", "moved", 1, 0.5)
    worker.ctx.publish_throttled("a", "moved", 2, 0.5)
    await worker.clock.advance(0.5)
    assert worker.heard() == [1, 2]
    worker.ctx.publish_throttled("a", "moved", 3, 0.5)
    assert worker.heard() == [1, 2, 3]


@pytest.mark.spec("LIVE-17")
async def test_a_debounce_publishes_the_last_after_silence() -> None:
    worker = Worker()
    for n in range(5):
        worker.ctx.publish_debounced("a", "typed", n, 0.5)
        await worker.clock.advance(0.4)
    assert worker.heard() == []
    await worker.clock.advance(0.11)
    assert worker.heard() == [4]
    assert worker.clock.pending == 0
    await worker.clock.advance(10)
    assert worker.heard() == [4]


@pytest.mark.spec("LIVE-17")
async def test_the_wait_of_the_last_call_counts() -> None:
    worker = Worker()
    worker.ctx.publish_debounced("a", "typed", 1, 10)
    worker.ctx.publish_debounced("a", "typed", 2, 0.5)
    await worker.clock.advance(0.5)
    assert worker.heard() == [2]
    worker.ctx.publish_debounced("a", "typed", 3, 0.5)
    worker.ctx.publish_debounced("a", "typed", 4, 10)
    await worker.clock.advance(9.9)
    assert worker.heard() == [2]
    await worker.clock.advance(0.2)
    assert worker.heard() == [2, 4]
    assert worker.clock.pending == 0


@pytest.mark.spec("LIVE-18")
async def test_beyond_the_bound_every_throttled_publish_is_at_once() -> None:
    assert capacity.DEFAULTS["MAX_THROTTLE_TIMERS"] == 5000
    worker = Worker()
    for n in range(5000):
        worker.ctx.publish_throttled("a", "moved", {"key": str(n)}, 1)
    assert len(worker.heard()) == 5000
    before = capacity.events["MAX_THROTTLE_TIMERS", "bypass"]
    for n in range(3):
        worker.ctx.publish_throttled("a", "moved", {"key": "5000", "n": n}, 1)
    assert [data["n"] for data in worker.heard()[5000:]] == [0, 1, 2]
    assert capacity.events["MAX_THROTTLE_TIMERS", "bypass"] == before + 3
    worker.ctx.publish_throttled("a", "moved", {"key": "7", "late": True}, 1)
    assert len(worker.heard()) == 5003
    await worker.clock.advance(1)
    assert worker.heard()[5003:] == [{"key": "7", "late": True}]


async def test_beyond_the_bound_every_debounced_publish_is_at_once() -> None:
    worker = Worker()
    with capacity.capacity_override(MAX_DEBOUNCE_TIMERS=1):
        worker.ctx.publish_debounced("a", "typed", {"key": "1"}, 1)
        worker.ctx.publish_debounced("a", "typed", {"key": "2"}, 1)
        worker.ctx.publish_debounced("a", "typed", {"key": "2"}, 1)
    assert worker.heard() == [{"key": "2"}, {"key": "2"}]
    await worker.clock.advance(1)
    assert worker.heard()[2:] == [{"key": "1"}]


@pytest.mark.parametrize("shape", ["publish_throttled", "publish_debounced"])
@pytest.mark.parametrize("wait", [0, -1, float("inf"), float("nan"), "1", None, True])
async def test_a_time_that_cannot_be_is_refused(shape: str, wait: Any) -> None:
    worker = Worker()
    with pytest.raises(ValueError, match=rf"{shape}: (every|after) must be a finite number of seconds"):
        getattr(worker.ctx, shape)("a", "moved", 1, wait)
    assert worker.heard() == []


@pytest.mark.parametrize("shape", ["publish_throttled", "publish_debounced"])
async def test_what_cannot_be_published_is_refused_at_the_call(shape: str) -> None:
    worker = Worker(max_frame=200)
    publish = getattr(worker.ctx, shape)
    with pytest.raises(LiveError) as caught:
        publish("__a", "moved", 1, 1)
    assert caught.value.code == "INVALID_TOPIC"
    with pytest.raises(ValueError, match="event"):
        publish("a", "", 1, 1)
    with pytest.raises(TypeError):
        publish("a", "moved", object(), 1)
    with pytest.raises(PayloadTooLarge):
        publish("a", "moved", "x" * 200, 1)
    await worker.clock.advance(2)
    assert worker.heard() == []


async def test_data_that_is_changed_afterwards_is_published_as_it_was() -> None:
    worker = Worker()
    data = {"n": 1}
    worker.ctx.publish_debounced("a", "typed", data, 1)
    data["n"] = 2
    await worker.clock.advance(1)
    assert worker.heard() == [{"n": 1}]


@pytest.mark.spec("LIVE-12")
async def test_throttled_and_plain_publishes_of_a_turn_are_one_frame_in_order() -> None:
    worker = Worker()
    ctx = worker.ctx
    ctx.publish("a", "e", 1)
    ctx.publish_throttled("a", "e", 2, 1)
    ctx.publish("a", "e", 3)
    await turns(2)
    assert [len(frame["events"]) for frame in worker.core.frames(worker.peer)] == [3]
    assert worker.heard() == [1, 2, 3]


async def test_the_end_of_a_worker_publishes_what_waits_and_ends_every_timer() -> None:
    worker = Worker()
    closing = worker.core.parts.closing
    worker.ctx.publish_throttled("a", "moved", 1, 60)
    worker.ctx.publish_throttled("a", "moved", 2, 60)
    worker.ctx.publish_debounced("a", "typed", 3, 60)
    assert closing.sizes()["MAX_THROTTLE_TIMERS"] == closing.sizes()["MAX_DEBOUNCE_TIMERS"] == 1
    closing.flush()
    assert [data for _, _, data, _ in worker.core.events(worker.peer)] == [1, 2, 3]
    assert worker.clock.pending == 0
    worker.ctx.publish_debounced("a", "typed", 4, 60)
    worker.ctx.publish_throttled("a", "moved", 5, 60)
    worker.ctx.publish_throttled("a", "moved", 6, 60)
    assert worker.clock.pending == 2
    await closing.close(1)
    assert worker.clock.pending == 0
    assert worker.heard() == [1, 2, 3, 5]
    # A body in a thread may be behind: what it publishes now does not wait for a time that nobody waits for.
    worker.ctx.publish_throttled("a", "moved", 7, 60)
    worker.ctx.publish_throttled("a", "moved", 8, 60)
    worker.ctx.publish_debounced("a", "typed", 9, 60)
    assert worker.heard() == [1, 2, 3, 5, 7, 8, 9]
    assert worker.clock.pending == 0


async def test_a_late_publish_that_cannot_be_any_more_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker()
    worker.scope.pacing._publish = lambda event: (_ for _ in ()).throw(ValueError("kept for replay"))
    with pytest.raises(ValueError, match="kept for replay"):
        worker.ctx.publish_throttled("a", "moved", 1, 1)
    worker.ctx.publish_debounced("a", "typed", 2, 1)
    with caplog.at_level(logging.ERROR):
        await worker.clock.advance(1)
    assert "'typed' on 'a' could not be published" in caplog.text


@pytest.mark.spec("LIVE-36")
async def test_threads_share_the_windows_and_gates_of_the_loop() -> None:
    worker = Worker()
    ctx = ThreadCtx(worker.scope, worker.peer, user=None, signal=Signal())

    def body(ctx: Any) -> list[bool]:
        with pytest.raises(ValueError, match="every"):
            ctx.publish_throttled("a", "moved", 0, 0)
        ctx.publish_throttled("a", "moved", 2, 1)
        ctx.publish_throttled("b", "moved", "at once", 1)
        ctx.publish_debounced("a", "typed", 3, 1)
        return [ctx.skip("gate", 1), ctx.skip("gate", 1)]

    worker.ctx.publish_throttled("a", "moved", 1, 1)
    await turns(2)  # what the thread publishes has to wake the loop anew
    with ThreadPoolExecutor(1) as executor:
        ctx.bind(asyncio.get_running_loop(), executor)
        assert await call_in_thread(executor, call_in, ctx, body, []) == [False, True]
    await turns(3)
    assert worker.ctx.skip("gate", 1) is True
    assert worker.heard() == [1, "at once"]
    await worker.clock.advance(1)
    assert worker.heard() == [1, "at once", 2, 3]


@pytest.mark.spec("LIVE-19")
async def test_a_gate_lets_the_first_pass_and_opens_at_its_time() -> None:
    worker = Worker()
    assert worker.ctx.skip("move:1", 1) is False
    assert worker.ctx.skip("move:2", 1) is False
    await worker.clock.advance(0.6)
    assert worker.ctx.skip("move:1", 1) is True
    assert worker.ctx.skip("move:1", 100) is True
    await worker.clock.advance(0.5)
    # Calls inside did not extend it.
    assert worker.ctx.skip("move:1", 1) is False
    assert worker.ctx.skip("move:1", 1) is True


@pytest.mark.spec("LIVE-19")
@pytest.mark.parametrize(
    ("key", "for_"),
    [(None, 1), (5, 1), (b"k", 1), ("k", 0), ("k", -1), ("k", float("inf")), ("k", "1"), ("k", None)],
)
async def test_a_gate_that_cannot_be_is_an_error(key: Any, for_: Any) -> None:
    worker = Worker()
    with pytest.raises(LiveError) as caught:
        worker.ctx.skip(key, for_)
    assert caught.value.code == "INVALID_ARG"
    assert worker.ctx.skip("k", 1) is False


@pytest.mark.spec("LIVE-20")
async def test_with_all_gates_shut_nothing_is_skipped_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert capacity.DEFAULTS["MAX_SKIP_GATES"] == 5000
    monkeypatch.setattr(capacity, "_told", {})
    worker = Worker()
    ctx = worker.ctx
    assert not any(ctx.skip(f"k{n}", 10 + n % 2) for n in range(5000))
    with caplog.at_level(logging.WARNING):
        assert [ctx.skip("more", 10) for _ in range(3)] == [False, False, False]
    assert caplog.text.count("MAX_SKIP_GATES") == 1
    assert ctx.skip("k7", 10) is True
    await worker.clock.advance(10)
    assert [ctx.skip("more", 10), ctx.skip("more", 10)] == [False, True]
    assert len(worker.scope.pacing.gates) == 2501
