"""Bad input over a real socket: each row of wire 10 that one connection can show, and what must come of it.

"Ignored" is: no frame, no close, counted, and the raw frame goes to the app's `message` hook. After every row the
connection still takes a control frame and answers a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from runtime.server.serving import RealtimeServer
from tests.conformance.serving import serving_in_thread

FRAME_TIMEOUT = 20.0
MAX_PAYLOAD = 1_048_576

PROJECT = Path(__file__).parents[1] / "conformance" / "robustness"


pytestmark = pytest.mark.spec("WIRE-118", "PLAT-158")


@pytest.fixture(scope="module", params=["auto", "off"], ids=["fast", "asgi"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[RealtimeServer, str]]:
    with serving_in_thread(PROJECT, request.param) as pair:
        yield pair


@dataclass
class Outcome:
    """What came back, and what the app saw."""

    frames: list[str] = field(default_factory=list)
    log: list[Any] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    caps: list[str] = field(default_factory=list)


class Peer:
    """One connection that is past its welcome."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self._probes = 0

    async def receive(self) -> str:
        async with asyncio.timeout(FRAME_TIMEOUT):
            frame = await self.websocket.recv()
        assert isinstance(frame, str), "the server sent a binary frame"
        return frame

    async def exchange(self, *sent: str | bytes) -> Outcome:
        """Send frames and return everything that they caused.

        A control frame behind them is answered when theirs are, and a call behind that when theirs ended.
        """
        for frame in sent:
            await self.websocket.send(frame)
        outcome = Outcome()
        self._probes += 1
        barrier = denied("", ref=f"barrier{self._probes}")
        await self.websocket.send(subscribe("", ref=f"barrier{self._probes}"))
        while (frame := await self.receive()) != barrier:
            outcome.frames.append(frame)
        id = f"probe{self._probes}"
        await self.websocket.send(json.dumps({"rpc": "probe/seen", "id": id, "args": []}))
        while True:
            frame = await self.receive()
            if frame.startswith(f'{{"topic":"__rpc","event":"{id}"'):
                break
            outcome.frames.append(frame)
        seen = json.loads(frame)["data"]["data"]
        outcome.log, outcome.topics, outcome.caps = seen["log"], seen["topics"], seen["caps"]
        return outcome


@contextlib.asynccontextmanager
async def peer_of(url: str) -> AsyncIterator[Peer]:
    async with connect(url, compression=None, max_size=2 * MAX_PAYLOAD) as websocket:
        peer = Peer(websocket)
        assert (await peer.receive()).startswith('{"type":"welcome"')
        yield peer


@pytest.fixture
async def peer(server: tuple[RealtimeServer, str]) -> AsyncIterator[Peer]:
    async with peer_of(server[1]) as one:
        yield one


def text(obj: Any) -> str:
    return json.dumps(obj, ensure_ascii=False, separators=(",", ":"))


def subscribe(topic: Any, **more: Any) -> str:
    return text({"type": "subscribe", "topic": topic, **more})


def subscribed(topic: str, ref: Any = 1) -> str:
    return text({"type": "subscribed", "topic": topic, "ref": ref})


def denied(topic: Any, reason: str = "INVALID_TOPIC", ref: Any = 1) -> str:
    return text({"type": "subscribe-denied", "topic": topic, "ref": ref, "reason": reason})


def call(path: Any, *args: Any, id: Any = "a", **more: Any) -> str:
    return text({"rpc": path, "id": id, "args": list(args), **more})


def reply(id: str, **inner: Any) -> str:
    return text({"topic": "__rpc", "event": id, "data": {"id": id, **inner}})


def failure(id: str, code: str, error: str) -> dict[str, Any]:
    return {"id": id, "ok": False, "code": code, "error": error}


def failed(id: str, code: str, error: str) -> str:
    return text({"topic": "__rpc", "event": id, "data": failure(id, code, error)})


def batch_reply(*inners: dict[str, Any]) -> str:
    return text({"topic": "__rpc", "event": "__batch", "data": {"batch": list(inners)}})


INVALID_PATH = ("INVALID_REQUEST", "Invalid path")
NOT_FOUND = ("NOT_FOUND", "Not found")
NOT_AN_ARRAY = ("INVALID_REQUEST", "args must be an array")
TOO_DEEP = ("INVALID_REQUEST", "Envelope too deep")
BAD_ENTRY = ("INVALID_REQUEST", "Each batch entry requires rpc and id")
DEEP = "[" * 10_000 + "]" * 10_000


def row_ids(cases: Sequence[tuple[Any, ...]]) -> list[str]:
    return [f"row{row}-{number}" for number, (row, *_) in enumerate(cases)]


IGNORED: list[tuple[int, str | bytes]] = [
    (1, ""),
    (2, b""),
    (3, "{"),
    (4, "null"),
    (4, "1"),
    (4, '"abyd"'),
    (4, "[]"),
    (5, '{"type":1}'),
    (6, '{"type":"nope"}'),
    (7, '{"type":"subscribe"}'),
    (8, '{"type":"subscribe","topic":7,"ref":1}'),
    (21, '{"type":"subscribe-batch","topics":"abc","ref":1}'),
    (23, text({"type": "subscribe-batch", "topics": ["t" * 200] * 41, "ref": 1})),
    (32, '{"type":"resume","sessionId":"s","lastSeenSeqs":null}'),
    (42, call("probe/ran", "x", id="")),
    (42, call("probe/ran", "x", id=None)),
    (42, call("probe/ran", "x", id=5)),
    (42, call("probe/ran", "x", id={})),
    (46, '{"other":' + DEEP + "}"),
    (46, '{"rpc":"probe/ran","args":' + DEEP + "}"),
    (47, '{"rpc":"probe/echo","id":"1","args":[NaN]}'),
    (53, '{"batch":{}}'),
    (62, b"\x00"),
    (62, b"\x00\x00\x00"),
    (62, b"\x00\x00\x00\x00"),
    (63, b"\x00\x00\x40{}"),
    (64, b"\x00\x00\x02[]"),
    (65, b'\x00\x00\x0c{"rpc":"\xff\xff"}'),
    (78, "\x01\x00\x00"),
    (79, b"\x03abc"),
    (79, b"\xff"),
]


@pytest.mark.parametrize("frame", [frame for _, frame in IGNORED], ids=row_ids(IGNORED))
async def test_ignored_frames_reach_the_message_hook_and_nothing_else(peer: Peer, frame: str | bytes) -> None:
    outcome = await peer.exchange(frame)
    assert outcome.frames == []
    assert [entry[:2] for entry in outcome.log] == [
        ["message", list(frame) if isinstance(frame, bytes) else frame]
    ]
    # What parsed to an object is handed to the hook parsed.
    (entry,) = outcome.log
    try:
        parsed = (
            json.loads(frame)
            if isinstance(frame, str) and len(frame) < 10_000 and "NaN" not in frame
            else None
        )
    except ValueError:
        parsed = None
    assert entry[2] == (parsed if isinstance(parsed, dict) else None)


ANSWERED: list[tuple[int, str, list[str]]] = [
    (9, subscribe("", ref=1), [denied("")]),
    (10, subscribe("t" * 257, ref=1), [denied("t" * 256)]),
    (11, subscribe("t" * 256, ref=1), [subscribed("t" * 256)]),
    (12, subscribe("a\nb", ref=1), [denied("a\nb")]),
    (12, subscribe('a"b', ref=1), [denied('a"b')]),
    (12, subscribe("a\\b", ref=1), [denied("a\\b")]),
    (13, subscribe("a\u202e", ref=1), [denied("a\u202e")]),
    (13, subscribe("a\u2028", ref=1), [denied("a\u2028")]),
    (13, subscribe("a\ufeff", ref=1), [denied("a\ufeff")]),
    (13, subscribe("é", ref=1), [denied("é")]),
    (14, subscribe("a\x7f", ref=1), [denied("a\x7f")]),
    (17, subscribe("plain", ref="r" * 1024), [subscribed("plain", "r" * 1024)]),
    (19, subscribe("boom", ref=1), [denied("boom", "INTERNAL_ERROR")]),
    (
        24,
        '{"type":"subscribe-batch","topics":[null,5,{},"a"],"ref":1}',
        [denied(None), denied(5), denied({}), subscribed("a")],
    ),
    (36, call("x"), [failed("a", *INVALID_PATH)]),
    (37, call("../secrets"), [failed("a", *INVALID_PATH)]),
    (37, call("a//b"), [failed("a", *INVALID_PATH)]),
    (37, call("/a/b"), [failed("a", *INVALID_PATH)]),
    (37, call("a/b/"), [failed("a", *INVALID_PATH)]),
    (37, call("a.b/c"), [failed("a", *INVALID_PATH)]),
    (37, call(""), [failed("a", *INVALID_PATH)]),
    (38, call("probe/__class__"), [failed("a", *NOT_FOUND)]),
    (38, call("probe/_hidden"), [failed("a", *NOT_FOUND)]),
    (38, call("no/such"), [failed("a", *NOT_FOUND)]),
    (39, call("a/" * 450_000 + "a"), [failed("a", *NOT_FOUND)]),
    (40, '{"rpc":"probe/echo","id":"a","args":{}}', [failed("a", *NOT_AN_ARRAY)]),
    (40, '{"rpc":"probe/echo","id":"a","args":"x"}', [failed("a", *NOT_AN_ARRAY)]),
    (40, '{"rpc":"probe/echo","id":"a","args":null}', [failed("a", *NOT_AN_ARRAY)]),
    (40, '{"rpc":"no/such","id":"a","args":{}}', [failed("a", *NOT_AN_ARRAY)]),
    (40, '{"rpc":"x","id":"a","args":{}}', [failed("a", *INVALID_PATH)]),
    (44, call("probe/echo", 1, id="__batch"), [reply("__batch", ok=True, data=[1])]),
    (46, '{"rpc":"probe/echo","id":"a","args":' + DEEP + "}", [failed("a", *TOO_DEEP)]),
    (46, '{"rpc":"probe/echo","id":"a","args":' + "[" * 64 + "]" * 64 + "}", [failed("a", *TOO_DEEP)]),
    (
        46,
        '{"batch":[{"rpc":"probe/echo","id":"a","args":' + DEEP + '},{"rpc":"probe/echo","id":"b"}]}',
        [batch_reply(failure("a", *TOO_DEEP), failure("b", *TOO_DEEP))],
    ),
    (48, '{"rpc":"probe/echo","id":"a","args":[{"x":1,"x":2}]}', [reply("a", ok=True, data=[{"x": 2}])]),
    (
        49,
        call("probe/echo", {"__proto__": {"admin": True}}),
        [reply("a", ok=True, data=[{"__proto__": {"admin": True}}])],
    ),
    (
        52,
        '{"batch":[1,null,{}]}',
        [batch_reply(failure("", *BAD_ENTRY), failure("", *BAD_ENTRY), failure("", *BAD_ENTRY))],
    ),
    (54, '{"batch":[{"batch":[],"id":"a"}]}', [batch_reply(failure("a", *BAD_ENTRY))]),
    (55, call("probe/boom"), [failed("a", "INTERNAL_ERROR", "Internal server error")]),
    (56, call("probe/strange"), [failed("a", "INTERNAL_ERROR", "Internal server error")]),
    (57, call("probe/large"), [failed("a", "PAYLOAD_TOO_LARGE", "Response too large")]),
    (58, call("probe/named", "__x", stream=True), [failed("a", "INVALID_REQUEST", "Reserved topic prefix")]),
    (59, call("probe/named", 'a"b', stream=True), [failed("a", "INVALID_TOPIC", "Access denied")]),
]


@pytest.mark.parametrize(("frame", "answers"), [case[1:] for case in ANSWERED], ids=row_ids(ANSWERED))
@pytest.mark.spec("WIRE-61", "WIRE-75", "WIRE-69")
async def test_bad_frames_are_answered(peer: Peer, frame: str, answers: list[str]) -> None:
    outcome = await peer.exchange(frame)
    assert outcome.frames == answers
    assert not [entry for entry in outcome.log if entry[0] == "message"]


@pytest.mark.parametrize("topic", ["__rpc", "__signal:victim", "__presence:x", "__"])
@pytest.mark.spec("WIRE-41")
async def test_row_15_system_topics_are_denied_without_the_hook(peer: Peer, topic: str) -> None:
    outcome = await peer.exchange(subscribe(topic, ref=1))
    assert outcome.frames == [denied(topic)]
    assert outcome.log == []


@pytest.mark.parametrize("more", [{}, {"ref": None}, {"ref": True}, {"ref": {}}, {"ref": []}])
@pytest.mark.spec("WIRE-39")
async def test_row_16_without_a_usable_ref_it_is_done_and_not_answered(
    peer: Peer, more: dict[str, Any]
) -> None:
    outcome = await peer.exchange(
        subscribe("plain", **more), subscribe("private", **more), subscribe("", **more)
    )
    assert outcome.frames == []
    assert outcome.log == [["subscribe", "plain"], ["subscribe", "private"]]
    assert outcome.topics == ["plain"]


@pytest.mark.spec("WIRE-49")
async def test_row_18_the_same_topic_twice_is_acknowledged_twice_and_held_once(
    server: tuple[RealtimeServer, str], peer: Peer
) -> None:
    outcome = await peer.exchange(subscribe("twice", ref=1), subscribe("twice", ref=2))
    assert outcome.frames == [subscribed("twice", 1), subscribed("twice", 2)]
    assert outcome.topics == ["twice"]
    assert server[0].runtime.platform.subscribers("twice") == 1


@pytest.mark.spec("WIRE-55")
async def test_row_20_a_hook_that_does_not_return_holds_up_control_frames_only(peer: Peer) -> None:
    await peer.websocket.send(subscribe("slow", ref=1))
    await peer.websocket.send(subscribe("plain", ref=2))
    await peer.websocket.send(call("probe/echo", 1))
    assert await peer.receive() == reply("a", ok=True, data=[1])
    await peer.websocket.send(call("probe/release"))
    assert await peer.receive() == reply("a", ok=True, data=None)
    assert await peer.receive() == subscribed("slow", 1)
    assert await peer.receive() == subscribed("plain", 2)
    assert (await peer.exchange()).topics == ["plain", "slow"]


@pytest.mark.spec("WIRE-47")
async def test_row_22_topics_beyond_256_are_denied(peer: Peer) -> None:
    topics = [f"t{number}" for number in range(300)]
    frame = text({"type": "subscribe-batch", "topics": topics, "ref": 1})
    assert len(frame) < 8192
    outcome = await peer.exchange(frame)
    assert len(outcome.frames) == 300
    assert [one for one in outcome.frames if "denied" not in one] == [
        subscribed(topic) for topic in topics[:256]
    ]
    assert [one for one in outcome.frames if "denied" in one] == [
        denied(topic, "RATE_LIMITED") for topic in topics[256:]
    ]
    assert outcome.topics == sorted(topics[:256])


async def test_rows_25_and_26_unsubscribe(peer: Peer) -> None:
    outcome = await peer.exchange(
        '{"type":"unsubscribe","topic":"never"}', '{"type":"unsubscribe","topic":"__signal:me"}'
    )
    assert outcome.frames == []
    assert outcome.log == [["unsubscribe", "never"]]


@pytest.mark.parametrize("caps", [["batch", 1, None], [*(f"c{number}" for number in range(900)), "batch"]])
@pytest.mark.spec("WIRE-52")
async def test_rows_27_and_28_only_known_capabilities_are_kept(peer: Peer, caps: list[Any]) -> None:
    frame = text({"type": "hello", "caps": caps})
    assert len(frame) < 8192
    outcome = await peer.exchange(frame)
    assert (outcome.frames, outcome.caps) == ([], ["batch"])
    outcome = await peer.exchange('{"type":"hello","caps":[]}')
    assert (outcome.frames, outcome.caps) == ([], [])


@pytest.mark.spec("WIRE-53")
async def test_rows_29_31_and_32_resume(peer: Peer) -> None:
    odd = '{"type":"resume","sessionId":"s","lastSeenSeqs":{"a":-1,"b":1.5,"c":"x","d":1e300,"__proto__":3,"ok":4}}'
    outcome = await peer.exchange(odd, odd)
    assert outcome.frames == ['{"type":"resumed","topics":{"ok":{"state":"truncated"}}}'] * 2
    assert outcome.log == [["resume", {"ok": 4}], ["resume", {"ok": 4}]]
    outcome = await peer.exchange('{"type":"resume","sessionId":"s","lastSeenSeqs":[1,2]}')
    assert outcome.frames == ['{"type":"resumed"}']
    assert outcome.log[2:] == [["resume", {}]]


@pytest.mark.parametrize("ref", ["17", '"x"'])
@pytest.mark.spec("WIRE-37")
async def test_row_33_replies_to_nothing_are_ignored(peer: Peer, ref: str) -> None:
    outcome = await peer.exchange(f'{{"type":"reply","ref":{ref},"data":1}}')
    assert outcome.frames == []


@pytest.mark.spec("WIRE-67")
async def test_row_41_a_call_without_an_id_runs_unanswered(peer: Peer) -> None:
    outcome = await peer.exchange(
        '{"rpc":"probe/ran","args":["first"]}',
        '{"rpc":"probe/boom","args":[]}',
        '{"rpc":"no/such"}',
        '{"rpc":"x"}',
        '{"rpc":"probe/ran","args":[1]}',
    )
    assert outcome.frames == []
    assert outcome.log == [["ran", "first"]]


@pytest.mark.parametrize("id", ['a"b', "a\nb", "a\\b"])
@pytest.mark.spec("WIRE-67")
async def test_row_43_an_id_that_no_answer_could_name_is_dropped_and_counted(
    server: tuple[RealtimeServer, str], peer: Peer, id: str
) -> None:
    metrics = server[0].runtime.metrics
    before = metrics.get("rpc_calls_dropped_total", "bad_id")
    outcome = await peer.exchange(call("probe/ran", "x", id=id))
    assert (outcome.frames, outcome.log) == ([], [])
    assert metrics.get("rpc_calls_dropped_total", "bad_id") == before + 1


@pytest.mark.spec("WIRE-60")
async def test_row_45_two_calls_with_one_id_are_both_answered(peer: Peer) -> None:
    outcome = await peer.exchange(call("probe/echo", 1), call("probe/echo", 2))
    assert sorted(outcome.frames) == [reply("a", ok=True, data=[1]), reply("a", ok=True, data=[2])]


@pytest.mark.parametrize("args", [[], [1, 2, 3], ["x"], [None]])
async def test_row_50_other_arguments_than_the_handler_takes(peer: Peer, args: list[Any]) -> None:
    (frame,) = (await peer.exchange(call("probe/two", *args))).frames
    inner = json.loads(frame)["data"]
    assert (inner["code"], inner["error"]) == ("VALIDATION", "Validation failed")
    assert inner["issues"]
    for issue in inner["issues"]:
        assert set(issue) == {"path", "message"}
        assert all(isinstance(step, str) for step in issue["path"])


@pytest.mark.spec("WIRE-70")
async def test_row_51_a_batch_of_51_runs_nothing_and_fails_each_id(peer: Peer) -> None:
    entries: list[Any] = [{"rpc": "probe/ran", "id": f"k{number}", "args": ["x"]} for number in range(50)]
    outcome = await peer.exchange(text({"batch": [*entries, 5]}))
    error = "Batch exceeds maximum of 50 calls"
    assert outcome.frames == [batch_reply(*(failure(f"k{n}", "INVALID_REQUEST", error) for n in range(50)))]
    assert outcome.log == []
    outcome = await peer.exchange(text({"batch": [1] * 51}))
    assert outcome.frames == [batch_reply(failure("", "INVALID_REQUEST", error))]
    outcome = await peer.exchange(text({"batch": entries}))
    assert len(outcome.log) == 50


@pytest.mark.spec("WIRE-68", "WIRE-69")
async def test_a_batch_keeps_the_order_of_its_entries(peer: Peer) -> None:
    entries = [
        {"rpc": "probe/echo", "id": "1", "args": [1]},
        {"rpc": "probe/boom", "id": "2", "args": []},
        5,
        {"rpc": "no/such", "id": "3"},
        {"rpc": "probe/ran", "args": ["x"]},
        {"rpc": "probe/echo", "id": 'q"\n', "args": ["é"]},
    ]
    expected = batch_reply(
        {"id": "1", "ok": True, "data": [1]},
        failure("2", "INTERNAL_ERROR", "Internal server error"),
        failure("", *BAD_ENTRY),
        failure("3", *NOT_FOUND),
        failure("", *BAD_ENTRY),
        {"id": 'q"\n', "ok": True, "data": ["é"]},
    )
    for sequential in ({}, {"sequential": True}):
        outcome = await peer.exchange(text({"batch": entries, **sequential}))
        assert outcome.frames == [expected]
        assert outcome.log == []
    assert (await peer.exchange('{"batch":[]}')).frames == [batch_reply()]


@pytest.mark.spec("WIRE-71", "WIRE-22")
async def test_a_large_batch_answer_is_split(peer: Peer) -> None:
    # Each answer is below the limit alone, and no two of them fit into one frame.
    batch = [{"rpc": "probe/half", "id": str(number), "args": [number]} for number in range(3)]
    assert (await peer.exchange(text({"batch": batch}))).frames == [
        batch_reply({"id": str(number), "ok": True, "data": str(number) * 600_000}) for number in range(3)
    ]


@pytest.mark.parametrize("seq", ['"5"', "-1", "1e308", "null", "true", "5", "[]"])
async def test_row_60_a_number_that_is_of_no_use_gives_a_full_load(peer: Peer, seq: str) -> None:
    outcome = await peer.exchange(f'{{"rpc":"probe/rows","id":"a","args":[],"stream":true,"seq":{seq}}}')
    (frame,) = outcome.frames
    # To a number the answer says that it is no replay; to anything else it says nothing of it (wire 5.4).
    is_number = isinstance(json.loads(seq), (int, float)) and seq != "true"
    says = {"replay": False} if is_number else {}
    assert frame == reply("a", ok=True, data=[{"id": 1}], topic="rows", merge="crud", key="id", **says)


@pytest.mark.spec("WIRE-76")
async def test_row_61_ten_thousand_requests_for_one_stream(
    server: tuple[RealtimeServer, str], peer: Peer
) -> None:
    count = 10_000

    async def ask() -> None:
        for number in range(count):
            await peer.websocket.send(f'{{"rpc":"probe/rows","id":"{number}","args":[],"stream":true}}')

    asking = asyncio.create_task(ask())
    answers = [json.loads(await peer.receive())["data"] for _ in range(count)]
    await asking
    assert {int(answer["id"]) for answer in answers} == set(range(count))
    refused = {(answer["code"], answer["error"]) for answer in answers if not answer["ok"]}
    assert refused <= {("OVERLOADED", "Too many calls in flight")}
    assert server[0].runtime.platform.subscribers("rows") == 1
    assert (await peer.exchange()).topics == ["rows"]


@pytest.mark.spec("WIRE-18")
async def test_row_80_a_frame_above_the_limit_closes_and_one_of_that_size_does_not(
    server: tuple[RealtimeServer, str], peer: Peer
) -> None:
    head, tail = '{"rpc":"probe/measure","args":["', '"]}'
    room = MAX_PAYLOAD - len(head) - len(tail)
    outcome = await peer.exchange(head + "x" * room + tail)
    assert outcome.log == [["measured", room]]
    async with peer_of(server[1]) as other:
        await other.websocket.send("x" * (MAX_PAYLOAD + 1))
        with pytest.raises(ConnectionClosedError) as caught:
            await other.receive()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


@pytest.mark.spec("WIRE-19")
async def test_row_81_invalid_utf8_closes(server: tuple[RealtimeServer, str]) -> None:
    async with peer_of(server[1]) as other:
        await other.websocket.send(b'{"rpc":"\xff"}', text=True)
        with pytest.raises(ConnectionClosedError) as caught:
            await other.receive()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1007


@pytest.mark.spec("WIRE-20")
async def test_every_bad_frame_in_a_row_leaves_one_connection_working(peer: Peer) -> None:
    outcome = await peer.exchange(*(frame for _, frame in IGNORED), *(frame for _, frame, _ in ANSWERED))
    expected = [answer for _, _, answers in ANSWERED for answer in answers]
    assert sorted(outcome.frames) == sorted(expected)
    assert (await peer.exchange(call("probe/echo", 1))).frames == [reply("a", ok=True, data=[1])]
