"""A client that comes back: frames before `resumed`, the report, the gap before the subscription, its own questions.

Spec: wire 6.4 and 8.4, transcripts 11.6 and 11.12; platform 1.8 and 5.12.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from runtime.plugins import Replay, ReplayOutcome
from runtime.wire import control
from tests.server.peers import Peer, turns
from tests.unit.server.conftest import bare
from tests.unit.server.runtimes import Bare, BareFactory, answers, batch, subscribe

__all__ = ["bare"]

DATA = {"id": 1}


def resume(**seen: Any) -> dict[str, Any]:
    return {"type": "resume", "sessionId": "OLD", "lastSeenSeqs": seen}


def publish(one: Bare, topic: str, count: int = 1) -> None:
    for _ in range(count):
        one.runtime.platform.replay.publish_nowait(one.runtime.platform, topic, "created", DATA)


def report(peer: Peer) -> Any:
    """Return the topics of the last `resumed`, or None."""
    frames = [frame for frame in peer.parsed() if frame.get("type") == "resumed"]
    return frames[-1].get("topics")


@pytest.mark.spec("WIRE-113", "WIRE-121", "PLAT-32", "WIRE-55")
async def test_what_was_missed_comes_before_resumed_and_acks_behind_it(bare: BareFactory) -> None:
    one = await bare()
    publish(one, "feed", 3)
    publish(one, "same", 2)
    one.runtime.platform.publish("plain", "e")
    peer = one.connect()
    peer.send(resume(feed=1, same=2, plain=1, old=9, **{"__presence:room": 5}))
    peer.send(batch("feed", "plain", ref=9))
    await turns(10)
    assert answers(peer) == [
        ("__replay:feed", "msg"),
        ("__replay:feed", "msg"),
        ("__replay:feed", "end"),
        ("__replay:same", "end"),
        "resumed",
        ("+", "feed", 9),
        ("+", "plain", 9),
    ]
    assert report(peer) == {
        "feed": {"state": "filled", "count": 2},
        "same": {"state": "complete"},
        "plain": {"state": "truncated"},
        "old": {"state": "truncated"},
    }


@pytest.mark.spec("WIRE-114", "WIRE-121", "PLAT-163")
async def test_what_is_not_all_kept_or_of_another_time_is_truncated(bare: BareFactory) -> None:
    one = await bare(MAX_REPLAY_SIZE=2)
    publish(one, "feed", 5)
    publish(one, "later", 2)
    peer = one.connect()
    peer.send(resume(feed=2, later=3))
    await turns(10)
    assert [frame["data"] for frame in peer.parsed()[1:-1]] == [
        {"seq": 4, "event": "created", "data": DATA},
        {"seq": 5, "event": "created", "data": DATA},
        {"truncated": True},
        {"truncated": True},
    ]
    assert report(peer) == {"feed": {"state": "truncated"}, "later": {"state": "truncated"}}


@pytest.mark.spec("WIRE-113", "WIRE-121", "PLAT-114")
async def test_row_30_a_topic_that_the_user_may_not_read_is_denied(bare: BareFactory) -> None:
    asked: list[list[str]] = []

    async def subscribe_batch(topics: list[str]) -> dict[str, Any]:
        asked.append(topics)
        await asyncio.sleep(0)
        return {"secret": False, "closed": "CLOSED", "unkept": False}

    one = await bare({"subscribe_batch": subscribe_batch})
    for topic in ("secret", "closed", "feed"):
        publish(one, topic, 2)
    peer = one.connect()
    peer.send(resume(secret=1, feed=1, closed=1, unkept=1))
    await turns(10)
    assert asked == [["secret", "feed", "closed", "unkept"]]
    assert answers(peer) == [
        ("__replay:secret", "denied"),
        ("__replay:feed", "msg"),
        ("__replay:feed", "end"),
        ("__replay:closed", "denied"),
        ("__replay:unkept", "denied"),
        "resumed",
    ]
    assert report(peer) == {
        "secret": {"state": "denied", "code": "FORBIDDEN"},
        "feed": {"state": "filled", "count": 1},
        "closed": {"state": "denied", "code": "CLOSED"},
        "unkept": {"state": "denied", "code": "FORBIDDEN"},
    }
    assert "created" not in "".join(frame for frame in peer.frames if "secret" in frame)


@pytest.mark.spec("PLAT-114")
async def test_a_hook_that_fails_denies(bare: BareFactory) -> None:
    async def subscribe_hook(topic: str) -> bool:
        raise RuntimeError("broken")

    one = await bare({"subscribe": subscribe_hook})
    publish(one, "feed", 2)
    peer = one.connect()
    peer.send(resume(feed=1))
    await turns(10)
    assert report(peer) == {"feed": {"state": "denied", "code": "INTERNAL_ERROR"}}


@pytest.mark.spec("WIRE-53", "WIRE-121", "PLAT-33")
async def test_rows_29_31_and_32_odd_entries_are_left_out(bare: BareFactory) -> None:
    one = await bare()
    publish(one, "ok")
    peer = one.connect()
    odd = {"a": -1, "b": 1.5, "c": "x", "d": 1e300, "__proto__": 3, "e": True, "ok": 1}
    peer.send(resume(**odd))
    peer.send(resume(**odd))
    peer.send(json.dumps({"type": "resume", "sessionId": "s", "lastSeenSeqs": [1]}))
    peer.send(json.dumps({"type": "resume", "sessionId": "s", "lastSeenSeqs": None}))
    await turns(20)
    frames = [frame for frame in peer.frames if "resumed" in frame]
    assert frames == ['{"type":"resumed","topics":{"ok":{"state":"complete"}}}'] * 2 + ['{"type":"resumed"}']


@pytest.mark.spec("WIRE-54", "PLAT-33", "PLAT-114")
async def test_ten_thousand_topics_in_one_frame(bare: BareFactory) -> None:
    one = await bare()
    publish(one, "t5")
    peer = one.connect()
    frame = json.dumps(resume(**{f"t{index}": 1 for index in range(10_000)}))
    assert len(frame) > 100_000
    peer.send(frame)
    await peer.wait(lambda frame: frame.get("type") == "resumed")
    assert len(report(peer)) == 1000
    assert report(peer)["t5"] == {"state": "complete"}
    peer.send(subscribe("after"))
    await turns()
    assert answers(peer)[-1] == ("+", "after", 1)


@pytest.mark.spec("WIRE-121")
async def test_a_report_that_is_too_large_loses_what_is_truncated_first(bare: BareFactory) -> None:
    one = await bare(websocket={"max_outbound_frame": 1024})
    publish(one, "feed", 2)
    peer = one.connect()
    peer.send(resume(feed=1, **{f"unkept-{index}": 1 for index in range(60)}))
    await turns(10)
    assert report(peer) == {"feed": {"state": "filled", "count": 1}}
    assert all(len(frame) <= 1024 for frame in peer.frames)


# ---------------------------------------------------------------- the app's own hook


@pytest.mark.spec("WIRE-121", "WIRE-122", "PLAT-32")
async def test_the_report_holds_what_the_apps_hook_replayed(bare: BareFactory) -> None:
    replay, found = Replay(), []

    async def hook(ws: Any, last_seen_seqs: dict[str, int], platform: Any) -> None:
        for topic in ("feed", "same", "elsewhere"):
            found.append(await replay.replay(ws, topic, last_seen_seqs[topic], platform))
        await replay.replay(ws, "lied", 2)  # the client said 1: this leaves something out

    one = await bare({"resume": hook})
    for topic in ("feed", "same", "lied", "skipped"):
        await replay.publish(one.runtime.platform, topic, "e")
        await replay.publish(one.runtime.platform, topic, "e")
    peer = one.connect()
    peer.send(resume(feed=1, same=2, elsewhere=7, lied=1, skipped=2))
    await turns(10)
    assert [outcome.state for outcome in found] == ["filled", "complete", "truncated"]
    assert report(peer) == {
        "feed": {"state": "filled", "count": 1},
        "same": {"state": "complete"},
        "elsewhere": {"state": "truncated"},
        "lied": {"state": "truncated"},
        "skipped": {"state": "truncated"},
    }
    # The report is closed: what is replayed now belongs to no resume.
    assert (await replay.replay(peer.connection, "feed", 2)).state == "complete"


@pytest.mark.spec("WIRE-53", "WIRE-122", "PLAT-32")
@pytest.mark.parametrize("fails", ["raises", "times out"])
async def test_a_hook_that_fails_leaves_what_it_did_not_reach_truncated(
    bare: BareFactory, fails: str
) -> None:
    replay = Replay()

    async def hook(ws: Any, platform: Any) -> None:
        await replay.replay(ws, "feed", 1, platform)
        if fails == "raises":
            raise RuntimeError("broken")
        await asyncio.Event().wait()

    one = await bare({"resume": hook}, websocket={"hook_timeout": 0.05})
    for topic in ("feed", "rest"):
        await replay.publish(one.runtime.platform, topic, "e")
    peer = one.connect()
    peer.send(resume(feed=1, rest=1))
    peer.send(subscribe("a"))
    await peer.wait(lambda frame: frame.get("type") == "subscribed")
    assert answers(peer) == [("__replay:feed", "end"), "resumed", ("+", "a", 1)]
    assert report(peer) == {"feed": {"state": "complete"}, "rest": {"state": "truncated"}}


@pytest.mark.spec("WIRE-113")
async def test_the_ready_made_hook(bare: BareFactory) -> None:
    replay = Replay(size=10)
    one = await bare({"resume": replay.resume_hook()})
    await replay.publish(one.runtime.platform, "feed", "e", 1)
    await replay.publish(one.runtime.platform, "feed", "e", 2)
    peer = one.connect()
    peer.send(resume(feed=1, never=0))
    peer.send(subscribe("feed"))
    await turns(10)
    assert answers(peer) == [
        ("__replay:feed", "msg"),
        ("__replay:feed", "end"),
        ("__replay:never", "end"),
        "resumed",
        ("+", "feed", 1),
    ]
    assert report(peer) == {"feed": {"state": "filled", "count": 1}, "never": {"state": "complete"}}


class Broken(Replay):
    """A store that does not answer."""

    async def catch_up(self, ws: Any, seen: Any, platform: Any) -> None:
        raise ConnectionError("the store is gone")


@pytest.mark.spec("WIRE-122")
@pytest.mark.parametrize("history", [Broken(), None])
async def test_a_read_that_fails_is_never_complete(bare: BareFactory, history: Any) -> None:
    one = await bare()
    publish(one, "feed")
    one.runtime.platform.replay = history
    peer = one.connect()
    peer.send(resume(feed=1))
    await turns(10)
    assert answers(peer) == ["resumed"]
    assert report(peer) == {"feed": {"state": "truncated"}}


# ---------------------------------------------------------------- between resumed and subscribed


@pytest.mark.spec("WIRE-113")
async def test_what_comes_between_the_reading_and_the_subscription_is_sent_too(bare: BareFactory) -> None:
    one = await bare()
    publish(one, "feed", 2)
    publish(one, "quiet", 1)
    peer = one.connect()
    peer.send(resume(feed=1, quiet=1))
    await turns(10)
    publish(one, "feed", 2)
    peer.send(batch("quiet", "feed", ref=9))
    await turns()
    publish(one, "feed", 1)
    await turns()
    frames = peer.parsed()
    assert answers(peer)[3:] == [
        "resumed",
        ("+", "quiet", 9),
        ("__replay:feed", "msg"),
        ("__replay:feed", "msg"),
        ("__replay:feed", "end"),
        ("+", "feed", 9),
        ("feed", "created"),
    ]
    assert [frame["data"]["seq"] for frame in frames if frame.get("event") == "msg"] == [2, 3, 4]
    assert [frame["seq"] for frame in frames if frame.get("topic") == "feed" and "event" in frame] == [5]
    # Once: a further subscription of the topic is no part of the resume.
    publish(one, "feed", 1)
    peer.send({"type": "unsubscribe", "topic": "feed"})
    publish(one, "feed", 1)
    peer.send(subscribe("feed"))
    await turns()
    assert answers(peer)[-1] == ("+", "feed", 1)
    assert answers(peer).count(("__replay:feed", "end")) == 2


async def test_a_long_gap_is_written_before_the_rest_of_the_batch(bare: BareFactory) -> None:
    one = await bare()
    publish(one, "feed", 1)
    publish(one, "other", 1)
    peer = one.connect()
    peer.send(resume(feed=1, other=1))
    await turns(10)
    publish(one, "feed", 250)
    publish(one, "other", 1)
    peer.send(batch("a", "feed", "other", "b", ref=1))
    publish(one, "feed", 1)
    await peer.wait(lambda frame: frame.get("topic") == "b")
    publish(one, "feed", 1)
    await turns()
    events = answers(peer)[answers(peer).index(("+", "a", 1)) :]
    assert events == [
        ("+", "a", 1),
        *[("__replay:feed", "msg")] * 250,
        ("__replay:feed", "end"),
        ("feed", "created"),
        ("+", "feed", 1),
        ("__replay:other", "msg"),
        ("__replay:other", "end"),
        ("+", "other", 1),
        ("+", "b", 1),
        ("feed", "created"),
    ]


async def test_a_second_resume_begins_anew_and_a_connection_that_is_gone_leaves_nothing(
    bare: BareFactory,
) -> None:
    one = await bare()
    publish(one, "feed", 2)
    publish(one, "other", 2)
    peer = one.connect()
    peer.send(resume(feed=1, other=1))
    peer.send(resume(feed=2))
    await turns(10)
    publish(one, "feed", 1)
    publish(one, "other", 1)
    peer.send(batch("feed", "other"))
    await turns()
    assert answers(peer)[-4:] == [
        ("__replay:feed", "msg"),
        ("__replay:feed", "end"),
        ("+", "feed", 1),
        ("+", "other", 1),
    ]
    gone = one.connect()
    gone.send(resume(feed=1))
    await turns(10)
    await gone.leave()
    resumes = one.runtime.platform.parts.resumes
    assert (resumes._resumes, resumes._gaps) == ({}, {})


@pytest.mark.spec("WIRE-55")
async def test_a_connection_that_closes_in_its_resume_ends_it(bare: BareFactory) -> None:
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def subscribe_hook(topic: str) -> None:
        asked.set()
        await go_on.wait()

    one = await bare({"subscribe": subscribe_hook})
    publish(one, "feed", 2)
    peer = one.connect()
    peer.send(resume(feed=1))
    await asked.wait()
    await peer.leave()
    go_on.set()
    await turns(10)
    assert answers(peer) == []
    resumes = one.runtime.platform.parts.resumes
    assert (resumes._resumes, resumes._gaps) == ({}, {})


# ---------------------------------------------------------------- what a client asks for itself


@pytest.mark.spec("WIRE-112", "WIRE-119")
async def test_transcript_11_12_replay_after_a_gap(bare: BareFactory) -> None:
    one = await bare(MAX_REPLAY_SIZE=5)
    platform, replay = one.runtime.platform, one.runtime.platform.replay
    for text in ("", "", "x", "", "", "a", "b"):
        await replay.publish(platform, "chat", "created", {"t": text})
    peer = one.connect()
    peer.send(subscribe("chat", 11))
    peer.send({"type": "replay", "topic": "chat", "since": 5, "reqId": 1})
    await turns(10)
    platform.publish("chat", "created", {"t": "c"})
    await turns()
    assert peer.frames[1:] == [
        '{"type":"subscribed","topic":"chat","ref":11}',
        '{"topic":"__replay:chat","event":"msg","data":{"reqId":1,"seq":6,"event":"created","data":{"t":"a"}}}',
        '{"topic":"__replay:chat","event":"msg","data":{"reqId":1,"seq":7,"event":"created","data":{"t":"b"}}}',
        '{"topic":"__replay:chat","event":"end","data":{"reqId":1}}',
        '{"topic":"chat","event":"created","data":{"t":"c"},"seq":8}',
    ]
    peer.send({"type": "replay", "topic": "chat", "since": 0, "reqId": 2})
    await turns(10)
    frames = peer.frames[6:]
    assert [json.loads(frame)["data"].get("seq") for frame in frames] == [4, 5, 6, 7, 8, None]
    assert frames[-1] == '{"topic":"__replay:chat","event":"end","data":{"reqId":2,"truncated":true}}'


@pytest.mark.spec("WIRE-112", "PLAT-114")
@pytest.mark.parametrize("since", [-1, "3", None, 1.5, True, "missing"])
async def test_row_88_a_bad_number_gets_the_end_only(bare: BareFactory, since: Any) -> None:
    one = await bare()
    publish(one, "chat", 2)
    peer = one.connect()
    request = {"type": "replay", "topic": "chat", "reqId": "r", "since": since}
    if since == "missing":
        del request["since"]
    peer.send(request)
    await turns(10)
    assert peer.frames[1:] == ['{"topic":"__replay:chat","event":"end","data":{"reqId":"r"}}']


@pytest.mark.parametrize("req_id", [None, True, [1], {"a": 1}, "x" * 129, "missing"])
async def test_an_id_that_cannot_be_echoed_is_left_out(bare: BareFactory, req_id: Any) -> None:
    one = await bare()
    publish(one, "chat", 1)
    peer = one.connect()
    request = {"type": "replay", "topic": "chat", "since": 1, "reqId": req_id}
    if req_id == "missing":
        del request["reqId"]
    peer.send(request)
    await turns(10)
    assert peer.frames[1:] == ['{"topic":"__replay:chat","event":"end","data":null}']


@pytest.mark.spec("WIRE-112", "PLAT-114")
async def test_a_question_is_asked_of_the_gate(bare: BareFactory) -> None:
    one = await bare({"subscribe": lambda topic: topic != "secret"})
    publish(one, "secret", 2)
    peer = one.connect()
    for topic in ("secret", "__presence:room", "never"):
        peer.send({"type": "replay", "topic": topic, "since": 0, "reqId": 1})
    await turns(20)
    assert [(frame["topic"], frame["event"], frame["data"]) for frame in peer.parsed()[1:]] == [
        ("__replay:secret", "denied", {"code": "FORBIDDEN", "reqId": 1}),
        ("__replay:__presence:room", "denied", {"code": "INVALID_TOPIC", "reqId": 1}),
        ("__replay:never", "end", {"reqId": 1}),
    ]


async def test_questions_and_subscriptions_keep_their_order(bare: BareFactory) -> None:
    one = await bare()
    publish(one, "chat", 250)
    peer = one.connect()
    peer.send({"type": "replay", "topic": "chat", "since": 0})
    peer.send(subscribe("chat"))
    peer.send({"type": "replay", "topic": "chat", "since": 249})
    await peer.wait(lambda frame: frame.get("type") == "subscribed")
    await turns(10)
    publish(one, "chat", 1)
    await turns()
    assert answers(peer) == [
        *[("__replay:chat", "msg")] * 250,
        ("__replay:chat", "end"),
        ("+", "chat", 1),
        ("__replay:chat", "msg"),
        ("__replay:chat", "end"),
        ("chat", "created"),
    ]


@pytest.mark.spec("WIRE-57")
async def test_the_apps_message_hook_gets_questions_about_what_is_not_ours(bare: BareFactory) -> None:
    seen: list[Any] = []
    one = await bare({"message": lambda msg: seen.append(msg)})
    publish(one, "ours")
    peer = one.connect()
    theirs = [
        {"type": "replay", "topic": "theirs", "since": 0},
        {"type": "replay", "topic": 5},
        {"type": "replay", "topic": ""},
        {"type": "replay"},
    ]
    for message in (*theirs, {"type": "replay", "topic": "ours", "since": 1}):
        peer.send(message)
    await turns(10)
    assert seen == theirs
    assert answers(peer) == [("__replay:ours", "end")]


@pytest.mark.parametrize("message", [{"topic": 5}, {"topic": ""}, {"topic": 'a"b'}, {}])
async def test_a_question_about_no_topic_is_ignored(bare: BareFactory, message: Any) -> None:
    one = await bare()
    peer = one.connect()
    peer.send({"type": "replay", "since": 0, **message})
    await turns()
    assert answers(peer) == []
    assert one.runtime.metrics.get("ws_frames_unhandled_total") == 1


async def test_without_a_history_nobody_answers(bare: BareFactory) -> None:
    one = await bare()
    one.runtime.platform.replay = None
    peer = one.connect()
    peer.send({"type": "replay", "topic": "a", "since": 0})
    await turns()
    assert answers(peer) == []


def test_a_report_is_encoded_in_the_order_of_the_topics() -> None:
    frame = control.encode_resumed({"feed": {"state": "filled", "count": 1}, "todos": {"state": "complete"}})
    assert (
        frame
        == b'{"type":"resumed","topics":{"feed":{"state":"filled","count":1},"todos":{"state":"complete"}}}'
    )
    assert ReplayOutcome("complete").count == 0
