"""Questions to a client and what becomes of them. Spec: platform 2.6, wire 2.5."""

from __future__ import annotations

import asyncio
import gc
import json
import math
from collections.abc import Awaitable
from typing import Any

import pytest

from runtime.core import capacity, requests
from runtime.core.connection import Connection
from runtime.core.errors import (
    CapacityExceeded,
    ConnectionBusy,
    ConnectionClosed,
    PayloadTooLarge,
    PlatformError,
    RequestFailed,
    RequestTimeout,
)
from runtime.core.publisher import make_event
from runtime.wire import control
from tests.server.peers import turns
from tests.unit.core.parts import Core


def asked(core: Core, peer: Connection, *args: Any, **options: Any) -> asyncio.Task[Any]:
    question: Any = core.platform.request(peer, *args, **options)
    return core.parts.tasks.start(question, name="request")


def reply(ref: Any, data: Any = None, error: str | None = None) -> control.Reply:
    return control.Reply(ref, data, error)


async def outcome(task: Awaitable[Any]) -> Any:
    try:
        return await task
    except PlatformError as error:
        return type(error).__name__, str(error)


@pytest.mark.spec("WIRE-36", "PLAT-67")
async def test_a_question_carries_a_number_and_ends_with_its_answer() -> None:
    core = Core()
    peer = core.connect()
    first = asked(core, peer, "confirm", {"q": "sure?"})
    second = asked(core, peer, "confirm")
    await turns(2)
    assert core.texts(peer) == [
        '{"type":"request","ref":1,"event":"confirm","data":{"q":"sure?"}}',
        '{"type":"request","ref":2,"event":"confirm","data":null}',
    ]
    requests.answer(peer, reply(2, {"ok": True}))
    requests.answer(peer, reply(1, error="handler said no"))
    assert await second == {"ok": True}
    assert await outcome(first) == ("RequestFailed", "handler said no")
    assert peer.requests is None
    assert core.clock.pending == 0


@pytest.mark.spec("WIRE-36")
async def test_an_answer_without_data_is_none_and_an_empty_error_is_an_error() -> None:
    core = Core()
    peer = core.connect()
    tasks = [asked(core, peer, "e") for _ in range(2)]
    await turns(2)
    requests.answer(peer, reply(1))
    requests.answer(peer, reply(2, error=""))
    assert [await outcome(task) for task in tasks] == [None, ("RequestFailed", "")]


@pytest.mark.spec("WIRE-36", "PLAT-67")
async def test_nobody_answers_in_time() -> None:
    core = Core()
    peer = core.connect()
    usual, short = asked(core, peer, "e"), asked(core, peer, "e", timeout=0.5)
    await core.clock.advance(0.5)
    assert short.done()
    assert await outcome(short) == ("RequestTimeout", "request timed out")
    await core.clock.advance(4.4)
    assert not usual.done()
    await core.clock.advance(0.1)
    assert await outcome(usual) == ("RequestTimeout", "request timed out")
    requests.answer(peer, reply(1, "late"))
    assert peer.requests is None


@pytest.mark.spec("WIRE-36", "PLAT-67")
async def test_the_end_of_the_connection_fails_every_question_on_it() -> None:
    core = Core()
    peer, other = core.connect(), core.connect()
    tasks = [asked(core, peer, "e") for _ in range(3)]
    stays = asked(core, other, "e")
    await turns(2)
    peer.mark_closed("gone")
    requests.fail_all(peer)
    requests.fail_all(peer)
    assert [await outcome(task) for task in tasks] == [("ConnectionClosed", "connection closed")] * 3
    assert len({id(task.exception()) for task in tasks}) == 3
    assert not stays.done()
    requests.answer(other, reply(4, 1))
    assert await stays == 1


async def test_an_end_may_give_its_own_reason() -> None:
    core = Core()
    peer = core.connect()
    task = asked(core, peer, "e")
    await turns(2)
    requests.fail_all(peer, ConnectionBusy("too slow"))
    assert await outcome(task) == ("ConnectionBusy", "too slow")


@pytest.mark.spec("PLAT-67")
async def test_a_closed_connection_is_not_asked() -> None:
    core = Core()
    peer = core.connect()
    peer.mark_closed("gone")
    with pytest.raises(ConnectionClosed, match="connection closed"):
        await core.platform.request(peer, "e")
    assert (peer.requests, core.texts(peer)) == (None, [])


@pytest.mark.spec("PLAT-67")
async def test_beyond_the_bound_a_question_fails_at_once() -> None:
    core = Core()
    peer, other = core.connect(), core.connect()
    with capacity.capacity_override(MAX_PENDING_REQUESTS_PER_CONNECTION=2):
        tasks = [asked(core, peer, "e") for _ in range(2)]
        await turns(2)
        with pytest.raises(CapacityExceeded, match="pending requests exceeded 2 on this connection"):
            await core.platform.request(peer, "e")
        tasks.append(asked(core, other, "e"))
        await turns(2)
        requests.answer(peer, reply(1, "a"))
        tasks.append(asked(core, peer, "e"))
        await turns(2)
    assert len(core.frames(peer)) == 3
    for n, task in enumerate(tasks[1:], 2):
        requests.answer(other if task is tasks[2] else peer, reply(n, n))
    assert [await task for task in tasks] == ["a", 2, 3, 4]


@pytest.mark.spec("PLAT-67")
async def test_a_peer_whose_buffer_is_full_is_busy() -> None:
    core = Core(max_backpressure=100)
    peer = core.connect()
    core.sink(peer).buffered = 100
    with pytest.raises(ConnectionBusy, match="'confirm' was not sent: 100 bytes wait for the peer"):
        await core.platform.request(peer, "confirm")
    assert (peer.requests, core.clock.pending) == (None, 0)


@pytest.mark.spec("PLAT-67")
async def test_cancelling_the_caller_forgets_the_question() -> None:
    core = Core()
    peer = core.connect()
    kept, cancelled = asked(core, peer, "e"), asked(core, peer, "e")
    await turns(2)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert list(peer.requests or ()) == [1]
    assert core.clock.pending == 1
    requests.answer(peer, reply(2, "nobody waits"))
    requests.answer(peer, reply(1, "here"))
    assert await kept == "here"


@pytest.mark.spec("PLAT-67")
@pytest.mark.parametrize("late", ["answer", "error", "end", "timeout"])
async def test_cancelling_in_the_turn_of_the_answer_leaves_nothing(
    late: str, caplog: pytest.LogCaptureFixture
) -> None:
    core = Core()
    peer = core.connect()
    task = asked(core, peer, "e")
    await turns(2)
    if late == "end":
        requests.fail_all(peer)
    elif late == "timeout":
        core.clock._timers[0][2].callback(*core.clock._timers[0][2].args)
    else:
        requests.answer(peer, reply(1, error="no" if late == "error" else None))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()
    assert peer.requests is None
    assert caplog.records == []


@pytest.mark.spec("PLAT-68", "WIRE-37")
async def test_answers_that_belong_to_nothing_are_ignored() -> None:
    core = Core()
    peer, stranger = core.connect(), core.connect()
    task = asked(core, peer, "e")
    await turns(2)
    requests.answer(stranger, reply(1, "not mine"))
    for ref in (2, 0, -1, "1", 1.5, "", 2**70):
        requests.answer(peer, reply(ref, "unknown"))
    assert not task.done()
    requests.answer(peer, reply(1, "mine"))
    requests.answer(peer, reply(1, error="twice"))
    assert await task == "mine"
    requests.answer(peer, reply(1, "again"))


@pytest.mark.spec("WIRE-36")
async def test_numbers_count_up_over_all_connections() -> None:
    core = Core()
    peers = [core.connect() for _ in range(3)]
    tasks = [asked(core, peer, "e") for peer in peers]
    await turns(2)
    assert [core.frames(peer)[0]["ref"] for peer in peers] == [1, 2, 3]
    for peer in peers:
        requests.fail_all(peer)
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan, True, None, "5"])
async def test_a_timeout_is_a_finite_number_above_zero(timeout: Any) -> None:
    core = Core()
    with pytest.raises(ValueError, match="timeout: must be a"):
        await core.platform.request(core.connect(), "e", timeout=timeout)


@pytest.mark.parametrize("event", ["", None, 5])
async def test_an_event_has_a_name(event: Any) -> None:
    core = Core()
    with pytest.raises(ValueError, match="event: must be a name"):
        await core.platform.request(core.connect(), event)


@pytest.mark.spec("WIRE-22")
async def test_data_has_to_be_sendable() -> None:
    core = Core(max_frame=100)
    peer = core.connect()
    with pytest.raises(TypeError, match="no JSON form"):
        await core.platform.request(peer, "e", object())
    with pytest.raises(PayloadTooLarge, match="clients drop frames above 100"):
        await core.platform.request(peer, "e", "x" * 100)
    assert (peer.requests, core.texts(peer)) == (None, [])


async def test_a_question_comes_behind_what_live_functions_published_before() -> None:
    core = Core()
    peer = core.connect("t")
    core.turn.add(make_event("t", "first", None, True, 0))
    task = asked(core, peer, "second")
    await turns(2)
    assert [frame["event"] for frame in core.frames(peer)] == ["first", "second"]
    requests.answer(peer, reply(1))
    await task


def test_each_error_has_its_code() -> None:
    errors = [ConnectionClosed, RequestTimeout, RequestFailed, ConnectionBusy, CapacityExceeded]
    assert [error.code for error in errors] == [
        "CONNECTION_CLOSED",
        "TIMEOUT",
        "REQUEST_FAILED",
        "CONNECTION_BUSY",
        "CAPACITY",
    ]
    assert all(issubclass(error, PlatformError) for error in errors)


async def test_any_event_name_travels_as_json() -> None:
    core = Core()
    peer = core.connect()
    task = asked(core, peer, 'a "b"\n', [1])
    await turns(2)
    assert json.loads(core.texts(peer)[0])["event"] == 'a "b"\n'
    requests.answer(peer, reply(1))
    await task
