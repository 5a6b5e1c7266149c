"""The platform: what apps call. Spec: platform 2.2 to 2.6."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from runtime.core.assertions import assertion_counters
from runtime.core.connection import SendResult
from runtime.core.errors import PayloadTooLarge
from runtime.core.publisher import Event, make_event
from tests.unit.core.parts import Core


@pytest.mark.spec("WIRE-24", "WIRE-26", "LIVE-14", "PLAT-49", "PLAT-51")
async def test_publish_stamps_unless_it_is_told_not_to() -> None:
    core = Core()
    peer = core.connect("a", "__system")
    platform = core.platform
    assert platform.publish("a", "e") is True
    assert platform.publish("a", "e", 1, seq=False) is True
    assert platform.publish("a", "e", 2, volatile=True) is True
    assert platform.publish("a", "e", 3, volatile=True, seq=99) is True
    assert platform.publish("a", "e", 4, seq=41) is True
    assert platform.publish("__system", "e") is True
    assert platform.publish("nobody", "e") is False
    assert core.events(peer) == [
        ("a", "e", None, 1),
        ("a", "e", 1, None),
        ("a", "e", 2, None),
        ("a", "e", 3, None),
        ("a", "e", 4, 41),
        ("__system", "e", None, 1),
    ]
    assert core.metrics.get("publish_total", "platform") == 7


@pytest.mark.spec("PLAT-50", "WIRE-27")
async def test_a_publish_that_cannot_be_changes_nothing() -> None:
    core = Core(max_frame=500)
    peer = core.connect("a")
    with pytest.raises(ValueError, match="topic"):
        core.platform.publish('a"', "e")
    with pytest.raises(PayloadTooLarge):
        core.platform.publish("a", "e", "x" * 500)
    for send in (core.platform.send, core.platform.send_to):
        with pytest.raises(PayloadTooLarge):
            send(peer if send == core.platform.send else bool, "a", "e", "x" * 500)
    assert core.events(peer) == []
    assert core.sequence.current("a") == 0
    assert core.metrics.total("publish_total") == 0


@pytest.mark.spec("WIRE-25", "WIRE-26")
async def test_sending_to_one_peer_needs_no_subscription_and_has_no_number() -> None:
    core = Core()
    peer, other = core.connect(), core.connect("a")
    assert core.platform.send(peer, "a", "e", {"x": 1}) is SendResult.SENT
    assert core.platform.send(peer, "a", "e") is SendResult.SENT
    assert core.texts(peer) == [
        '{"topic":"a","event":"e","data":{"x":1}}',
        '{"topic":"a","event":"e","data":null}',
    ]
    assert core.events(other) == []
    peer.mark_closed("gone")
    assert core.platform.send(peer, "a", "e") is SendResult.DROPPED


async def test_sending_to_those_whose_user_data_fits() -> None:
    core = Core()
    admin, user, second = (core.connect(user={"role": role}) for role in ("admin", "user", "admin"))
    assert core.platform.send_to(lambda u: u["role"] == "admin", "alerts", "warning", 5) == 2
    for peer in (admin, second):
        assert core.texts(peer) == ['{"topic":"alerts","event":"warning","data":5}']
    assert core.texts(user) == []


@pytest.mark.spec("PLAT-55")
async def test_a_predicate_that_raises_matches_nobody_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = Core()
    for n in range(4):
        core.connect(user=n)

    def where(user: int) -> bool:
        if user < 2:
            raise RuntimeError("no")
        return user == 3

    assert core.platform.send_to(where, "a", "e") == 1
    assert [record.getMessage() for record in caplog.records] == [
        "send_to: the predicate raised; counted as no match"
    ]


@pytest.mark.spec("PLAT-55")
async def test_an_async_predicate_matches_nobody(caplog: pytest.LogCaptureFixture) -> None:
    core = Core()
    peers = [core.connect(user=n) for n in range(2)]

    async def where(user: int) -> bool:
        return True

    class Answer:
        def __await__(self) -> Any:
            yield

    pending: list[asyncio.Future[bool]] = []

    def future(user: int) -> Any:
        pending.append(asyncio.get_running_loop().create_future())
        return pending[-1]

    assert core.platform.send_to(where, "a", "e") == 0
    assert core.platform.send_to(lambda user: Answer(), "a", "e") == 0
    assert core.platform.send_to(future, "a", "e") == 0
    assert [one.cancelled() for one in pending] == [True, True]
    assert [core.events(peer) for peer in peers] == [[], []]
    assert [record.levelno for record in caplog.records] == [logging.ERROR], "told once, however often"


@pytest.mark.spec("WIRE-33", "PLAT-57")
async def test_batch_is_one_frame_and_one_answer_for_each_message() -> None:
    core = Core()
    peer = core.connect("a", "b", caps=["batch"])
    answers = core.platform.batch(
        {"topic": topic, "event": "e", "data": n, "seq": n != 1, "volatile": n == 2}
        for n, topic in enumerate(["a", "a", "b", "nobody", "a"])
    )
    assert answers == [True, True, True, False, True]
    assert len(core.frames(peer)) == 4
    assert core.events(peer) == [("a", "e", 0, 1), ("a", "e", 1, None), ("b", "e", 2, None), ("a", "e", 4, 2)]
    assert core.metrics.get("publish_total", "batch") == 5


@pytest.mark.spec("WIRE-32", "WIRE-31", "PLAT-59")
async def test_only_the_last_of_equal_keys_survives_at_its_own_place() -> None:
    core = Core()
    peer = core.connect("a", "b", caps=["batch"])
    core.platform.publish_batched(
        (
            {"topic": "a", "event": "move", "data": 1, "coalesce_key": "k"},
            {"topic": "a", "event": "e", "data": 2},
            {"topic": "b", "event": "move", "data": 3, "coalesce_key": "other"},
            {"topic": "a", "event": "e", "data": 4, "coalesce_key": None},
            {"topic": "b", "event": "move", "data": 5, "coalesce_key": "k"},
            {"topic": "a", "event": "e", "data": 6, "coalesce_key": None},
        )
    )
    assert core.events(peer) == [
        ("a", "e", 2, 1),
        ("b", "move", 3, 1),
        ("a", "e", 4, 2),
        ("b", "move", 5, 2),
        ("a", "e", 6, 3),
    ]
    assert "coalesce" not in core.texts(peer)[0]
    assert core.metrics.get("publish_total", "publish_batched") == 5


@pytest.mark.spec("PLAT-179")
async def test_an_empty_batch_does_nothing() -> None:
    core = Core()
    peer = core.connect("a")
    core.platform.publish_batched([])
    core.platform.publish_batched(())
    assert core.platform.batch([]) == []
    assert core.frames(peer) == []


GOOD = {"topic": "a", "event": "e", "coalesce_key": "same"}


@pytest.mark.spec("PLAT-57")
@pytest.mark.parametrize("method", ["batch", "publish_batched"])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"topic": "kept", "event": "e", "seq": False}, ValueError, "message 2: seq: the events of 'kept'"),
        ({"topic": "kept", "event": "e", "volatile": True}, ValueError, "message 2: seq: the events of"),
        ({"event": "e"}, ValueError, "message 2: 'topic' is missing"),
        ({"topic": "a"}, ValueError, "message 2: 'event' is missing"),
        ({"topic": 'a"', "event": "e"}, ValueError, "message 2: topic"),
        ({"topic": "a", "event": "e", "seq": 0}, ValueError, "message 2: seq: must be"),
        ({"topic": "a", "event": "e", "data": object()}, TypeError, "message 2: "),
        ({"topic": "a", "event": "e", "data": "x" * 999}, PayloadTooLarge, "message 2: the envelope"),
        ("a", TypeError, "message 2: a mapping with topic and event is needed, not 'a'"),
        (None, TypeError, "message 2: a mapping with topic and event is needed, not None"),
    ],
)
async def test_a_bad_message_is_named_and_nothing_is_sent(
    method: str, bad: Any, error: type[Exception], message: str
) -> None:
    core = Core(max_frame=900)
    peer = core.connect("a", "kept")
    core.publisher.recorders["kept"] = lambda event, data, seq: None
    with pytest.raises(error, match=message):
        getattr(core.platform, method)([GOOD, GOOD, bad, GOOD])
    assert core.metrics.total("publish_total") == 0
    assert core.events(peer) == []
    assert core.sequence.current("a") == 0


@pytest.mark.parametrize("method", ["batch", "publish_batched"])
async def test_an_error_of_the_data_itself_is_not_taken_for_a_missing_key(method: str) -> None:
    class Broken:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def model_dump(self, mode: str) -> Any:
            raise self.error

    core = Core()
    with pytest.raises(KeyError, match="column"):
        getattr(core.platform, method)([GOOD, {**GOOD, "data": Broken(KeyError("column"))}])
    undecodable = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    with pytest.raises(TypeError, match=r"message 1: .*invalid start byte"):
        getattr(core.platform, method)([GOOD, {**GOOD, "data": Broken(undecodable)}])
    assert core.metrics.total("publish_total") == 0


async def test_a_key_that_cannot_be_one_is_named() -> None:
    with pytest.raises(TypeError, match=r"message 1: coalesce_key: \[\] cannot be a key"):
        Core().platform.publish_batched([GOOD, {**GOOD, "coalesce_key": []}])


@pytest.mark.spec("PLAT-179")
@pytest.mark.parametrize("messages", [None, "ab", {"topic": "a"}, iter([])])
async def test_publish_batched_takes_a_list_or_tuple(messages: Any) -> None:
    with pytest.raises(TypeError, match="publish_batched takes a list or tuple of messages"):
        Core().platform.publish_batched(messages)


@pytest.mark.spec("PLAT-64", "PLAT-66")
async def test_subscribing_and_leaving_from_the_server() -> None:
    core = Core()
    core.gate(subscribe=lambda connection, topic: "NO" if topic == "closed" else None)
    peer = core.connect()
    assert await core.platform.subscribe(peer, "a") is None
    assert await core.platform.subscribe(peer, "closed") == "NO"
    assert await core.platform.check_subscribe(peer, "closed") == "NO"
    assert await core.platform.check_subscribe(peer, "b") is None
    assert (core.platform.subscribers("a"), core.platform.topics, core.platform.connections) == (1, 1, 1)
    assert core.platform.unsubscribe(peer, "a") is True
    assert core.platform.unsubscribe(peer, "a") is False
    assert core.unsubscribed == [(peer, "a")]
    assert core.platform.subscribers("a") == 0


@pytest.mark.spec("PLAT-69")
async def test_a_scoped_topic_has_a_verb_for_each_common_event() -> None:
    core = Core()
    peer = core.connect("todos")
    todos = core.platform.topic("todos")
    answers = [
        todos.publish("custom", 0, seq=False),
        todos.publish("custom", 0, volatile=True),
        todos.created({"id": 1}),
        todos.updated({"id": 1}),
        todos.deleted({"id": 1}),
        todos.set(5),
        todos.increment(),
        todos.increment(2.5),
        todos.decrement(),
        todos.decrement(3),
    ]
    assert answers == [True] * 10
    assert [event[1:3] for event in core.events(peer)] == [
        ("custom", 0),
        ("custom", 0),
        ("created", {"id": 1}),
        ("updated", {"id": 1}),
        ("deleted", {"id": 1}),
        ("set", 5),
        ("increment", 1),
        ("increment", 2.5),
        ("decrement", 1),
        ("decrement", 3),
    ]
    assert core.platform.topic("empty").created(1) is False


@pytest.mark.spec("PLAT-60", "WIRE-25")
async def test_options_of_one_message_hold_in_frames_and_in_single_envelopes() -> None:
    core = Core()
    able, plain = core.connect("a", caps=["batch"]), core.connect("a")
    options: list[Any] = [
        {},
        {"seq": False},
        {"relay": False},
        {"volatile": True},
        {"seq": 9},
        {"relay": True},
    ]
    messages: list[Any] = [{"topic": "a", "event": "e", "data": n, **o} for n, o in enumerate(options)]
    core.platform.publish_batched(messages)
    expected = [("a", "e", n, number) for n, number in enumerate([1, None, 2, None, 9, 10])]
    assert core.events(able) == core.events(plain) == expected
    assert (len(core.frames(able)), len(core.frames(plain))) == (1, 6)
    for text in core.texts(able) + core.texts(plain):
        assert "relay" not in text
        assert "volatile" not in text
    assert core.platform.batch(messages) == [True] * 6
    assert [number for *_, number in core.events(plain)[6:]] == [11, None, 12, None, 9, 13]


@pytest.mark.spec("PLAT-51")
async def test_with_one_worker_relaying_changes_nothing() -> None:
    core = Core()
    peer = core.connect("a")
    assert core.platform.publish("a", "e", 1, relay=False) is True
    assert core.platform.topic("a").publish("e", 2, relay=False) is True
    assert core.platform.publish("nobody", "e", relay=True) is False
    assert [number for *_, number in core.events(peer)] == [1, 2]


@pytest.mark.spec("PLAT-63")
async def test_a_large_batch_frame_is_delivered_and_warned_of_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = Core()
    peer = core.connect("a", caps=["batch"])
    messages: list[Any] = [{"topic": "a", "event": "e", "data": "x" * 140_000}] * 2
    for _ in range(3):
        core.platform.publish_batched(messages)
        core.outbox.flush()
        await core.clock.advance(20)
    assert len(core.events(peer)) == 6
    assert len(core.frames(peer)) == 3
    assert len(caplog.records) == 1
    core.platform.publish_batched(messages)
    core.outbox.flush()
    assert len(caplog.records) == 2


@pytest.mark.spec("PLAT-180")
async def test_a_view_differs_in_its_request_id_alone() -> None:
    core = Core()
    view = core.platform.view("r7")
    peer = core.connect("a")
    assert (view.request_id, core.platform.request_id) == ("r7", "worker-0")
    assert view.publish("a", "e")
    assert core.platform.publish("a", "e")
    assert [number for *_, number in core.events(peer)] == [1, 2]
    assert view.pressure is core.platform.pressure
    assert view.settings is core.platform.settings
    websocket = view.settings.websocket
    assert view.max_payload_length == websocket.max_payload_length
    assert view.max_backpressure == websocket.max_backpressure
    core.sink(peer).buffered = 77
    assert view.buffered_amount(peer) == 77
    assert view.metrics is core.platform.metrics is core.metrics
    assert view.assertions is core.platform.assertions is assertion_counters()
    assert view.health is core.platform.health


async def test_the_default_plugins_are_none_until_they_are_set_and_the_same_in_every_view() -> None:
    core = Core()
    view = core.platform.view("r7")
    assert (view.replay, view.presence, view.redis) == (None, None, None)
    view.replay, view.presence, view.redis = 1, 2, 3
    platform = core.platform
    assert (platform.replay, platform.presence, platform.redis) == (1, 2, 3)
    assert platform.parts is core.parts


async def test_every_way_out_comes_behind_what_live_functions_published_before() -> None:
    core = Core()
    peer = core.connect("a")
    ways = [
        lambda: core.platform.publish("a", "platform"),
        lambda: core.platform.send(peer, "a", "send"),
        lambda: core.platform.send_to(lambda user: True, "a", "send_to"),
        lambda: core.platform.batch([{"topic": "a", "event": "batch"}]),
        lambda: core.platform.publish_batched([{"topic": "a", "event": "batched"}]),
        lambda: core.platform.send_coalesced(peer, key="k", topic="a", event="coalesced"),
    ]
    for n, way in enumerate(ways):
        core.turn.add(_event(n))
        way()
    assert [name for _, name, _, _ in core.events(peer)] == [
        "0",
        "platform",
        "1",
        "send",
        "2",
        "send_to",
        "3",
        "batch",
        "4",
        "batched",
        "5",
        "coalesced",
    ]


def _event(n: int) -> Event:
    return make_event("a", str(n), None, True, 0)
