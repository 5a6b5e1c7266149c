"""The frames a peer understands and sends: the same bytes as ours, made with the standard library's JSON."""

from __future__ import annotations

import json
from typing import Any

TOPIC = "bench"
PADDING = "x" * 120
_COMPACT = (",", ":")


def welcome() -> str:
    """Return the first frame of a connection."""
    return json.dumps(
        {"type": "welcome", "sessionId": "00000000-0000-4000-8000-000000000000"}, separators=_COMPACT
    )


def subscribed(frame: dict[str, Any]) -> str:
    """Return the acknowledgement of a subscribe frame."""
    return json.dumps(
        {"type": "subscribed", "topic": frame["topic"], "ref": frame["ref"]}, separators=_COMPACT
    )


def event(number: int) -> str:
    """Return one published envelope of about 200 bytes."""
    data = {"n": number, "text": PADDING}
    envelope = {"topic": TOPIC, "event": "tick", "data": data, "seq": number + 1}
    return json.dumps(envelope, separators=_COMPACT)


def reply(frame: dict[str, Any], data: Any) -> str:
    """Return the reply to a call."""
    inner = {"id": frame["id"], "ok": True, "data": data}
    return json.dumps({"topic": "__rpc", "event": frame["id"], "data": inner}, separators=_COMPACT)
