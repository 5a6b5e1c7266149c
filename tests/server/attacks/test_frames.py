"""What goes through an open connection: foreign topics, deep and broken JSON, frames of every kind. Platform 5.14."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.server.attacks.people import (
    BINARY,
    CLOSE,
    PATIENCE,
    PING,
    TEXT,
    Attacker,
    attacker,
    chat,
    upgrade_head,
)
from tests.server.attacks.target import SECRET, VICTIM, target
from tests.server.rawpeer import client_frame

FOREIGN_TOPICS = [
    "room:victim",
    "__signal:victim",
    "__realtime2",
    "__",
    "__presence:room:victim",
    "__replay:room:victim",
    "__rpc",
    "room:victim ",
    " room:victim",
    "room:victim\u200b",
    "room:\u0076ictim\u0000",
    "ROOM:VICTIM",
    "room:*",
    "*",
    "#",
    "room:victim,lobby",
    "\uff3f\uff3fsignal:victim",
    "x" * 300,
    'room:victim","x":"',
]


@pytest.mark.spec("PLAT-105", "PLAT-107", "WIRE-41")
async def test_no_topic_of_somebody_else_is_ever_heard(mallory: Attacker) -> None:
    async with mallory.peer() as peer:
        talk = chat(peer)
        for ref, topic in enumerate(FOREIGN_TOPICS):
            talk.write({"type": "subscribe", "topic": topic, "ref": ref})
            answer = await talk.until(lambda one, ref=ref: one.get("ref") == ref)
            assert answer["type"] == "subscribe-denied", topic
        talk.write({"type": "subscribe-batch", "topics": [*FOREIGN_TOPICS, "lobby"], "ref": "b"})
        granted = await talk.until(lambda one: one["type"] == "subscribed")
        assert granted["topic"] == "lobby"
        talk.write(
            r'{"type":"subscribe","topic":"\u005f\u005fsignal:victim","ref":"e"}',
            r'{"type":"subscribe","topic":"lobby","topic":"room:victim","ref":"d"}',
            '{"type":"subscribe","topic":["room:victim"],"ref":"l"}',
            '{"type":"subscribe","topic":{"$ne":null},"ref":"o"}',
        )
        # The victim works on meanwhile: whatever is heard of it would be here.
        for _ in range(20):
            assert SECRET not in await talk.settle()


@pytest.mark.spec("PLAT-114")
@pytest.mark.parametrize("since", [0, 1, -1, 1.5, True, "0", None, 2**70, [0], {"$gt": 0}])
async def test_no_history_of_somebody_else_is_read(mallory: Attacker, since: Any) -> None:
    async with mallory.peer() as peer:
        talk = chat(peer)
        seen = {"room:victim": since, "__signal:victim": since, "room:mallory": since, "lobby": since}
        talk.write({"type": "resume", "sessionId": "x", "lastSeenSeqs": seen})
        resumed = await talk.until(lambda one: one.get("type") == "resumed")
        for topic in ("room:victim", "__signal:victim"):
            assert resumed.get("topics", {}).get(topic, {"state": "denied"})["state"] == "denied", resumed
        for topic in ("room:victim", "__signal:victim", "__rpc"):
            talk.write({"type": "replay", "topic": topic, "since": since, "reqId": topic})
        talk.write('{"type":"replay","topic":"room:victim","since":NaN}')
        assert SECRET not in await talk.settle()


@pytest.mark.spec("PLAT-114")
async def test_a_resume_of_ten_thousand_topics_is_bounded(mallory: Attacker) -> None:
    async with mallory.peer() as peer:
        talk = chat(peer)
        seen = {f"room:{number}": 0 for number in range(10_000)} | {"room:victim": 0}
        talk.write({"type": "resume", "sessionId": "x", "lastSeenSeqs": seen})
        resumed = await talk.until(lambda one: one.get("type") == "resumed")
        assert len(resumed.get("topics", {})) <= 1000
        assert SECRET not in await talk.settle()


DEEP = [
    '{"rpc":"ledger/echo","id":"d","args":[' + "[" * 63 + "]" * 63 + "]}",
    '{"rpc":"ledger/echo","id":"d","args":[' + "[" * 5000 + "]" * 5000 + "]}",
    '{"rpc":"ledger/echo","id":"d","args":[' + '{"a":' * 5000 + "1" + "}" * 5000 + "]}",
    '{"rpc":"ledger/echo","id":"d","args":[' + "[" * 200_000 + "]" * 200_000 + "]}",
    '{"rpc":"ledger/echo","id":"d","args":' + "[" * 400_000,
]


@pytest.mark.spec("PLAT-116", "WIRE-20")
@pytest.mark.parametrize("frame", DEEP, ids=["65", "5000", "objects", "200000", "open"])
async def test_deep_json_is_refused(mallory: Attacker, frame: str) -> None:
    async with mallory.peer() as peer:
        talk = chat(peer)
        talk.write(frame)
        await talk.settle()
        answers = [one for one in map(json.loads, talk.frames) if one.get("event") == "d"]
        for one in answers:
            assert (one["data"]["ok"], one["data"]["code"]) == (False, "INVALID_REQUEST")


ODD = [
    '{"rpc":"ledger/__class__","id":"o","args":[]}',
    '{"rpc":"ledger/../hooks","id":"o","args":[]}',
    '{"rpc":"ledger/add/__init__","id":"o","args":[1]}',
    '{"rpc":"__class__/__init__","id":"o","args":[]}',
    '{"rpc":"ledger/_guard","id":"o","args":[]}',
    '{"rpc":"ledger/live","id":"o","args":[]}',
    '{"rpc":"hooks/upgrade","id":"o","args":[]}',
    '{"rpc":"ledger.add","id":"o","args":[1]}',
    '{"rpc":"ledger//add","id":"o","args":[1]}',
    '{"rpc":"ledger/add\\u0000","id":"o","args":[1]}',
    '{"rpc":"ledger/add","id":"o","args":{"number":1}}',
    '{"rpc":"ledger/add","id":"o","args":["1"]}',
    '{"rpc":"ledger/add","id":"o","args":[true]}',
    '{"rpc":"ledger/add","id":"o","args":[1.5]}',
    '{"rpc":"ledger/add","id":"o","args":[1,2,3]}',
    '{"rpc":"ledger/add","id":"o","args":[{"__class__":"int"}]}',
    '{"rpc":"ledger/typed","id":"o","args":[{"a":"{0.__globals__}"}]}',
    '{"rpc":"ledger/typed","id":"o","args":[[["a",1]]]}',
    '{"rpc":"ledger/typed","id":"o","args":[{"a":1e400}]}',
]


@pytest.mark.spec("PLAT-118")
@pytest.mark.parametrize("frame", ODD)
async def test_what_is_no_function_or_no_argument_of_it_is_refused(mallory: Attacker, frame: str) -> None:
    async with mallory.peer() as peer:
        talk = chat(peer)
        talk.write(frame)
        await talk.settle()
        for one in map(json.loads, talk.frames):
            if one.get("event") == "o":
                assert one["data"]["ok"] is False, one
                assert one["data"]["code"] in ("NOT_FOUND", "VALIDATION", "INVALID_REQUEST"), one
        assert "Traceback" not in "".join(talk.frames)


@pytest.mark.spec("PLAT-118")
@pytest.mark.parametrize(
    "value",
    [
        {"__class__": "x", "__proto__": {"admin": True}, "constructor": {"prototype": {"a": 1}}},
        {"__dict__": {"user": {"id": "victim"}}, "__reduce__": ["os.system", "id"]},
        "{0.__class__.__init__.__globals__}",
        "%(x)s %s {} {{7*7}} ${7*7} {% debug %}",
        "\r\nset-cookie: a=b",
        2**53 - 1,
        -(2**53),
    ],
)
async def test_data_stays_data(mallory: Attacker, value: Any) -> None:
    async with mallory.peer() as peer:
        talk = chat(peer)
        answer = await talk.call("ledger/echo", value)
        assert answer["data"] == value
        who = await talk.call("ledger/entries", {"user": {"id": "victim"}}, stream=True)
        assert who["ok"] is False or "room:victim" not in str(who)
        assert SECRET not in await talk.settle()


@pytest.mark.spec("PLAT-118")
@pytest.mark.parametrize(
    "extra",
    [
        {"user": {"id": "victim"}},
        {"ctx": {"user": {"id": "victim"}}},
        {"session": "victim", "sessionId": "victim", "ws": {"user_data": {"id": "victim"}}},
        {"__proto__": {"user": {"id": "victim"}}},
    ],
)
async def test_no_field_of_a_frame_makes_somebody_else_of_its_sender(
    mallory: Attacker, extra: dict[str, Any]
) -> None:
    async with mallory.peer() as peer:
        talk = chat(peer)
        answer = await talk.call("ledger/entries", stream=True, **extra)
        assert "room:mallory" in str(answer), answer
        assert SECRET not in await talk.settle()


async def closed_by(peer: Any) -> int:
    """Return the code with which the server ends the connection; 1006 where it has no words."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        payload = await peer.until(CLOSE)
        with contextlib.suppress(ConnectionError):
            peer.write(client_frame(CLOSE, payload[:2]))  # a close that the app began waits for it
            async with asyncio.timeout(PATIENCE):
                assert await peer.reader.read() == b""
        return int.from_bytes(payload[:2], "big")
    return 1006


BROKEN = {
    "not masked": (client_frame(TEXT, b"{}", masked=False), {1002}),
    "reserved bits": (client_frame(TEXT, b"{}", reserved=4), {1002}),
    "compressed without a word": (client_frame(TEXT, zlib.compress(b"{}"), reserved=4), {1002}),
    "reserved kind": (client_frame(0x3, b"x"), {1002}),
    "reserved control": (client_frame(0xB, b"x"), {1002}),
    "a long ping": (client_frame(PING, b"x" * 126), {1002}),
    "a fragmented ping": (client_frame(PING, b"x", fin=False), {1002}),
    "a piece of nothing": (client_frame(0x0, b"x"), {1002}),
    "two beginnings": (client_frame(TEXT, b"a", fin=False) + client_frame(TEXT, b"b"), {1002}),
    "no text": (client_frame(TEXT, b"\xff\xfe"), {1007}),
    "half a character": (client_frame(TEXT, "\u20ac".encode()[:2]), {1007}),
    "surrogates": (client_frame(TEXT, b"\xed\xa0\x80"), {1007}),
    "too large": (client_frame(TEXT, b"x" * (1024 * 1024 + 1)), {1009}),
    "larger than memory": (b"\x81\xff" + (2**62).to_bytes(8, "big") + b"\0\0\0\0", {1009}),
    "a negative length": (b"\x81\xff" + (2**63 + 5).to_bytes(8, "big") + b"\0\0\0\0", {1002, 1009}),
    "a close of one byte": (client_frame(CLOSE, b"\x03"), {1002}),
    "a close of no code": (client_frame(CLOSE, (1005).to_bytes(2, "big")), {1002}),
    "many empty pieces": (
        client_frame(TEXT, b"{", fin=False) + client_frame(0x0, b"", fin=False) * 20_000,
        {1002},
    ),
    "many pieces": (
        client_frame(TEXT, b"{", fin=False) + client_frame(0x0, b"x", fin=False) * 2000,
        {1002},
    ),
    "large pieces": (
        client_frame(TEXT, b"{", fin=False) + client_frame(0x0, b"x" * 200_000, fin=False) * 6,
        {1009},
    ),
    "no websocket": (b"GET /hit HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", {1002}),
}


#: What is counted when a peer is closed with each code.
RULES = {1002: "frame", 1007: "frame", 1009: "message_size"}


@pytest.mark.spec("PLAT-116", "PLAT-167")
@pytest.mark.parametrize("what", BROKEN)
async def test_frames_against_the_protocol_end_the_connection_that_sent_them(
    mallory: Attacker, what: str
) -> None:
    sent, codes = BROKEN[what]
    series = {code: f'realtime_security_refusals_total{{rule="{rule}"}}' for code, rule in RULES.items()}
    expected = {series[code] for code in codes}
    before = [await mallory.metric(one) for one in expected]
    async with mallory.peer() as peer:
        peer.write(sent)
        assert await closed_by(peer) in codes | {1006}
    assert sum([await mallory.metric(one) for one in expected]) == sum(before) + 1


@pytest.mark.spec("PLAT-167")
async def test_text_that_is_none_leaves_no_traceback_in_the_log(mallory: Attacker) -> None:
    async with mallory.peer() as peer:
        peer.write(client_frame(TEXT, b"\xff\xfe"))
        assert await closed_by(peer) in {1007, 1006}
    assert "Traceback" not in mallory.target.said()


@pytest.mark.spec("PLAT-116")
async def test_pings_beyond_a_hundred_a_second_are_not_answered(mallory: Attacker) -> None:
    async with mallory.peer() as peer:
        peer.write(client_frame(PING, b"x") * 5000)
        answered = 0
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, AssertionError):
            peer.write(client_frame(TEXT, b'{"rpc":"ledger/echo","id":"p","args":[1]}'))
            while True:
                opcode, payload = await peer.frame()
                answered += opcode == 0xA
                if opcode == CLOSE or b'"event":"p"' in payload:
                    break
        assert answered <= 300  # a machine that is busy takes longer than a second to read them


@pytest.mark.spec("PLAT-116")
async def test_bytes_by_chance_harm_nobody(mallory: Attacker) -> None:
    for _ in range(8):
        somebody = Attacker(mallory.target)
        async with somebody.peer() as peer:
            for _ in range(20):
                peer.write(
                    client_frame(BINARY, os.urandom(64)), client_frame(TEXT, os.urandom(16).hex().encode())
                )
            peer.write(
                client_frame(BINARY, b"\x00" + os.urandom(40)), client_frame(BINARY, b"\x01" + b"\xff" * 40)
            )
            await chat(peer).settle()
            peer.write(os.urandom(2000))


@pytest.mark.spec("PLAT-116")
async def test_a_storm_of_calls_is_answered_or_refused_and_holds_up_nobody(mallory: Attacker) -> None:
    async with mallory.peer() as peer:
        talk = chat(peer)
        talk.write(*({"rpc": "ledger/echo", "id": f"s{n}", "args": [n]} for n in range(5000)))
        talk.write(*({"type": "subscribe", "topic": f"t{n}", "ref": f"r{n}"} for n in range(3000)))
        answered = set()
        while len(answered) < 5000:
            frame = await talk.read()
            for one in frame["events"] if frame.get("type") == "batch" else [frame]:
                if str(one.get("event", "")).startswith("s"):
                    answered.add(one["event"])
                    assert one["data"]["ok"] or one["data"]["code"] == "OVERLOADED"


@pytest.mark.spec("PLAT-116")
async def test_who_asks_for_much_and_reads_nothing_harms_nobody(mallory: Attacker) -> None:
    async with mallory.peer() as peer:
        call = b'{"rpc":"ledger/big","id":"%d","args":[]}'
        peer.write(*(client_frame(TEXT, call % number) for number in range(100)))
        for _ in range(20):
            assert (await mallory.get("/healthz")).status == 200


# ------------------------------------------------------------ a server that agreed to compression


def deflated(data: bytes, times: int = 1) -> bytes:
    """Return a compressed text frame of `times` copies of `data`, as permessage-deflate has it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(data) for _ in range(times)) + packer.flush(zlib.Z_SYNC_FLUSH)
    return client_frame(TEXT, packed.removesuffix(b"\x00\x00\xff\xff"), reserved=4)


def inflated(frames: bytes) -> bytes:
    """Return the payloads of whole frames of the server, in the clear."""
    found, reader = b"", zlib.decompressobj(-15)
    while frames:
        size, start = frames[1], 2
        if size == 126:
            size, start = int.from_bytes(frames[2:4], "big"), 4
        payload = frames[start : start + size]
        found += reader.decompress(payload + b"\x00\x00\xff\xff") if frames[0] & 0x40 else payload
        frames = frames[start + size :]
    return found


@pytest.mark.spec("PLAT-116")
@pytest.mark.parametrize("link", ["auto", "off"])
async def test_what_inflates_beyond_the_limit_ends_its_connection_and_fills_no_memory(
    link: str, tmp_path: Path
) -> None:
    more = f'[websocket]\n    compression = true\n    upgrade_rate_limit = 0\n    fast_path = "{link}"'
    with target(tmp_path, more) as server:
        async with attacker(server) as mallory:
            memory = Path(f"/proc/{server.child.pid}/status")
            bombs = {
                "zeros": deflated(b"\0" * 1_000_000, 300),
                "just above": deflated(b"x" * (1024 * 1024 + 1)),
                "no deflate": client_frame(TEXT, os.urandom(500), reserved=4),
                "in pieces": client_frame(TEXT, b"", fin=False, reserved=4)
                + client_frame(0x0, deflated(b"\0" * 1_000_000, 100)[8:]),
            }
            offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits"
            for _ in range(5):
                for name, bomb in bombs.items():
                    async with mallory.peer(upgrade_head(server, offer)) as peer:
                        assert "permessage-deflate" in peer.headers["sec-websocket-extensions"]
                        peer.write(bomb)
                        async with asyncio.timeout(PATIENCE * 2):  # where a close waits for its answer
                            with contextlib.suppress(ConnectionError):
                                rest = await peer.reader.read()
                                assert rest[-40:].find(b"\x88") >= 0, (name, rest)
            peak = next(line for line in memory.read_text().splitlines() if line.startswith("VmHWM"))
            assert int(peak.split()[1]) < 300_000, peak  # kibibytes; one bomb alone would be as large
            async with mallory.peer(upgrade_head(server, offer, sid=VICTIM)) as peer:
                peer.write(deflated(b'{"rpc":"ledger/echo","id":"fine","args":[1]}'))
                async with asyncio.timeout(5):
                    while b"fine" not in inflated(await peer.reader.read(65536)):
                        pass
