"""What one peer sends: in order where order matters, and never the end of anything. Spec: wire 3.2, 3.4."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.server.peers import turns
from tests.unit.server.runtimes import BareFactory, Gates, answers, batch, subscribe


@pytest.mark.spec("WIRE-38", "PLAT-29")
@pytest.mark.parametrize("ref", [0, 7, -1.5, 1e300, "", "text"])
async def test_each_subscribe_has_one_answer_with_its_ref(bare: BareFactory, ref: Any) -> None:
    peer = (await bare({"subscribe": lambda topic: topic != "no"})).connect()
    for topic in ("yes", "no", 'bad"'):
        peer.send(subscribe(topic, ref))
        await turns()
    assert answers(peer) == [
        ("+", "yes", ref),
        ("-", "no", ref, "FORBIDDEN"),
        ("-", 'bad"', ref, "INVALID_TOPIC"),
    ]


@pytest.mark.spec("WIRE-39", "PLAT-29")
@pytest.mark.parametrize("ref", [None, True, [], {}])
async def test_without_a_usable_ref_it_is_done_in_silence(bare: BareFactory, ref: Any) -> None:
    peer = (await bare({"subscribe": lambda topic: topic != "no"})).connect()
    for topic in ("yes", "no"):
        peer.send(subscribe(topic, ref))
        await turns()
    assert answers(peer) == []
    assert peer.connection.subscriptions == {"yes"}


@pytest.mark.spec("WIRE-40")
@pytest.mark.parametrize(
    ("topic", "plain", "switched"),
    [
        ("a" * 256, True, True),
        ("a" * 257, False, False),
        ("", False, False),
        (" ~", True, True),
        ("täglich", False, True),
        ("a\x7fb", False, True),
        ('a"', False, False),
        ("a\\", False, False),
        ("a\nb", False, False),
    ],
)
async def test_topics_that_a_client_may_name(
    bare: BareFactory, topic: str, plain: bool, switched: bool
) -> None:
    for non_ascii, allowed in ((False, plain), (True, switched)):
        peer = (await bare(security={"allow_non_ascii_topics": non_ascii})).connect()
        peer.send(subscribe(topic))
        await turns()
        assert answers(peer) == [("+", topic, 1) if allowed else ("-", topic[:256], 1, "INVALID_TOPIC")]


@pytest.mark.spec("WIRE-41")
async def test_system_topics_need_the_switch_and_then_the_hook(bare: BareFactory) -> None:
    asked: list[str] = []
    hooks = {"subscribe": lambda topic: asked.append(topic)}
    peer = (await bare(hooks)).connect()
    peer.send(subscribe("__signal:1"))
    peer.send(subscribe("__realtime"))
    await turns()
    assert answers(peer) == [("-", "__signal:1", 1, "INVALID_TOPIC"), ("-", "__realtime", 1, "INVALID_TOPIC")]
    assert asked == []
    peer = (await bare(hooks, security={"allow_system_topic_subscribe": True})).connect()
    peer.send(subscribe("__signal:1"))
    await turns()
    assert answers(peer) == [("+", "__signal:1", 1)]
    assert asked == ["__signal:1"]


@pytest.mark.spec("WIRE-42")
async def test_a_topic_that_the_server_chose_is_acknowledged_whatever_its_letters(bare: BareFactory) -> None:
    peer = (await bare()).connect()
    peer.connection.subscribe("täglich")
    for topic in ("täglich", "wöchentlich", "__realtime"):
        peer.send(subscribe(topic))
    await turns()
    assert answers(peer) == [
        ("+", "täglich", 1),
        ("-", "wöchentlich", 1, "INVALID_TOPIC"),
        ("-", "__realtime", 1, "INVALID_TOPIC"),
    ]


@pytest.mark.spec("WIRE-44", "WIRE-46", "PLAT-29")
async def test_a_batch_is_one_question_and_an_answer_per_topic(bare: BareFactory) -> None:
    asked: list[Any] = []

    async def subscribe_batch(ws: Any, topics: list[str]) -> Any:
        asked.append(topics)
        return {"b": False, "c": "PAY", "__x": None}

    one = await bare({"subscribe_batch": subscribe_batch, "subscribe": lambda: False})
    peer = one.connect()
    peer.send(batch("a", "__x", "b", 7, "a", "c", None, ref="r"))
    await turns(10)
    assert answers(peer) == [
        ("-", "__x", "r", "INVALID_TOPIC"),
        ("-", 7, "r", "INVALID_TOPIC"),
        ("-", None, "r", "INVALID_TOPIC"),
        ("+", "a", "r"),
        ("-", "b", "r", "FORBIDDEN"),
        ("+", "a", "r"),
        ("-", "c", "r", "PAY"),
    ]
    assert asked == [["a", "b", "c"]]
    peer.send(subscribe("d"))
    await turns(10)
    assert asked[1:] == [["d"]]
    peer.send(batch())
    peer.send(batch("__x"))
    await turns(10)
    assert len(asked) == 2
    assert one.runtime.subscriptions.count("a") == 1


@pytest.mark.spec("WIRE-45")
async def test_the_subscribe_hook_runs_for_all_topics_of_a_batch_at_once(bare: BareFactory) -> None:
    everybody = asyncio.Barrier(3)

    async def hook(topic: str) -> None:
        await everybody.wait()

    peer = (await bare({"subscribe": hook})).connect()
    peer.send(batch("a", "b", "c"))
    await turns(20)
    assert answers(peer) == [("+", "a", 1), ("+", "b", 1), ("+", "c", 1)]


@pytest.mark.spec("WIRE-47", "PLAT-30")
@pytest.mark.parametrize("hooks", [{}, {"subscribe_batch": lambda topics: None}])
async def test_topics_beyond_256_are_denied(bare: BareFactory, hooks: dict[str, Any]) -> None:
    peer = (await bare(hooks)).connect()
    topics = [f"t{n}" for n in range(258)]
    peer.send(batch(*topics))
    await turns(10)
    assert {reason for kind, *_, reason in answers(peer) if kind == "-"} == {"RATE_LIMITED"}
    assert [topic for kind, topic, *_ in answers(peer) if kind == "-"] == topics[256:]
    assert [topic for kind, topic, *_ in answers(peer) if kind == "+"] == topics[:256]


@pytest.mark.spec("WIRE-48")
@pytest.mark.parametrize("hooks", [{}, {"subscribe": lambda topic: None}])
async def test_a_connection_holds_so_many_topics_and_no_more(
    bare: BareFactory, hooks: dict[str, Any]
) -> None:
    peer = (await bare(hooks, MAX_SUBSCRIPTIONS_PER_CONNECTION=2)).connect()
    peer.send(batch("a", "b", "c", "a"))
    await turns(10)
    assert answers(peer) == [("+", "a", 1), ("+", "b", 1), ("-", "c", 1, "RATE_LIMITED"), ("+", "a", 1)]
    peer.send({"type": "unsubscribe", "topic": "a"})
    peer.send(subscribe("c"))
    await turns(10)
    assert answers(peer)[4:] == [("+", "c", 1)]


async def test_a_topic_without_room_is_denied_although_there_is_room_when_the_hook_answers(
    bare: BareFactory,
) -> None:
    asked: list[str] = []

    async def hook(ws: Any, topic: str) -> Any:
        asked.append(topic)
        ws.unsubscribe("b")

    peer = (await bare({"subscribe": hook}, MAX_SUBSCRIPTIONS_PER_CONNECTION=2)).connect()
    peer.connection.subscribe("a")
    peer.connection.subscribe("b")
    peer.send(batch("a", "secret"))
    await turns(10)
    assert asked == ["a"]
    assert answers(peer) == [("+", "a", 1), ("-", "secret", 1, "RATE_LIMITED")]
    assert not peer.connection.is_subscribed("secret")


@pytest.mark.spec("WIRE-49")
async def test_subscribing_twice_answers_twice_and_counts_once(bare: BareFactory) -> None:
    one = await bare()
    peer = one.connect()
    await turns()
    before = one.runtime.subscriptions.total
    peer.send(subscribe("a", 1))
    peer.send(subscribe("a", 2))
    await turns()
    assert answers(peer) == [("+", "a", 1), ("+", "a", 2)]
    assert one.runtime.subscriptions.count("a") == 1
    assert one.runtime.subscriptions.total == before + 1


async def test_a_denial_takes_away_what_was_granted_before(bare: BareFactory) -> None:
    allowed = {"a": True}
    one = await bare({"subscribe": lambda topic: allowed[topic]})
    peer = one.connect()
    peer.send(subscribe("a"))
    await turns()
    allowed["a"] = False
    peer.send(subscribe("a"))
    await turns()
    assert answers(peer) == [("+", "a", 1), ("-", "a", 1, "FORBIDDEN")]
    assert one.runtime.subscriptions.count("a") == 0


@pytest.mark.spec("WIRE-50", "WIRE-51", "PLAT-31")
async def test_unsubscribing_is_silent_and_calls_the_hook_in_any_case(bare: BareFactory) -> None:
    left: list[str] = []
    peer = (await bare({"unsubscribe": lambda topic: left.append(topic)})).connect()
    peer.send(subscribe("a"))
    for topic in ("a", "never", "__realtime", 'bad"', ""):
        peer.send({"type": "unsubscribe", "topic": topic})
    await turns(10)
    assert answers(peer) == [("+", "a", 1)]
    assert left == ["a", "never"]
    assert peer.connection.is_subscribed("__realtime")


@pytest.mark.spec("WIRE-52")
async def test_hello_replaces_what_was_announced(bare: BareFactory) -> None:
    peer = (await bare()).connect()
    for caps, kept in ((["batch"], {"batch"}), ([], set()), (["batch", 5, "other"], {"batch"})):
        peer.send({"type": "hello", "caps": caps})
        assert peer.connection.caps == kept
    await turns()
    assert answers(peer) == []


@pytest.mark.spec("WIRE-53", "PLAT-33")
@pytest.mark.parametrize("fails", [False, True])
async def test_resumed_follows_the_hook_whatever_comes_of_it(bare: BareFactory, fails: bool) -> None:
    seen: list[Any] = []

    async def resume(ws: Any, session_id: str, last_seen_seqs: dict[str, int]) -> None:
        seen.append((session_id, last_seen_seqs))
        ws.send_event("__replay:a", "msg", 1)
        if fails:
            raise RuntimeError("broken hook")

    one = await bare({"resume": resume}, MAX_RESUME_TOPICS=3)
    peer = one.connect()
    numbers = {
        "a": 4,
        "zero": 0,
        "__x": 1,
        'bad"': 1,
        "täglich": 2,
        "neg": -1,
        "half": 1.5,
        "yes": True,
        "late": 9,
    }
    peer.send({"type": "resume", "sessionId": "old", "lastSeenSeqs": numbers})
    peer.send(subscribe("a"))
    await turns(10)
    assert seen == [("old", {"a": 4, "zero": 0, "täglich": 2})]
    assert answers(peer) == [("__replay:a", "msg"), "resumed", ("+", "a", 1)]
    assert one.runtime.metrics.get("hook_errors_total", "resume") == int(fails)


@pytest.mark.spec("WIRE-53")
async def test_resumed_comes_without_a_hook_too_and_not_for_what_is_no_resume(bare: BareFactory) -> None:
    peer = (await bare()).connect()
    peer.send({"type": "resume", "sessionId": 7, "lastSeenSeqs": {}})
    peer.send({"type": "resume", "sessionId": "s", "lastSeenSeqs": None})
    peer.send({"type": "resume", "sessionId": "s", "lastSeenSeqs": {}})
    await turns()
    assert answers(peer) == ["resumed"]


@pytest.mark.spec("WIRE-57", "WIRE-29")
async def test_what_is_not_ours_reaches_the_message_hook_unanswered(bare: BareFactory) -> None:
    seen: list[Any] = []
    peer = (
        await bare({"message": lambda data, is_binary, msg: seen.append((data, is_binary, msg))})
    ).connect()
    unknown = {"type": "cursor", "x": 1}
    peer.send(unknown)
    peer.send("plain")
    peer.send(b"\x01\x02")  # a piece of an upload, and malformed: dropped (wire 4.7)
    peer.send(b"\x7ftail")
    await turns()
    assert seen == [
        (json.dumps(unknown), False, unknown),
        ("plain", False, None),
        (b"\x7ftail", True, None),
    ]
    assert answers(peer) == []


@pytest.mark.spec("PLAT-22")
async def test_without_a_message_hook_it_is_counted(bare: BareFactory) -> None:
    one = await bare()
    peer = one.connect()
    peer.send("plain")
    peer.send({"rpc": "a/b", "id": 'bad"', "args": []})
    await turns()
    assert one.runtime.metrics.get("ws_frames_unhandled_total") == 1
    assert one.runtime.metrics.get("rpc_calls_dropped_total", "bad_id") == 1


async def test_running_message_hooks_count_towards_the_calls_in_flight(bare: BareFactory) -> None:
    gates = Gates()

    async def message(data: str) -> None:
        await gates.pass_(data)

    one = await bare({"message": message}, MAX_INFLIGHT_CALLS=1)
    peer = one.connect()
    peer.send("one")
    peer.send("two")
    await turns()
    assert gates.log == ["one begins"]
    assert one.runtime.metrics.get("rpc_calls_dropped_total", "overloaded") == 1
    await gates.open("one")
    peer.send("three")
    await turns()
    assert gates.log[-1] == "three begins"
    await gates.open("three")


async def test_a_failing_message_hook_is_counted_and_gives_its_place_back(bare: BareFactory) -> None:
    def message(data: str) -> None:
        raise RuntimeError("broken hook")

    one = await bare({"message": message}, MAX_INFLIGHT_CALLS=1)
    peer = one.connect()
    for _ in range(3):
        peer.send("x")
        await turns()
    assert one.runtime.metrics.get("hook_errors_total", "message") == 3


async def test_a_hook_that_hangs_is_left_behind_at_its_timeout(bare: BareFactory) -> None:
    async def unsubscribe() -> None:
        await asyncio.Event().wait()

    one = await bare({"unsubscribe": unsubscribe}, websocket={"hook_timeout": 0.01})
    peer = one.connect()
    peer.send({"type": "unsubscribe", "topic": "a"})
    peer.send(subscribe("b"))
    await peer.wait(lambda frame: frame.get("type") == "subscribed")
    assert one.runtime.metrics.get("hook_timeouts_total", "unsubscribe") == 1
    assert one.runtime.metrics.get("hook_errors_total", "unsubscribe") == 0


@pytest.mark.spec("PLAT-35")
async def test_closing_runs_the_hook_once_and_forgets_everything(bare: BareFactory) -> None:
    closed: list[Any] = []
    gates = Gates()

    async def on_subscribe(topic: str) -> None:
        await gates.pass_(topic)

    def on_close(**values: Any) -> None:
        closed.append(values)

    one = await bare({"close": on_close, "subscribe": on_subscribe})
    peer = one.connect({"id": 1})
    gates.of("a").set()
    peer.send(subscribe("a"))
    await turns()
    peer.send(subscribe("slow"))
    peer.send(subscribe("never asked"))
    await turns()
    await one.clock.advance(12)
    await peer.inbound.closed(1001, "bye")
    await peer.inbound.closed(1006, "")
    (values,) = closed
    assert {key: values[key] for key in ("code", "reason", "id", "duration", "subscriptions")} == {
        "code": 1001,
        "reason": "bye",
        "id": peer.connection.id,
        "duration": 12,
        "subscriptions": {"a"},
    }
    await gates.open("slow")
    assert gates.log == ["a begins", "a ends", "slow begins", "slow ends"]
    assert peer.connection.signal.reason == "bye"
    assert (one.runtime.connections, one.runtime.subscriptions.total) == ({}, 0)
    assert one.runtime.metrics.get("ws_connections") == 0
    peer.send(subscribe("later"))
    await turns()
    assert answers(peer) == [("+", "a", 1)]


@pytest.mark.spec("PLAT-35")
async def test_a_close_hook_that_fails_does_not_keep_the_connection(bare: BareFactory) -> None:
    def on_close() -> None:
        raise RuntimeError("broken hook")

    one = await bare({"close": on_close})
    peer = one.connect()
    await peer.inbound.closed(1006, "")
    assert one.runtime.connections == {}
    assert one.runtime.metrics.get("hook_errors_total", "close") == 1


@pytest.mark.spec("PLAT-31", "PLAT-66")
async def test_leaving_from_the_server_calls_the_unsubscribe_hook_and_closing_does_not(
    bare: BareFactory,
) -> None:
    left: list[str] = []

    async def unsubscribe(topic: str) -> None:
        left.append(topic)
        if topic == "b":
            raise RuntimeError("broken hook")

    one = await bare({"unsubscribe": unsubscribe})
    peer = one.connect()
    for topic in ("a", "b"):
        assert await one.runtime.platform.subscribe(peer.connection, topic) is None
        assert one.runtime.platform.unsubscribe(peer.connection, topic) is True
    assert one.runtime.platform.unsubscribe(peer.connection, "a") is False
    assert await one.runtime.platform.subscribe(peer.connection, "c") is None
    await peer.inbound.closed(1000, "")
    await turns(10)
    assert left == ["a", "b"]
    assert one.runtime.metrics.get("hook_errors_total", "unsubscribe") == 1


@pytest.mark.spec("PLAT-18")
@pytest.mark.parametrize(
    ("user", "data"),
    [
        (None, {"remote_address": "10.0.0.7"}),
        ({}, {"remote_address": "10.0.0.7"}),
        ({"id": 1}, {"id": 1, "remote_address": "10.0.0.7"}),
        ({"remote_address": "mine"}, {"remote_address": "mine"}),
        ("a name", "a name"),
    ],
)
async def test_the_address_is_added_to_the_user_data_and_never_overwrites(
    bare: BareFactory, user: Any, data: Any
) -> None:
    peer = (await bare()).connect(user, remote_address="10.0.0.7")
    assert peer.connection.user_data == data
    assert peer.connection.remote_address == "10.0.0.7"
