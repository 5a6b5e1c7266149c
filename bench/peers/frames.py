"""The frames a peer understands and sends: the same bytes as ours, made with the standard library's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

TOPIC = "bench"
PADDING = "x" * 120
EDGE = 8  # bytes at each end of an upload that its acknowledgement repeats
_COMPACT = (",", ":")
_numbers: dict[str, int] = {}


def welcome() -> str:
    """Return the first frame of a connection."""
    return json.dumps(
        {"type": "welcome", "sessionId": "00000000-0000-4000-8000-000000000000"}, separators=_COMPACT
    )


def topics_of(frame: dict[str, Any]) -> list[str]:
    """Return the topics that a frame subscribes to; none when it is another one."""
    kind = frame.get("type")
    if kind == "subscribe":
        return [frame["topic"]]
    return list(frame["topics"]) if kind == "subscribe-batch" else []


def subscribed(topic: str) -> str:
    """Return the acknowledgement of a subscription."""
    return json.dumps({"type": "subscribed", "topic": topic, "ref": 1}, separators=_COMPACT)


def envelope(topic: str, number: int) -> dict[str, Any]:
    """Return the next event of a topic, about 200 bytes long."""
    seq = _numbers[topic] = _numbers.get(topic, 0) + 1
    return {"topic": topic, "event": "tick", "data": {"n": number, "text": PADDING}, "seq": seq}


def event(topic: str, number: int) -> str:
    """Return `envelope` as text."""
    return json.dumps(envelope(topic, number), separators=_COMPACT)


def turns(frame: dict[str, Any]) -> Iterator[Iterator[tuple[str, int]]]:
    """Return per turn of the loop which topics get which number.

    `bench/burst` has the arguments count, per turn and first number; `bench/spread` passes, per turn and topics.
    """
    count, per_turn, last = frame["args"]
    if frame["rpc"] == "bench/burst":
        for start in range(0, count, per_turn):
            yield ((TOPIC, last + number) for number in range(start, min(start + per_turn, count)))
    else:
        for number in range(count):
            for start in range(0, last, per_turn):
                yield ((f"{TOPIC}-{topic}", number) for topic in range(start, start + per_turn))


def reply(frame: dict[str, Any], data: Any) -> str:
    """Return the reply to a call."""
    inner = {"id": frame["id"], "ok": True, "data": data}
    return json.dumps({"topic": "__rpc", "event": frame["id"], "data": inner}, separators=_COMPACT)


def acknowledgement(upload: bytes) -> bytes:
    """Return the answer to a binary frame: its first and its last bytes."""
    return upload[:EDGE] + upload[-EDGE:]
